import Billing
import Engine
import Ports
import Testing
import Values

@Suite("The life of a run")
struct LifeTests {
    private static let two = """
        steps:
          a: {request: {url: https://a.example/}, retry: {delay: 10s, jitter: none}}
          b: {request: {url: https://b.example/}, retry: {delay: 10s, jitter: none}}
          c: {after: [a, b], request: {url: https://c.example/}}
        """

    @Test("an answer to an older attempt, a second answer and one for an unknown step decide nothing (I2)")
    func staleAnswersAreIgnored() throws {
        var play = try Play(Self.two)
        play.begin()
        play.answer("a", 503)
        #expect(play.answer("a", 200, attempt: 1) == [])
        play.retry("a")
        #expect(play.answer("a", 200, attempt: 1) == [])
        #expect(play.answer("a", 200, attempt: 2) == ["a succeeded"])
        #expect(play.answer("a", 500, attempt: 2) == [])
        let outcome = TransferOutcome(result: .failure(.timeout), startedAt: play.now, finishedAt: play.now)
        #expect(play.feed(.answered(step: 99, attempt: 1, outcome)) == [])
        #expect(play.feed(.answered(step: -1, attempt: 1, outcome)) == [])
        #expect(play.feed(.retryDue(step: 99, at: play.now)) == [])
        #expect(play.feed(.fundsEnded(unsent: [99, -1], at: play.now)) == ["paused", "in flight: b"])
    }

    @Test("a run that is over decides nothing more")
    func overIsOver() throws {
        var play = try Play("steps:\n  a: {lua: return 1}")
        play.begin()
        let count = play.records.count
        #expect(play.feed(.cancelRequested(reason: "late", at: play.now)) == [])
        #expect(play.feed(.fundsEnded(unsent: [], at: play.now)) == [])
        #expect(play.feed(.recovered(at: play.now)) == [])
        #expect(play.records.count == count)
    }

