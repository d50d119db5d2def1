import Engine
import Testing
import Values

@Suite("A run's own timeout")
struct RunTimeoutTests {
    private static let due = Play.start + .seconds(3600)

    @Test("it ends a sleeping run at its instant and not before, also after a crash")
    func endsASleepingRun() throws {
        var play = try Play("timeout: 1h\nsteps:\n  nap: {sleep: 2h}")
        #expect(play.begin() == ["started", "nap sleeps", "wake run +3600000ms", "wake nap +7200000ms"])
        play.now = Self.due + .microseconds(-1)
        #expect(play.feed(.timeoutDue(at: play.now)) == [])
        try play.crash()
        #expect(play.runWakes == [Self.due])
        #expect(
            play.feed(.timeoutDue(at: Self.due)) == ["timed out", "finished: failed", "finish failed"])
        #expect(play.outcome?.error?.code == "run_timed_out")
        #expect(play.chargedMilliseconds == 0)
    }

    @Test("what is in flight finishes first, and is charged; nothing is tried again")
    func flightFinishes() throws {
        var play = try Play(
            "timeout: 1h\nsteps:\n  a: {request: {url: https://a.example/}}\n  b: {after: a, lua: return 1}")
        play.begin()
        play.now = Self.due
        #expect(play.feed(.timeoutDue(at: play.now)) == ["timed out", "in flight: a"])
        #expect(play.feed(.timeoutDue(at: play.now)) == [])
        #expect(play.answer("a", 503) == ["a failed: status", "finished: failed", "finish failed"])
        #expect(play.outcome?.error?.code == "run_timed_out" && play.chargedMilliseconds == 10)
    }

    @Test("a crash after it was recorded still ends the run as timed out")
    func crashAfterIt() throws {
        var play = try Play("timeout: 1h\nsteps:\n  a: {request: {url: https://a.example/}}")
        play.begin()
        play.now = Self.due
        play.feed(.timeoutDue(at: play.now))
        #expect(try play.crash() == ["wake run +0ms", "send a#1"])
        #expect(play.answer("a").last == "finish failed")
        #expect(play.outcome?.error?.code == "run_timed_out")
    }

    @Test("a run that ends in time does not hear of it, and one without a timeout ignores it")
    func inTime() throws {
        var play = try Play("timeout: 1h\nsteps:\n  a: {lua: return 1}")
        play.begin()
        #expect(play.feed(.timeoutDue(at: Self.due)) == [])
        var without = try Play("steps:\n  nap: {sleep: 2h}")
        without.begin()
        #expect(without.feed(.timeoutDue(at: Self.due)) == [])
    }

    @Test("it ends a paused run and one that waits for a signal")
    func endsPausedRuns() throws {
        var play = try Play("timeout: 1h\nsteps:\n  w: {wait: a}")
        play.begin()
        play.feed(.fundsEnded(unsent: [], at: play.now))
        #expect(play.feed(.timeoutDue(at: Self.due)).last == "finish failed")
    }
}
