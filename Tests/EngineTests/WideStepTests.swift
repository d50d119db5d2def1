import Ports
import Testing
import Values

@testable import Engine

/// A step with very many items costs for each what a plain step costs: counted in work, not in time.
@Suite("Steps with very many items")
struct WideStepTests {
    private static let itemCount = 10_000

    /// Where the nodes lie in memory: a change of the place means that all were copied.
    private func place(_ play: Play) -> UInt {
        play.machine.state.nodes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
    }

    private func keptCount(_ play: Play) -> Int {
        play.machine.state.nodes.count { $0.result != nil }
    }

    @Test("an answer among 10,000 items copies no nodes, decides for one item, and leaves no result behind")
    func fanOutIsCheap() throws {
        var play = try Play(
            """
            steps:
              each:
                strategy: {type: fan_out, over: trigger.body, concurrency: 16}
                request: {method: POST, url: "https://a.example/<< index >>", body: << item >>}
            """)
        play.begin(body: .int(Int64(Self.itemCount)))
        #expect(play.sent.count == 16)
        #expect(play.machine.state.nodes.count == 1 + Self.itemCount)
        let start = place(play)
        var (moves, recordsMax, effectsMax) = (0, 0, 0)
        for item in 1...Self.itemCount {
            let node = play.machine.state.frames[1].first + item - 1
            let now = play.now
            let outcome = TransferOutcome(
                result: .success(OutboundResponse(status: 200, headers: [], body: Array("{}".utf8))),
                startedAt: now, finishedAt: now)
            let decision = play.machine.handle(
                .answered(step: node, attempt: 1, outcome), in: play.surroundings)
            if place(play) != start { moves += 1 }
            guard item < Self.itemCount - 16 else { continue }
            recordsMax = max(recordsMax, decision.records.count)
            effectsMax = max(effectsMax, decision.effects.count)
        }
        #expect(play.outcome?.status == .succeeded)
        #expect(moves == 0, "the nodes were copied \(moves) times")
        #expect(recordsMax == 1 && effectsMax == 1)
        #expect(keptCount(play) == 1, "of the step itself")
    }

    @Test("groups of many items add their nodes as they open, and forget results as they end")
    func groupsAreForgotten() throws {
        var play = try Play(
            """
            steps:
              each:
                strategy: {type: scatter, over: 2000, concurrency: 4}
                steps:
                  - {id: a, lua: "return {n = index}"}
                  - {id: b, lua: return steps.a.output.n}
                output: << steps.b.output >>
            """)
        play.begin()
        var mostKept = 0
        while play.outcome == nil {
            mostKept = max(mostKept, keptCount(play))
            play.feed(.resumed(at: play.now))
        }
        #expect(play.outcome?.status == .succeeded)
        #expect(play.machine.state.nodes.count == 1 + 2_000 + 2 * 2_000)
        #expect(mostKept <= 1 + 4 * 3, "\(mostKept) results were kept at once")
    }

    @Test("a loop keeps the last result only, unless the items are read")
    func loopsKeepOne() throws {
        func kept(_ output: String) throws -> Int {
            var play = try Play(
                """
                steps:
                  poll:
                    strategy: {type: fan_out, over: 500, until: steps.poll.output.n < 0}
                    lua: "return {n = index, before = last.output.n}"
                  stop: {after: [poll], wait: never}
                \(output)
                """)
            play.begin()
            while play.steps["poll"] != "succeeded" { play.feed(.resumed(at: play.now)) }
            return keptCount(play)
        }
        #expect(try kept("") == 1)
        // Its items are then part of its own result.
        #expect(try kept("output: << steps.poll.output >>") == 1)
    }

    @Test("results that `until` and compensations read are kept as long as they may be read")
    func readResultsAreKept() throws {
        var play = try Play(
            """
            steps:
              each:
                strategy: {type: fan_out, over: 3}
                steps:
                  - id: a
                    request: {url: https://a.example/}
                    compensate: {request: {url: "https://a.example/<< steps.a.response.body.id >>"}}
              bad: {after: [each], fail: no}
            """)
        play.begin()
        for item in 1...3 { play.answer("each/\(item)/a", 200, ["id": .int(Int64(item))]) }
        for item in [3, 2, 1] {
            #expect(try play.request("each/\(item)/a/compensate").url == "https://a.example/\(item)")
            play.answer("each/\(item)/a/compensate")
        }
        #expect(play.outcome?.compensation == .succeeded)
    }

    @Test("a run has at most 250,000 nodes, and 100,000 elements in one step")
    func nodesAreBounded() throws {
        var play = try Play(
            """
            steps:
              one: {strategy: {type: fan_out, over: 100000, until: index == 1}, lua: return 1}
              two: {after: [one], strategy: {type: fan_out, over: 100000}, lua: return 1}
            """)
        play.begin()
        #expect(play.outcome?.failedStep == "two")
        #expect(play.outcome?.error?.code == "too_many_steps")
    }

    @Test("what a process that stops held back of an item goes back, wherever it stands")
    func withheldItemsGoBack() throws {
        var play = try Play(
            """
            steps:
              each: {strategy: {type: fan_out, over: 2}, request: {url: https://a.example/}}
            """)
        play.begin()
        play.feed(.held(reason: "look", at: play.now))
        play.feed(.withheld(unsent: [play.index("each/1"), play.index("each/2")], at: play.now))
        #expect(play.steps["each/1"] == "ready" && play.steps["each/2"] == "ready")
        #expect(play.feed(.released(at: play.now)) == ["released", "send each/1#1", "send each/2#1"])
    }
}
