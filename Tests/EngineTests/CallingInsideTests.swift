import Engine
import Storage
import Testing
import Values

@Suite("Calls inside groups and strategies")
struct CallingInsideTests {
    private static func outcome(_ output: Value) -> RunOutcome {
        RunOutcome(status: .succeeded, output: output)
    }
    private static let failed = RunOutcome(status: .failed, error: StepError(code: "x", message: "y"))
    private static let cancelled = RunOutcome(status: .cancelled)

    private static func each(_ type: String, _ more: String = "") -> String {
        """
        steps:
          each: {call: child, input: << item >>, strategy: {type: \(type), over: << trigger.body >>\(more)}}
        output: << steps.each.output >>
        """
    }

    /// Started, with every child that was asked for durable under its item's number.
    private func started(_ text: String, _ body: Value = [10, 20, 30]) throws -> Play {
        var play = try Play(text)
        play.begin(body: body)
        for number in play.calls.indices { play.called("each/\(number + 1)", child: Int64(number) + 1) }
        return play
    }

    @Test("a settlement: one child per item, the outputs in the order of the items")
    func fanOut() throws {
        var play = try started(Self.each("fan_out"))
        #expect(play.calls.map(\.input) == [10, 20, 30])
        #expect(play.calls.map(\.parent.step) == ["each/1", "each/2", "each/3"])
        #expect(Set(play.calls.map(\.dedupeKey)).count == 3)
        for number in [2, 3, 1] as [Int64] {
            play.childEnds("each/\(number)", child: number, Self.outcome(.int(number * 100)))
        }
        #expect(play.outcome?.output == [100, 200, 300])
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("a child that fails fails its item, ends the others' children and then the step")
    func failingChild() throws {
        var play = try started(Self.each("fan_out"))
        #expect(
            play.childEnds("each/2", child: 2, Self.failed) == [
                "each/2 failed: child_failed", "cancel 1", "cancel 3",
            ])
        play.childEnds("each/1", child: 1, Self.cancelled)
        #expect(play.outcome == nil)
        #expect(play.childEnds("each/3", child: 3, Self.cancelled).last == "finish failed")
        #expect(play.outcome?.error?.code == "child_failed" && play.outcome?.failedStep == "each/2")
    }

    @Test("scatter waits for every child, whatever becomes of the others, and shows each run")
    func scatter() throws {
        let text = Self.each("scatter").replacing(
            "steps.each.output", with: "steps.each.items[2].error.code .. steps.each.items[3].run_id")
        var play = try started(text)
        #expect(play.childEnds("each/2", child: 2, Self.failed) == ["each/2 failed: child_failed"])
        play.childEnds("each/1", child: 1, Self.outcome(1))
        play.childEnds("each/3", child: 3, Self.outcome(3))
        #expect(play.outcome?.output == .string("child_failed\(RunID(number: 3))"))
    }

