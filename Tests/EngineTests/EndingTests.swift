import Engine
import Ports
import Testing
import Values

/// A request may be under way while the run, or a scope of it, ends; then the process dies.
@Suite("Requests under way while a run is ending")
struct EndingTests {
    @Test("A2: what may have left is known whatever input comes first after a restart")
    func firstInputAfterRestart() throws {
        var play = try Play(
            """
            steps:
              child: {call: other}
              pay: {request: {method: POST, url: https://a.example/pay}, compensate: {request: {url: https://a.example/undo}}}
            """)
        play.begin()
        play.called("child", child: 9)
        #expect(play.sent.map(\.step) == ["pay"])
        // The next process hears of the child before anything else, and has no balance.
        play.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: play.records)
        play.called("child", child: 9)
        #expect(
            play.feed(.fundsEnded(unsent: [play.index("pay")], at: play.now)).prefix(2) == [
                "paused", "in flight: pay",
            ])
    }

    private static let charge = """
          charge:
            request: {method: POST, url: https://pay.example/charges}
            retry: {max: 2, delay: 1s, backoff: fixed, jitter: none}
            compensate: {request: {method: POST, url: https://pay.example/refunds}}
        """

    /// `charge` under way beside `order`.
    private static let pair = """
        timeout: 1h
        steps:
        \(charge)
          order: {request: {method: POST, url: https://shop.example/orders}, retry: {max: 0}}
        """

    /// What ends a run whose requests are under way.
    enum End: CaseIterable {
        case failure, cancel, timeout

        func happen(to play: inout Play) {
            switch self {
            case .failure: play.answer("order", 400)
            case .cancel: play.feed(.cancelRequested(reason: "x", at: play.now))
            case .timeout:
                play.now = Play.start + .seconds(3600)
                play.feed(.timeoutDue(at: play.now))
            }
        }
    }

    @Test(
        "after a crash a request that may have left is sent again under its key, and undone",
        arguments: End.allCases)
    func settledAndUndone(end: End) throws {
        var play = try Play(Self.pair)
        play.begin()
        let first = try play.request("charge")
        end.happen(to: &play)
        #expect(play.finished.isEmpty)
        try play.crash()
        let again = try play.request("charge")
        #expect(again.headers["idempotency-key"] == first.headers["idempotency-key"])
        #expect(again.headers["millrace-attempt"] == "1" && again.body == first.body)
        play.answer("order")
        #expect(play.answer("charge").last == "send charge/compensate#1")
        try play.crash()
        #expect(play.sent.map(\.step) == ["charge/compensate"])
        play.answer("charge/compensate")
        #expect(play.outcome?.compensation == .succeeded)
        #expect(play.steps["charge"] == "succeeded")
    }

    @Test("however often the process dies, the request is sent again until its outcome is known")
    func manyCrashes() throws {
        var play = try Play(Self.pair)
        play.begin()
        End.failure.happen(to: &play)
        for _ in 0..<3 {
            #expect(try play.crash().contains("send charge#1"))
            #expect(play.finished.isEmpty)
        }
        play.answer("charge")
        play.answer("charge/compensate")
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("a try that repeats an unknown one is itself repeated by the step's `retry`, across crashes")
    func doubtIsTriedAgain() throws {
        var play = try Play(Self.pair)
        play.begin()
        End.failure.happen(to: &play)
        try play.crash()
        #expect(
            play.end("charge", .failure(.connection(reason: "refused")))
                == ["charge#1 failed: connection", "wake charge +1000ms"])
        #expect(play.steps["charge"] == "waiting_retry")
        try play.crash()
        #expect(play.sent.isEmpty)
        #expect(play.retry("charge") == ["send charge#2"])
        play.answer("charge")
        play.answer("charge/compensate")
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("tries that fail until `retry` is used up end it: the step has failed, and the run ends")
    func doubtIsBounded() throws {
        var play = try Play(Self.pair)
        play.begin()
        End.cancel.happen(to: &play)
        try play.crash()
        play.answer("order")
        for _ in 1...2 {
            play.answer("charge", 503)
            play.retry("charge")
        }
        #expect(play.answer("charge", 503).last == "finish cancelled")
        #expect(play.steps["charge"] == "failed" && play.outcome?.compensation == nil)
    }

    @Test("without a crash an answer is final, as before: nothing is tried again in a run that is ending")
    func knownAnswerIsFinal() throws {
        var play = try Play(Self.pair)
        play.begin()
        End.failure.happen(to: &play)
        #expect(play.answer("charge", 503).last == "finish failed")
    }

    @Test("what certainly never left is not sent: in back-off, unsent, or ready for the first time")
    func neverLeft() throws {
        var waiting = try Play(Self.pair)
        waiting.begin()
        waiting.answer("charge", 503)
        End.failure.happen(to: &waiting)
        #expect(waiting.outcome?.status == .failed)
        var unsent = try Play(Self.pair)
        unsent.begin()
        unsent.feed(.fundsEnded(unsent: [unsent.index("charge")], at: unsent.now))
        End.failure.happen(to: &unsent)
        #expect(unsent.outcome?.status == .failed)
        var paused = try Play(Self.pair)
        paused.begin(isFunded: false)
        try paused.crash()
        End.cancel.happen(to: &paused)
        #expect(paused.sent.isEmpty && paused.outcome?.status == .cancelled)
    }

    @Test("a request that was decided in the same commit as the end never left")
    func sameCommit() throws {
        var play = try Play("steps:\n" + Self.charge)
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: [], at: play.now, tenantName: "Acme",
            externalCustomerID: nil)
        _ = play.machine.handle(.started(start, isFunded: true), in: play.surroundings)
        var joined = try Play("steps:\n" + Self.charge)
        _ = joined.machine.handle(.started(start, isFunded: true), in: joined.surroundings)
        let cancel = RunInput.cancelRequested(reason: "x", at: play.now)
        let apart = play.machine.handle(cancel, in: play.surroundings)
        let together = joined.machine.handle(cancel, in: joined.surroundings, isContinuing: true)
        #expect(apart.records.count == 2 && together.records.count == 1)
    }

    @Test("a request behind its back-off is sent again: attempt 1 is known to have failed, 2 may have left")
    func secondAttempt() throws {
        var play = try Play(Self.pair)
        play.begin()
        play.answer("charge", 503)
        play.retry("charge")
        End.failure.happen(to: &play)
        #expect(try play.crash().contains("send charge#2"))
        play.answer("charge")
        #expect(play.answer("charge/compensate").last == "finish failed")
    }

    @Test("a pause keeps what may have left: a crash and a cancel later it is still settled")
    func pausedThenCancelled() throws {
        var play = try Play(Self.pair)
        play.begin()
        play.feed(.fundsEnded(unsent: [play.index("order")], at: play.now))
        try play.crash()
        #expect(play.sent.isEmpty)
        #expect(
            play.feed(.cancelRequested(reason: "x", at: play.now))
                == ["cancel: x", "in flight: charge", "send charge#1"])
        play.answer("charge")
        play.answer("charge/compensate")
        #expect(play.outcome?.compensation == .succeeded && play.steps["order"] == "not_reached")
    }

    @Test("a cancel that comes with the recovery finds what the process before may have sent")
    func cancelledWhileRecovering() throws {
        var play = try Play(Self.pair)
        play.begin()
        let stored = try play.records.map { try JournalRecord(stored: $0.stored) }
        var machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: stored)
        _ = machine.handle(.recovered(at: play.now), in: play.surroundings)
        let decision = machine.handle(
            .cancelRequested(reason: "x", at: play.now), in: play.surroundings, isContinuing: true)
        guard case .stepsInFlight(let paths)? = decision.records.last?.entry else {
            Issue.record("nothing is known to be in flight")
            return
        }
        #expect(paths == ["charge", "order"])
    }

    @Test("`finish` lets what is in flight be learnt after a crash, and undoes nothing")
    func finish() throws {
        var play = try Play(
            "steps:\n" + Self.charge + "\n  nap: {sleep: 1s}\n  stop: {after: nap, finish: {done: true}}")
        play.begin()
        play.retry("nap")
        #expect(play.finished.isEmpty)
        try play.crash()
        #expect(play.answer("charge").last == "finish succeeded")
        #expect(play.steps["charge"] == "succeeded" && play.outcome?.compensation == nil)
    }

    private static let group = """
        steps:
          both:
            on_error: continue
            steps:
              charge:
                request: {method: POST, url: https://pay.example/charges}
                compensate: {request: {method: POST, url: https://pay.example/refunds}}
              order: {request: {method: POST, url: https://shop.example/orders}, retry: {max: 0}}
          ship: {after: both, request: {method: POST, url: https://shop.example/shipments}, retry: {max: 0}}
        """

    @Test("a group that has failed ends after what may have left in it, and the run undoes that if it fails")
    func groups() throws {
        var play = try Play(Self.group)
        play.begin()
        #expect(play.answer("both/order", 400).last == "in flight: both/charge")
        #expect(try play.crash() == ["send both/charge#1"])
        #expect(play.answer("both/charge").last == "send ship#1")
        play.answer("ship", 400)
        play.answer("both/charge/compensate")
        #expect(play.outcome?.compensation == .succeeded)
    }

    // MARK: - Races

    private static let race = """
        steps:
          pay:
            strategy: {type: race, over: [a, b]}
            request: {method: POST, url: "https://<< item >>.example/charges"}
            compensate:
              request: {method: POST, url: "https://<< item >>.example/refunds/<< steps.pay.response.body.id >>"}
              retry: {max: 0}
          ship: {after: pay, request: {method: POST, url: https://shop.example/shipments}, retry: {max: 0}}
        output: << steps.pay.items >>
        """

    @Test(
        "a loser that can be undone is let finish, and undone before the run ends", arguments: [false, true])
    func loser(crashes: Bool) throws {
        var play = try Play(Self.race)
        play.begin()
        #expect(
            play.answer("pay/2", 200, ["id": "2"])
                == ["pay/2 succeeded", "in flight: pay/1", "pay succeeded", "send ship#1"])
        #expect(play.abandoned.isEmpty)
        if crashes { #expect(try play.crash() == ["send pay/1#1", "send ship#1"]) }
        #expect(play.answer("ship").last == "ship succeeded")
        #expect(play.finished.isEmpty)
        #expect(play.answer("pay/1", 200, ["id": "1"]).last == "send pay/1/compensate#1")
        #expect(play.sent.last?.request.url == "https://a.example/refunds/1")
        if crashes { #expect(try play.crash() == ["send pay/1/compensate#1"]) }
        #expect(play.answer("pay/1/compensate").last == "finish succeeded")
        #expect(play.outcome?.compensation == .succeeded)
        let outcomes = play.outcome?.output.array?.map { $0["outcome"] ?? .null }
        #expect(outcomes == ["cancelled", "succeeded"])
    }

    @Test("a loser that fails is nothing to undo; one whose undoing fails shows it in the run's compensation")
    func loserFails() throws {
        var play = try Play(Self.race)
        play.begin()
        play.answer("pay/2", 200, ["id": "2"])
        play.answer("pay/1", 400)
        #expect(play.answer("ship").last == "finish succeeded")
        #expect(play.outcome?.compensation == nil)
        var stuck = try Play(Self.race)
        stuck.begin()
        stuck.answer("pay/2", 200, ["id": "2"])
        stuck.answer("pay/1", 200, ["id": "1"])
        stuck.answer("ship")
        stuck.answer("pay/1/compensate", 400)
        #expect(stuck.outcome?.status == .succeeded && stuck.outcome?.compensation == .failed)
    }

    @Test("a run that fails undoes the winner and the loser")
    func bothUndone() throws {
        var play = try Play(Self.race)
        play.begin()
        play.answer("pay/2", 200, ["id": "2"])
        play.answer("ship", 400)
        try play.crash()
        play.answer("pay/1", 200, ["id": "1"])
        play.answer("pay/1/compensate")
        #expect(play.answer("pay/2/compensate").last == "finish failed")
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("a fork of a run whose loser was undone keeps the race")
    func forkKeepsTheRace() throws {
        var play = try Play(Self.race)
        play.begin()
        play.answer("pay/2", 200, ["id": "2"])
        play.answer("pay/1", 200, ["id": "1"])
        play.answer("ship")
        play.answer("pay/1/compensate")
        let wish = RunFork.Wish(
            kind: .fork, step: "ship", tenantName: "Acme", externalCustomerID: nil, at: play.now)
        let fork = try RunFork(of: play.machine, records: play.records, onto: play.plan, wish)
        var again = Play(plan: play.plan, run: 8)
        again.feed(.forked(fork, isFunded: true))
        #expect(again.sent.map(\.step) == ["ship"])
        #expect(again.answer("ship").last == "finish succeeded")
        #expect(again.outcome?.compensation == nil)
    }
}
