import Engine
import MemoryStore
import Ports
import Storage
import TestSupport
import Testing
import Values

@testable import Runtime

@Suite("Runs that only wait")
struct ParkingTests {
    private static let sleeping =
        "steps:\n  - sleep: 1h\n  - {id: after, request: {method: POST, url: https://a.example/}}"

    private static func inMemory(_ world: RuntimeWorld) -> Int {
        world.runtime.load.openRuns - world.runtime.load.waitingRuns
    }

    @Test("a run that sleeps is in the store alone until its time, then goes on")
    func leavesAndComesBack() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.sleeping))
        let (run, due) = (world.runs[0], world.clock.now() + .seconds(3600))
        #expect(Self.inMemory(world) == 0 && world.runtime.load.waitingRuns == 1)
        #expect(try world.store.waitingRun(run)?.wakeAt == due)
        world.clock.advance(to: due + .microseconds(-1))
        #expect(world.transport.requests.isEmpty)
        world.clock.advance(to: due)
        #expect(world.transport.steps == ["after"])
        #expect(try world.status(of: run) == .running)
        #expect(Self.inMemory(world) == 1 && world.runtime.load.waitingRuns == 0)
        world.transport.succeed(0)
        #expect(world.outcomes.items.map(\.status) == [.succeeded], "its waiter was kept")
        #expect(world.runtime.load.openRuns == 0)
    }

    @Test("a wait of a few seconds stays in memory, and costs the run's row no change")
    func shortWaitStays() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - sleep: 5s\n  - {lua: return 1}"))
        #expect(try world.status(of: world.runs[0]) == .running)
        #expect(Self.inMemory(world) == 1)
        world.clock.advance(by: .seconds(5))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("the longer its journal, the longer must a wait be for which a run leaves memory")
    func longJournalStays() throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy(
                """
                steps:
                  many: {strategy: {type: fan_out, over: 7000}, lua: return 1}
                  nap: {after: [many], sleep: 6s}
                  night: {after: [nap], sleep: 1h}
                """))
        world.clock.advance(by: .seconds(1))
        #expect(try world.store.entries(of: world.runs[0]).last?.kind == "step.sleeping")
        #expect(Self.inMemory(world) == 1)
        world.clock.advance(by: .seconds(6))
        #expect(Self.inMemory(world) == 0)
        world.clock.advance(by: .seconds(3600))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a run that is over leaves no alarm behind, however long its timeout is")
    func noAlarmIsLeft() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("timeout: 30d\nsteps:\n  - {request: {url: 'https://a.example/'}}"))
        #expect(world.clock.nextAlarm != nil)
        world.transport.succeed(0)
        #expect(world.clock.nextAlarm == nil)
    }

    @Test("two signals at once read the run once, and both are durable before they are answered")
    func signalsAtOnce() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy("steps:\n  - wait: a\n  - wait: b\n  - wait: c"))
        world.store.flush()
        let told = Recorder<SignalResult>()
        for name in ["b", "a"] {
            world.runtime.signal(
                world.runs[0], of: .operatorTenant, RunSignal(id: name, name: name, body: .null)
            ) { told.add($0) }
        }
        #expect(Self.inMemory(world) == 1 && told.items.isEmpty)
        for _ in 0..<4 { world.store.flush() }
        #expect(told.items == [.stored, .stored])
        #expect(Self.inMemory(world) == 0, "it waits for c")
        let kinds = try world.kinds(of: world.runs[0])
        #expect(kinds.filter { $0 == "step.succeeded" }.count == 2)
        #expect(kinds.filter { $0 == "signal.received" }.count == 2)
    }

    @Test(
        "what finds nothing to do in a waiting run leaves it as it was",
        arguments: ["signal", "waiter", "foreign"])
    func leavesAgain(what: String) throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy(
                "steps:\n  - wait: {signal: a, timeout: 1h, on_timeout: continue}\n  - wait: b\n  - {when: \"false\", wait: x}"
            ))
        let run = world.runs[0]
        let told = Recorder<SignalResult>()
        func signal(_ name: String, of tenant: TenantID = .operatorTenant) {
            world.runtime.signal(run, of: tenant, RunSignal(id: name, name: name, body: .null)) {
                told.add($0)
            }
        }
        signal("x")
        let (flushes, epoch) = (world.store.flushCount, try world.store.entries(of: run).count)
        switch what {
        case "signal":
            signal("x")
            #expect(told.items == [.stored, .duplicate])
        case "waiter": #expect(world.runtime.whenOver(run) { _ in })
        default:
            signal("a", of: RuntimeWorld.tenant)
            #expect(told.items == [.stored, .runOver])
            #expect(world.cancel(run, of: RuntimeWorld.tenant, reason: "x") == false)
        }
        #expect(Self.inMemory(world) == 0 && world.store.flushCount == flushes)
        #expect(try world.store.entries(of: run).count == epoch)
        world.clock.advance(by: .seconds(3600))
        signal("b")
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test(
        "what comes while a run is read back reaches it, also where the first who asked had nothing to change"
    )
    func askedForWhileReading() throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy("steps:\n  - wait: a\n  - {id: after, request: {url: https://a.example/}}"))
        let run = world.runs[0]
        let loader = InterruptedLoader()
        let next = try world.crashed(loader: loader)
        try next.runtime.recover()
        let (told, outcomes) = (Recorder<SignalResult>(), Recorder<RunOutcome>())
        loader.interruptNext { [runtime = next.runtime] in
            runtime.signal(run, of: .operatorTenant, RunSignal(id: "a", name: "a", body: .null)) {
                told.add($0)
            }
            runtime.whenOver(run, otherwise: {}) { outcomes.add($0) }
        }
        next.runtime.resume(run, of: .operatorTenant) { _ in }
        #expect(told.items == [.stored] && next.transport.steps == ["after"])
        next.transport.succeed(0)
        #expect(outcomes.items.map(\.status) == [.succeeded])
        #expect(try next.status(of: run) == .succeeded && next.runtime.load.openRuns == 0)
    }

    @Test("a waiting run is cancelled, seen and waited for like any other")
    func cancelled() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - wait: a"))
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 1)
        #expect(Self.inMemory(next) == 0)
        let run = world.runs[0]
        #expect(next.runtime.tenant(ofOpen: run) == .operatorTenant)
        let record = try #require(try next.store.run(run, of: .operatorTenant))
        #expect(try next.runtime.view(of: record)["steps"]?.array?.first?["state"] == "waiting")
        let outcomes = Recorder<RunOutcome>()
        #expect(next.runtime.whenOver(run) { outcomes.add($0) })
        #expect(next.cancel(run, of: .operatorTenant, reason: "enough") == true)
        #expect(outcomes.items.map(\.status) == [.cancelled])
        #expect(!next.runtime.whenOver(run) { outcomes.add($0) })
        #expect(next.cancel(run, of: .operatorTenant, reason: "enough") == false)
        #expect(next.runtime.tenant(ofOpen: run) == nil)
    }

    @Test("a reply step after a long sleep still answers the trigger's caller")
    func replierIsKept() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy("steps:\n  - sleep: 1h\n  - reply: {status: 201}")
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: [], at: world.clock.now(), tenantName: "",
            externalCustomerID: nil)
        let replies = Recorder<RunReply>()
        let tenant = try #require(try world.store.tenant(.operatorTenant))
        world.runtime.start(
            StartRequest(
                tenant: tenant, plan: plan, start: start, keepsWithoutFunds: false,
                replier: { replies.add($0) })
        ) { _ in }
        #expect(Self.inMemory(world) == 0)
        world.clock.advance(by: .seconds(3600))
        #expect(replies.items.map(\.status) == [201])
    }

    @Test("I3: a retry that is hours away survives a crash and is sent under the same key")
    func longRetry() throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy(
                "steps:\n  a: {request: {method: POST, url: https://a.example/}, retry: {max: 3, delay: 1h, backoff: fixed, jitter: none}}"
            ))
        world.transport.answer(0, .success(OutboundResponse(status: 503, headers: [], body: [])))
        #expect(Self.inMemory(world) == 0)
        let key = world.transport.requests[0].headers["idempotency-key"]
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .seconds(3600))
        // Killed again between waking and the answer: the row still says that it waits.
        let third = try next.crashed()
        try third.runtime.recover()
        third.clock.advance(by: .zero)
        for world in [next, third] {
            #expect(world.transport.requests.map { $0.headers["idempotency-key"] } == [key])
        }
        third.transport.succeed(0)
        #expect(try third.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a process killed before the wake-up's commit wakes the run again; nothing was sent (I1)")
    func killedWhileWaking() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.sleeping))
        world.store.flush()
        world.clock.advance(by: .seconds(3600))
        #expect(Self.inMemory(world) == 1 && world.transport.requests.isEmpty)
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .zero)
        next.store.flush()
        #expect(next.transport.steps == ["after"])
        #expect(try next.kinds(of: world.runs[0]).filter { $0 == "step.succeeded" }.count == 1)
    }

    @Test("a run whose wait was never stored does not exist, one whose wait was is woken by the next process")
    func killedWhileLeaving() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(
            "steps:\n  a: {request: {url: https://a.example/}}\n  nap: {after: [a], sleep: 1h}")
        try world.start(plan)
        world.store.flush()
        world.transport.succeed(0)
        // The wait is decided and not durable: the next process asks again.
        let lost = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try lost.runtime.recover()
        #expect(lost.transport.steps == ["a"])
        lost.store.flush()
        #expect(Self.inMemory(lost) == 0)
        let next = try lost.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .seconds(3600))
        next.store.flush()
        #expect(next.transport.requests.isEmpty)
        #expect(try next.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a full disk at the wake-up delays it and loses nothing")
    func fullDiskWhileWaking() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.sleeping))
        world.store.failNext(.full)
        world.clock.advance(by: .seconds(3600))
        #expect(world.transport.requests.isEmpty && world.runtime.load.stuck.count == 1)
        world.clock.advance(by: .seconds(2))
        #expect(world.transport.steps == ["after"] && world.runtime.load.stuck.isEmpty)
        world.transport.succeed(0)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a full disk while it leaves loses nothing either")
    func fullDiskWhileLeaving() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - wait: a\n  - sleep: 1h"))
        world.store.failNext(.full)
        world.runtime.signal(world.runs[0], of: .operatorTenant, RunSignal(id: "a", name: "a", body: .null)) {
            _ in
        }
        world.clock.advance(by: .seconds(10))
        #expect(try world.store.waitingRun(world.runs[0])?.wakeAt != nil && Self.inMemory(world) == 0)
        world.clock.advance(by: .seconds(3600))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("thousands of sleeping runs take turns in memory, each is woken once and on time")
    func manyWake() throws {
        let world = try RuntimeWorld(script: { _ in ScriptedTransport.ok() })
        let plan = try world.deploy(
            "steps:\n  - sleep: << trigger.body.time >>\n  - {id: after, request: {url: https://a.example/}}")
        let count: Int64 = 2_500
        for number in 0..<count {
            try world.start(plan, body: ["time": .string("\(60 + number * 7_919 % count)s")])
        }
        #expect(Self.inMemory(world) == 0)
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        #expect(Self.inMemory(next) == 0)
        next.clock.advance(by: .seconds(60 + count))
        #expect(next.transport.requests.count == Int(count))
        #expect(Set(next.transport.requests.compactMap { $0.headers["millrace-run"] }).count == Int(count))
        #expect(next.runtime.load.openRuns == 0)
    }

    @Test("a run whose many items sleep leaves memory between them, and all of them are woken")
    func sleepingItems() throws {
        let world = try RuntimeWorld(script: { _ in ScriptedTransport.ok() })
        try world.start(
            try world.deploy(
                """
                steps:
                  each:
                    strategy: {type: fan_out, over: 300, concurrency: 100}
                    steps:
                      - sleep: 10s
                      - request: {url: "https://a.example/<< index >>"}
                """))
        #expect(Self.inMemory(world) == 0)
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        for wave in 1...3 {
            #expect(Self.inMemory(next) == 0)
            next.clock.advance(by: .seconds(10))
            #expect(next.transport.requests.count == wave * 100)
        }
        #expect(try next.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a late alarm wakes late and not less; a clock that was set back wakes at its instant")
    func clockJumps() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.sleeping)
        let begin = world.clock.now()
        try world.start(plan)
        world.clock.jump(to: begin + .seconds(86_400))
        world.clock.advance(by: .zero)
        #expect(world.transport.requests.count == 1)
        // An hour from the later instant, after which the clock is set back by a day.
        try world.start(plan)
        world.clock.jump(to: begin)
        world.clock.advance(by: .seconds(86_400 + 3599))
        #expect(world.transport.requests.count == 1)
        world.clock.advance(by: .seconds(1))
        #expect(world.transport.requests.count == 2)
    }

    @Test("a run that wakes to an empty balance pauses, and a credit sends it on")
    func wakesWithoutFunds() throws {
        let world = try RuntimeWorld()
        try world.credit(10, reference: "gift")
        let plan = try world.deploy(Self.sleeping, of: RuntimeWorld.tenant)
        let spender = try world.deploy(
            "steps:\n  a: {request: {url: https://b.example/}}", name: "spender", of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        try world.start(spender, of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(60))
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(3600))
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .paused)
        try world.credit(100_000, reference: "more")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        #expect(world.transport.steps == ["a", "after"])
        world.transport.succeed(1)
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .succeeded)
    }
}
