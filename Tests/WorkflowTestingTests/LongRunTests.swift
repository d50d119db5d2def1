import Foundation
import Testing
import Values

@Suite("Test files of long runs")
struct LongRunTests {
    private static let workflow = """
        name: play
        version: 1
        triggers:
          - type: http
        steps:
          rest:
            sleep: 30d
          evidence:
            after: [rest]
            wait: {signal: evidence, timeout: 45d, on_timeout: continue}
        output:
          text: << steps.evidence.signal.body.text >>
        """

    @Test("a run's token is the one that the page on testing names")
    func tokenIsKnown() throws {
        let bench = try Bench(
            workflow: """
                name: play
                version: 1
                triggers: [{type: http}]
                steps: {tell: {lua: return run.token}}
                output: << steps.tell.output >>
                """,
            test: """
                cases: [{name: token, expect: {output: 3bc2aa6c15533355496b8e0ea9e6d0d4}}]
                """)
        #expect(bench.run().code == 0, "\(bench.run().output)")
        let page = try String(
            contentsOfFile: Repository.path("docs/testing-workflows.md"), encoding: .utf8)
        #expect(page.contains("`3bc2aa6c15533355496b8e0ea9e6d0d4`"))
    }

    @Test("75 days pass in no time, with a signal on the way or without")
    func daysTakeNoTime() throws {
        let bench = try Bench(
            workflow: Self.workflow,
            test: """
                cases:
                  - name: nobody says anything
                    expect: {outcome: succeeded, elapsed: 75d, steps: {rest: succeeded, evidence: succeeded}}
                  - name: a signal ends the wait
                    signals: [{at: 40d, name: evidence, body: {text: photo}}]
                    expect: {outcome: succeeded, elapsed: 40d}
                  - name: a signal that comes too early is kept
                    signals: [{at: 1d, name: evidence, body: {text: photo}}]
                    expect: {outcome: succeeded, elapsed: 30d}
                """)
        let run = bench.run()
        #expect(run.code == 0, "\(run.output)\(run.error)")
    }
}
