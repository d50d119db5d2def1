import Engine
import Testing

@Suite("What a step may use")
struct StepBudgetTests {
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
