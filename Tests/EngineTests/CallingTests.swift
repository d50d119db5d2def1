import Engine
import Ports
import Storage
import Testing
import Values

@Suite("Calling other workflows")
struct CallingTests {
    private static let workflow = """
        steps:
          c: {call: child, input: {id: << trigger.body.id >>}}
          after: {after: c, lua: "return {out = steps.c.output, run = steps.c.run_id}"}
        output: << steps.after.output >>
        """
    private static let child = RunID(number: 40)

    @Test("a call asks for a child, waits free of charge for its end, and gives its output on")
    func childSucceeds() throws {
        var play = try Play(Self.workflow)
        #expect(play.begin(body: ["id": 5]) == ["started", "call child of c"])
        #expect(play.calls.first?.workflow == "child" && play.calls.first?.input == ["id": 5])
        #expect(
            play.calls.first?.parent
                == RunParent(run: RunID(number: 7), step: "c", depth: 1, isDetached: false))
        #expect(play.called("c", child: 40) == ["c calls 40", "await 40 of c"])
        #expect(play.steps["c"] == "calling" && play.machine.state.isTiedToOthers)
        play.now = play.now + .seconds(86_400 * 75)
        #expect(
            play.childEnds("c", child: 40, RunOutcome(status: .succeeded, output: ["n": 1])) == [
                "c succeeded", "after succeeded", "finished: succeeded", "finish succeeded",
            ])
        #expect(play.outcome?.output == ["out": ["n": 1], "run": .string("\(Self.child)")])
        #expect(play.chargedMilliseconds == 0)
    }

    @Test(
        "a child that does not succeed fails the step with a code of its own and the child's error",
        arguments: [
            (
                RunOutcome(
                    status: .failed, error: StepError(code: "status", message: "status 500"),
                    failedStep: "charge"), "child_failed", "in step charge: status: status 500"
            ),
            (
                RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: "enough")),
                "child_cancelled", "was cancelled: enough"
            ),
        ])
    func childFails(outcome: RunOutcome, code: String, message: String) throws {
        var play = try Play(Self.workflow)
        play.begin()
        play.called("c", child: 40)
        #expect(play.childEnds("c", child: 40, outcome).first == "c failed: \(code)")
        let error = try #require(play.error(of: "c"))
        #expect(error.message.contains(message) && error.message.contains("\(Self.child)"))
        #expect(play.outcome?.status == .failed && play.outcome?.failedStep == "c")
    }

    @Test("with on_error: continue the run goes on and reads the child's error and id")
    func failureIsContinued() throws {
        var play = try Play(
            """
            steps:
              c: {call: child, on_error: continue}
              after: {after: c, lua: "return {steps.c.error.code, steps.c.run_id}"}
            output: << steps.after.output >>
            """)
        play.begin()
        play.called("c", child: 40)
        play.childEnds("c", child: 40, RunOutcome(status: .failed))
        #expect(play.outcome?.output == ["child_failed", .string("\(Self.child)")])
    }

    @Test("no child at all fails the step with what the runtime says")
    func noChild() throws {
        var play = try Play(Self.workflow)
        play.begin()
        let error = StepError(code: "unknown_workflow", message: "no workflow child")
        #expect(
            play.feed(.notCalled(step: play.index("c"), error: error, at: play.now)).first
                == "c failed: unknown_workflow")
        #expect(play.outcome?.error == error)
    }

    @Test("a detached child is not waited for; its id is the output")
    func detached() throws {
        var play = try Play("steps:\n  c: {call: child, detach: true}\noutput: << steps.c.output >>")
        play.begin()
        #expect(play.calls.first?.parent.isDetached == true)
        #expect(play.called("c", child: 40) == ["c succeeded", "finished: succeeded", "finish succeeded"])
        #expect(play.outcome?.output == ["run_id": .string("\(Self.child)")])
    }

    @Test("the workflow's name may be computed; what is no name fails the step and asks for nothing")
    func computedName() throws {
        let text = "steps:\n  c: {call: {workflow: << trigger.body.name >>}}"
        var play = try Play(text)
        #expect(play.begin(body: ["name": "other-one"]).last == "call other-one of c")
        for name in ["Other", "", 3, .null, ["x"]] as [Value] {
            var refused = try Play(text)
            #expect(refused.begin(body: ["name": name])[1] == "c failed: not_a_value", "\(name)")
            #expect(refused.calls.isEmpty)
        }
    }

    @Test("calls nest sixteen deep and no deeper")
    func depthIsBounded() throws {
        func begin(at depth: Int) throws -> [String] {
            var play = try Play(Self.workflow)
            let parent = RunParent(run: RunID(number: 3), step: "c", depth: depth, isDetached: false)
            return play.begin(parent: parent)
        }
        #expect(try begin(at: 15).last == "call child of c")
        #expect(try begin(at: 16)[1] == "c failed: call_too_deep")
    }

    @Test("a secret does not go down with the input, nor up with the output")
    func secretsStay() throws {
        var play = try Play(
            """
            steps:
              c: {call: child, input: "key << secrets.KEY >>"}
            output: << steps.c.output >>
            """, secrets: ["KEY": .init(value: "sk_live_12345", hosts: [])])
        play.begin()
        #expect(play.calls[0].input.text.contains("sk_live") == false)
        play.called("c", child: 40)
        play.childEnds("c", child: 40, RunOutcome(status: .succeeded, output: "it is sk_live_12345"))
        #expect(play.outcome?.output.text.contains("sk_live") == false)
    }

    // MARK: - Going down

    @Test(
        "a run that is cancelled or out of time ends its child and waits for its end before its own",
        arguments: [true, false])
    func endingGoesDown(isCancel: Bool) throws {
        var play = try Play("timeout: 1h\n" + Self.workflow)
        play.begin()
        play.called("c", child: 40)
        play.now = play.now + .seconds(3600)
        let lines = play.feed(
            isCancel ? .cancelRequested(reason: "x", at: play.now) : .timeoutDue(at: play.now))
        #expect(lines == [isCancel ? "cancel: x" : "timed out", "cancel 40"])
        #expect(play.outcome == nil)
        let outcome = RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: "y"))
        let end = play.childEnds("c", child: 40, outcome)
        #expect(end.first == "c failed: child_cancelled")
        #expect(end.last == (isCancel ? "finish cancelled" : "finish failed"))
    }

    @Test("a step that fails ends the children of its neighbours; each is asked once")
    func failureGoesDown() throws {
        var play = try Play(
            "steps:\n  a: {call: one}\n  b: {call: two}\n  r: {request: {url: https://a.example/}}")
        play.begin()
        play.called("a", child: 40)
        play.called("b", child: 41)
        #expect(play.answer("r", 404) == ["r failed: status", "cancel 40", "cancel 41"])
        #expect(
            play.childEnds("a", child: 40, RunOutcome(status: .cancelled)) == ["a failed: child_cancelled"])
        #expect(
            play.childEnds("b", child: 41, RunOutcome(status: .succeeded)) == [
                "b succeeded", "finished: failed", "finish failed",
            ])
        #expect(play.outcome?.failedStep == "r")
    }

    @Test("finish ends an open child too")
    func finishGoesDown() throws {
        var play = try Play("steps:\n  a: {call: one}\n  n: {sleep: 1h}\n  f: {after: n, finish: 1}")
        play.begin()
        play.called("a", child: 40)
        #expect(play.retry("n") == ["n succeeded", "f succeeded", "cancel 40"])
        #expect(play.childEnds("a", child: 40, RunOutcome(status: .cancelled)).last == "finish succeeded")
        #expect(play.outcome?.output == 1)
    }

    @Test("a child that becomes durable only after its parent's cancel is ended as well")
    func cancelWhileStarting() throws {
        var play = try Play(Self.workflow)
        play.begin()
        #expect(play.feed(.cancelRequested(reason: "x", at: play.now)) == ["cancel: x"])
        #expect(play.called("c", child: 40) == ["c calls 40", "await 40 of c", "cancel 40"])
        #expect(play.childEnds("c", child: 40, RunOutcome(status: .cancelled)).last == "finish cancelled")
    }

    @Test("what is undone is undone after the children have ended")
    func compensationComesAfter() throws {
        var play = try Play(
            """
            steps:
              first:
                call: one
                compensate: {request: {method: DELETE, url: "https://a.example/<< steps.first.output.id >>"}}
              second: {after: first, call: two}
            """)
        play.begin()
        play.called("first", child: 40)
        play.childEnds("first", child: 40, RunOutcome(status: .succeeded, output: ["id": 9]))
        play.called("second", child: 41)
        #expect(play.feed(.cancelRequested(reason: "x", at: play.now)) == ["cancel: x", "cancel 41"])
        #expect(
            play.childEnds("second", child: 41, RunOutcome(status: .cancelled)) == [
                "second failed: child_cancelled", "send first/compensate#1",
            ])
        #expect(try play.request("first/compensate").url == "https://a.example/9")
    }

    // MARK: - Crashes

    @Test("a crash before the entry asks for the same child again; after it, for the child's end")
    func crashes() throws {
        var play = try Play(Self.workflow)
        play.begin()
        #expect(try play.crash() == ["call child of c"])
        #expect(play.calls[0].dedupeKey == "call:\(RunID(number: 7))/c")
        play.called("c", child: 40)
        #expect(try play.crash() == ["await 40 of c"])
        #expect(play.steps["c"] == "calling")
        #expect(play.childEnds("c", child: 40, RunOutcome(status: .succeeded)).first == "c succeeded")
    }

    @Test("a crash while ending asks again for the end of the child and for the news of it")
    func crashWhileEnding() throws {
        var play = try Play(Self.workflow)
        play.begin()
        play.called("c", child: 40)
        play.feed(.cancelRequested(reason: "x", at: play.now))
        #expect(try play.crash() == ["await 40 of c", "cancel 40"])
    }

    @Test("a child that a crash kept from the journal is taken by a step that is ready, and ended with it")
    func adoption() throws {
        var play = try Play(Self.workflow)
        play.begin()
        play.feed(.cancelRequested(reason: "x", at: play.now))
        play.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: play.records)
        #expect(play.called("c", child: 40) == ["c calls 40", "await 40 of c", "cancel 40"])
    }

    @Test("news of another child, or told twice, change nothing")
    func staleNews() throws {
        var play = try Play(Self.workflow)
        play.begin()
        #expect(play.childEnds("c", child: 40, RunOutcome(status: .succeeded)) == [])
        play.called("c", child: 40)
        #expect(play.called("c", child: 41) == [])
        #expect(play.childEnds("c", child: 41, RunOutcome(status: .succeeded)) == [])
        #expect(play.feed(.called(step: 99, child: RunID(number: 1), at: play.now)) == [])
        play.childEnds("c", child: 40, RunOutcome(status: .succeeded))
        #expect(play.childEnds("c", child: 40, RunOutcome(status: .failed)) == [])
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("a call without balance is held back, and made when the balance returns")
    func unfunded() throws {
        var play = try Play(Self.workflow)
        play.begin()
        #expect(play.feed(.fundsEnded(unsent: [play.index("c")], at: play.now)) == ["paused"])
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "call child of c"])
    }

    // MARK: - Looking

    @Test("the view names parent and children, and what the step waits for and since when")
    func view() throws {
        var play = try Play("steps:\n  c: {call: child}\n  d: {call: other, detach: true}")
        let parent = RunParent(run: RunID(number: 3), step: "up", depth: 1, isDetached: false)
        play.begin(parent: parent)
        play.called("c", child: 40)
        play.called("d", child: 41)
        let view = play.machine.view(errorsIn: play.records)
        #expect(view["parent"] == ["run": .string("\(RunID(number: 3))"), "step": "up"])
        #expect(
            view["children"] == [
                ["run": .string("\(Self.child)"), "step": "c"],
                ["run": .string("\(RunID(number: 41))"), "step": "d"],
            ])
        #expect(
            view["steps"]?[0]?["waits_for"] == [
                "kind": "run", "run": .string("\(Self.child)"), "since": .string(play.now.text),
            ])
    }

    // MARK: - Queues

    @Test("a queued run starts nothing until it is admitted, also after a crash")
    func queuedRunWaits() throws {
        var play = try Play("steps:\n  c: {call: child}")
        #expect(play.begin(isQueued: true) == ["started"])
        #expect(play.machine.state.isQueued && play.machine.state.isTiedToOthers)
        #expect(
            play.machine.view(errorsIn: play.records)["steps"]?[0]?["waits_for"]
                == ["kind": "limit", "since": .string(Play.start.text)])
        #expect(try play.crash() == [])
        #expect(play.feed(.admitted(at: play.now)) == ["admitted", "call child of c"])
        #expect(play.feed(.admitted(at: play.now)) == [])
        #expect(try play.crash() == ["call child of c"])
    }

    @Test("a queued run is cancelled at once, and its time runs")
    func queuedRunEnds() throws {
        var cancelled = try Play("steps:\n  c: {call: child}")
        cancelled.begin(isQueued: true)
        #expect(
            cancelled.feed(.cancelRequested(reason: "x", at: cancelled.now)) == [
                "cancel: x", "finished: cancelled", "finish cancelled",
            ])
        var late = try Play("timeout: 1h\nsteps:\n  c: {call: child}")
        late.begin(isQueued: true)
        late.now = late.now + .seconds(3600)
        #expect(late.feed(.timeoutDue(at: late.now)).last == "finish failed")
    }
}
