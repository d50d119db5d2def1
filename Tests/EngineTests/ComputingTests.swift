import Engine
import Ports
import Testing
import Values

@Suite("Heavy computing")
struct ComputingTests {
    private static let heavy = "local n = 0 for i = 1, 200000 do n = n + i end return n"

    private func heavySteps(_ count: Int) -> String {
        "steps:\n" + (0..<count).map { "  s\($0): {lua: \"\(Self.heavy)\"}\n" }.joined()
    }

    /// A run whose every evaluation counts as a millisecond, however long it takes here.
    private func measured(_ yaml: String) throws -> Play {
        var play = try Play(yaml)
        play.surround(gauge: CountingGauge(step: .milliseconds(1)))
        return play
    }

    @Test("a run of many heavy steps gives others a turn in between, and ends all the same")
    func heavyRunsYield() throws {
        var play = try measured(heavySteps(60))
        var lines = play.begin()
        #expect(lines.last == "go on")
        var turns = 1
        while lines.last == "go on", turns < 1000 {
            lines = play.feed(.resumed(at: play.now + .milliseconds(turns * 20)))
            turns += 1
        }
        #expect(turns == 6)
        #expect(lines.last == "finish succeeded")
    }

    @Test("what a heavy turn computes is run time")
    func heavyTurnsAreCharged() throws {
        var play = try measured(heavySteps(60))
        var lines = play.begin()
        var turns = 1
        while lines.last == "go on", turns < 1000 {
            lines = play.feed(.resumed(at: play.now + .milliseconds(turns * 1000)))
            turns += 1
        }
        let charged = play.records.reduce(0) { $0 + $1.chargeMilliseconds }
        #expect(charged == 60)
    }

    @Test("light steps are decided in one turn and cost nothing")
    func lightRunsDoNotYield() throws {
        var play = try measured("steps:\n  - lua: return 1\n  - lua: return 2\n")
        #expect(play.begin().last == "finish succeeded")
        #expect(play.records.allSatisfy { $0.chargeMilliseconds == 0 })
    }

    @Test("a turn that comes too late, or twice, decides nothing")
    func lateTurns() throws {
        var play = try Play("steps: {a: {request: {url: https://a.example/}}}")
        play.begin()
        #expect(play.feed(.resumed(at: play.now)).isEmpty)
        play.answer("a")
        #expect(play.feed(.resumed(at: play.now)).isEmpty)
    }

    @Test("the expressions of one step together may take a quarter of a second")
    func oneStepIsBounded() throws {
        let expression = "<< (function() \(Self.heavy) end)() >>"
        var play = try measured(
            "steps: {a: {finish: \"\(String(repeating: expression, count: 700))\"}}")
        #expect(play.begin().contains { $0.contains("budget_exceeded") })
    }

    /// That many evaluations in one text.
    private func light(_ count: Int) -> String {
        "\"" + String(repeating: "<< (function() return 1 end)() >>", count: count) + "\""
    }

    @Test("a run that fails because it computed too much still undoes, with a budget for each undoing")
    func undoingIsMeasuredApart() throws {
        let undo =
            "compensate: {request: {method: DELETE, url: 'https://a.example/<< (function() return 1 end)() >>'}}"
        for end in ["output: \(light(300))", "  z: {after: [a, b], finish: \(light(300))}"] {
            var play = try measured(
                "steps:\n  a: {request: {url: https://a.example/}, \(undo)}\n"
                    + "  b: {request: {url: https://b.example/}, \(undo)}\n" + end)
            play.begin()
            play.answer("a")
            #expect(play.answer("b").last == "send b/compensate#1")
            #expect(play.answer("b/compensate").last == "send a/compensate#1")
            play.answer("a/compensate")
            #expect(play.outcome?.error?.code == "budget_exceeded")
            #expect(play.outcome?.compensation == .succeeded)
        }
    }

    @Test("the run's output has a budget of its own, whatever the last step used")
    func outputIsMeasuredApart() throws {
        var play = try measured("steps: {a: {reply: {body: \(light(200))}}}\noutput: \(light(150))")
        #expect(play.begin().last == "finish succeeded")
    }
}

/// Counts evaluations: each reading is a step further than the one before.
private final class CountingGauge: WorkGauge, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let step: Duration
    private var read = Duration.zero

    init(step: Duration) { self.step = step }

    func threadTime() -> Duration {
        read += step
        return read
    }

    func elapsedTime() -> Duration { read }
}
