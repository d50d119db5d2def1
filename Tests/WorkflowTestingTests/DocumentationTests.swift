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
