import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import SQLiteStore
import Storage
import TestSupport
import Testing
import Values

@Suite("Requests of those who lose a race")
struct LostRaceTests {
    private static let race = """
        steps:
          ask: {strategy: {type: race, over: [slow, fast]}, request: {url: "https://<< item >>.example/"}}
          next: {after: [ask], request: {url: https://next.example/}}
        output: << steps.ask.response.body.n >>
        """

    /// When the loser's answer comes.
    enum Late: CaseIterable { case never, whileTheRunGoes, afterItsEnd }

    private func begun() throws -> RuntimeWorld {
        let world = try RuntimeWorld()
        try world.credit(10_000, reference: "c")
        let plan = try world.deploy(Self.race, of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        #expect(world.transport.steps == ["ask/1", "ask/2"])
        return world
    }

    private func balance(_ world: RuntimeWorld) throws -> Int64 {
        try world.store.account(of: RuntimeWorld.tenant).balanceMilliseconds
    }

    @Test(
        "they are ended at the transport; an answer that comes all the same is not heard, and charged is once",
        arguments: Late.allCases)
    func losersAreAbandoned(late: Late) throws {
        let world = try begun()
        if late != .never { world.transport.ignoreCancels() }
        world.clock.advance(by: .milliseconds(40))
        world.transport.succeed(1, ["n": 2])
        #expect(world.transport.cancelled == [0])
        #expect(world.transport.steps == ["ask/1", "ask/2", "next"])
        #expect(world.runtime.load.sent == (late == .never ? 1 : 2))
        // Both were under way all the time: it is charged once.
        #expect(try balance(world) == 10_000 - 40)
        world.clock.advance(by: .milliseconds(60))
        if late == .whileTheRunGoes { world.transport.succeed(0, ["n": 1]) }
        #expect(try balance(world) == 10_000 - 40)
        world.transport.succeed(2)
        if late == .afterItsEnd {
            world.clock.advance(by: .milliseconds(500))
            world.transport.succeed(0, ["n": 1])
        }
        let run = world.runs[0]
        #expect(world.outcomes.items == [RunOutcome(status: .succeeded, output: 2)])
        #expect(
            try world.store.entries(of: run).map(\.key) == [
                "start", "open/ask", "outcome/ask/2", "outcome/ask", "outcome/next", "finish",
            ])
        #expect(try balance(world) == 10_000 - 100)
        #expect(try world.store.run(run, of: RuntimeWorld.tenant)?.chargedMilliseconds == 100)
        #expect(world.transport.cancelled == [0] && world.transport.requests.count == 3)
        #expect(world.runtime.load.sent == 0 && world.runtime.load.openRuns == 0)
    }

    @Test("after a crash the loser is not sent again, and its time is not charged again")
    func crashAfterTheRace() throws {
        let world = try begun()
        world.transport.ignoreCancels()
        world.clock.advance(by: .milliseconds(40))
        world.transport.succeed(1, ["n": 2])
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(next.transport.steps == ["next"])
        next.clock.advance(by: .milliseconds(60))
        next.transport.succeed(0)
        #expect(try next.status(of: world.runs[0], RuntimeWorld.tenant) == .succeeded)
        #expect(try balance(next) == 10_000 - 100)
    }

    @Test("a race that is won before all of its requests have left sends no more of them, and waits for none")
    func wonWhileSending() throws {
        let world = try RuntimeWorld(script: { request in
            request.url.contains("slow") ? nil : ScriptedTransport.ok(["n": .string(request.url)])
        })
        let plan = try world.deploy(Self.race.replacing("[slow, fast]", with: "[slow, fast, slower]"))
        try world.start(plan)
        #expect(world.outcomes.items.map(\.output) == ["https://fast.example/"])
        #expect(world.transport.steps == ["ask/1", "ask/2", "next"])
        #expect(world.transport.cancelled == [0] && world.transport.waiting.isEmpty)
        #expect(world.runtime.load.sent == 0)
    }

    @Test("nothing is held for a request that was given up before it left")
    func unsentHoldsNothing() throws {
        let world = try RuntimeWorld(script: { request in
            request.url.contains("slow") ? nil : ScriptedTransport.ok(["n": 1])
        })
        try world.credit(10_000, reference: "c")
        let plan = try world.deploy(
            """
            steps:
              ask: {strategy: {type: race, over: [fast, slow]}, request: {url: "https://<< item >>.example/"}}
              rest: {after: [ask], sleep: 2s}
            """, of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        #expect(world.transport.steps == ["ask/1"])
        #expect(world.runtime.heldMilliseconds(of: RuntimeWorld.tenant) == 0)
        #expect(world.runtime.load.sent == 0)
    }

    @Test(
        "with real threads every loser is ended or never sent, nothing is sent twice, and the ledger is right"
    )
    func losersOnThreads() throws {
        let world = try RacingWorld("name: flow\nversion: 1\ntriggers: [{type: http}]\n" + Self.race) {
            request in
            request.url.contains("slow") ? nil : ScriptedTransport.ok(["n": "fast"])
        }
        defer { world.shutDown() }
        let count = 60
        let (outcomes, allOver) = (Recorder<RunOutcome>(), Promise<Bool>())
        for _ in 0..<count {
            world.start {
                outcomes.add($0)
                if outcomes.items.count == count { allOver.fulfil(true) }
            }
        }
        #expect(allOver.wait(atMost: .seconds(20)) == true, "\(world.runtime.load)")
        #expect(outcomes.items.allSatisfy { $0.status == .succeeded && $0.output == "fast" })
        // The last losers may still be told that they are ended.
        #expect(world.runtime.drain(atMost: .seconds(5)), "\(world.runtime.load)")
        let keys = world.transport.scripted.requests.map { $0.headers["idempotency-key"] ?? "" }
        #expect(Set(keys).count == keys.count, "nothing was sent twice")
        let losers = world.transport.scripted.requests.indices.filter { keys[$0].hasSuffix("/ask/1") }
        #expect(Set(world.transport.scripted.cancelled) == Set(losers))
        let ledgers = try world.store.verifyLedgers()
        #expect(ledgers.findings.isEmpty)
        for record in try world.store.runs(of: RuntimeWorld.tenant, RunQuery(limit: 200)) {
            let entries = try world.store.entries(of: record.run)
            #expect(
                entries.map(\.key) == [
                    "start", "open/ask", "outcome/ask/2", "outcome/ask", "outcome/next", "finish",
                ])
            let duration = entries[5].at.microseconds - entries[0].at.microseconds
            #expect(record.chargedMilliseconds <= duration / 1000 + 1, "no time is charged twice")
        }
    }
}
