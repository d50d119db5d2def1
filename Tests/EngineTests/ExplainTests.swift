import Engine
import Testing
import Values

@Suite("What a run waits for")
struct ExplainTests {
    /// Kind and since of what a step waits for, the latter in seconds after the start.
    private func waits(_ play: Play, _ step: String) -> String? {
        let steps = play.machine.view(errorsIn: play.records)["steps"]?.array ?? []
        guard let reason = steps.first(where: { $0["id"]?.text == step })?["waits_for"], !reason.isNull,
            let since = reason["since"]?.string.flatMap({ Instant(rfc3339: $0) })
        else { return nil }
        return "\(reason["kind"]?.text ?? "?") +\((since - Play.start).milliseconds / 1000)"
    }

    private static let source = """
        steps:
          a: {request: {url: https://a.example/}, retry: {delay: 10s, jitter: none}}
          b: {after: [a], request: {url: https://b.example/}}
          s: {after: [a], sleep: 1h}
          w: {after: [a], wait: {signal: paid, timeout: 2h}}
          late: {after: [b, s, w], lua: return 1}
        """

    @Test("every unfinished step says what it waits for and since when, the same before and after a crash")
    func everyStepSaysSince() throws {
        var play = try Play(Self.source)
        play.begin()
        #expect(waits(play, "a") == "answer +0" && waits(play, "b") == "steps +0")
        play.answer("a", 503, took: .seconds(5))
        #expect(waits(play, "a") == "retry +5" && waits(play, "late") == "steps +0")
        play.retry("a")
        #expect(waits(play, "a") == "answer +15", "since it was sent again")
        play.answer("a", took: .seconds(5))
        let expected = ["b": "answer +20", "s": "time +20", "w": "signal +20", "late": "steps +0"]
        for (step, reason) in expected { #expect(waits(play, step) == reason) }
        #expect(waits(play, "a") == nil)
        play.now = play.now + .seconds(100)
        try play.crash()
        for (step, reason) in expected { #expect(waits(play, step) == reason, "after a restart") }
        play.answer("b", took: .seconds(5))
        #expect(waits(play, "late") == "steps +125")
    }

    @Test("a paused run says by whom, and a step that could start waits for that since it could")
    func pausesSaySince() throws {
        var play = try Play(Self.source)
        play.begin()
        play.now = play.now + .seconds(10)
        play.feed(.held(reason: "a look", at: play.now))
        play.now = play.now + .seconds(10)
        #expect(waits(play, "a") == "answer +0", "what is in flight was sent before")
        play.answer("a", took: .seconds(10))
        #expect(waits(play, "b") == "operator +30")
        let pauses = play.machine.view(errorsIn: play.records)["paused_by"]
        #expect(pauses?[0]?["reason"] == "a look" && pauses?[0]?["by"] == "operator")
        try play.crash()
        #expect(waits(play, "b") == "operator +30")
        play.now = play.now + .seconds(10)
        play.feed(.released(at: play.now))
        #expect(waits(play, "b") == "answer +40", "since it was sent and not since it could have been")
        play.now = play.now + .seconds(10)
        play.feed(.fundsEnded(unsent: [play.index("b")], at: play.now))
        #expect(waits(play, "b") == "balance +50")
        #expect(play.machine.view(errorsIn: play.records)["paused_by"]?[0]?["by"] == "balance")
    }

    @Test("in a run that is ending, steps wait for nothing any more and the undoing says how far it is")
    func endingSaysSince() throws {
        var play = try Play(
            """
            steps:
              one: {request: {url: https://a.example/}, compensate: {request: {url: https://x.example/}}}
              two: {after: [one], request: {url: https://b.example/}, compensate: {request: {url: https://y.example/}}}
              slow: {request: {url: https://s.example/}}
              bad: {after: [two], request: {url: https://c.example/}, retry: {max: 0}}
              never: {after: [bad], lua: return 1}
            """)
        play.begin()
        play.answer("one", took: .seconds(1))
        play.answer("two", took: .seconds(1))
        play.answer("bad", 500, took: .seconds(1))
        #expect(waits(play, "never") == "end +3" && waits(play, "slow") == "answer +0")
        #expect(waits(play, "one/compensate") == "steps +3")
        play.answer("slow", took: .seconds(1))
        #expect(waits(play, "two/compensate") == "answer +4", "the undoing waits for what is in flight")
        play.answer("two/compensate", took: .seconds(1))
        #expect(waits(play, "one/compensate") == "answer +5")
        play.answer("one/compensate")
        #expect(waits(play, "never") == nil, "over")
    }

    @Test("a run that waits for its turn, and a step that waits for a child, say since when")
    func othersSaySince() throws {
        var play = try Play("steps:\n  - {id: c, call: child}\n  - {id: d, lua: return 1}")
        play.begin(isQueued: true)
        #expect(waits(play, "c") == "limit +0" && waits(play, "d") == "steps +0")
        play.now = play.now + .seconds(7)
        play.feed(.held(reason: "x", at: play.now))
        #expect(
            play.feed(.admitted(at: play.now)).count == 1, "a held run takes its turn, and starts nothing")
        #expect(waits(play, "c") == "operator +7")
        play.now = play.now + .seconds(1)
        #expect(play.feed(.released(at: play.now)) == ["released", "call child of c"])
        #expect(waits(play, "c") == "answer +8")
        play.now = play.now + .seconds(1)
        play.called("c", child: 40)
        #expect(waits(play, "c") == "run +9")
        try play.crash()
        #expect(waits(play, "c") == "run +9")
    }

    @Test("groups, items and their steps say what they wait for and since when")
    func groupsSaySince() throws {
        var play = try Play(
            """
            steps:
              - {id: a, request: {url: https://a.example/}}
              - id: all
                strategy: {type: fan_out, over: 3, concurrency: 2}
                steps:
                  - {id: x, request: {url: https://x.example/}, retry: {max: 0}}
                  - {id: y, lua: return 1}
            """)
        play.begin()
        #expect(waits(play, "all") == "steps +0")
        play.answer("a", took: .seconds(4))
        #expect(waits(play, "all") == "items +4" && waits(play, "all/1") == "steps +4")
        #expect(waits(play, "all/1/x") == "answer +4" && waits(play, "all/1/y") == "steps +4")
        play.answer("all/1/x", took: .seconds(2))
        #expect(waits(play, "all/3/x") == "answer +6" && waits(play, "all/2/y") == "steps +4")
        #expect(waits(play, "all/3/y") == "steps +6", "since its item began")
        try play.crash()
        #expect(waits(play, "all/3/y") == "steps +6")
        #expect(waits(play, "all/3/x") == "answer +6" && waits(play, "all/2/x") == "answer +4")
        play.answer("all/2/x", 500, attempt: 1, took: .seconds(2))
        #expect(waits(play, "all/3/y") == "end +8")

        var simple = try Play(
            "steps:\n  - {id: all, strategy: {type: scatter, over: 4, concurrency: 2}, "
                + "request: {url: https://x.example/}, retry: {max: 0}}")
        simple.begin()
        simple.answer("all/2", 500, took: .seconds(3))
        simple.answer("all/3", took: .seconds(2))
        let expected = ["all/1": "answer +0", "all/4": "answer +5"]
        for (step, reason) in expected { #expect(waits(simple, step) == reason) }
        simple.now = simple.now + .seconds(9)
        try simple.crash()
        for (step, reason) in expected { #expect(waits(simple, step) == reason, "after a restart") }
    }

    @Test("what is around a step is ending since it was ended first, whatever else settles after that")
    func endsSaySince() throws {
        var play = try Play(
            """
            steps:
              slow: {request: {url: https://s.example/}, retry: {max: 0}, on_error: continue}
              other: {request: {url: https://o.example/}}
              late: {after: [slow], lua: return 1}
              look: {request: {url: https://l.example/}}
              over: {after: [look], finish: enough}
            """)
        play.begin()
        play.answer("look", took: .seconds(2))
        play.answer("slow", 500, took: .seconds(3))
        #expect(waits(play, "late") == "end +2", "since the finish, not since slow")
        play.machine = RunMachine(run: play.machine.state.run, plan: play.plan, records: play.records)
        #expect(waits(play, "late") == "end +2", "read back")
    }

    @Test("a race that has lost an item is ended by what fails around it, and not by that item")
    func lostItemsEndNoRace() throws {
        var play = try Play(
            """
            steps:
              - id: all
                steps:
                  bad: {request: {url: https://b.example/}, retry: {max: 0}}
                  run:
                    strategy: {type: race, over: 2, concurrency: 1}
                    steps:
                      - {id: x, request: {url: https://x.example/}, retry: {max: 0}}
                      - {id: y, lua: return 1}
            """)
        play.begin()
        play.answer("all/run/1/x", 500, took: .seconds(2))
        #expect(waits(play, "all/run/2/y") == "steps +2")
        play.answer("all/bad", 500, took: .seconds(3))
        #expect(waits(play, "all/run/2/y") == "end +5")
    }

    @Test(
        "I11: a run that only waits for the child of a step that lost its race says so, since the race was decided"
    )
    func losersSaySince() throws {
        var play = try Play(
            """
            steps:
              - {id: many, strategy: {type: fan_out, over: 1200}, lua: return 1}
              - id: fast
                strategy: {type: race, over: 3}
                steps: [{id: ask, call: child}]
            """)
        play.begin()
        while !play.machine.state.isOver, play.calls.isEmpty { play.feed(.resumed(at: play.now)) }
        play.now = play.now + .seconds(1)
        play.called("fast/1/ask", child: 41)
        play.called("fast/2/ask", child: 42)
        play.now = play.now + .seconds(2)
        play.childEnds("fast/2/ask", child: 42, RunOutcome(status: .succeeded))
        play.now = play.now + .seconds(4)
        #expect(play.steps["fast"] == "succeeded" && play.outcome == nil)
        #expect(waits(play, "fast/1/ask") == "run +3" && waits(play, "fast/3/ask") == "answer +3")
        #expect(waits(play, "fast/2/ask") == nil && waits(play, "fast/1") == nil)
        play.called("fast/3/ask", child: 43)
        #expect(waits(play, "fast/3/ask") == "run +3")
        play.childEnds("fast/3/ask", child: 43, RunOutcome(status: .cancelled))
        #expect(waits(play, "fast/3/ask") == nil)
        try play.crash()
        #expect(waits(play, "fast/1/ask") == "run +3", "after a restart")
        let loser = play.machine.view(errorsIn: play.records)["steps"]?.array?.first {
            $0["id"] == "fast/1/ask"
        }
        #expect(loser?["waits_for"]?["run"]?.string.flatMap { RunID($0) } == RunID(number: 41))
        play.childEnds("fast/1/ask", child: 41, RunOutcome(status: .cancelled))
        #expect(play.outcome?.status == .succeeded && waits(play, "fast/1/ask") == nil)
    }
}
