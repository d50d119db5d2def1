import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Runs whose outcome cannot be recorded")
struct StuckRunTests {
    private static let asking = "steps:\n  - request: {method: GET, url: https://a.example/}\n  - wait: never"

    /// A run in flight, whose outcome the store then finds out of range.
    private static func stick(_ world: RuntimeWorld, _ between: () -> Void = {}) {
        for _ in 0..<3 { world.store.flush() }
        world.store.failNext(.outOfRange(what: "a charge"))
        world.transport.succeed(0)
        between()
        for _ in 0..<8 { world.store.flush() }
    }

    @Test("whoever waits for the end of such a run is told, once, and it is shown why")
    func waitersAreTold() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.asking))
        Self.stick(world)
        #expect(world.outcomes.items.map(\.status) == [.failed])
        #expect(world.outcomes.items.first?.error?.code == "run_stuck")
        #expect(world.runtime.load.stuck[world.runs[0]]?.contains("a charge") == true)
        #expect(try world.status(of: world.runs[0]) == .running, "it is not over")
        let next = try world.crashed()
        try next.runtime.recover()
        next.transport.succeed(0)
        next.store.flush()
        #expect(
            try next.kinds(of: world.runs[0]).contains("step.succeeded") && world.outcomes.items.count == 1)
    }

    @Test("a run that called such a run goes on with a failure")
    func parentIsTold() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.deploy(Self.asking, name: "child")
        try world.start(
            try world.deploy(
                "steps:\n  c: {call: child, on_error: continue}\noutput: << steps.c.error >>", name: "parent")
        )
        Self.stick(world)
        let outcome = try #require(world.outcomes.items.first)
        #expect(outcome.status == .succeeded && outcome.output["code"] == "child_failed")
        #expect(outcome.output["message"]?.text.contains("run_stuck") == true)
    }

    @Test("an order and a signal that come meanwhile are told that the run is not open")
    func ordersAreTold() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.asking))
        let (orders, signals) = (Recorder<OrderResult>(), Recorder<SignalResult>())
        Self.stick(world) {
            world.runtime.pause(world.runs[0], of: .operatorTenant, reason: "x") { orders.add($0) }
            world.runtime.signal(
                world.runs[0], of: .operatorTenant, RunSignal(id: "a", name: "never", body: .null)
            ) { signals.add($0) }
        }
        #expect(orders.items == [.over] && signals.items == [.runOver])
    }

    @Test("where a journal that must be read again cannot be read, all are told as well")
    func unreadableIsTold() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.asking))
        for _ in 0..<3 { world.store.flush() }
        world.store.failNext(.full)
        world.transport.succeed(0)
        world.store.flush()
        let strange = StoredEntry(
            key: "strange", sequence: 9, kind: "step.unheard_of", at: world.clock.now(),
            facts: Array("{}".utf8))
        world.store.commit(
            RunCommit(run: world.runs[0], tenant: .operatorTenant, entries: [strange], isMetered: false),
            inPlace: true
        ) { _ in }
        world.store.flush()
        world.clock.advance(by: .seconds(2))
        #expect(world.outcomes.items.first?.error?.code == "run_stuck")
    }
}
