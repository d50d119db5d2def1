import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values
import Workflow

@Suite("Runs that the ends of others start")
struct RunEndTests {
    private static let tenant = RuntimeWorld.tenant
    private static let order = """
        steps:
          pay: {request: {method: POST, url: https://pay.example/}, retry: {max: 0}}
        output: {order: << trigger.body.order >>}
        """
    private static let alert = """
        steps:
          tell:
            request: {method: POST, url: https://chat.example/, body: << trigger.body >>}
        """

    private static func world(options: RuntimeOptions = RuntimeOptions()) throws -> RuntimeWorld {
        let world = try RuntimeWorld(options: options)
        try world.credit(600_000, reference: "c")
        return world
    }

    private static func listen(
        _ world: RuntimeWorld, _ trigger: String = "{type: run, on: [failed, cancelled]}",
        name: String = "alert",
        _ flow: String = alert
    ) throws {
        try world.deploy(flow, name: name, of: tenant, trigger: trigger)
    }

    /// Bodies of what listeners have sent, as they came to them.
    private static func told(_ world: RuntimeWorld) throws -> [Value] {
        try world.transport.requests.filter { $0.url == "https://chat.example/" }.map {
            try JSON.parse($0.body)
        }
    }

    private static func runs(_ world: RuntimeWorld, _ workflow: String = "alert") throws -> [RunRecord] {
        try world.store.runs(of: tenant, RunQuery(workflow: workflow))
    }

    private static func mail(_ world: RuntimeWorld) throws -> [Mail] {
        try world.store.pendingMail(after: nil, limit: 99)
    }

    private static let failure: Result<OutboundResponse, TransportFailure> = .success(
        OutboundResponse(status: 402, headers: [], body: []))

