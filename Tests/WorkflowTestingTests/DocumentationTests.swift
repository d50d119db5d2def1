import Foundation
import Testing

@Suite("docs/testing-workflows.md")
struct DocumentationTests {
    @Test("its example passes, covers everything, and fails when the workflow does")
    func exampleHolds() throws {
        let text = try String(contentsOfFile: Repository.path("docs/testing-workflows.md"), encoding: .utf8)
        var files: [Substring: Substring] = [:]
        for match in text.matches(of: #/<!-- example: (\S+) -->\n```yaml\n((?s).*?)```/#) {
            files[match.1] = match.2
        }
        let workflow = String(try #require(files["greeting.yaml"]))
        let test = String(try #require(files["greeting.test.yaml"])).replacing(
            "greeting.yaml", with: "play.yaml")
        let run = try Bench(workflow: workflow, test: test).run("--coverage")
        #expect(run.code == 0, "\(run.output)\(run.error)")
        #expect(run.output.contains("2 passed, 0 failed"))
        #expect(run.output.contains("covered 100 %"))
        let broken = workflow.replacing("Hello", with: "Goodbye")
        #expect(try Bench(workflow: broken, test: test).run().output.contains("requests[2].body.text"))
    }

    @Test("it lists every problem that a test file can have")
    func problemsAreListed() throws {
        let text = try String(contentsOfFile: Repository.path("docs/testing-workflows.md"), encoding: .utf8)
        let source = try String(
            contentsOfFile: Repository.path("Sources/App/WorkflowTesting/TestProblemCode.swift"),
            encoding: .utf8)
        for match in source.matches(of: #/MR\d+/#) { #expect(text.contains("| \(match.0) |")) }
    }
}

/// What `docs/testing-workflows.md` shows in passing.
@Suite("Parts of docs/testing-workflows.md")
struct TestingPageTests {
    private static let page = FormatPage(
        path: "docs/testing-workflows.md",
        text: (try? String(contentsOfFile: Repository.path("docs/testing-workflows.md"), encoding: .utf8))
            ?? "")

    private static func block(beginning text: String) throws -> String {
        try #require(page.examples.first { $0.language == "yaml" && $0.text.hasPrefix(text) }).text
    }

    @Test("each signature that it shows is the one that a guard computes")
    func signaturesHold() throws {
        let guards = [
            "stripe": "trigger.headers['stripe-signature'] == 't=1767225600,v1=' .. "
                + "crypto.hmac('sha256', 'whsec_1', '1767225600.' .. trigger.raw_body)",
            "mollie": "trigger.headers['x-mollie-signature'] == 'sha256=' .. "
                + "crypto.hmac('sha256', 'hook_1', trigger.raw_body)",
            "hmac":
                "trigger.headers['x-signature'] == 'sha256=' .. crypto.hmac('sha256', 's', trigger.raw_body)",
        ]
        let lines = try Self.block(beginning: "sign:").split(separator: "\n")
        #expect(lines.count == guards.count)
        for line in lines {
            let condition = guards.first { line.contains("{\($0.key):") }?.value ?? "false"
            let faults = try PageRun.differences(
                PageRun.workflow("triggers: [{type: webhook, when: \"\(condition)\"}]"),
                "    trigger:\n      body: {n: 1}\n      \(line)\n    expect: {trigger: accepted}")
            #expect(faults.isEmpty, "\(line): \(faults)")
        }
    }

    @Test("its mocks of calls end children as it says")
    func callMocksHold() throws {
        let workflow = PageRun.workflow(
            """
            steps:
              create_account: {call: create-account}
              enrich: {after: create_account, call: enrich, on_error: continue}
            output: << steps.create_account.output.id >> << steps.enrich.error.code >> << steps.enrich.error.message >>
            """)
        let mocks = try Self.block(beginning: "mocks:").split(separator: "\n").map { "    \($0)\n" }.joined()
        let faults = try PageRun.differences(
            workflow,
            mocks + """
                    expect:
                      outcome: succeeded
                      elapsed: 3s
                      output: "acc_1 child_failed run run_00000000000z9 failed: status: status 500"
                """)
        #expect(faults.isEmpty, "\(faults)")
    }

    @Test("it names every key that a test file may have")
    func keysAreNamed() throws {
        let shown = Set(
            Self.page.tables.flatMap(\.rows).flatMap { $0.cells.flatMap { FormatPage.code(in: $0) } }
                .flatMap { $0.matches(of: #/[a-z_]+/#).map { String($0.0) } })
        let text = try String(contentsOfFile: Repository.path("docs/testing-workflows.md"), encoding: .utf8)
        let places = [
            "    zzzzzzzz: 1\n    expect: {outcome: succeeded}", "    expect: {zzzzzzzz: 1}",
            "    mocks: {one: {status: 200, zzzzzzzz: 1}}\n    expect: {outcome: succeeded}",
            "    trigger: {zzzzzzzz: 1}\n    expect: {outcome: succeeded}",
            "    tenant: {zzzzzzzz: 1}\n    expect: {outcome: succeeded}",
            "    signals: [{name: a, zzzzzzzz: 1}]\n    expect: {outcome: succeeded}",
            "    cancel: {zzzzzzzz: 1}\n    expect: {outcome: succeeded}",
            "    expect: {requests: [{zzzzzzzz: 1}]}", "    expect: {calls: [{zzzzzzzz: 1}]}",
            "    expect: {error: {zzzzzzzz: 1}}", "    expect: {elapsed: {zzzzzzzz: 1}}",
            "    trigger: {sign: {hmac: {zzzzzzzz: 1}}}\n    expect: {outcome: succeeded}",
        ]
        for place in places {
            let faults = try PageRun.differences(
                PageRun.workflow("steps: {one: {request: {url: https://a.example}}}"), place)
            let list = try #require(faults.firstMatch(of: #/known are: ([a-z_, ]+)/#), "\(place): \(faults)")
                .1
            for key in list.split(separator: ", ") {
                let name = String(key)
                #expect(
                    shown.contains(name) || text.contains("`\(name)`") || text.contains("\(name):"), "\(name)"
                )
            }
        }
    }
}
