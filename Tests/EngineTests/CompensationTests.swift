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

    private static let failingOutput = saga + "\noutput: {charged: << error('no total') >>}"

    /// Answers what is in flight with 200 until nothing is left; returns the steps sent, in that order.
    private func answerAll(_ play: inout Play) -> [String] {
        var next = 0
        while next < play.sent.count, play.outcome == nil {
            play.answer(play.sent[next].step, 200, ["id": "r1"])
            next += 1
        }
        return play.sent.map(\.step)
    }

    @Test("an output that fails is recorded as the end, and then what succeeded is undone in reverse")
    func failingOutputUndoes() throws {
        var play = try Play(Self.failingOutput)
        play.begin()
        play.answer("reserve", 200, ["id": "r1"])
        play.answer("authorise", 200)
        #expect(
            play.answer("order", 200)
                == ["order succeeded", "output failed: raised", "send authorise/compensate#1"])
        #expect(play.finished.isEmpty)
        #expect(play.answer("authorise/compensate").last == "send reserve/compensate#1")
        #expect(play.sent.last?.request.url == "https://a.example/reserve/r1")
        #expect(
            play.answer("reserve/compensate")
                == ["reserve/compensate succeeded", "finished: failed", "finish failed"])
        let outcome = try #require(play.outcome)
        #expect(outcome.compensation == .succeeded && outcome.failedStep == nil && outcome.output == .null)
        #expect(outcome.error?.code == "raised" && outcome.error?.message.hasPrefix("output: ") == true)
    }

    @Test("I4: cut after any entry, a run whose output fails undoes the same to the same end")
    func failingOutputSurvivesCrashes() throws {
        var calm = try Play(Self.failingOutput)
        calm.begin()
        _ = answerAll(&calm)
        let undone = ["authorise/compensate", "reserve/compensate"]
        for count in 1..<calm.records.count {
            var again = Play(plan: calm.plan)
            again.records = Array(calm.records.prefix(count))
            _ = try again.crash()
            let sent = answerAll(&again)
            #expect(again.outcome == calm.outcome, "after \(count) entries")
            let before = calm.records.prefix(count).filter { record in
                if case .stepSettled(let path, _) = record.entry { undone.contains(path) } else { false }
            }
            #expect(
                sent.filter { $0.hasSuffix("/compensate") } == Array(undone.dropFirst(before.count)),
                "after \(count) entries: \(sent)")
        }
    }

    @Test("once it is recorded that the output failed, the run undoes, also where it would no longer fail")
    func failedOutputIsNotTriedAgain() throws {
        var play = try Play(Self.saga + "\noutput: << secrets.TOTAL >>")
        play.begin()
        for step in ["reserve", "authorise", "order"] { play.answer(step, 200, ["id": "r1"]) }
        play.surround(secrets: ["TOTAL": .init(value: "here by now", hosts: [])])
        #expect(try play.crash() == ["send authorise/compensate#1"])
        #expect(answerAll(&play) == ["authorise/compensate", "reserve/compensate"])
        #expect(play.outcome?.error?.code == "secret_missing")
    }

    /// What can fail a run after `reserve` and `authorise` have succeeded: the end of its file.
    private static let failures: [(cause: String, code: String, tail: String)] = [
        (
            "a request", "status",
            "  z: {after: [authorise], request: {url: https://z.example/}, retry: {max: 0}}"
        ),
        ("a fail step", "fail", "  z: {after: [authorise], fail: enough}"),
        ("a computation", "raised", "  z: {after: [authorise], lua: error('no')}"),
        ("a guard", "not_a_value", "  z: {after: [authorise], when: '3', lua: return 1}"),
        ("a reply", "raised", "  z: {after: [authorise], reply: {body: << error('no') >>}}"),
        (
            "a response's schema", "schema",
            "  z: {after: [authorise], request: {url: https://z.example/}, response: {schema: {required: [no]}}}"
        ),
        ("a cancel", "cancelled", "  z: {after: [authorise], wait: never}"),
        ("the run's timeout", "run_timed_out", "  z: {after: [authorise], wait: never}\ntimeout: 1h"),
        ("the output", "raised", "output: << error('no') >>"),
        (
            "the output behind a finish", "raised",
            "  z: {after: [authorise], finish: null}\noutput: << error('no') >>"
        ),
    ]

    @Test("whatever made a run fail, what it has done is undone", arguments: failures.indices)
    func everyFailureUndoes(index: Int) throws {
        let (cause, code, tail) = Self.failures[index]
        let head = Self.saga.split(separator: "\n").prefix { $0 != "  order:" }.joined(separator: "\n")
        var play = try Play(head + "\n" + tail)
        play.begin()
        play.answer("reserve", 200, ["id": "r1"])
        play.answer("authorise", 200)
        switch cause {
        case "a request": play.answer("z", 400)
        case "a response's schema": play.answer("z", 200)
        case "a cancel": play.feed(.cancelRequested(reason: "no", at: play.now))
        case "the run's timeout":
            play.now = play.now + .seconds(3600)
            play.feed(.timeoutDue(at: play.now))
        default: break
        }
        play.answer("authorise/compensate")
        play.answer("reserve/compensate")
        #expect(play.outcome?.error?.code == code, "\(cause)")
        #expect(play.outcome?.compensation == .succeeded, "\(cause)")
    }

    @Test("a failing output waits with the undoing while a person has paused the run, and never for balance")
    func failingOutputAndPauses() throws {
        var play = try Play(Self.failingOutput)
        play.begin()
        play.answer("reserve", 200, ["id": "r1"])
        play.answer("authorise", 200)
        play.feed(.fundsEnded(unsent: [], at: play.now))
        play.feed(.held(reason: "a look", at: play.now))
        #expect(play.answer("order") == ["order succeeded", "output failed: raised"])
        #expect(try play.crash() == [])
        #expect(play.feed(.released(at: play.now)) == ["released", "send authorise/compensate#1"])
    }

    @Test("where nothing is to be undone, a failing output ends the run at once")
    func nothingToUndo() throws {
        var play = try Play("steps:\n  a: {lua: return 1}\noutput: << error('no') >>")
        #expect(
            play.begin()
                == ["started", "a succeeded", "output failed: raised", "finished: failed", "finish failed"])
        #expect(play.outcome?.compensation == nil)
    }

    @Test("a journal from before outputs had an entry stays at the end that it names")
    func olderJournalStays() throws {
        var play = try Play(Self.failingOutput)
        play.begin()
        for step in ["reserve", "authorise", "order"] { play.answer(step, 200, ["id": "r1"]) }
        play.records.removeLast()
        let outcome = RunOutcome(status: .failed, error: StepError(code: "raised", message: "output: no"))
        play.records.append(
            JournalRecord(
                sequence: Int64(play.records.count) + 1, at: play.now, chargeMilliseconds: 0,
                entry: .runFinished(outcome)))
        #expect(try play.crash() == [])
        #expect(play.outcome == outcome)
    }
}
