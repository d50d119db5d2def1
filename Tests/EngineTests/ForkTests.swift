import Engine
import Ports
import Storage
import Testing
import Values

@Suite("Runs made out of others")
struct ForkTests {
    private static let order = """
        steps:
          reserve: {request: {method: POST, url: https://a.example/}}
          charge:
            after: [reserve]
            request: {method: POST, url: https://b.example/, body: {of: << trigger.body.n >>}}
          note: {when: "false", lua: return 1}
          ship:
            after: [charge]
            request: {url: "https://c.example/<< steps.charge.response.body.id >>"}
            retry: {max: 1, delay: 1s, jitter: none}
          tell: {after: [ship, note], lua: return steps.charge.attempts}
        output: << steps.charge.response.body.id >>
        """

    private static func fork(
        _ play: Play, _ kind: RunOrigin.Kind = .retry, from step: String? = nil, body: Value? = nil,
        onto plan: RunPlan? = nil
    ) throws(RunFork.Refusal) -> RunFork {
        // From what is stored, as the next process would.
        let records = play.records.compactMap { try? JournalRecord(stored: $0.stored) }
        return try RunFork(
            of: RunMachine(run: play.machine.state.run, plan: play.plan, records: records), records: records,
            onto: plan ?? play.plan,
            RunFork.Wish(
                kind: kind, step: step, body: body, tenantName: "Acme", externalCustomerID: nil,
                at: play.now + .seconds(60)))
    }

    /// The new run's first turn.
    private static func begin(_ fork: RunFork, plan: RunPlan, isFunded: Bool = true) -> (Play, [String]) {
        var play = Play(plan: plan, run: 8)
        play.now = fork.start.at
        let lines = play.feed(.forked(fork, isFunded: isFunded))
        return (play, lines)
    }

    private static func failed() throws -> Play {
        var play = try Play(order)
        play.begin(body: ["n": 5])
        play.answer("reserve", took: .microseconds(500_600))
        play.answer("charge", 200, ["id": "ch_1"])
        play.answer("ship", 503)
        play.retry("ship")
        play.answer("ship", 500)
        #expect(play.outcome?.status == .failed && play.outcome?.failedStep == "ship")
        return play
    }

