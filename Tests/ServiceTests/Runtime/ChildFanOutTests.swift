import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Many children of one run")
struct ChildFanOutTests {
    private static let payout = """
        steps:
          pay: {request: {method: POST, url: "https://bank.example/<< trigger.body >>"}}
        output: << trigger.body * 10 >>
        """

    private static func settlement(_ type: String = "fan_out", _ more: String = "") -> String {
        """
        steps:
          each:
            call: payout
            input: << item >>
            strategy: {type: \(type), over: << trigger.body >>\(more)}
        output: << steps.each.output >>
        """
    }

    private func deployed(
        _ world: RuntimeWorld, _ text: String, child: String = payout, _ items: Value
    ) throws -> RunID? {
        try world.deploy(child, name: "payout", trigger: "type: manual")
        try world.start(try world.deploy(text, name: "settlement"), body: items)
        return world.runs.first
    }

    private func children(_ world: RuntimeWorld) throws -> [RunRecord] {
        var found: [RunRecord] = []
        while true {
            let query = RunQuery(workflow: "payout", before: found.last?.run, limit: 200)
            let page = try world.store.runs(of: .operatorTenant, query)
            found += page
            if page.isEmpty { return found.reversed() }
        }
    }

    private func parents(_ world: RuntimeWorld, _ records: [RunRecord]) throws -> [String] {
        try records.map { try world.runtime.view(of: $0)["parent"]?["step"]?.text ?? "" }
    }

    @Test("a settlement pays each item by a run of its own, sixteen at a time, and gathers the outputs")
    func settlement() throws {
        let world = try RuntimeWorld()
        let items = Value.array((1...40).map { .int($0) })
        _ = try deployed(world, Self.settlement(), items)
        #expect(world.transport.requests.count == 16)
        while let next = world.transport.waiting.first { world.transport.succeed(next) }
        #expect(world.outcomes.items.map(\.output) == [.array((1...40).map { .int($0 * 10) })])
        let children = try children(world)
        #expect(children.count == 40 && children.allSatisfy { $0.status == .succeeded })
        #expect(Set(try parents(world, children)) == Set((1...40).map { "each/\($0)" }))
        let keys = world.transport.requests.compactMap { $0.headers["idempotency-key"] }
        #expect(Set(keys) == Set(children.map { "\($0.run)/pay" }))
    }

    @Test("a child that fails ends the others and the settlement, and no further one starts")
    func failingChild() throws {
        let world = try RuntimeWorld()
        let run = try #require(
            try deployed(world, Self.settlement("fan_out", ", concurrency: 3"), [1, 2, 3, 4, 5]))
        world.transport.answer(1, .success(OutboundResponse(status: 404, headers: [], body: [])))
        #expect(world.outcomes.items.isEmpty, "two are still at work")
        world.transport.succeed(0)
        world.transport.succeed(2)
        #expect(world.outcomes.items.first?.error?.code == "child_failed")
        #expect(world.outcomes.items.first?.failedStep == "each/2")
        #expect(try children(world).map(\.status) == [.cancelled, .failed, .cancelled])
        #expect(try world.status(of: run) == .failed && world.runtime.load.openRuns == 0)
    }

    @Test("cancelling goes down to all children at once, and the settlement ends after the last")
    func cancelGoesDown() throws {
        let world = try RuntimeWorld()
        let run = try #require(
            try deployed(world, Self.settlement(), child: "steps:\n  - wait: never", .int(12)))
        #expect(try children(world).count == 12)
        #expect(world.cancel(run, of: .operatorTenant, reason: "x") == true)
        #expect(try children(world).allSatisfy { $0.status == .cancelled })
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(world.runtime.load.openRuns == 0)
    }

    @Test("of two ways the first that succeeds wins; the other's run is cancelled before the parent ends")
    func race() throws {
        let world = try RuntimeWorld()
        let run = try #require(try deployed(world, Self.settlement("race"), [1, 2]))
        world.transport.succeed(1)
        #expect(try children(world).map(\.status) == [.running, .succeeded])
        #expect(try world.status(of: run) == .running)
        world.transport.succeed(0)
        #expect(try children(world).map(\.status) == [.cancelled, .succeeded])
        #expect(world.outcomes.items.map(\.output) == [20])
    }

    @Test("a run whose race was won before a loser's child could be started ends when it is cancelled")
    func raceWonBeforeStart() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 1
        let world = try RuntimeWorld(options: options)
        let text = Self.settlement("race").replacing(
            "output: << steps.each", with: "  more: {after: [each], wait: go}\noutput: << steps.each")
        let run = try #require(try deployed(world, text, [1, 2]))
        #expect(world.transport.requests.count == 1, "the engine has no room for the second child")
        world.transport.succeed(0)
        #expect(world.cancel(run, of: .operatorTenant, reason: "enough") == true)
        world.clock.advance(by: .seconds(10))
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(try children(world).map(\.status) == [.succeeded] && world.runtime.load.openRuns == 0)
    }

    @Test("while a person has paused a run, no child of it starts that had to wait for room")
    func heldBeforeStart() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 1
        let world = try RuntimeWorld(options: options)
        let run = try #require(try deployed(world, Self.settlement(), [1, 2]))
        #expect(world.transport.requests.count == 1, "the engine has no room for the second child")
        world.runtime.pause(run, of: .operatorTenant, reason: "look") { _ in }
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(10))
        #expect(world.transport.requests.count == 1)
        world.runtime.resume(run, of: .operatorTenant) { _ in }
        world.clock.advance(by: .seconds(1))
        world.transport.succeed(1)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a crash after a race is won still ends the loser's run, and the parent after it")
    func raceAndCrash() throws {
        let world = try RuntimeWorld()
        let run = try #require(try deployed(world, Self.settlement("race"), [1, 2]))
        world.transport.succeed(1)
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        #expect(try children(next).map(\.status.isFinal) == [true, true])
        #expect(try next.status(of: run) == .succeeded)
        #expect(next.runtime.load.openRuns == 0)
    }

    @Test("crashes between any two commits leave one child for each item", arguments: 1...12)
    func crashes(after flushes: Int) throws {
        let world = try RuntimeWorld(completesOnFlush: true, script: { _ in ScriptedTransport.ok() })
        _ = try deployed(world, Self.settlement("fan_out", ", concurrency: 2"), [1, 2, 3, 4])
        for _ in 0..<flushes { world.store.flush() }
        let parent = try #require(
            try world.store.runs(of: .operatorTenant, RunQuery(workflow: "settlement")).first)
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        for _ in 0..<60 { next.store.flush() }
        let record = try #require(try next.store.run(parent.run, of: .operatorTenant))
        #expect(record.status == .succeeded)
        #expect(try next.runtime.view(of: record)["output"] == [10, 20, 30, 40])
        let children = try children(next)
        #expect(try parents(next, children).sorted() == ["each/1", "each/2", "each/3", "each/4"])
        #expect(children.allSatisfy { $0.status == .succeeded })
    }

    @Test("two thousand children that end at once grow no stack, and their parent is told of each")
    func wide() throws {
        let world = try RuntimeWorld()
        let text = Self.settlement("fan_out", ", concurrency: 100")
        _ = try deployed(world, text, child: "steps:\n  - finish: << trigger.body >>", .int(2_000))
        #expect(world.outcomes.items.first?.output.array?.count == 2_000)
        #expect(try children(world).count == 2_000 && world.runtime.load.openRuns == 0)
    }
}