    @Test("cancelling goes down to the children of all items, once each")
    func cancelGoesDown() throws {
        var play = try started(Self.each("fan_out"))
        #expect(
            play.feed(.cancelRequested(reason: "x", at: play.now)) == [
                "cancel: x", "cancel 1", "cancel 2", "cancel 3",
            ])
        for number in [3, 1] as [Int64] {
            #expect(play.childEnds("each/\(number)", child: number, Self.cancelled).count == 1)
        }
        #expect(play.childEnds("each/2", child: 2, Self.cancelled).last == "finish cancelled")
    }

    @Test("no further item calls once the step has failed")
    func noFurtherItem() throws {
        var play = try started(Self.each("fan_out", ", concurrency: 2"))
        #expect(play.calls.count == 2)
        play.childEnds("each/1", child: 1, Self.failed)
        #expect(play.childEnds("each/2", child: 2, Self.cancelled).last == "finish failed")
        #expect(play.calls.count == 2)
    }

    @Test("of a race the first child that succeeds wins; the others are ended, and the run ends after them")
    func race() throws {
        var play = try started(Self.each("race"))
        #expect(
            play.childEnds("each/2", child: 2, Self.outcome("won")) == [
                "each/2 succeeded", "each succeeded", "cancel 1", "cancel 3",
            ])
        #expect(play.outcome == nil, "the others are open")
        #expect(play.machine.state.isTiedToOthers)
        #expect(play.childEnds("each/1", child: 1, Self.cancelled) == [])
        #expect(
            play.childEnds("each/3", child: 3, Self.outcome("late")) == [
                "finished: succeeded", "finish succeeded",
            ])
        #expect(play.outcome?.output == "won")
    }

    @Test("after a crash the losers of a race are ended and awaited again")
    func raceAndCrash() throws {
        var play = try started(Self.each("race"))
        play.childEnds("each/2", child: 2, Self.outcome("won"))
        #expect(
            try play.crash() == [
                "await 1 of each/1", "cancel 1", "await 3 of each/3", "cancel 3",
            ])
        play.childEnds("each/3", child: 3, Self.cancelled)
        #expect(play.childEnds("each/1", child: 1, Self.cancelled).last == "finish succeeded")
    }

    @Test("a loser whose child is being started is ended as soon as that is durable")
    func raceWhileStarting() throws {
        var play = try Play(Self.each("race"))
        play.begin(body: [1, 2, 3])
        play.called("each/1", child: 1)
        #expect(
            play.childEnds("each/1", child: 1, Self.outcome("won")) == ["each/1 succeeded", "each succeeded"])
        #expect(play.outcome == nil, "two answers are to come")
        #expect(
            play.feed(
                .notCalled(
                    step: play.index("each/3"), error: StepError(code: "x", message: "y"), at: play.now))
                == [])
        #expect(play.called("each/2", child: 2) == ["await 2 of each/2", "cancel 2"])
        #expect(play.childEnds("each/2", child: 2, Self.cancelled).last == "finish succeeded")
    }

    @Test("a group that fails ends the children in it, its own rule decides above")
    func groupFails() throws {
        var play = try Play(
            """
            steps:
              g:
                on_error: continue
                steps:
                  c: {call: child}
                  r: {request: {url: https://a.example/}}
              after: {after: g, lua: steps.g.error.code}
            output: << steps.after.output >>
            """)
        #expect(play.begin() == ["started", "g opened", "call child of g/c", "send g/r#1"])
        #expect(play.called("g/c", child: 1) == ["g/c calls 1", "await 1 of g/c"])
        #expect(play.answer("g/r", 404) == ["g/r failed: status", "cancel 1"])
        play.childEnds("g/c", child: 1, Self.cancelled)
        #expect(play.outcome?.status == .succeeded && play.outcome?.output == "status")
    }

    @Test("a crash between items asks for the ends of those that call, and starts the others")
    func crashBetween() throws {
        var play = try Play(Self.each("fan_out"))
        play.begin(body: [1, 2, 3])
        play.called("each/2", child: 2)
        let lines = try play.crash()
        #expect(lines == ["await 2 of each/2", "call child of each/1", "call child of each/3"])
    }

    @Test("the view lists the children of all items")
    func view() throws {
        var play = try started(Self.each("fan_out"))
        play.childEnds("each/2", child: 2, Self.outcome(1))
        let children = play.machine.view(errorsIn: [])["children"]?.array ?? []
        #expect(children.map { $0["step"] } == ["each/1", "each/2", "each/3"])
    }

    @Test("ten thousand children, five hundred at a time, come through without quadratic work")
    func wide() throws {
        var play = try Play(Self.each("fan_out", ", concurrency: 500"))
        play.begin(body: 10_000)
        var done = 0
        let begun = ContinuousClock.now
        while play.outcome == nil {
            let (from, to) = (done, play.calls.count)
            guard from < to else { break }
            for number in from..<to { play.called("each/\(number + 1)", child: Int64(number) + 1) }
            for number in from..<to {
                play.childEnds("each/\(number + 1)", child: Int64(number) + 1, Self.outcome(1))
            }
            done = to
        }
        #expect(play.outcome?.status == .succeeded && play.outcome?.output.array?.count == 10_000)
        #expect(ContinuousClock.now - begun < .seconds(20))
    }
}
