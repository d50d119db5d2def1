import Engine
import Testing
import Values

@Suite("Sleeping")
struct SleepTests {
    private static func workflow(_ sleep: String) -> String {
        "steps:\n  - {id: nap, sleep: \(sleep)}\n  - {id: next, lua: return 1}"
    }

    @Test("a sleep ends at its instant, not a microsecond before, and costs nothing")
    func endsAtItsInstant() throws {
        var play = try Play(Self.workflow("21d"))
        #expect(play.begin() == ["started", "nap sleeps", "wake nap +1814400000ms"])
        #expect(play.steps == ["nap": "sleeping", "next": "pending"])
        let due = Play.start + .seconds(21 * 86_400)
        #expect(play.ring("nap", at: due + .microseconds(-1)) == [])
        #expect(
            play.ring("nap", at: due) == [
                "nap succeeded", "next succeeded", "finished: succeeded", "finish succeeded",
            ])
        #expect(play.ring("nap", at: due) == [])
        #expect(play.chargedMilliseconds == 0)
    }

    @Test(
        "until is a time with any offset, seconds since 1970, or a duration as text",
        arguments: [
            ("{until: 2026-01-01T00:01:00Z}", 60_000), ("{until: 2026-01-01T01:01:00+01:00}", 60_000),
            ("{until: << trigger.body.seconds >>}", 90_000), ("<< trigger.body.text >>", 5_400_000),
            ("\"<< trigger.body.days >>d\"", 172_800_000),
        ] as [(String, Int64)])
    func untilIsRead(sleep: String, milliseconds: Int64) throws {
        var play = try Play(Self.workflow(sleep))
        let lines = play.begin(body: ["seconds": 1_767_225_690, "text": "1h30m", "days": 2])
        #expect(lines == ["started", "nap sleeps", "wake nap +\(milliseconds)ms"])
    }

    @Test(
        "a time that has passed ends the sleep at once, without an alarm",
        arguments: ["{until: 2025-12-31T23:59:59Z}", "{until: << 0 >>}", "{until: 2026-01-01T00:00:00Z}"])
    func pastEndsAtOnce(sleep: String) throws {
        var play = try Play(Self.workflow(sleep))
        play.begin()
        #expect(play.outcome?.status == .succeeded && play.wakes.isEmpty)
    }

    @Test(
        "what is no time fails the step",
        arguments: [
            "<< 'tomorrow' >>", "<< nil >>", "<< {} >>", "<< true >>", "<< 1.5 >>", "<< math.maxinteger >>",
            "<< error('x') >>",
        ])
    func nonsenseFails(sleep: String) throws {
        var play = try Play(Self.workflow("\"\(sleep)\""))
        play.begin()
        #expect(play.outcome?.status == .failed && play.outcome?.failedStep == "nap")
    }

    @Test("a sleeping run can be cancelled, and its alarm then changes nothing")
    func cancelWakes() throws {
        var play = try Play(Self.workflow("1h"))
        play.begin()
        #expect(
            play.feed(.cancelRequested(reason: "x", at: play.now)) == [
                "cancel: x", "finished: cancelled", "finish cancelled",
            ])
        #expect(play.retry("nap") == [])
    }

    @Test("a sleep runs on while the run is paused; what follows waits for the balance")
    func pausedSleepEnds() throws {
        var play = try Play(Self.workflow("1h"))
        play.begin()
        play.feed(.fundsEnded(unsent: [], at: play.now))
        #expect(play.retry("nap") == ["nap succeeded"])
        #expect(play.feed(.fundsReturned(at: play.now)).first == "resumed")
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("after a crash the alarm is set for the same instant")
    func crashKeepsTheInstant() throws {
        var play = try Play(Self.workflow("1h"))
        play.begin()
        play.now = play.now + .seconds(600)
        #expect(try play.crash() == ["wake nap +3000000ms"])
        play.now = play.now + .seconds(86_400)
        try play.crash()
        #expect(play.ring("nap", at: play.now).first == "nap succeeded")
    }
}
