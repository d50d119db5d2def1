import Foundation
import Testing
import Values

@Suite("Testing workflows that call others")
struct CallMockTests {
    private static let workflow = """
        name: play
        version: 1
        triggers:
          - type: http
        steps:
          enrich: {call: enrich-order, input: {id: << trigger.body.id >>}, on_error: continue}
          book:
            after: enrich
            when: steps.enrich.outcome == 'succeeded'
            call: << (steps.enrich.output or {kind = 'no'}).kind >>-booking
            input: << steps.enrich.output >>
          tell: {after: enrich, call: {workflow: tell}, detach: true}
        output: {booked: << steps.book.output >>, error: << steps.enrich.error.code >>, why: << steps.enrich.error.message >>}
        """

    private func bench(_ cases: String) throws -> Bench { try Bench(workflow: Self.workflow, test: cases) }

    @Test("a mock says how a child ends, and calls are compared in order; time passes as it says")
    func mocksAnswer() throws {
        let bench = try bench(
            """
            cases:
              - name: booked
                trigger: {body: {id: 7}}
                mocks:
                  enrich: {output: {kind: hotel}, took: 2d}
                  book: {output: 5}
                expect:
                  outcome: succeeded
                  output: {booked: 5, error: null, why: null}
                  elapsed: 2d
                  steps: {tell: succeeded}
                  requests: []
                  calls:
                    - {step: enrich, workflow: enrich-order, input: {id: 7}, detach: false}
                    - {step: book, workflow: hotel-booking, input: {kind: hotel}}
                    - {workflow: tell, detach: true}
              - name: failed
                mocks: {enrich: {error: {code: status, message: status 503}}}
                expect:
                  outcome: succeeded
                  output: {booked: null, error: child_failed, why: "run run_00000000000z8 failed: status: status 503"}
                  steps: {book: skipped}
              - name: cancelled
                mocks: {enrich: {error: {code: cancelled}}}
                expect: {steps: {enrich: failed}}
              - name: unknown
                mocks: {enrich: {error: {code: unknown_workflow}}}
                expect:
                  output: {booked: null, error: unknown_workflow, why: so the test says}
              - name: cancelled from above
                mocks: {enrich: {output: 1, took: 30d}}
                cancel: {at: 1h}
                expect: {outcome: cancelled, elapsed: 1h, steps: {enrich: failed}}
            """)
        let run = bench.run("--json")
        #expect(run.code == 0, "\(bench.run().output)")
    }

    @Test(
        "a call without a mock, a wrong call and a mock that is not needed fail the case, each with its place"
    )
    func differences() throws {
        let bench = try bench(
            """
            cases:
              - name: no mock
                expect: {outcome: succeeded}
              - name: wrong calls
                mocks: {enrich: {output: {kind: hotel}}, book: {output: 1}}
                expect:
                  calls:
                    - {step: enrich, workflow: other, input: {id: 1}}
                    - {step: book}
              - name: unused
                mocks: {enrich: {error: {code: x}}, book: {output: 1}}
                expect: {outcome: succeeded}
            """)
        let run = bench.run("--json")
        #expect(run.code == 1)
        let paths = (run.value["files"]?[0]?["cases"]?.array ?? []).map {
            ($0["differences"]?.array ?? []).map { $0["path"]?.text ?? "" }
        }
        #expect(
            paths == [
                ["mocks.enrich"], ["calls[0].workflow", "calls[0].input.id", "calls[2]"], ["mocks"],
            ])
        #expect(bench.run().output.contains("mocks: {enrich: {output: {}}}"))
    }

    @Test(
        "faults of a mock for a call are told",
        arguments: [
            ("{status: 200}", "MR2004"), ("{}", "MR2003"), ("{output: 1, error: {code: x}}", "MR2008"),
            ("{error: timeout}", "MR2005"), ("{error: {message: x}}", "MR2003"),
        ])
    func faults(mock: String, code: String) throws {
        let bench = try bench(
            "cases:\n  - {name: a, mocks: {enrich: \(mock)}, expect: {outcome: succeeded}}")
        let run = bench.run()
        #expect(run.code == 1 || run.code == 2)
        #expect((run.output + run.error).contains(code), "\(run.output)\(run.error)")
    }

    @Test("simulating says what would be called, and goes on as if it had succeeded")
    func simulate() throws {
        let bench = try Bench(workflow: Self.workflow, test: "")
        let path = "\(bench.folder)/play.yaml"
        let run = CommandLineRun(["simulate", path, "--data", #"{"id":7}"#])
        #expect(run.output.contains("call      enrich: enrich-order"), "\(run.output)\(run.error)")
        #expect(run.output.contains(#"{"id":7}"#))
        #expect(run.output.contains("call      tell: tell, detached"))
        let value = CommandLineRun(["simulate", path, "--data", #"{"id":7}"#, "--json"]).value
        #expect(
            value["calls"]?[0]?["workflow"] == "enrich-order" && value["calls"]?[0]?["input"] == ["id": 7])
    }
}
