import Engine
import Ports
import Testing
import Values

@Suite("Runs that a person pauses")
struct HoldTests {
    private static let two = """
        steps:
          a: {request: {url: https://a.example/}, retry: {delay: 10s, jitter: none}}
          b: {sleep: 1h}
          w: {wait: paid}
          c: {after: [a], request: {url: https://c.example/}}
          d: {after: [b, w], lua: return 1}
        """

    @Test("what is in flight is let finish, sleeps and waits settle, and nothing new starts until it goes on")
    func heldRunsStartNothing() throws {
        var play = try Play(Self.two)
        play.begin()
        #expect(play.feed(.held(reason: "a look", at: play.now)) == ["held: a look", "in flight: a"])
        #expect(play.feed(.held(reason: "again", at: play.now)) == [], "one pause is enough")
        #expect(play.answer("a") == ["a succeeded"])
        #expect(play.retry("b") == ["b succeeded"])
        #expect(play.signal("paid") == ["signal paid", "w succeeded"])
        #expect(play.steps["c"] == "ready" && play.steps["d"] == "ready")
        #expect(
            play.feed(.released(at: play.now)) == ["released", "d succeeded", "send c#1"])
        #expect(play.feed(.released(at: play.now)) == [])
    }

    @Test("a retry that comes due while held waits for the release, and a crash changes nothing")
    func heldRunsSurviveCrashes() throws {
        var play = try Play(Self.two)
        play.begin()
        play.answer("a", 503)
        play.feed(.held(reason: "x", at: play.now))
        #expect(play.retry("a") == [])
        #expect(try play.crash().allSatisfy { $0.hasPrefix("wake") })
        #expect(play.machine.state.isHeld && play.machine.state.isAtRest)
        #expect(play.retry("a") == [])
        #expect(play.feed(.released(at: play.now)) == ["released", "send a#2"])
    }

    @Test("both pauses hold at once, and each ends by itself")
    func bothPausesHold() throws {
        var play = try Play(Self.two)
        play.begin(isFunded: false)
        play.feed(.held(reason: "x", at: play.now))
        #expect(
            play.machine.view(errorsIn: play.records)["paused_by"]?.array?.map { $0["by"] } == [
                "balance", "operator",
            ])
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed"])
        #expect(play.machine.state.isAtRest)
        #expect(play.feed(.fundsEnded(unsent: [], at: play.now)) == ["paused"])
        #expect(play.feed(.released(at: play.now)) == ["released"])
        #expect(play.machine.state.isAtRest)
        #expect(play.feed(.fundsReturned(at: play.now)).contains("send a#1"))
    }

    @Test("a request that was held back goes back, without a pause for want of balance")
    func withheldRequestsGoBack() throws {
        var play = try Play(Self.two)
        play.begin()
        play.feed(.held(reason: "x", at: play.now))
        #expect(play.feed(.withheld(unsent: [play.index("a"), 99, -1], at: play.now)) == [])
        #expect(play.steps["a"] == "ready" && !play.machine.state.isPaused)
        #expect(play.answer("a", attempt: 1) == [], "it was never sent")
        #expect(play.feed(.released(at: play.now)) == ["released", "send a#1"])
    }

    @Test(
        "an answer that was under way when the journal of a run at rest was read again adds its own time only",
        arguments: [true, false])
    func timeIsNotChargedTwice(isHeld: Bool) throws {
        var play = try Play(
            "steps: {a: {request: {url: https://a.example/}}, b: {request: {url: https://b.example/}}}")
        play.begin()
        play.answer("a", took: .milliseconds(100))
        play.feed(isHeld ? .held(reason: "x", at: play.now) : .fundsEnded(unsent: [], at: play.now))
        // Where the store refuses a commit, the same process does so, and the request to b is still out.
        try play.crash()
        play.feed(isHeld ? .released(at: play.now) : .fundsReturned(at: play.now))
        let response = OutboundResponse(status: 200, headers: [], body: [])
        let end = Play.start + .milliseconds(150)
        play.feed(
            .answered(
                step: play.index("b"), attempt: 1,
                TransferOutcome(result: .success(response), startedAt: Play.start, finishedAt: end)))
        #expect(play.outcome?.status == .succeeded)
        #expect(play.chargedMilliseconds == 150)
    }

    @Test("a held run whose last step is answered ends")
    func heldRunsEnd() throws {
        var play = try Play("steps:\n  a: {request: {url: https://a.example/}}")
        play.begin()
        play.feed(.held(reason: "x", at: play.now))
        #expect(play.answer("a") == ["a succeeded", "finished: succeeded", "finish succeeded"])
    }

    private static let undone = """
        steps:
          - id: charge
            request: {url: https://a.example/}
            compensate: {request: {url: https://undo.example/}}
          - {id: ship, request: {url: https://b.example/}, retry: {max: 0}}
        """

    @Test("a held run that fails undoes nothing until it goes on")
    func undoingWaits() throws {
        var play = try Play(Self.undone)
        play.begin()
        play.answer("charge")
        play.feed(.held(reason: "x", at: play.now))
        #expect(play.answer("ship", 500) == ["ship failed: status"])
        let waits = play.machine.view(errorsIn: play.records)["steps"]?.array?.last
        #expect(waits?["id"] == "charge/compensate" && waits?["waits_for"]?["kind"] == "operator")
        #expect(try play.crash() == [])
        #expect(play.feed(.released(at: play.now)) == ["released", "send charge/compensate#1"])
        #expect(play.answer("charge/compensate").last == "finish failed")
    }

    @Test("a cancel lets a held run go on to its end: before and after it has failed")
    func cancelGoesBeforeAPause() throws {
        var running = try Play(Self.undone)
        running.begin()
        running.answer("charge")
        running.feed(.held(reason: "x", at: running.now))
        #expect(
            running.feed(.cancelRequested(reason: "no", at: running.now)) == [
                "cancel: no", "in flight: ship",
            ])
        #expect(running.answer("ship") == ["ship succeeded", "send charge/compensate#1"])
        var failed = try Play(Self.undone)
        failed.begin()
        failed.answer("charge")
        failed.feed(.held(reason: "x", at: failed.now))
        failed.answer("ship", 500)
        #expect(
            failed.feed(.cancelRequested(reason: "no", at: failed.now))
                == ["released", "send charge/compensate#1"])
    }

    @Test("the undoing of a run without balance goes on, but not of one that is held")
    func undoingNeedsNoBalance() throws {
        var play = try Play(Self.undone)
        play.begin()
        play.answer("charge")
        play.feed(.fundsEnded(unsent: [], at: play.now))
        #expect(play.machine.state.isAtRest)
        #expect(play.answer("ship", 500) == ["ship failed: status", "send charge/compensate#1"])
        #expect(!play.machine.state.isAtRest)
    }
}