    @Test("a cancel with nothing in flight ends the run at once, also while retries wait")
    func cancelEndsWaiting() throws {
        var play = try Play(Self.two)
        play.begin()
        play.answer("a", 503)
        play.answer("b", 503)
        #expect(
            play.feed(.cancelRequested(reason: "no longer wanted", at: play.now))
                == ["cancel: no longer wanted", "finished: cancelled", "finish cancelled"])
        #expect(play.outcome?.error == StepError(code: "cancelled", message: "no longer wanted"))
        #expect(play.retry("a") == [])
    }

    @Test("a cancel lets what is in flight finish, and takes its outcome down")
    func cancelWaitsForFlight() throws {
        var play = try Play(Self.two)
        play.begin()
        #expect(play.feed(.cancelRequested(reason: "x", at: play.now)) == ["cancel: x", "in flight: a b"])
        #expect(play.feed(.cancelRequested(reason: "again", at: play.now)) == [])
        #expect(play.answer("a") == ["a succeeded"])
        #expect(play.answer("b", 503) == ["b failed: status", "finished: cancelled", "finish cancelled"])
        #expect(play.steps["c"] == "not_reached")
    }

    @Test(
        "a run that is over shows nothing as about to happen: what had begun was cut short, the rest not reached"
    )
    func nothingIsDueAfterTheEnd() throws {
        var play = try Play(
            """
            steps:
              a: {request: {url: https://a.example/}}
              again: {request: {url: https://b.example/}, retry: {delay: 1h, jitter: none}}
              w: {wait: paid}
              s: {sleep: 1h}
              each: {strategy: {type: fan_out, over: 3, concurrency: 1}, steps: [{id: on, wait: go}, {lua: return 1}]}
              next: {after: [a], lua: return 1}
              last: {after: [next, w], lua: return 1}
            """)
        play.begin()
        play.answer("again", 503)
        #expect(play.steps["next"] == "pending" && play.steps["each/1"] == "open")
        play.feed(.cancelRequested(reason: "x", at: play.now))
        #expect(play.steps["last"] == "pending" && play.steps["w"] == "ready", "a is still in flight")
        play.answer("a")
        let states = [
            "a": "succeeded", "again": "cancelled", "w": "cancelled", "s": "cancelled", "each": "cancelled",
            "each/1": "cancelled", "each/1/on": "cancelled", "each/1/step_2": "not_reached",
            "next": "not_reached", "last": "not_reached",
        ]
        #expect(play.outcome?.status == .cancelled && play.steps == states)
        play.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: play.records)
        #expect(play.steps == states, "the journal tells the same")
    }

    @Test("a run that ends in the queue has reached none of its steps")
    func endedInTheQueue() throws {
        var play = try Play(Self.two)
        play.begin(isQueued: true)
        play.feed(.cancelRequested(reason: "x", at: play.now))
        #expect(Set(play.steps.values) == ["not_reached"])
    }

    @Test("a run that starts without funds is kept, sends nothing, and goes on when they come")
    func unfundedStartWaits() throws {
        var play = try Play(Self.two)
        #expect(play.begin(isFunded: false) == ["started", "paused"])
        #expect(play.feed(.recovered(at: play.now)) == [])
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "send a#1", "send b#1"])
        #expect(play.feed(.fundsReturned(at: play.now)) == [])
    }

    @Test("when funds end, unsent requests go back, those in flight are taken down, and all go on later")
    func fundsEndAndReturn() throws {
        var play = try Play(Self.two)
        play.begin()
        #expect(play.feed(.fundsEnded(unsent: [1], at: play.now)) == ["paused", "in flight: a"])
        #expect(play.feed(.fundsEnded(unsent: [], at: play.now)) == [])
        #expect(play.answer("a") == ["a succeeded"])
        #expect(play.answer("b", attempt: 1) == [], "it was never sent")
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "send b#1"])
        #expect(play.answer("b") == ["b succeeded", "send c#1"])
    }

    @Test("a retry that comes due while paused waits for the funds")
    func retryDueWhilePaused() throws {
        var play = try Play(Self.two)
        play.begin()
        play.answer("a", 503)
        play.feed(.fundsEnded(unsent: [], at: play.now))
        #expect(play.retry("a") == [])
        #expect(play.answer("b", 503).first == "b#1 failed: status")
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "send a#2"])
        #expect(play.retry("b") == ["send b#2"])
    }

    @Test("a cancel ends a paused run, and a paused run whose last step is answered ends too")
    func pausedRunsEnd() throws {
        var cancelled = try Play(Self.two)
        cancelled.begin(isFunded: false)
        #expect(
            cancelled.feed(.cancelRequested(reason: "x", at: cancelled.now))
                == ["cancel: x", "finished: cancelled", "finish cancelled"])
        var last = try Play("steps:\n  a: {request: {url: https://a.example/}}")
        last.begin()
        last.feed(.fundsEnded(unsent: [], at: last.now))
        #expect(last.answer("a") == ["a succeeded", "finished: succeeded", "finish succeeded"])
    }

    @Test("an attempt that the stopping process withdrew is not taken down and is sent under the same key")
    func withdrawnAttemptIsSentAgain() throws {
        var play = try Play(Self.two)
        play.begin()
        #expect(play.end("a", .failure(.cancelled)) == ["send a#1"])
        let requests = play.sent.filter { $0.step == "a" }.map(\.request)
        #expect(requests[0].headers == requests[1].headers)
    }

    @Test("charges sum up to the union of the intervals in flight, rounded up once at the end (I7)")
    func meteringIsTheUnion() throws {
        var play = try Play(Self.two)
        play.begin()
        let zero = play.now
        func answer(_ play: inout Play, _ step: String, _ status: Int, from: Int64, to: Int64) {
            play.now = zero + .microseconds(to)
            play.feed(
                .answered(
                    step: play.index(step), attempt: play.sent.last { $0.step == step }?.attempt ?? 1,
                    TransferOutcome(
                        result: .success(OutboundResponse(status: status, headers: [], body: [])),
                        startedAt: zero + .microseconds(from), finishedAt: play.now)))
        }
        answer(&play, "a", 503, from: 0, to: 5_400)
        answer(&play, "b", 200, from: 2_000, to: 9_700)
        play.retry("a")
        answer(&play, "a", 200, from: 10_020_000, to: 10_020_600)
        answer(&play, "c", 200, from: 10_030_000, to: 10_030_001)
        #expect(play.outcome?.status == .succeeded)
        // 9,700 + 600 + 1 microseconds.
        #expect(play.chargedMilliseconds == 11)
        #expect(play.records.map(\.chargeMilliseconds).allSatisfy { $0 >= 0 })
    }

    @Test("a run without any attempt costs nothing, and an interval that runs backwards counts as empty")
    func nothingCostsNothing() throws {
        var computed = try Play("steps:\n  a: {lua: return 1}")
        computed.begin()
        #expect(computed.chargedMilliseconds == 0)
        var backwards = try Play("steps:\n  a: {request: {url: https://a.example/}}")
        backwards.begin()
        backwards.end("a", .failure(.destinationRefused), took: .milliseconds(-50))
        #expect(backwards.outcome?.status == .failed)
        #expect(backwards.chargedMilliseconds == 0)
    }
}
