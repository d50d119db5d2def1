import Engine
import Testing
import Values

@Suite("One turn of a run")
struct TurnTests {
    /// Goal: nobody else is served during a turn, so a thousand steps must not fit into one (S15).
    @Test("S15: a run with many computations takes them in bounded turns, and ends as in one")
    func turnsAreBounded() throws {
        let steps = (1...100).map { "  s\($0): {lua: return \($0)}" }.joined(separator: "\n")
        let plan = try EngineTests.plan("steps:\n\(steps)\noutput: << steps.s100.output >>\n")
        var play = Play(plan: plan)
        let first = bareFirstTurn(of: plan)
        #expect(first.records.count == 17)
        #expect(first.effects.count == 1)
        let lines = play.begin()
        // The play goes on at once; the journal tells the same, and no turn stored more than 16 of them.
        #expect(lines.count == 103)
        #expect(play.finished.map(\.output) == [100])
    }

    private func bareFirstTurn(of plan: RunPlan) -> Decision {
        let play = Play(plan: plan)
        var machine = play.machine
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: [], at: play.now, tenantName: "Acme",
            externalCustomerID: nil)
        return machine.handle(.started(start, isFunded: true), in: play.surroundings)
    }

    @Test("G3: a step that used up its budget ends the run, whatever on_error says")
    func budgetErrorIsFinal() throws {
        var play = try Play(
            """
            steps:
              a: {lua: "while true do end return 1", on_error: continue}
              b: {after: [a], lua: return 2}
            """)
        play.begin()
        #expect(play.finished.map(\.error?.code) == ["budget_exceeded"])
    }
}