    @Test("a failure starts one run, which is told what ended and why; a success starts none")
    func failureIsTold() throws {
        let world = try Self.world()
        try Self.listen(world)
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant, body: ["order": 7])
        try world.start(plan, of: Self.tenant, body: ["order": 8])
        world.transport.answer(0, Self.failure)
        world.transport.succeed(1)
        world.clock.advance(by: .zero)
        let told = try #require(try Self.told(world).first)
        #expect(try Self.told(world).count == 1)
        #expect(told["run_id"] == .string("\(world.runs[0])"))
        #expect(told["workflow"] == "order")
        #expect(told["outcome"] == "failed")
        #expect(told["error"]?["code"] == "status")
        #expect(told["error"]?["step"] == "pay")
        #expect(told["trigger"] == "http")
        #expect(Set(told.object?.members.map(\.name) ?? []) == Set(ScopeNames.runEnd))
        #expect(try Self.runs(world).map(\.trigger) == ["run"])
        #expect(try Self.mail(world).isEmpty)
    }

    @Test("a success is told with its output, and a cancel as what it is")
    func successAndCancel() throws {
        let world = try Self.world()
        try Self.listen(world, "{type: run, on: [succeeded, cancelled], workflows: order}")
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        let other = try world.deploy(Self.order, name: "other", of: Self.tenant)
        try world.start(plan, of: Self.tenant, body: ["order": 7])
        try world.start(other, of: Self.tenant, body: ["order": 8])
        world.transport.succeed(0)
        world.transport.succeed(1)
        try world.start(plan, of: Self.tenant, body: ["order": 9])
        _ = world.cancel(world.runs[2], of: Self.tenant, reason: "enough")
        for number in world.transport.waiting { world.transport.succeed(number) }
        world.clock.advance(by: .zero)
        let told = try Self.told(world)
        #expect(told.map { $0["outcome"]?.string } == ["succeeded", "cancelled"])
        #expect(told.first?["output"] == ["order": 7])
        #expect(told.last?["error"]?["message"] == "enough")
    }

    @Test(
        "an end whose concurrency key cannot be computed starts a run that fails at once, and a retry goes on",
        arguments: [
            ("<< error('no') >>", "concurrency_key"),
            ("c-<< trigger.body.output.customer >>", "concurrency_key_missing"),
            ("<< {} >>", "concurrency_key"),
        ])
    func endWithoutKey(key: String, code: String) throws {
        let world = try Self.world()
        try Self.listen(
            world, "{type: run, on: [succeeded]}", "concurrency: {key: \"\(key)\"}\n" + Self.alert)
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant, body: ["order": 7])
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(1))
        let runs = try Self.runs(world)
        #expect(runs.map(\.status) == [.failed])
        #expect(try Self.mail(world).isEmpty && Self.told(world).isEmpty)
        let run = try #require(runs.first)
        #expect(try world.kinds(of: run.run) == ["run.started", "run.finished"])
        #expect(try world.runtime.view(of: run)["error"]?["code"] == .string(code))
        // The next process reads the same from the journal.
        let next = try world.crashed()
        #expect(try next.runtime.view(of: run)["error"]?["code"] == .string(code))
    }

    @Test("no end is missed: a process that dies before it has acted leaves it to the next, which acts once")
    func survivesCrash() throws {
        let world = try Self.world()
        try Self.listen(world)
        try Self.listen(world, "{type: run, on: [failed]}", name: "second")
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        world.transport.answer(0, Self.failure)
        // The clock has not moved, so nobody has acted; the commit of the end is stored.
        #expect(try Self.mail(world).count == 2)
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .zero)
        #expect(try Self.told(next).count == 2)
        #expect(try Self.mail(next).isEmpty)
        let last = try next.crashed()
        try last.runtime.recover()
        last.clock.advance(by: .seconds(60))
        #expect(try Self.runs(last).count == 1)
        #expect(try Self.runs(last, "second").count == 1)
    }

    @Test("an end whose commit was stored without an answer is heard of all the same")
    func lostAnswer() throws {
        let world = try Self.world()
        try Self.listen(world, "{type: run, on: [succeeded]}")
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        try world.finishUnheard(plan, world.runs[0], of: Self.tenant, mail: true)
        #expect(try Self.mail(world).count == 1)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(10))
        #expect(try Self.runs(world).count == 1)
        #expect(try Self.mail(world).isEmpty)
    }

    @Test("a guard decides, and one that raises an error lets the run start, where everyone sees it")
    func guards() throws {
        let world = try Self.world()
        try Self.listen(world, "{type: run, on: [failed], when: trigger.body.error.step == 'other'}")
        try Self.listen(world, "{type: run, on: [failed], when: \"error('x')\"}", name: "broken")
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        world.transport.answer(0, Self.failure)
        world.clock.advance(by: .zero)
        #expect(try Self.runs(world).isEmpty)
        #expect(try Self.runs(world, "broken").count == 1)
        world.clock.advance(by: .seconds(1))
        #expect(try Self.mail(world).isEmpty)
    }

    @Test("a workflow never hears of its own end, nor another tenant of it")
    func strangers() throws {
        let world = try Self.world()
        try Self.listen(world, "{type: run, on: [failed, succeeded]}")
        try world.deploy(Self.alert, name: "spy", trigger: "{type: run, on: [failed, succeeded]}")
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        world.transport.answer(0, Self.failure)
        world.clock.advance(by: .zero)
        world.transport.succeed(1)
        world.clock.advance(by: .zero)
        #expect(try Self.runs(world).count == 1)
        #expect(try world.store.runs(of: .operatorTenant, RunQuery()).isEmpty)
    }

    @Test("two workflows that hear of each other stop after five ends")
    func chainsAreBounded() throws {
        let world = try Self.world()
        let echo = "steps:\n  stop: {fail: again}"
        try Self.listen(world, "{type: run, on: failed}", name: "one", echo)
        try Self.listen(world, "{type: run, on: failed}", name: "two", echo)
        let plan = try world.deploy(echo, name: "first", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        for _ in 0..<40 { world.clock.advance(by: .seconds(1)) }
        #expect(try Self.mail(world).isEmpty)
        // Both hear of the first end, and from then on each of the other's.
        #expect(try Self.runs(world, "one").count + Self.runs(world, "two").count == 2 * RunEnd.depthMax)
    }

    @Test("a chain goes on through calls", arguments: ["{call: work}", "{call: work, detach: true}"])
    func chainsThroughCalls(step: String) throws {
        let world = try Self.world()
        _ = try world.deploy("steps: [{lua: return 1}]", name: "work", of: Self.tenant)
        try Self.listen(
            world, "{type: run, on: succeeded, workflows: [work]}", name: "again", "steps: [\(step)]")
        try world.start(
            try world.deploy("steps: [{call: work}]", name: "first", of: Self.tenant), of: Self.tenant)
        for _ in 0..<40 { world.clock.advance(by: .seconds(1)) }
        #expect(try Self.mail(world).isEmpty)
        #expect(try Self.runs(world, "again").count == RunEnd.depthMax)
    }

    @Test("runs that ends start count among what the first start has led to")
    func descendantsAreBounded() throws {
        var options = RuntimeOptions()
        options.descendantCountMax = 3
        let world = try Self.world(options: options)
        let echo = "steps:\n  stop: {fail: again}"
        try Self.listen(world, "{type: run, on: failed}", name: "one", echo)
        try Self.listen(world, "{type: run, on: failed}", name: "two", echo)
        try world.start(try world.deploy(echo, name: "first", of: Self.tenant), of: Self.tenant)
        for _ in 0..<40 { world.clock.advance(by: .seconds(1)) }
        #expect(try Self.runs(world, "one").count + Self.runs(world, "two").count == 3)
        #expect(try Self.mail(world).isEmpty)
    }

    @Test("without balance the run is kept, paused; with too many runs open the end waits for room")
    func waits() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 2
        let world = try Self.world(options: options)
        try Self.listen(world)
        let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
        let sleep = try world.deploy(
            "steps: [{request: {url: https://slow.example/}}]", name: "slow", of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        try world.start(sleep, of: Self.tenant)
        world.transport.answer(0, Self.failure)
        try world.start(sleep, of: Self.tenant)
        world.clock.advance(by: .seconds(20))
        #expect(try Self.runs(world).isEmpty)
        #expect(try Self.mail(world).count == 1)
        for number in world.transport.waiting { world.transport.succeed(number) }
        world.clock.advance(by: .seconds(6))
        #expect(try Self.runs(world).count == 1)
        #expect(try Self.mail(world).isEmpty)
    }

    @Test("the end of a workflow that is gone meanwhile, or listens no more, is let go")
    func listenerGone() throws {
        for isDeleted in [true, false] {
            let world = try Self.world()
            try Self.listen(world)
            let plan = try world.deploy(Self.order, name: "order", of: Self.tenant)
            try world.start(plan, of: Self.tenant)
            world.transport.answer(0, Self.failure)
            #expect(try Self.mail(world).count == 1)
            if isDeleted {
                _ = try world.catalog.delete("alert", of: Self.tenant)
            } else {
                try world.deploy(Self.alert, name: "alert", of: Self.tenant)
            }
            world.clock.advance(by: .seconds(1))
            #expect(try Self.runs(world).isEmpty)
            #expect(try Self.mail(world).isEmpty)
            // Nor is it asked for later ones.
            try world.start(plan, of: Self.tenant)
            world.transport.answer(1, Self.failure)
            #expect(try Self.mail(world).isEmpty)
        }
    }

    @Test("an output that JSON cannot say is passed on as it is")
    func bytesAreKept() throws {
        let world = try Self.world()
        try Self.listen(
            world, "{type: run, on: succeeded}", name: "size",
            "steps: [{lua: 'return len(trigger.body.output)'}]\noutput: << steps.step_1.output >>")
        let plan = try world.deploy(
            "steps: [{lua: \"return 1\"}]\noutput: << base64.decode('/9j/') >>", name: "bytes",
            of: Self.tenant)
        try world.start(plan, of: Self.tenant)
        world.clock.advance(by: .zero)
        let run = try #require(try Self.runs(world, "size").first)
        let entries = try world.store.entries(of: run.run)
        #expect(
            entries.last.map { String(decoding: $0.facts, as: UTF8.self) }?.contains("\"output\":3") == true)
    }
}
