import Engine
import Foundation
import Ports
import Testing
import Values

@Suite("Groups of steps")
struct GroupTests {
    private static let graph = """
        steps:
          before: {lua: "return {n = 5}"}
          pair:
            after: [before]
            steps:
              left: {request: {url: "https://a.example/<< steps.before.output.n >>"}}
              right: {request: {url: https://b.example/}}
              join:
                after: [left, right]
                lua: return {sum = steps.left.response.body.n + steps.right.response.body.n}
            output: {sum: << steps.join.output.sum >>, before: << steps.before.output.n >>}
          last: {after: [pair], lua: return steps.pair.output.sum}
        output: [<< steps.pair.output >>, << steps.last.output >>, << steps.pair.outcome >>]
        """

    @Test("a group runs its steps by their order, reads what is around it, and gives its output")
    func groupRuns() throws {
        var play = try Play(Self.graph)
        #expect(
            play.begin() == [
                "started", "before succeeded", "pair opened", "send pair/left#1", "send pair/right#1",
            ])
        #expect(try play.request("pair/left").url == "https://a.example/5")
        #expect(try play.request("pair/left").headers["millrace-step"] == "pair/left")
        #expect(try play.request("pair/left").headers["idempotency-key"]?.hasSuffix("/pair/left") == true)
        #expect(play.answer("pair/left", 200, ["n": 1]) == ["pair/left succeeded"])
        #expect(
            play.answer("pair/right", 200, ["n": 2]) == [
                "pair/right succeeded", "pair/join succeeded", "pair succeeded", "last succeeded",
                "finished: succeeded", "finish succeeded",
            ])
        #expect(play.outcome?.output == [["sum": 3, "before": 5], 3, "succeeded"])
    }

    @Test("a list is a sequence inside a group, too, and a group without output gives null")
    func listIsASequence() throws {
        var play = try Play(
            """
            steps:
              - id: both
                steps:
                  - {id: a, request: {url: https://a.example/}}
                  - {id: b, request: {url: https://b.example/}}
              - finish: {got: << steps.both.output >>, outcome: << steps.both.outcome >>}
            """)
        #expect(play.begin() == ["started", "both opened", "send both/a#1"])
        #expect(play.answer("both/a") == ["both/a succeeded", "send both/b#1"])
        play.answer("both/b")
        #expect(play.outcome?.output == ["got": nil, "outcome": "succeeded"])
    }

    @Test("a failed inner step fails the group: nothing new starts, what is in flight is let finish")
    func failureStaysInside() throws {
        var play = try Play(
            """
            steps:
              pair:
                on_error: continue
                steps:
                  a: {request: {url: https://a.example/}}
                  b: {request: {url: https://b.example/}, retry: {delay: 10s}}
                  c: {request: {url: https://c.example/}, retry: {delay: 10s}}
                  d: {after: [c], lua: return 1}
              after: {after: [pair], lua: return steps.pair.error}
            output: << steps.after.output >>
            """)
        play.begin()
        #expect(play.answer("pair/b", 503).first == "pair/b#1 failed: status")
        #expect(play.answer("pair/a", 404) == ["pair/a failed: status", "in flight: pair/c"])
        #expect(play.retry("pair/b") == [], "nothing new starts in a scope that has failed")
        #expect(
            play.answer("pair/c", 503) == [
                "pair/c failed: status", "pair failed: status", "after succeeded", "finished: succeeded",
                "finish succeeded",
            ])
        #expect(play.outcome?.output["code"] == "status")
        #expect(play.outcome?.output["message"]?.text.hasPrefix("pair/a: status 404") == true)
        #expect(
            play.steps == [
                "pair": "failed", "pair/a": "failed", "pair/b": "cancelled", "pair/c": "failed",
                "pair/d": "cancelled", "after": "succeeded",
            ])
    }

    @Test("without on_error the run fails, and names the step deep inside that failed")
    func failureReachesTheRun() throws {
        var play = try Play(
            """
            steps:
              outer:
                steps:
                  inner:
                    steps:
                      deep: {request: {url: https://a.example/}}
            """)
        play.begin()
        play.answer("outer/inner/deep", 404)
        #expect(play.outcome?.status == .failed)
        #expect(play.outcome?.failedStep == "outer/inner/deep")
        #expect(play.outcome?.error?.message.hasPrefix("outer/inner/deep: status 404") == true)
        #expect(play.steps["outer"] == "failed" && play.steps["outer/inner"] == "failed")
    }

    @Test("`on_error: continue` inside a group keeps the failure inside")
    func continueInside() throws {
        var play = try Play(
            """
            steps:
              g:
                steps:
                  - {id: a, on_error: continue, request: {url: https://a.example/}}
                  - {id: b, lua: return steps.a.error.code}
                output: << steps.b.output >>
            output: << steps.g.output >>
            """)
        play.begin()
        play.answer("g/a", 404)
        #expect(play.outcome?.output == "status")
    }

    @Test("an output that raises an error fails the group")
    func outputErrorFails() throws {
        var play = try Play(
            """
            steps:
              g:
                steps: [{id: a, lua: return 1}]
                output: {lang: lua, expr: "error('no')"}
            """)
        play.begin()
        #expect(play.outcome?.failedStep == "g")
        #expect(play.outcome?.error?.code == "raised")
        #expect(play.outcome?.error?.message.hasPrefix("output: ") == true)
    }

    @Test("`finish` and `fail` end the whole run from any depth")
    func endsReachTheRun() throws {
        let text = """
            steps:
              g:
                on_error: continue
                steps:
                  - steps:
                      - KIND: deep
              never: {after: [g], lua: return 1}
            """
        var finishing = try Play(text.replacingOccurrences(of: "KIND", with: "finish"))
        finishing.begin()
        #expect(finishing.outcome?.status == .succeeded && finishing.outcome?.output == "deep")
        var failing = try Play(text.replacingOccurrences(of: "KIND", with: "fail"))
        failing.begin()
        #expect(failing.outcome?.error == StepError(code: "fail", message: "deep"))
        #expect(failing.outcome?.failedStep == "g/step_1/step_1")
    }

    @Test("a guard that is false skips the whole group, and what only waits for it")
    func guardSkipsTheGroup() throws {
        var play = try Play(
            """
            steps:
              g: {when: "false", steps: [{id: a, lua: return 1}]}
              under: {after: [g], lua: return 1}
            """)
        play.begin()
        #expect(play.steps == ["g": "skipped", "under": "skipped"])
    }

    @Test("waits, sleeps and signals inside groups survive a crash at each of their turns")
    func restingInside() throws {
        var play = try Play(
            """
            steps:
              g:
                steps:
                  - {id: nap, sleep: 1h}
                  - {id: hear, wait: {signal: paid, timeout: 1d}}
                  - {id: tell, signal: {run: << run.id >>, name: done, body: << steps.hear.signal.body >>}}
                output: << steps.hear.signal.body >>
            output: << steps.g.output >>
            """)
        play.begin()
        #expect(try play.crash() == ["wake g/nap +3600000ms"])
        #expect(play.retry("g/nap").contains("g/hear waits"))
        #expect(try play.crash() == ["wake g/hear +86400000ms"])
        #expect(play.signal("paid", ["n": 1]).suffix(2) == ["g/hear succeeded", "signal done of g/tell"])
        #expect(try play.crash() == ["signal done of g/tell"])
        #expect(play.signals.last?.signal.id.hasSuffix("/g/tell") == true)
        play.feed(.delivered(step: play.index("g/tell"), error: nil, at: play.now))
        #expect(play.outcome?.output == ["n": 1])
    }

    @Test("what succeeded inside groups is undone in the reverse order of completion, whatever the depth")
    func undoingCrossesGroups() throws {
        var play = try Play(
            """
            steps:
              first: {request: {url: https://a.example/1}, compensate: {request: {url: https://a.example/undo1}}}
              g:
                after: [first]
                steps:
                  - id: a
                    request: {url: https://a.example/a}
                    compensate: {request: {url: "https://a.example/undo/<< steps.a.response.body.id >>"}}
                  - id: deep
                    steps:
                      - id: b
                        request: {url: https://a.example/b}
                        compensate: {request: {url: "https://a.example/undo/<< steps.a.response.body.id >>/b"}}
              second:
                after: [g]
                request: {url: https://a.example/2}
                compensate: {request: {url: https://a.example/undo2}}
              bad: {after: [second], fail: no}
            """)
        play.begin()
        play.answer("first")
        play.answer("g/a", 200, ["id": "x"])
        play.answer("g/deep/b")
        #expect(play.answer("second").suffix(2) == ["bad failed: fail", "send second/compensate#1"])
        #expect(play.answer("second/compensate").last == "send g/deep/b/compensate#1")
        #expect(try play.crash() == ["send g/deep/b/compensate#1"])
        #expect(try play.request("g/deep/b/compensate").url == "https://a.example/undo/x/b")
        #expect(play.answer("g/deep/b/compensate").last == "send g/a/compensate#1")
        #expect(try play.request("g/a/compensate").url == "https://a.example/undo/x")
        #expect(
            try play.request("g/a/compensate").headers["idempotency-key"]?.hasSuffix("/g/a/compensate")
                == true)
        #expect(play.answer("g/a/compensate").last == "send first/compensate#1")
        play.answer("first/compensate")
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("a cancel and the run's timeout end groups as they are")
    func cancelEndsGroups() throws {
        var play = try Play(Self.graph)
        play.begin()
        play.answer("pair/left", 200, ["n": 1])
        #expect(
            play.feed(.cancelRequested(reason: "x", at: play.now)) == ["cancel: x", "in flight: pair/right"])
        #expect(
            play.answer("pair/right", 200, ["n": 1]) == [
                "pair/right succeeded", "finished: cancelled", "finish cancelled",
            ])
        var late = try Play("timeout: 1h\n" + Self.graph)
        late.begin()
        late.now = late.now + .seconds(3600)
        late.feed(.timeoutDue(at: late.now))
        late.answer("pair/left", 200, ["n": 1])
        #expect(late.answer("pair/right", 200, ["n": 1]).last == "finish failed")
        #expect(late.outcome?.error?.code == "run_timed_out")
    }

    @Test("what a group waits for can be seen")
    func waitsForIsTold() throws {
        var play = try Play(Self.graph)
        play.begin()
        play.answer("pair/left", 200, ["n": 1])
        let steps = play.machine.view(errorsIn: play.records)["steps"]?.array ?? []
        let group = steps.first { $0["id"] == "pair" }
        #expect(group?["state"] == "open")
        #expect(
            group?["waits_for"] == [
                "kind": "steps", "steps": ["pair/right", "pair/join"], "since": .string(Play.start.text),
            ])
        let join = steps.first { $0["id"] == "pair/join" }
        #expect(
            join?["waits_for"] == [
                "kind": "steps", "steps": ["pair/right"], "since": .string(play.now.text),
            ])
    }
}
