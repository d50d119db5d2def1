import Foundation
import Testing
import Values

@Suite("Running test files")
struct RunnerTests {
    private static let workflow = """
        name: play
        version: 1
        triggers:
          - type: http
        vars: {host: "https://api.example"}
        steps:
          ask:
            request: {method: POST, url: "<< vars.host >>/ask", body: {n: << trigger.body.n >>}}
            retry: {max: 2, delay: 1h, backoff: fixed, jitter: none}
          tell:
            after: [ask]
            when: steps.ask.response.body.yes == true
            request: {method: POST, url: "<< vars.host >>/tell"}
        output: {yes: << steps.ask.response.body.yes >>}
        """

    private func bench(_ cases: String, workflow: String = Self.workflow) throws -> Bench {
        try Bench(workflow: workflow, test: cases)
    }

    /// Paths of the differences of the file's only case.
    private func differences(_ run: CommandLineRun) -> [String] {
        (run.value["files"]?[0]?["cases"]?[0]?["differences"]?.array ?? []).map { $0["path"]?.text ?? "" }
    }

    @Test("each fact that differs is told with its path, both values and its place in the file")
    func differencesAreTold() throws {
        let bench = try bench(
            """
            cases:
              - name: all wrong
                trigger: {body: {n: 1}}
                mocks: {ask: {status: 200, body: {yes: false}}}
                expect:
                  trigger: refused
                  outcome: failed
                  output: {yes: true, more: 1}
                  error: {code: status}
                  steps: {tell: succeeded}
                  elapsed: 1s
                  requests:
                    - {step: ask, method: GET, url: "https://api.example/ask?", headers: {X: y}, body: {n: 2}}
                    - {step: tell}
            """)
        let run = bench.run("--json")
        #expect(run.code == 1)
        #expect(
            differences(run) == [
                "trigger", "outcome", "output.yes", "output.more", "error.code", "steps.tell", "elapsed",
                "requests[0].method", "requests[0].url", "requests[0].headers.X", "requests[0].body.n",
                "requests[1]",
            ])
        let text = bench.run().output
        #expect(
            text.contains(
                "play.test.yaml:8:7: output.yes\n          expected: true\n          actual:   false"))
        #expect(text.hasSuffix("0 passed, 1 failed\n"))
        #expect(!text.contains("\u{1B}"))
    }

    @Test("a request that nobody answers is the case's one failure, and says how to answer it")
    func unmockedRequestsAreTold() throws {
        let bench = try bench(
            """
            cases:
              - name: no answer
                trigger: {body: {n: 1}}
                mocks: {ask: {status: 503}}
                expect: {outcome: succeeded}
            """)
        let run = bench.run("--json")
        #expect(differences(run) == ["mocks.ask[1]"])
        #expect(run.output.contains("none for POST https://api.example/ask"))
        #expect(run.output.contains("for attempt 2"))
    }

    @Test("the time of a request is compared, since the start of the run")
    func timesOfRequestsAreCompared() throws {
        let bench = try bench(
            """
            cases:
              - name: attempts
                mocks: {ask: [{status: 503}, {status: 503, took: 5s}, {status: 200, body: {yes: false}}]}
                expect: {requests: [{at: 0s}, {at: 1h}, {at: 2h}]}
            """)
        let run = bench.run("--json")
        #expect(differences(run) == ["requests[2].at"])
        #expect(run.output.contains("2h5s"))
    }

    @Test("hours of waiting pass in no time")
    func waitingTakesNoTime() throws {
        let bench = try bench(
            """
            cases:
              - name: later
                trigger: {body: {n: 1}}
                mocks: {ask: [{error: connection}, {status: 503, took: 5s}, {status: 200, body: {yes: false}}]}
                expect: {outcome: succeeded, elapsed: 2h5s, steps: {tell: skipped}}
            """)
        #expect(bench.run().code == 0)
    }

    @Test("a mock of the case that answers nothing is told")
    func unusedMocksAreTold() throws {
        let bench = try bench(
            """
            cases:
              - name: too much
                mocks: {ask: {status: 200, body: {yes: false}}, tell: {status: 200}}
                expect: {outcome: succeeded}
            """)
        #expect(differences(bench.run("--json")) == ["mocks"])
    }

    @Test("every problem of a test file is told with line, column and a hint")
    func problemsHavePlaces() throws {
        let bench = try bench(
            """
            workflow: play.yaml
            cases:
              - name: one
                trigger: {type: webhook, bodi: 1}
                at: yesterday
                vars: {hosts: x}
                mocks: {aks: {status: 200}, tell: {status: 99}}
                expect: {outcome: succeded, steps: {ask: done}}
              - name: one
            """)
        let run = bench.run("--json")
        #expect(run.code == 1)
        let problems = run.value["files"]?[0]?["problems"]?.array ?? []
        let places = problems.map {
            "\($0["line"]?.text ?? ""):\($0["column"]?.text ?? "") \($0["code"]?.text ?? "")"
        }
        #expect(
            places == [
                "4:21 MR2007", "4:30 MR2004", "5:9 MR2006", "6:12 MR2007", "7:13 MR2007", "7:48 MR2006",
                "8:23 MR2006", "8:46 MR2006", "9:5 MR2003", "9:11 MR2008",
            ])
        #expect(bench.run().output.contains("did you mean `succeeded`?"))
    }

    @Test("a workflow that is missing or broken is a problem of the test file")
    func brokenWorkflowsAreTold() throws {
        let missing = try bench("workflow: other.yaml\ncases: [{name: a, expect: {outcome: failed}}]")
        #expect(missing.run().output.contains("MR2001"))
        let broken = try bench("cases: [{name: a, expect: {outcome: failed}}]", workflow: "name: play")
        #expect(broken.run().output.contains("MR2002"))
    }

    @Test("JUnit's XML counts the cases and carries the differences, escaped")
    func junitIsWritten() throws {
        let bench = try bench(
            """
            cases:
              - {name: "a < b & \\"c\\"", mocks: {ask: {status: 200, body: {yes: false}}}, expect: {outcome: failed}}
              - {name: fine, mocks: {ask: {status: 200, body: {yes: false}}}, expect: {outcome: succeeded}}
            """)
        #expect(bench.run("--junit", "\(bench.folder)/junit.xml").code == 1)
        let text = try bench.text(of: "junit.xml")
        #expect(text.contains("<testsuites tests=\"2\" failures=\"1\">"))
        #expect(text.contains("name=\"a &lt; b &amp; &quot;c&quot;\""))
        #expect(XMLCheck(text).isWellFormed)
    }

    @Test("--filter runs only the cases that it names, and coverage says what they missed")
    func filterAndCoverage() throws {
        let bench = try bench(
            """
            cases:
              - {name: no, mocks: {ask: {status: 200, body: {yes: false}}}, expect: {outcome: succeeded}}
              - name: yes indeed
                mocks: {ask: {status: 200, body: {yes: true}}, tell: {status: 204}}
                expect: {outcome: succeeded}
            """)
        let part = bench.run("--filter", "no", "--coverage")
        #expect(part.output.contains("1 passed, 0 failed"))
        #expect(part.output.contains("never:   tell, tell: guard true"))
        #expect(bench.run("--coverage").output.contains("covered 100 %"))
        #expect(bench.run("--filter", "nothing").code == 2)
    }
}

/// Whether tags open and close as XML's must.
struct XMLCheck {
    let isWellFormed: Bool

    init(_ text: String) {
        var open: [Substring] = []
        var isSound = true
        for match in text.matches(of: #/<(/?)([a-z]+)[^<>]*?(/?)>/#) {
            if !match.1.isEmpty {
                isSound = isSound && open.popLast() == match.2
            } else if match.3.isEmpty {
                open.append(match.2)
            }
        }
        isWellFormed = isSound && open.isEmpty
    }
}
