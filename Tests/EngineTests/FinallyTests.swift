import Engine
import Ports
import Testing
import Values

@Suite("Steps at the end")
struct FinallyTests {
    private static let flow = """
        timeout: 1h
        steps:
          reserve:
            request: {method: POST, url: https://a.example/reserve}
            retry: {max: 0}
            compensate: {request: {method: POST, url: https://a.example/release}}
          order:
            after: [reserve]
            request: {method: POST, url: https://a.example/order}
            retry: {max: 0}
        finally:
          close:
            request:
              method: POST
              url: https://a.example/close
              body:
                outcome: << run.outcome >>
                step: << run.error.step >>
                reserved: << steps.reserve.outcome >>
                undone: << run.compensation >>
                output: << run.output >>
            retry: {max: 0}
          tell:
            after: [close]
            when: run.outcome != 'succeeded'
            request: {method: POST, url: https://a.example/tell}
            retry: {max: 0}
        output: << steps.order.response.body.id >>
        """

    private static func body(_ play: Play) throws -> Value {
        try JSON.parse(try #require(play.sent.last?.request.body))
    }

    @Test("run after a success, with its output, and before the run is over")
    func afterSuccess() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve")
        #expect(
            play.answer("order", 200, ["id": 7]) == [
                "order succeeded", "finalizing: succeeded", "finally opened", "send finally/close#1",
            ])
        #expect(play.finished.isEmpty)
        let expected: Value = [
            "outcome": "succeeded", "step": .null, "reserved": "succeeded", "undone": .null, "output": 7,
        ]
        #expect(try Self.body(play) == expected)
        #expect(
            play.answer("finally/close") == [
                "finally/close succeeded", "finally/tell skipped: guard_false", "finally succeeded",
                "finished: succeeded", "finish succeeded",
            ])
        #expect(play.finished.first?.output == 7)
        #expect(play.finished.first?.finally == .succeeded)
        #expect(play.finished.first?.compensation == nil)
    }

    @Test("run after a failure once all is undone, and read what failed")
    func afterFailure() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve")
        play.answer("order", 500)
        #expect(play.sent.last?.step == "reserve/compensate")
        #expect(
            play.answer("reserve/compensate") == [
                "reserve/compensate succeeded", "finalizing: failed", "finally opened",
                "send finally/close#1",
            ])
        let expected: Value = [
            "outcome": "failed", "step": "order", "reserved": "succeeded", "undone": "succeeded",
            "output": .null,
        ]
        #expect(try Self.body(play) == expected)
        play.answer("finally/close")
        play.answer("finally/tell")
        let outcome = try #require(play.finished.first)
        #expect(outcome.status == .failed)
        #expect(outcome.failedStep == "order")
        #expect((outcome.compensation, outcome.finally) == (.succeeded, .succeeded))
    }

    @Test("that fail change nothing about the run's outcome, and the run says that they did")
    func failing() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve")
        play.answer("order", 200, ["id": 7])
        #expect(
            play.answer("finally/close", 404) == [
                "finally/close failed: status", "finally failed: status", "finished: succeeded",
                "finish succeeded",
            ])
        #expect(play.finished.first?.finally == .failed)
        #expect(play.finished.first?.output == 7)
    }

    @Test("run after a cancel and after the run's timeout, which bounds them no more")
    func afterCancelAndTimeout() throws {
        for isTimeout in [false, true] {
            var play = try Play(Self.flow)
            play.begin()
            if isTimeout {
                play.now = play.now + .seconds(3600)
                play.feed(.timeoutDue(at: play.now))
            } else {
                play.feed(.cancelRequested(reason: "no", at: play.now))
            }
            // What had left may have worked, so it is undone first.
            play.answer("reserve")
            play.answer("reserve/compensate")
            #expect(play.sent.last?.step == "finally/close")
            play.now = play.now + .seconds(7200)
            #expect(play.feed(.timeoutDue(at: play.now)) == [])
            play.answer("finally/close")
            play.answer("finally/tell")
            #expect(play.finished.first?.status == (isTimeout ? .failed : .cancelled))
            #expect(play.finished.first?.finally == .succeeded)
        }
    }

    @Test("are cut short by a cancel: what is under way is awaited, nothing new starts")
    func cutByCancel() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve", 500)
        #expect(play.sent.last?.step == "finally/close")
        #expect(play.feed(.cancelRequested(reason: "enough", at: play.now)).first == "finally cut: cancelled")
        #expect(play.finished.isEmpty)
        #expect(
            play.answer("finally/close") == [
                "finally/close succeeded", "finished: failed", "finish failed",
            ])
        #expect(play.finished.first?.failedStep == "reserve")
        #expect(play.finished.first?.finally == .failed)
    }

    @Test("are not reached by a run that never had its turn")
    func neverAdmitted() throws {
        var play = try Play(Self.flow)
        play.begin(isQueued: true)
        #expect(
            play.feed(.cancelRequested(reason: "no", at: play.now)) == [
                "cancel: no", "finished: cancelled", "finish cancelled",
            ])
        #expect(play.finished.first?.finally == nil)
    }

    @Test("wait for the balance like any other step, and a cancel ends that wait")
    func withoutBalance() throws {
        var play = try Play(Self.flow)
        play.begin(isFunded: false)
        play.feed(.cancelRequested(reason: "no", at: play.now))
        #expect(play.sent.isEmpty)
        #expect(play.finished.isEmpty)
        var funded = play
        funded.feed(.fundsReturned(at: funded.now))
        #expect(funded.sent.map(\.step) == ["finally/close"])
        play.feed(.cancelRequested(reason: "now", at: play.now))
        #expect(play.finished.first?.status == .cancelled)
        #expect(play.finished.first?.finally == .failed)
    }

    @Test("I2, I3, I4: a crash at any entry goes on with them, each under its key, and each once")
    func survivesCrashes() throws {
        for isFailing in [false, true] {
            var script: [(Int, Int)] = []
            var length = 1
            var at = 0
            while at < length {
                var play = try Play(Self.flow)
                var keys: [String: String] = [:]
                var crashed = false
                play.begin()
                while play.finished.isEmpty {
                    if play.records.count > at, !crashed {
                        crashed = true
                        try play.crash()
                    }
                    let next = try #require(play.sent.last)
                    let key = try #require(next.request.headers["idempotency-key"])
                    #expect(keys[next.step] == nil || keys[next.step] == key)
                    keys[next.step] = key
                    play.answer(next.step, isFailing && next.step == "order" ? 500 : 200, ["id": 7])
                }
                let settled = play.records.compactMap { record -> String? in
                    if case .stepSettled(let path, _) = record.entry { return path }
                    return nil
                }
                #expect(Set(settled).count == settled.count)
                #expect(settled.contains("finally/tell") == isFailing)
                #expect(play.finished.first?.finally == .succeeded)
                #expect(play.finished.count == 1)
                script.append((at, play.records.count))
                length = play.records.count
                at += 1
            }
            #expect(script.count > 6)
        }
    }

    @Test("may be groups, wide steps, sleeps, waits, calls and replies")
    func allKinds() throws {
        var play = try Play(
            """
            steps:
              work: {lua: 'return 1'}
            finally:
              - id: each
                strategy: {type: fan_out, over: [1, 2]}
                steps:
                  - id: put
                    request: {method: PUT, url: "https://a.example/<< item >>"}
              - id: rest
                sleep: 1m
              - id: answer
                wait: {signal: seen, timeout: 1h, on_timeout: continue}
              - id: child
                call: other
              - id: say
                reply: {status: 201, body: {outcome: << run.outcome >>}}
            """)
        play.begin()
        #expect(play.sent.map(\.step) == ["finally/each/1/put", "finally/each/2/put"])
        play.answer("finally/each/1/put")
        play.answer("finally/each/2/put")
        play.ring("finally/rest", at: play.now + .seconds(60))
        try play.crash()
        play.signal("seen")
        play.called("finally/child", child: 9)
        play.childEnds("finally/child", child: 9, RunOutcome(status: .succeeded))
        #expect(play.replies.map(\.status) == [201])
        #expect(play.finished.first?.finally == .succeeded)
    }

    @Test("keep a quarter of what a run may keep, also after one that was too large")
    func afterTooLarge() throws {
        var play = try Play(
            """
            steps:
              big: {request: {method: GET, url: https://a.example/big}}
              more: {after: [big], lua: 'return 1'}
            finally:
              tell: {request: {method: POST, url: https://a.example/tell}, on_error: continue}
              again: {after: [tell], lua: 'return 1'}
            """)
        play.surround(byteCountMax: 4_000)
        play.begin()
        play.answer("big", 200, .string(String(repeating: "x", count: 5_000)))
        #expect(play.sent.last?.step == "finally/tell")
        var large = play
        play.answer("finally/tell")
        #expect(play.finished.first?.error?.code == "run_too_large")
        #expect(play.finished.first?.finally == .succeeded)
        large.answer("finally/tell", 200, .string(String(repeating: "x", count: 1_100)))
        #expect(large.finished.first?.error?.code == "run_too_large")
        #expect(large.finished.first?.finally == .failed)
    }

    @Test("are shown and explained; what was left of the others will not begin")
    func shown() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve", 500)
        let view = Value.object(play.machine.view(errorsIn: play.records))
        let steps = (view["steps"]?.array ?? []).map {
            "\($0["id"]?.string ?? "") \($0["state"]?.string ?? "") \($0["waits_for"]?["kind"]?.string ?? "-")"
        }
        #expect(
            steps == [
                "reserve failed -", "order pending end", "finally open steps",
                "finally/close in_flight answer", "finally/tell pending steps",
            ])
        play.answer("finally/close")
        play.answer("finally/tell")
        let end = Value.object(play.machine.view(errorsIn: play.records))
        #expect(end["finally"] == "succeeded")
        #expect(end["steps"]?.array?[1]["state"] == "not_reached")
    }

    @Test("are not taken over by a retry or a fork, which run them anew")
    func retried() throws {
        var play = try Play(Self.flow)
        play.begin()
        play.answer("reserve")
        play.answer("order", 500)
        play.answer("reserve/compensate")
        let wish = RunFork.Wish(
            kind: .retry, tenantName: "Acme", externalCustomerID: nil, at: play.now)
        #expect(throws: RunFork.Refusal.notOver) {
            try RunFork(of: play.machine, records: play.records, onto: play.plan, wish)
        }
        var fork = wish
        fork.kind = .fork
        #expect(throws: RunFork.Refusal.ending) {
            try RunFork(of: play.machine, records: play.records, onto: play.plan, fork)
        }
        play.answer("finally/close")
        play.answer("finally/tell")
        let retry = try RunFork(of: play.machine, records: play.records, onto: play.plan, wish)
        #expect(retry.copies.isEmpty)
        var again = Play(plan: play.plan, run: 8)
        again.feed(.forked(retry, isFunded: true))
        again.answer("reserve")
        again.answer("order", 200, ["id": 8])
        again.answer("finally/close")
        #expect(again.finished.first?.status == .succeeded)
        #expect(again.finished.first?.finally == .succeeded)
    }
}
