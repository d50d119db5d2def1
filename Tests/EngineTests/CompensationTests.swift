import Engine
import Ports
import Testing
import Values

@Suite("Undoing a run")
struct CompensationTests {
    private static let saga = """
        steps:
          reserve:
            request: {method: POST, url: https://a.example/reserve}
            retry: {max: 0}
            compensate:
              request: {method: DELETE, url: "https://a.example/reserve/<< steps.reserve.response.body.id >>"}
              retry: {max: 1, delay: 1s, backoff: fixed, jitter: none, on: [5xx]}
          authorise:
            after: [reserve]
            request: {method: POST, url: https://a.example/authorise}
            retry: {max: 0}
            compensate: {request: {method: POST, url: https://a.example/void}}
          order:
            after: [authorise]
            request: {method: POST, url: https://a.example/order}
            retry: {max: 0}
        """

    /// A run whose last step has failed, with the first compensation sent.
    private func failed() throws -> Play {
        var play = try Play(Self.saga)
        play.begin()
        play.answer("reserve", 200, ["id": "r1"])
        play.answer("authorise", 200)
        play.answer("order", 400)
        return play
    }

    @Test("what succeeded is undone in reverse, each under its own key, and the outcome says so")
    func undoneInReverse() throws {
        var play = try failed()
        #expect(play.finished.isEmpty)
        #expect(play.sent.last?.request.url == "https://a.example/void")
        play.answer("authorise/compensate", 200)
        #expect(play.sent.last?.request.url == "https://a.example/reserve/r1")
        #expect(play.sent.last?.request.headers["idempotency-key"]?.hasSuffix("/reserve/compensate") == true)
        play.answer("reserve/compensate", 200)
        #expect(play.finished.map(\.status) == [.failed])
        #expect(play.finished.first?.compensation == .succeeded)
        #expect(play.finished.first?.failedStep == "order")
    }

    @Test("an undoing that fails for good does not stop the others, and the outcome says so")
    func failedUndoing() throws {
        var play = try failed()
        play.answer("authorise/compensate", 404)
        play.answer("reserve/compensate", 500)
        #expect(play.finished.isEmpty)
        play.now = play.now + .seconds(1)
        play.feed(.retryDue(step: play.machine.position(of: "reserve/compensate"), at: play.now))
        play.answer("reserve/compensate", 200)
        #expect(play.finished.first?.compensation == .failed)
    }

    @Test("I3, I4: a crash at any point of the undoing goes on with it, under the same key")
    func survivesCrashes() throws {
        let play = try failed()
        var again = Play(plan: play.plan)
        again.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: play.records)
        again.now = play.now
        again.feed(.recovered(at: again.now))
        #expect(again.sent.map(\.request.url) == ["https://a.example/void"])
        #expect(
            again.sent.last?.request.headers["idempotency-key"]
                == play.sent.last?.request.headers["idempotency-key"])
        again.answer("authorise/compensate", 200)
        again.answer("reserve/compensate", 200)
        #expect(again.finished.first?.compensation == .succeeded)
    }

    @Test("a run that succeeds undoes nothing; one that is cancelled does")
    func onlyWhenNotSucceeded() throws {
        var fine = try Play(Self.saga)
        fine.begin()
        for step in ["reserve", "authorise", "order"] { fine.answer(step, 200, ["id": "r1"]) }
        #expect(fine.sent.count == 3)
        #expect(fine.finished.first?.compensation == nil)
        var cancelled = try Play(Self.saga)
        cancelled.begin()
        cancelled.answer("reserve", 200, ["id": "r1"])
        cancelled.feed(.cancelRequested(reason: "no", at: cancelled.now))
        cancelled.answer("authorise", 200)
        cancelled.answer("authorise/compensate", 200)
        cancelled.answer("reserve/compensate", 200)
        #expect(cancelled.finished.map(\.status) == [.cancelled])
        #expect(cancelled.finished.first?.compensation == .succeeded)
    }
}