    @Test("a retry keeps what was done, does the failed step again under its own key, and pays only for that")
    func retryGoesOn() throws {
        let old = try Self.failed()
        let fork = try Self.fork(old)
        #expect(fork.start.origin == RunOrigin(run: RunID(number: 7), kind: .retry, step: "ship"))
        #expect(fork.start.body == JSON.bytes(["n": 5]) && fork.start.at == old.now + .seconds(60))
        var (play, lines) = Self.begin(fork, plan: old.plan)
        #expect(
            lines == [
                "started", "note skipped: guard_false", "reserve succeeded", "charge succeeded",
                "send ship#1",
            ])
        #expect(play.records.allSatisfy { $0.at == fork.start.at && $0.chargeMilliseconds == 0 })
        let request = try play.request("ship")
        #expect(request.url == "https://c.example/ch_1")
        #expect(request.headers["idempotency-key"] == "\(RunID(number: 8))/ship")
        #expect(try play.crash() == ["send ship#1"], "the copies are a journal like any other")
        #expect(play.answer("ship", took: .microseconds(10_600)).last == "finish succeeded")
        #expect(play.outcome?.output == "ch_1")
        #expect(
            play.chargedMilliseconds == 11, "the first run has paid for its own steps, to the last fraction")
        let steps = play.machine.view(errorsIn: play.records)["steps"]?.array ?? []
        #expect(steps.map { $0["copied"]?.bool } == [true, true, false, false, false])
        #expect(play.machine.view(errorsIn: play.records)["origin"]?["kind"] == "retry")
    }

    @Test("the records of a retry are read back as they were written")
    func copiesAreStored() throws {
        let old = try Self.failed()
        let (play, _) = Self.begin(try Self.fork(old), plan: old.plan)
        for record in play.records {
            let again = try JournalRecord(stored: record.stored)
            #expect(again.stored == record.stored)
        }
        #expect(throws: JournalProblem.self) {
            var stored = play.records[0].stored
            stored.facts = Array(
                String(decoding: stored.facts, as: UTF8.self).replacing("retry", with: "other").utf8)
            _ = try JournalRecord(stored: stored)
        }
    }

    @Test("a retry without balance starts paused, with what it has kept")
    func unfundedRetryWaits() throws {
        let old = try Self.failed()
        var (play, lines) = Self.begin(try Self.fork(old), plan: old.plan, isFunded: false)
        #expect(lines.last == "paused")
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "send ship#1"])
    }

    @Test("a fork does everything from its step on again, and reads the new input there")
    func forkFromAStep() throws {
        var old = try Play(Self.order)
        old.begin(body: ["n": 5], headers: [HTTPHeader("content-length", "7")])
        for step in ["reserve", "charge", "ship"] { old.answer(step, 200, ["id": "ch_1"]) }
        #expect(old.outcome?.status == .succeeded)
        #expect(throws: RunFork.Refusal.nothingToRetry) { try Self.fork(old) }
        let fork = try Self.fork(old, .fork, from: "charge", body: ["n": 6])
        #expect(fork.start.headers["content-length"] == nil)
        let (play, lines) = Self.begin(fork, plan: old.plan)
        #expect(lines == ["started", "note skipped: guard_false", "reserve succeeded", "send charge#1"])
        #expect(try play.request("charge").body == Array(#"{"of":6}"#.utf8))
        #expect(throws: RunFork.Refusal.stepUnknown("nothing")) {
            try Self.fork(old, .fork, from: "nothing")
        }
        let whole = try Self.fork(old, .fork, from: "reserve")
        #expect(whole.copies.count == 1, "note alone does not come after it")
    }

    @Test("a run that is under way is forked without its open steps, but not retried")
    func forkOfARunningRun() throws {
        var old = try Play(Self.order)
        old.begin(body: ["n": 5])
        old.answer("reserve")
        #expect(throws: RunFork.Refusal.notOver) { try Self.fork(old) }
        let (_, lines) = Self.begin(try Self.fork(old, .fork, from: "ship"), plan: old.plan)
        #expect(lines == ["started", "note skipped: guard_false", "reserve succeeded", "send charge#1"])
    }

    @Test("a failure that the run went on from is kept; one that nobody waited for is repeated")
    func toleratedFailuresAreKept() throws {
        var old = try Play(
            """
            steps:
              mail: {request: {url: https://m.example/}, retry: {max: 0}, on_error: continue}
              charge: {after: [mail], request: {url: https://a.example/}}
              x: {request: {url: https://x.example/}, retry: {max: 0}}
              y: {request: {url: https://y.example/}, retry: {max: 0}}
            """)
        old.begin()
        old.answer("mail", 500)
        old.answer("charge")
        old.answer("x", 500)
        old.answer("y", 500)
        let (_, lines) = Self.begin(try Self.fork(old), plan: old.plan)
        #expect(lines == ["started", "mail failed: status", "charge succeeded", "send x#1", "send y#1"])
    }

    private static let undone = """
        steps:
          stock: {request: {url: https://s.example/}}
          charge:
            after: [stock]
            request: {url: https://a.example/}
            compensate: {request: {url: https://undo.example/}, retry: {max: 0}}
          log: {after: [charge], lua: return 1}
          ship: {after: [stock], request: {url: https://b.example/}, retry: {max: 0}}
        """

    @Test("what was undone is done again, and so is what came after it")
    func undoneStepsAreRepeated() throws {
        var old = try Play(Self.undone)
        old.begin()
        old.answer("stock")
        old.answer("charge")
        old.answer("ship", 500)
        #expect(throws: RunFork.Refusal.notOver) { try Self.fork(old) }
        #expect(throws: RunFork.Refusal.ending) { try Self.fork(old, .fork, from: "log") }
        old.answer("charge/compensate")
        var (play, lines) = Self.begin(try Self.fork(old), plan: old.plan)
        #expect(lines == ["started", "stock succeeded", "send charge#1", "send ship#1"])
        play.answer("charge")
        #expect(play.steps["log"] == "succeeded")
        #expect(play.answer("ship", 500).last == "send charge/compensate#1", "it is this run's own charge")
    }

    @Test("where an undoing failed nobody knows what stands, and only a fork with a step says what to do")
    func failedUndoingIsNotGuessedAt() throws {
        var old = try Play(Self.undone)
        old.begin()
        old.answer("stock")
        old.answer("charge")
        old.answer("ship", 500)
        old.answer("charge/compensate", 400)
        #expect(old.outcome?.compensation == .failed)
        #expect(throws: RunFork.Refusal.undoingFailed(step: "charge")) { try Self.fork(old) }
        let (_, kept) = Self.begin(try Self.fork(old, .fork, from: "ship"), plan: old.plan)
        #expect(kept == ["started", "stock succeeded", "charge succeeded", "log succeeded", "send ship#1"])
    }

    @Test("a run undoes what it did itself, and never what it has copied")
    func copiesAreNotUndone() throws {
        var old = try Play(Self.undone)
        old.begin()
        for step in ["stock", "charge", "ship"] { old.answer(step) }
        #expect(old.outcome?.status == .succeeded)
        var (play, lines) = Self.begin(try Self.fork(old, .fork, from: "ship"), plan: old.plan)
        #expect(lines.last == "send ship#1")
        #expect(
            play.answer("ship", 500) == ["ship failed: status", "finished: failed", "finish failed"],
            "the first run's charge stays")
        #expect(play.outcome?.compensation == nil)
    }

    @Test(
        "a cancelled run is retried with what it lacks; a finish is asked again; unread signals are not taken over"
    )
    func otherEndings() throws {
        var cancelled = try Play("steps:\n  - {id: w, wait: paid}\n  - {id: x, wait: shipped}")
        cancelled.begin()
        cancelled.signal("shipped")
        cancelled.signal("paid")
        #expect(cancelled.outcome?.status == .succeeded)
        cancelled = try Play("steps:\n  - {id: w, wait: paid}\n  - {id: x, wait: shipped}")
        cancelled.begin()
        cancelled.signal("other")
        cancelled.signal("paid", ["n": 1])
        cancelled.feed(.cancelRequested(reason: "x", at: cancelled.now))
        let fork = try Self.fork(cancelled)
        #expect(fork.start.origin?.step == nil)
        let (play, lines) = Self.begin(fork, plan: cancelled.plan)
        #expect(lines == ["started", "w succeeded", "x waits"])
        #expect(play.machine.state.mailboxCount == 0)
        var finished = try Play(
            "steps:\n  - {id: a, lua: return 1}\n  - {id: b, finish: << steps.a.output >>}")
        finished.begin()
        let (again, _) = Self.begin(try Self.fork(finished, .fork, from: "b"), plan: finished.plan)
        #expect(again.outcome?.output == 1)
    }

    @Test(
        "onto another version: new steps behind are done, and a new one before a kept step is refused by name"
    )
    func forkOntoAnotherVersion() throws {
        let old = try Self.failed()
        let behind = try plan(
            Self.order.replacing(
                "tell: {after: [ship", with: "audit: {lua: return 1}\n  tell: {after: [audit, ship"))
        let (play, lines) = Self.begin(try Self.fork(old, .fork, from: "ship", onto: behind), plan: behind)
        #expect(lines.contains("charge succeeded") && lines.contains("audit succeeded"))
        #expect(play.sent.map(\.step) == ["ship"])
        let before = try plan(
            Self.order.replacing("after: [reserve]", with: "after: [check]")
                .replacing("  note:", with: "  check: {lua: return 1}\n  note:"))
        #expect(throws: RunFork.Refusal.outcomeMissing(of: "check", before: "charge")) {
            try Self.fork(old, .fork, from: "ship", onto: before)
        }
        let (_, fresh) = Self.begin(try Self.fork(old, .fork, from: "check", onto: before), plan: before)
        #expect(fresh.contains("reserve succeeded") && fresh.contains("check succeeded"))
        #expect(fresh.last == "send charge#1")
    }

    @Test("a retry of a retry keeps what the first run did")
    func retryOfARetry() throws {
        let old = try Self.failed()
        var (second, _) = Self.begin(try Self.fork(old), plan: old.plan)
        second.answer("ship", 404)
        let fork = try Self.fork(second)
        #expect(fork.start.origin?.run == RunID(number: 8))
        let (third, lines) = Self.begin(fork, plan: old.plan)
        #expect(lines.last == "send ship#1" && third.sent.count == 1)
        #expect(try third.request("ship").url == "https://c.example/ch_1")
    }

    @Test("a child's outcome is kept as any other; the new run has no parent and no turn of the first one")
    func callsAndCalled() throws {
        var old = try Play(
            """
            steps:
              - {id: c, call: child}
              - {id: d, request: {url: https://d.example/}, retry: {max: 0}}
            """)
        let parent = RunParent(run: RunID(number: 3), step: "x", depth: 2, isDetached: false)
        old.begin(parent: parent, isQueued: true)
        old.feed(.admitted(at: old.now))
        old.called("c", child: 40)
        old.childEnds("c", child: 40, RunOutcome(status: .succeeded, output: 1))
        old.answer("d", 500)
        let fork = try Self.fork(old)
        #expect(fork.start.parent == nil && !fork.start.isQueued && fork.start.concurrencyKey == nil)
        let (play, lines) = Self.begin(fork, plan: old.plan)
        #expect(lines == ["started", "c succeeded", "send d#1"], "the child is not called again")
        let steps = play.machine.view(errorsIn: play.records)["steps"]
        #expect(steps?[0]?["run_id"]?.string == "\(RunID(number: 40))")
    }

    @Test(
        "a group and a strategy that succeeded are kept with all that lies inside of them, and nothing of it is undone"
    )
    func groupsAreKept() throws {
        var old = try Play(
            """
            steps:
              - id: all
                strategy: {type: fan_out, over: [5, 6]}
                steps:
                  - {id: pay, request: {url: https://p.example/}, compensate: {request: {url: https://u.example/}}}
                  - {id: note, when: "item == 5", lua: return item}
              - id: race
                strategy: {type: race, over: 2}
                request: {url: https://r.example/}
              - {id: last, lua: "return {#steps.all.items, steps.race.winner}"}
              - {id: ship, request: {url: https://s.example/}, retry: {max: 0}}
            output: << steps.last.output >>
            """)
        old.begin()
        old.answer("all/1/pay")
        old.answer("all/2/pay")
        old.answer("race/2")
        #expect(old.steps["last"] == "succeeded" && old.steps["race/1"] == "cancelled")
        #expect(old.steps["all/2/note"] == "skipped")
        old.feed(.held(reason: "x", at: old.now))
        old.answer("ship")
        #expect(old.outcome?.output == [2, 2])
        var (play, lines) = Self.begin(try Self.fork(old, .fork, from: "ship"), plan: old.plan)
        #expect(lines.last == "send ship#1" && play.sent.count == 1)
        #expect(play.steps == old.steps.merging(["ship": "in_flight"]) { $1 })
        #expect(try play.crash() == ["send ship#1"])
        #expect(play.answer("ship", 500).last == "finish failed", "nothing of it is undone")

        // Begun anew, it sends for each item again, under the new run's keys.
        let (again, _) = Self.begin(try Self.fork(old, .fork, from: "all"), plan: old.plan)
        #expect(again.sent.map(\.step) == ["all/1/pay", "all/2/pay"])
    }

    @Test("a failed item has its whole strategy done again; an inner step that was undone, its group")
    func failedItemsAreRepeatedAsAWhole() throws {
        var old = try Play(
            """
            steps:
              - id: group
                steps:
                  - {id: pay, request: {url: https://p.example/}, compensate: {request: {url: https://u.example/}}}
              - {id: plain, lua: return 1}
              - id: all
                strategy: {type: fan_out, over: 2}
                request: {url: https://r.example/}
                retry: {max: 0}
            """)
        old.begin()
        old.answer("group/pay")
        old.answer("all/1")
        old.answer("all/2", 500)
        #expect(throws: RunFork.Refusal.notOver) { try Self.fork(old) }
        old.answer("group/pay/compensate")
        #expect(old.outcome?.failedStep?.hasPrefix("all") == true)
        let fork = try Self.fork(old)
        #expect(fork.start.origin?.step == "all" && fork.copies.isEmpty)

        old = try Play(
            "steps:\n  - {id: a, lua: return 1}\n  - {id: all, strategy: {type: scatter, over: 2}, "
                + "request: {url: https://r.example/}, retry: {max: 0}}\n  - {id: z, fail: no}")
        old.begin()
        old.answer("all/1")
        old.answer("all/2", 500)
        #expect(old.outcome?.failedStep == "z")
        let (_, lines) = Self.begin(try Self.fork(old), plan: old.plan)
        #expect(
            lines.last == "finish failed" && lines.contains("all/2 failed: status"),
            "its failure was an item's")
    }

    @Test("an outcome is not kept across versions where a step has become a group")
    func changedShapesAreRefused() throws {
        let old = try Self.failed()
        let other = try plan(
            Self.order.replacing(
                "reserve: {request: {method: POST, url: https://a.example/}}",
                with: "reserve: {steps: [{id: x, lua: return 1}]}"))
        #expect(throws: RunFork.Refusal.stepChanged("reserve")) {
            try Self.fork(old, .fork, from: "ship", onto: other)
        }
        #expect(throws: Never.self) { try Self.fork(old, .fork, from: "reserve", onto: other) }
    }

    @Test(
        "onto a version with another order inside a group, and fewer items at a time, nothing kept is done again"
    )
    func otherOrderInside() throws {
        func text(_ rule: String, _ concurrency: Int) -> String {
            """
            steps:
              all:
                strategy: {type: fan_out, over: 2, concurrency: \(concurrency)}
                steps:
                  a: {request: {url: https://a.example/}}
                  b: {\(rule)request: {url: https://b.example/}}
              ship: {after: all, request: {url: https://s.example/}}
            """
        }
        var old = try Play(text("", 2))
        old.begin()
        for path in ["all/2/b", "all/1/b", "all/2/a", "all/1/a", "ship"] { old.answer(path) }
        let other = try plan(text("after: a, ", 1))
        let (play, lines) = Self.begin(try Self.fork(old, .fork, from: "ship", onto: other), plan: other)
        #expect(lines.last == "send ship#1" && play.sent.count == 1)
    }
}
