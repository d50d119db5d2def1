import Engine
import Testing
import Values

@Suite("Being at rest")
struct RestTests {
    private static func until(_ seconds: Int64) -> RunMachine.Rest {
        .init(until: Play.start + .seconds(seconds))
    }

    @Test("a run that sleeps is at rest until then; one that was read back is so too")
    func sleeping() throws {
        var play = try Play("steps:\n  - sleep: 1h\n  - {lua: return 1}")
        #expect(play.machine.rest == nil)
        play.begin()
        #expect(play.machine.rest == Self.until(3600))
        var again = RunMachine(run: RunID(number: 7), plan: play.plan, records: play.records)
        #expect(again.rest == Self.until(3600))
        #expect(again.handle(.recovered(at: play.now), in: play.surroundings).records.isEmpty)
        #expect(again.rest == Self.until(3600))
        play.ring("step_1", at: Play.start + .seconds(3600))
        #expect(play.machine.rest == nil)
    }

    @Test("of several waits the first to end counts, and the run's own timeout")
    func earliestCounts() throws {
        let steps = """
            steps:
              a: {sleep: 2h}
              b: {wait: {signal: paid, timeout: 1h}}
              c: {wait: shipped}
              d: {after: [a, b, c], lua: return 1}
            """
        var play = try Play(steps)
        play.begin()
        #expect(play.machine.rest == Self.until(3600))
        var timed = try Play("timeout: 30m\n" + steps)
        timed.begin()
        #expect(timed.machine.rest == Self.until(1800))
    }

    @Test("items and steps of groups that sleep are at rest together, until the first of them goes on")
    func groups() throws {
        var play = try Play(
            """
            steps:
              naps:
                strategy: {type: fan_out, over: [60, 30, 90, 120], concurrency: 3}
                sleep: "<< item >>s"
              inner:
                steps:
                  - sleep: 45s
            """)
        play.begin()
        #expect(play.machine.rest == Self.until(30))
        play.feed(.retryDue(step: play.machine.position(of: "naps/2"), at: Play.start + .seconds(30)))
        #expect(play.machine.rest == Self.until(45), "the fourth sleeps until 150 s")
        let again = RunMachine(run: RunID(number: 7), plan: play.plan, records: play.records)
        #expect(again.rest == Self.until(45))
    }

    @Test("a run that only a signal ends has no end; nothing under way, paused or over is at rest")
    func whatIsAtRest() throws {
        var forever = try Play("steps:\n  - wait: paid")
        forever.begin()
        #expect(forever.machine.rest == RunMachine.Rest(until: nil))
        var busy = try Play("steps:\n  a: {sleep: 1h}\n  b: {request: {url: 'https://a.example/'}}")
        busy.begin()
        #expect(busy.machine.rest == nil)
        var paused = try Play("steps:\n  - sleep: 1h")
        paused.begin(isFunded: false)
        #expect(paused.machine.rest == nil)
        var over = try Play("steps:\n  - {lua: return 1}")
        over.begin()
        #expect(over.machine.rest == nil)
    }
}
