import Billing
import Engine
import Ports
import Storage
import Testing
import Values

@Suite("Strategies")
struct StrategyTests {
    /// One request for each item of the trigger's body.
    private static func each(_ strategy: String, _ more: String = "") -> String {
        """
        steps:
          notify:
            strategy: {over: trigger.body, \(strategy)}
            request: {method: POST, url: "https://a.example/<< index >>", body: << item >>}
            retry: {max: 1, delay: 10s, jitter: none}
        \(more.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
          after:
            after: [notify]
            lua: |
              local s = steps.notify
              return {outcome = s.outcome, items = s.items, output = s.output, winner = s.winner, code = s.error.code}
        output: << steps.after.output >>
        """
    }

    // MARK: - fan_out

    @Test("a fan-out starts its items in order, so many at a time, each under its own key")
    func fanOutStartsInOrder() throws {
        var play = try Play(Self.each("type: fan_out, concurrency: 2"))
        #expect(
            play.begin(body: ["a", "b", "c"]) == [
                "started", "notify opened", "send notify/1#1", "send notify/2#1",
            ])
        #expect(try play.request("notify/2").body == Array("b".utf8))
        #expect(try play.request("notify/2").url == "https://a.example/2")
        #expect(try play.request("notify/2").headers["idempotency-key"]?.hasSuffix("/notify/2") == true)
        #expect(play.answer("notify/2", 200, ["n": 2]) == ["notify/2 succeeded", "send notify/3#1"])
        #expect(play.answer("notify/3", 200, ["n": 3]) == ["notify/3 succeeded"])
        #expect(
            play.answer("notify/1", 200, ["n": 1]).prefix(2) == ["notify/1 succeeded", "notify succeeded"])
        let output = play.outcome?.output
        #expect(output?["outcome"] == "succeeded")
        #expect(output?["items"]?[0]?["response"]?["body"] == ["n": 1])
        #expect(output?["items"]?[2]?["item"] == "c")
        #expect(output?["items"]?[1]?["outcome"] == "succeeded")
    }

    @Test("the first item of a fan-out that fails for good fails it: no other starts, those in flight end")
    func fanOutFails() throws {
        var play = try Play(Self.each("type: fan_out, concurrency: 3", "on_error: continue"))
        play.begin(body: ["a", "b", "c", "d"])
        #expect(play.answer("notify/1", 503).first == "notify/1#1 failed: status")
        #expect(play.answer("notify/2", 404) == ["notify/2 failed: status", "in flight: notify/3"])
        #expect(play.retry("notify/1") == [])
        #expect(play.answer("notify/3", 200).prefix(2) == ["notify/3 succeeded", "notify failed: status"])
        let output = play.outcome?.output
        let outcomes = output?["items"]?.array?.map { $0["outcome"] ?? .null }
        #expect(outcomes == ["cancelled", "failed", "succeeded", .null])
        #expect(output?["code"] == "status")
    }

    @Test("a failed item fails the run with its path in the message")
    func fanOutFailsTheRun() throws {
        var play = try Play(Self.each("type: fan_out"))
        play.begin(body: [1, 2])
        play.answer("notify/2", 404)
        play.answer("notify/1", 200)
        #expect(play.outcome?.failedStep == "notify/2")
        #expect(play.outcome?.error?.message.hasPrefix("notify/2: status 404") == true)
    }

    @Test(
        "`over` takes a list, a map and a whole number; nothing to run over succeeds at once",
        arguments: [
            (["x": 1, "y": [2]], [["key": "x", "value": 1], ["key": "y", "value": [2]]]),
            (3, [1, 2, 3]), ([], []), (0, []), (.object(Object()), []),
        ] as [(Value, [Value])])
    func overKinds(over: Value, expected: [Value]) throws {
        var play = try Play(
            """
            steps:
              each: {strategy: {type: fan_out, over: << trigger.body >>, as: one}, lua: "return {one, index}"}
            output: << steps.each.output >>
            """)
        play.begin(body: over)
        let wanted = expected.enumerated().map { Value.array([$0.element, .int(Int64($0.offset + 1))]) }
        #expect(play.outcome?.output == .array(wanted))
    }

    @Test(
        "what is none of these, or too many, fails the step",
        arguments: [
            ("soon", "not_a_value"), (-1, "not_a_value"), (nil, "not_a_value"), (100_001, "too_many_items"),
        ] as [(Value, String)])
    func overRefused(over: Value, code: String) throws {
        var play = try Play("steps:\n  each: {strategy: {type: fan_out, over: trigger.body}, lua: return 1}")
        play.begin(body: over)
        #expect(play.outcome?.error?.code == code)
        #expect(play.outcome?.error?.message.hasPrefix("over: ") == true)
    }

    @Test(
        "the greatest number is too many items for a batch of any size", arguments: [1, 2, 7, 9_999, 10_000])
    func overGreatest(size: Int) throws {
        var play = try Play(
            "steps:\n  each: {strategy: {type: batch, over: trigger.body, size: \(size)}, lua: return 1}")
        play.begin(body: .int(.max))
        #expect(play.outcome?.error?.code == "too_many_items")
    }

    @Test("a guard is asked once, before `over`")
    func guardIsAskedOnce() throws {
        var play = try Play(
            "steps:\n  each: {when: trigger.body != null, strategy: {type: fan_out, over: trigger.body}, lua: return 1}"
        )
        play.begin()
        #expect(play.steps == ["each": "skipped"])
    }

    // MARK: - scatter, batch

    @Test("a scatter runs every item and succeeds, whatever became of them")
    func scatterGoesOn() throws {
        var play = try Play(Self.each("type: scatter, concurrency: 1"))
        play.begin(body: ["a", "b"])
        #expect(play.answer("notify/1", 404) == ["notify/1 failed: status", "send notify/2#1"])
        #expect(play.answer("notify/2").prefix(2) == ["notify/2 succeeded", "notify succeeded"])
        let items = play.outcome?.output["items"]
        #expect(items?[0]?["outcome"] == "failed" && items?[0]?["error"]?["code"] == "status")
        #expect(items?[0]?["response"]?["status"] == 404)
        #expect(items?[1]?["outcome"] == "succeeded")
    }

    @Test("a batch gives lists of up to `size`, one after the other by default")
    func batchesAreLists() throws {
        var play = try Play(
            """
            steps:
              send:
                strategy: {type: batch, over: trigger.body, size: 2, as: part}
                request: {method: POST, url: https://a.example/, body: << part >>}
            """)
        #expect(play.begin(body: [1, 2, 3, 4, 5]).last == "send send/1#1")
        #expect(try play.request("send/1").body == Array("[1,2]".utf8))
        #expect(play.answer("send/1").last == "send send/2#1")
        play.answer("send/2")
        #expect(try play.request("send/3").body == Array("[5]".utf8))
        #expect(play.answer("send/3").last == "finish succeeded")
    }

    // MARK: - race

    @Test("the first success wins a race: the others are given up, their answers not heard, all time charged")
    func raceIsWon() throws {
        var play = try Play(Self.each("type: race"))
        let begun = play.now
        play.begin(body: ["a", "b", "c"])
        play.answer("notify/1", 404)
        #expect(
            play.answer("notify/3", 200, ["n": 3]).prefix(3) == [
                "notify/3 succeeded", "notify succeeded", "after succeeded",
            ])
        #expect(play.abandoned == ["notify/2"])
        let output = play.outcome?.output
        #expect(output?["winner"] == 3)
        #expect(output?["output"] == ["n": 3])
        #expect(
            output?["items"]?.array?.map { $0["outcome"] ?? .null } == ["failed", "cancelled", "succeeded"])
        #expect(play.answer("notify/2", 200) == [])
        // Item 3 was sent before but answered over the last 10 ms only; item 2 was under way all the time.
        #expect(play.chargedMilliseconds == (play.records.last?.at ?? begun).milliseconds(since: begun))
    }

    @Test("timers of a lost race are forgotten, and what never began stays so")
    func raceForgetsTimers() throws {
        var play = try Play(
            """
            steps:
              first:
                strategy: {type: race, over: [1h, 1s, 2h], concurrency: 2}
                sleep: << item >>
            """)
        #expect(play.begin().suffix(2) == ["wake first/1 +3600000ms", "wake first/2 +1000ms"])
        #expect(play.retry("first/2").contains("first succeeded"))
        #expect(play.outcome?.status == .succeeded)
        #expect(play.steps == ["first": "succeeded", "first/1": "cancelled", "first/2": "succeeded"])
    }

    @Test(
        "a race that all items lose fails with the first error; one that is won in the same turn sends nothing"
    )
    func raceIsLost() throws {
        var play = try Play(Self.each("type: race"))
        play.begin(body: [1, 2])
        play.answer("notify/2", 404)
        play.answer("notify/1", 410)
        #expect(play.outcome?.failedStep == "notify/2")
        var quick = try Play(
            """
            steps:
              first:
                strategy: {type: race, over: 2}
                steps:
                  ask: {when: "index == 1", request: {url: https://a.example/}}
                  know: {lua: return index}
                  both: {after: [ask, know], lua: return 1}
            """)
        quick.begin()
        #expect(quick.sent.isEmpty)
        #expect(quick.outcome?.status == .succeeded)
        #expect(quick.abandoned.isEmpty)
    }

    @Test("a lost race in a group gives up what is in flight below it")
    func raceInGroups() throws {
        var play = try Play(
            """
            steps:
              ask:
                strategy: {type: race, over: [x, y]}
                steps:
                  - {id: a, request: {url: "https://a.example/<< item >>"}}
                  - {id: b, request: {url: "https://b.example/<< item >>"}}
                output: << steps.b.response.body.n >>
            output: [<< steps.ask.output >>, << steps.ask.winner >>]
            """)
        play.begin()
        play.answer("ask/1/a")
        play.answer("ask/2/a")
        play.answer("ask/2/b", 200, ["n": 9])
        #expect(play.outcome?.output == [9, 2])
        #expect(play.abandoned == ["ask/1/b"])
        #expect(play.steps["ask/1/b"] == "cancelled" && play.steps["ask/1/a"] == "succeeded")
    }

    // MARK: - Loops

    @Test("a loop passes the last result on and ends when `until` is true; the rest never runs")
    func loopsEnd() throws {
        var play = try Play(
            """
            steps:
              pages:
                strategy:
                  type: fan_out
                  over: 100
                  until: steps.pages.response.body.next == null
                request:
                  url: https://a.example/
                  query: {cursor: << last.response.body.next or 'start' >>}
            output: << steps.pages.items >>
            """)
        play.begin()
        #expect(try play.request("pages/1").url == "https://a.example/?cursor=start")
        play.answer("pages/1", 200, ["next": "p2"])
        #expect(try play.request("pages/2").url == "https://a.example/?cursor=p2")
        #expect(
            play.answer("pages/2", 200, ["rows": 3]).prefix(2) == ["pages/2 succeeded", "pages succeeded"])
        #expect(play.sent.count == 2)
        let items = play.outcome?.output.array ?? []
        #expect(items.count == 100)
        #expect(items[1]["response"]?["body"] == ["rows": 3])
        #expect(items[2]["outcome"] == .null && items[99]["item"] == 100)
    }

    @Test("`until` of a group reads its steps and its output, and an error in it fails the step")
    func untilReadsTheGroup() throws {
        var play = try Play(
            """
            steps:
              poll:
                strategy: {type: scatter, over: 5, until: steps.check.output == 3 and steps.poll.output == 30}
                steps:
                  - {id: check, lua: return index}
                output: << steps.check.output * 10 >>
            output: << steps.poll.output >>
            """)
        play.begin()
        #expect(play.outcome?.output == [10, 20, 30, nil, nil])
        var bad = try Play(
            "steps:\n  p: {strategy: {type: fan_out, over: 5, until: \"error('no')\"}, lua: return 1}")
        bad.begin()
        #expect(bad.outcome?.failedStep == "p" && bad.outcome?.error?.message.hasPrefix("until: ") == true)
        var odd = try Play(
            "steps:\n  p: {strategy: {type: fan_out, over: 5, until: steps.p.output}, lua: return 1}")
        odd.begin()
        #expect(odd.outcome?.error?.code == "not_a_value")
    }

    @Test("polling with a pause between tries is a group with a sleep, and survives crashes")
    func pollingWithPauses() throws {
        var play = try Play(
            """
            steps:
              poll:
                strategy: {type: fan_out, over: 10, until: steps.check.response.body.done}
                steps:
                  - {id: check, request: {url: https://a.example/}}
                  - {id: pause, when: not steps.check.response.body.done, sleep: 5s}
                output: << steps.check.response.body.n >>
            output: << steps.poll.items >>
            """)
        play.begin()
        play.answer("poll/1/check", 200, ["done": false, "n": 1])
        #expect(try play.crash() == ["wake poll/1/pause +5000ms"])
        play.retry("poll/1/pause")
        #expect(try play.crash() == ["send poll/2/check#1"])
        play.answer("poll/2/check", 200, ["done": true, "n": 2])
        #expect(play.outcome?.output.array?.map { $0["output"] ?? .null }.prefix(3) == [1, 2, nil])
    }

    // MARK: - Nesting

    @Test("strategies nest: inner `item` and `index` hide the outer ones, unless `as` differs")
    func strategiesNest() throws {
        var play = try Play(
            """
            steps:
              rows:
                strategy: {type: fan_out, over: "{'a', 'b'}", as: row}
                steps:
                  cells:
                    strategy: {type: fan_out, over: 2}
                    lua: return row .. index .. item
                  own: {lua: return row .. index}
                output: {cells: << steps.cells.output >>, own: << steps.own.output >>}
            output: << steps.rows.output >>
            """)
        play.begin()
        #expect(
            play.outcome?.output == [
                ["cells": ["a11", "a22"], "own": "a1"], ["cells": ["b11", "b22"], "own": "b2"],
            ])
    }

    @Test("items that succeeded are undone in reverse, each reading its own item and result")
    func itemsAreUndone() throws {
        var play = try Play(
            """
            steps:
              reserve:
                strategy: {type: fan_out, over: trigger.body, concurrency: 3}
                request: {method: POST, url: https://a.example/}
                retry: {max: 0}
                compensate:
                  request: {url: "https://a.example/undo/<< item >>/<< steps.reserve.response.body.id >>"}
            """)
        play.begin(body: ["a", "b", "c"])
        play.answer("reserve/2", 200, ["id": "r2"])
        play.answer("reserve/1", 200, ["id": "r1"])
        #expect(play.answer("reserve/3", 404).last == "send reserve/1/compensate#1")
        #expect(try play.request("reserve/1/compensate").url == "https://a.example/undo/a/r1")
        #expect(try play.crash() == ["send reserve/1/compensate#1"])
        #expect(play.answer("reserve/1/compensate").last == "send reserve/2/compensate#1")
        #expect(try play.request("reserve/2/compensate").url == "https://a.example/undo/b/r2")
        play.answer("reserve/2/compensate")
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("signals end the waits of items in the order in which they began")
    func waitsInItems() throws {
        var play = try Play(
            """
            steps:
              hear: {strategy: {type: fan_out, over: 3, concurrency: 2}, wait: go}
            output: << steps.hear.items >>
            """)
        play.begin()
        #expect(play.signal("go", id: "1", "x") == ["signal 1", "hear/1 succeeded", "hear/3 waits"])
        play.signal("go", id: "2", "y")
        play.signal("go", id: "3", "z")
        let bodies = play.outcome?.output.array?.map { $0["signal"]?["body"] ?? .null }
        #expect(bodies == ["x", "y", "z"])
    }

    @Test("items in flight when funds end go back and start again in order")
    func fundsEnd() throws {
        var play = try Play(Self.each("type: fan_out, concurrency: 2"))
        play.begin(body: [1, 2, 3])
        #expect(
            play.feed(.fundsEnded(unsent: [play.index("notify/2")], at: play.now)) == [
                "paused", "in flight: notify/1",
            ])
        #expect(play.answer("notify/1") == ["notify/1 succeeded"])
        #expect(play.feed(.fundsReturned(at: play.now)) == ["resumed", "send notify/2#1", "send notify/3#1"])
    }

    @Test("a cancel in the middle of a fan-out starts nothing more")
    func cancelInTheMiddle() throws {
        var play = try Play(Self.each("type: fan_out, concurrency: 1"))
        play.begin(body: [1, 2, 3])
        play.feed(.cancelRequested(reason: "x", at: play.now))
        #expect(play.answer("notify/1").last == "finish cancelled")
        #expect(play.sent.count == 1)
    }
}

extension Instant {
    fileprivate func milliseconds(since other: Instant) -> Int64 { (self - other).milliseconds }
}
