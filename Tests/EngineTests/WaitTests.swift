import Engine
import Storage
import Testing
import Values

@Suite("Waiting for signals")
struct WaitTests {
    private static func workflow(_ wait: String, _ more: String = "") -> String {
        """
        steps:
          w: {wait: \(wait)}
          after: {after: w, lua: "return {name = steps.w.signal.name, body = steps.w.signal.body, late = steps.w.timed_out}"}
        \(more)
        output: << steps.after.output >>
        """
    }

    @Test("a signal ends the wait and later steps read its name and body; it costs nothing")
    func signalEndsTheWait() throws {
        var play = try Play(Self.workflow("paid"))
        #expect(play.begin() == ["started", "w waits"])
        #expect(play.steps["w"] == "waiting" && play.wakes.isEmpty)
        play.now = play.now + .seconds(86_400 * 75)
        #expect(play.signal("other") == ["signal other"])
        #expect(
            play.signal("paid", ["n": 1]) == [
                "signal paid", "w succeeded", "after succeeded", "finished: succeeded", "finish succeeded",
            ])
        #expect(play.outcome?.output == ["body": ["n": 1], "late": false, "name": "paid"])
        #expect(play.chargedMilliseconds == 0)
    }

    @Test("signals that come early are kept in order, one for each wait")
    func earlySignalsAreKept() throws {
        let text = """
            steps:
              - {id: nap, sleep: 1h}
              - {id: one, wait: {any: [a, b]}}
              - {id: two, wait: a}
              - {id: three, wait: {any: [b, a]}}
            output: [<< steps.one.signal.body >>, << steps.two.signal.body >>, << steps.three.signal.body >>]
            """
        var play = try Play(text)
        play.begin()
        play.signal("b", id: "1", 1)
        play.signal("a", id: "2", 2)
        play.signal("a", id: "3", 3)
        #expect(play.machine.state.mailboxCount == 3)
        try play.crash()
        play.retry("nap")
        #expect(play.outcome?.output == [1, 2, 3])
        #expect(play.machine.state.mailboxCount == 0)
    }

    @Test("the same id twice is one signal, also after it was taken and after a crash")
    func sameIDIsOne() throws {
        var play = try Play("steps:\n  - {id: one, wait: a}\n  - {id: two, wait: a}")
        play.begin()
        #expect(play.signal("a", id: "k") == ["signal k", "one succeeded", "two waits"])
        #expect(play.signal("a", id: "k") == [])
        try play.crash()
        #expect(play.signal("a", id: "k") == [])
        #expect(play.signal("a", id: "l").first == "signal l")
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("of two steps that wait for one name the first of the file takes it, the second the next")
    func oneSignalEndsOneWait() throws {
        var play = try Play("steps:\n  x: {wait: a}\n  y: {wait: {any: [b, a]}}")
        play.begin()
        #expect(play.signal("a", id: "1") == ["signal 1", "x succeeded"])
        #expect(play.signal("a", id: "2").prefix(2) == ["signal 2", "y succeeded"])
    }

    @Test(
        "the time ends at its deadline and not before, as on_timeout says",
        arguments: [
            ("fail", ["w failed: timed_out", "finished: failed", "finish failed"]),
            (
                "continue",
                ["w succeeded", "after succeeded", "finished: succeeded", "finish succeeded"]
            ),
            (
                "reject",
                [
                    "w skipped: timed_out", "after skipped: all_skipped", "finished: succeeded",
                    "finish succeeded",
                ]
            ),
        ])
    func timeoutEndsTheWait(rule: String, lines: [String]) throws {
        var play = try Play(Self.workflow("{signal: paid, timeout: 15m, on_timeout: \(rule)}"))
        #expect(play.begin() == ["started", "w waits", "wake w +900000ms"])
        let due = Play.start + .seconds(900)
        #expect(play.ring("w", at: due + .microseconds(-1)) == [])
        #expect(play.ring("w", at: due) == lines)
        if rule == "continue" { #expect(play.outcome?.output == ["late": true]) }
        if rule == "fail" { #expect(play.error(of: "w")?.message.contains("paid") == true) }
        #expect(play.chargedMilliseconds == 0)
        #expect(play.signal("paid") == [])
    }

    @Test("a signal a microsecond before the deadline counts, and the alarm then changes nothing")
    func signalBeforeTheDeadline() throws {
        var play = try Play(
            Self.workflow("{signal: paid, timeout: 15m}", "  nap: {sleep: 1h}"))
        play.begin()
        play.now = Play.start + .seconds(900) + .microseconds(-1)
        #expect(play.signal("paid") == ["signal paid", "w succeeded", "after succeeded"])
        #expect(play.ring("w", at: Play.start + .seconds(900)) == [])
    }

    @Test(
        "an expression says how long, or until when; what is over by then ends the wait at once",
        arguments: [
            ("90m", 5_400), ("2026-01-01T02:00:00Z", 7_200), (1_767_225_660, 60), ("2025-12-31", 0),
        ] as [(Value, Int64)])
    func computedTimeout(given: Value, seconds: Int64) throws {
        var play = try Play(
            """
            steps:
              - {id: ask, request: {url: https://a.example/}}
              - {id: w, wait: {signal: a, timeout: << steps.ask.response.body.limit >>, on_timeout: continue}}
            """)
        play.begin()
        let lines = play.answer("ask", 200, ["limit": given], took: .zero)
        #expect(lines == ["ask succeeded", "w waits", "wake w +\(seconds * 1000)ms"])
        play.now = play.now + .seconds(min(seconds, 1))
        #expect(try play.crash() == ["wake w +\((seconds - min(seconds, 1)) * 1000)ms"], "as it was recorded")
        #expect(play.ring("w", at: Play.start + .seconds(seconds)).first == "w succeeded")
    }

    @Test(
        "a timeout that is no time, or one too far away, fails the step",
        arguments: [("null", "not_a_value"), ("true", "not_a_value"), ("'401d'", "sleep_too_long")])
    func wrongTimeout(text: String, code: String) throws {
        var play = try Play("steps:\n  w: {wait: {signal: a, timeout: \"<< \(text) >>\"}}")
        play.begin()
        #expect(play.outcome?.error?.code == code)
        #expect(play.outcome?.error?.message.hasPrefix("timeout: ") == true)
    }

    @Test("after a crash the deadline stays, and a wait without one gets no alarm")
    func crashKeepsTheDeadline() throws {
        var play = try Play("steps:\n  x: {wait: {signal: a, timeout: 1h}}\n  y: {wait: b}")
        play.begin()
        play.now = play.now + .seconds(600)
        #expect(try play.crash() == ["wake x +3000000ms"])
        #expect(play.steps == ["x": "waiting", "y": "waiting"])
    }

    @Test("a signal that a crash kept from the step that waits for it ends the wait after the restart")
    func keptSignalEndsTheWait() throws {
        var play = try Play(Self.workflow("{signal: paid, timeout: 1h}"))
        play.begin()
        play.signal("paid", ["n": 1])
        play.records = Array(play.records.prefix { $0.stored.kind != "step.succeeded" })
        #expect(try play.crash().first == "w succeeded")
        #expect(play.outcome?.output["body"] == ["n": 1])
    }

    @Test("a run that is ending takes no signal, a waiting run is cancelled at once")
    func endingTakesNone() throws {
        var play = try Play("steps:\n  w: {wait: a}\n  r: {request: {url: https://a.example/}}")
        play.begin()
        #expect(play.feed(.cancelRequested(reason: "x", at: play.now)) == ["cancel: x", "in flight: r"])
        #expect(play.signal("a") == [])
        #expect(play.answer("r").last == "finish cancelled")
        var waiting = try Play(Self.workflow("paid"))
        waiting.begin()
        #expect(waiting.feed(.cancelRequested(reason: "x", at: waiting.now)).last == "finish cancelled")
    }

    @Test("a paused run takes signals, and goes on with the balance")
    func pausedTakesSignals() throws {
        var play = try Play(Self.workflow("paid"))
        play.begin()
        play.feed(.fundsEnded(unsent: [], at: play.now))
        #expect(play.signal("paid") == ["signal paid", "w succeeded"])
        play.feed(.fundsReturned(at: play.now))
        #expect(play.outcome?.status == .succeeded)
    }

    @Test("secrets in a signal are kept out of the journal")
    func secretsAreRedacted() throws {
        var play = try Play(
            Self.workflow("paid"), secrets: ["KEY": .init(value: "sk_live_12345678", hosts: [])])
        play.begin()
        play.signal("paid", ["text": "it is sk_live_12345678"])
        let facts = play.records.map { String(decoding: $0.stored.facts, as: UTF8.self) }.joined()
        #expect(!facts.contains("sk_live_12345678"))
    }
}
