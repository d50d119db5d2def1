import Engine
import MemoryStore
import Ports
import Storage
import TestSupport
import Testing
import Values

@testable import Runtime

/// How many runs of one tenant may be in memory, so that it cannot keep the others out.
@Suite("A tenant's share of open runs")
struct OpenRunShareTests {
    private static let asking = "steps:\n  - {id: ask, request: {method: GET, url: https://a.example/}}"
    private static let sleeping = "steps:\n  - sleep: 1h\n  - {id: ask, request: {url: 'https://a.example/'}}"
    private static let acme = RuntimeWorld.tenant
    private static let other = TenantID(number: 10)

    private static func world(
        all: Int, share: Int? = nil, script: ScriptedTransport.Script? = nil
    ) throws -> RuntimeWorld {
        var options = RuntimeOptions()
        (options.openRunCountMax, options.openRunCountPerTenantMax) = (all, share)
        let world = try RuntimeWorld(script: script, options: options)
        try world.store.addTenant(Tenant(tenant: other, name: "Other", createdAt: world.clock.now()))
        for tenant in [acme, other] { try world.credit(3_600_000, reference: "gift \(tenant)", of: tenant) }
        return world
    }

    private static func isTooMany(_ result: StartResult?) -> Bool {
        if case .tooManyRuns = result { true } else { false }
    }

    private static func isOverloaded(_ result: StartResult?) -> Bool {
        if case .overloaded = result { true } else { false }
    }

    @Test("of all places a tenant takes a quarter, others still start, and what ends makes room")
    func quarter() throws {
        let world = try Self.world(all: 8)
        let plan = try world.deploy(Self.asking, of: Self.acme)
        for _ in 0..<3 { try world.start(plan, of: Self.acme) }
        #expect(world.runs.count == 2 && Self.isTooMany(world.results.items.last))
        let others = try world.deploy(Self.asking, of: Self.other)
        for _ in 0..<2 { try world.start(others, of: Self.other) }
        #expect(world.runs.count == 4)
        world.transport.succeed(0)
        for _ in 0..<2 { try world.start(plan, of: Self.acme) }
        #expect(world.runs.count == 5 && Self.isTooMany(world.results.items.last))
    }

    @Test("paused runs without balance hold places of their own tenant alone, also after a restart")
    func pausedAndRestarted() throws {
        let world = try Self.world(all: 100, share: 2)
        let poor = TenantID(number: 11)
        try world.store.addTenant(Tenant(tenant: poor, name: "Poor", createdAt: world.clock.now()))
        let plan = try world.deploy(Self.asking, of: poor)
        for _ in 0..<3 { try world.start(plan, of: poor, keepsWithoutFunds: true) }
        #expect(world.runs.count == 2 && Self.isTooMany(world.results.items.last))

        let next = try world.crashed()
        try next.runtime.recover()
        try next.start(plan, of: poor, keepsWithoutFunds: true)
        #expect(Self.isTooMany(next.results.items.last))
        try next.start(try next.deploy(Self.asking, of: Self.acme), of: Self.acme)
        #expect(next.runs.count == 1)
        try next.credit(60_000, reference: "top-up", of: poor)
        next.runtime.balanceChanged(of: poor)
        for number in next.transport.waiting { next.transport.succeed(number) }
        #expect(next.runtime.load.openRuns == 0)
        for _ in 0..<3 { try next.start(plan, of: poor) }
        #expect(next.runs.count == 3 && Self.isTooMany(next.results.items.last))
    }

    @Test("a start that was not stored, a duplicate and one that only waits hold no place")
    func noPlaceWithoutRun() throws {
        let world = try Self.world(all: 100, share: 1)
        let asking = try world.deploy(Self.asking, of: Self.acme)
        try world.start(asking, of: Self.acme, dedupe: RunCommit.Dedupe(key: "one"))
        world.transport.succeed(0)
        for _ in 0..<2 {
            try world.start(asking, of: Self.acme, dedupe: RunCommit.Dedupe(key: "one"))
            guard case .duplicate = world.results.items.last else { return #expect(Bool(false)) }
        }
        world.store.failNext(.full)
        try world.start(asking, of: Self.acme)
        guard case .unavailable = world.results.items.last else { return #expect(Bool(false)) }
        let sleeping = try world.deploy(Self.sleeping, name: "sleeping", of: Self.acme)
        for _ in 0..<3 { try world.start(sleeping, of: Self.acme) }
        #expect(world.runs.count == 4)
        try world.start(asking, of: Self.acme)
        try world.start(asking, of: Self.acme)
        #expect(world.runs.count == 5 && Self.isTooMany(world.results.items.last))
    }

    @Test("the operator has all places and its eighth")
    func operatorIsExempt() throws {
        let world = try Self.world(all: 8, share: 1)
        let plan = try world.deploy(Self.asking)
        for _ in 0..<10 { try world.start(plan) }
        #expect(world.runs.count == 9 && Self.isOverloaded(world.results.items.last))
    }

    @Test("a call waits until its tenant has room, and attached children take as many places again")
    func children() throws {
        let world = try Self.world(all: 100, share: 1)
        try world.deploy(Self.asking, name: "child", of: Self.acme)
        let plan = try world.deploy(
            "steps:\n  each: {strategy: {type: fan_out, over: 2}, call: child}", name: "parent", of: Self.acme
        )
        try world.start(plan, of: Self.acme)
        #expect(world.transport.requests.count == 1, "the parent and one child are twice the share")
        try world.start(plan, of: Self.acme)
        #expect(Self.isTooMany(world.results.items.last))
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(1))
        world.transport.succeed(1)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("of a crowd that wakes twice the share comes into memory, then the rest, and nobody is kept out")
    func crowdWakes() throws {
        let world = try Self.world(all: 4, share: 2)
        let plan = try world.deploy(Self.sleeping, of: Self.acme)
        for _ in 0..<9 { try world.start(plan, of: Self.acme) }
        world.clock.advance(by: .seconds(3600))
        #expect(world.transport.requests.count == 4)
        #expect(world.runtime.metrics.count("wakes_held_back_total") == 5)
        let others = try world.deploy(Self.asking, of: Self.other)
        for _ in 0..<3 { try world.start(others, of: Self.other) }
        #expect(world.transport.requests.count == 6 && Self.isTooMany(world.results.items.last))
        try world.start(try world.deploy(Self.asking))
        #expect(Self.isOverloaded(world.results.items.last), "two and two are the four places")

        world.transport.answerAll { _ in ScriptedTransport.ok() }
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(1))
        for number in world.transport.waiting { world.transport.succeed(number) }
        world.clock.advance(by: .seconds(1))
        #expect(world.outcomes.items.count == 11 && world.runtime.load.openRuns == 0)
    }

    @Test("a run that was held back is read where somebody asks for it")
    func askedFor() throws {
        let world = try Self.world(all: 4, share: 1)
        let plan = try world.deploy(Self.sleeping, of: Self.acme)
        for _ in 0..<3 { try world.start(plan, of: Self.acme) }
        world.clock.advance(by: .seconds(3600))
        #expect(world.transport.requests.count == 2)
        #expect(world.cancel(world.runs[2], of: Self.acme, reason: "enough") == true)
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        for number in world.transport.waiting { world.transport.succeed(number) }
        world.clock.advance(by: .seconds(1))
        #expect(world.outcomes.items.count == 3 && world.runtime.load.openRuns == 0)
    }
}
