import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Signals and the runtime")
struct SignalRuntimeTests {
    private func signal(
        _ world: RuntimeWorld, _ run: RunID, _ name: String, id: String? = nil,
        of tenant: TenantID = .operatorTenant
    ) -> Recorder<SignalResult> {
        let told = Recorder<SignalResult>()
        world.runtime.signal(run, of: tenant, RunSignal(id: id ?? name, name: name, body: ["n": 1])) {
            told.add($0)
        }
        return told
    }

    @Test("a signal is answered once it is durable, and not before (I5)")
    func answeredWhenDurable() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy("steps:\n  - wait: paid\noutput: << steps.step_1.signal.body >>"))
        world.store.flush()
        let told = signal(world, world.runs[0], "paid")
        #expect(told.items.isEmpty && world.outcomes.items.isEmpty)
        world.store.flush()
        #expect(told.items == [.stored])
        #expect(world.outcomes.items == [RunOutcome(status: .succeeded, output: ["n": 1])])
    }

    @Test("a signal that no step of the workflow waits for is refused, from outside and from another run")
    func unawaitedSignalIsRefused() throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy("steps:\n  - {steps: [{wait: paid}]}\n  - wait: {any: [shipped, lost]}"))
        #expect(signal(world, world.runs[0], "payd").items == [.notAwaited(["lost", "paid", "shipped"])])
        #expect(signal(world, world.runs[0], "shipped").items == [.stored])
        let sender = try world.deploy(
            "steps:\n  - signal: {run: << trigger.body.run >>, name: payd}", name: "sender")
        try world.start(sender, body: ["run": .string("\(world.runs[0])")])
        #expect(world.outcomes.items.last?.error?.code == "signal_not_awaited")
        #expect(world.outcomes.items.last?.error?.message.contains("lost, paid, shipped") == true)
        #expect(try world.kinds(of: world.runs[0]).filter { $0 == "signal.received" }.count == 1)
    }

    @Test("a signal that was not durable is gone after a crash; sent again it is taken once")
    func unflushedSignalIsGone() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy("steps:\n  - wait: a\n  - wait: a"))
        world.store.flush()
        let told = signal(world, world.runs[0], "a", id: "k")
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(told.items.isEmpty)
        let again = signal(next, world.runs[0], "a", id: "k")
        next.store.flush()
        #expect(again.items == [.stored])
        #expect(signal(next, world.runs[0], "a", id: "k").items == [.duplicate])
        let kinds = try next.kinds(of: world.runs[0])
        #expect(kinds.filter { $0 == "signal.received" }.count == 1)
    }

    @Test("an early signal survives a crash and ends the wait that comes later")
    func earlySignalSurvives() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - sleep: 1h\n  - wait: paid"))
        #expect(signal(world, world.runs[0], "paid").items == [.stored])
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 1)
        next.clock.advance(by: .seconds(3600))
        #expect(try next.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a wait of 75 days ends at its deadline, across restarts, and costs nothing")
    func longWaitAcrossRestarts() throws {
        let world = try RuntimeWorld()
        try world.credit(60_000, reference: "gift", of: RuntimeWorld.tenant)
        let plan = try world.deploy(
            "steps:\n  - wait: {signal: paid, timeout: 75d, on_timeout: continue}", of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        let due = world.clock.now() + .seconds(75 * 86_400)
        let run = world.runs[0]
        world.clock.advance(by: .seconds(40 * 86_400))
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(to: due + .microseconds(-1))
        #expect(try next.status(of: run, RuntimeWorld.tenant) == .waiting)
        next.clock.advance(to: due)
        #expect(try next.status(of: run, RuntimeWorld.tenant) == .succeeded)
        #expect(try next.store.account(of: RuntimeWorld.tenant).balanceMilliseconds == 60_000)
    }

    @Test("a sleep that ended while no process ran ends at the start of the next")
    func sleepEndsWhileDown() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("timeout: 3h\nsteps:\n  - sleep: 1h\n  - sleep: 1h"))
        world.clock.shutDown()
        let next = try world.crashed()
        next.clock.advance(by: .seconds(3601))
        try next.runtime.recover()
        next.clock.advance(by: .seconds(1))
        #expect(try next.kinds(of: world.runs[0]).filter { $0 == "step.sleeping" }.count == 2)
    }

    @Test("a run's timeout ends it, also where it passed while no process ran")
    func timeoutWhileDown() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("timeout: 1h\nsteps:\n  - wait: never"))
        let next = try world.crashed()
        next.clock.advance(by: .seconds(7200))
        try next.runtime.recover()
        next.clock.advance(by: .seconds(1))
        #expect(try next.status(of: world.runs[0]) == .failed)
    }

    @Test("one run signals another of its tenant; a stranger's run is not found")
    func runSignalsRun() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - wait: ping", name: "waiting"))
        try world.start(
            try world.deploy("steps:\n  - wait: ping", name: "foreign", of: RuntimeWorld.tenant),
            of: RuntimeWorld.tenant, keepsWithoutFunds: true)
        let sender = try world.deploy(
            "steps:\n  - signal: {run: << trigger.body >>, name: ping, body: {n: 2}}", name: "sender")
        let targets = world.runs
        try world.start(sender, body: .string("\(targets[0])"))
        #expect(try world.status(of: targets[0]) == .succeeded)
        #expect(try world.status(of: world.runs[2]) == .succeeded)
        for target in ["\(targets[1])", "\(targets[0])", "nonsense"] {
            try world.start(sender, body: .string(target))
            #expect(world.outcomes.items.last?.error?.code == "signal_unknown_run", "\(target)")
        }
    }

    @Test("a signal taken by a run that is over by now counts as taken when it comes again")
    func repeatAfterTheEnd() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - wait: a"))
        #expect(signal(world, world.runs[0], "a", id: "k").items == [.stored])
        #expect(signal(world, world.runs[0], "a", id: "k").items == [.duplicate])
        #expect(signal(world, world.runs[0], "a", id: "l").items == [.runOver])
        #expect(signal(world, world.runs[0], "a", id: "k", of: RuntimeWorld.tenant).items == [.runOver])
    }

    @Test("a signal that came while an end was read back from the journal is answered")
    func signalDuringReload() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "steps:\n  - request: {url: https://a.example/}\n  - {when: \"false\", wait: paid}")
        try world.start(plan)
        let run = world.runs[0]
        try world.finishUnheard(plan, run)
        world.transport.succeed(0)
        let told = signal(world, run, "paid")
        #expect(told.items.isEmpty)
        world.clock.advance(by: .seconds(2))
        #expect(told.items == [.runOver])
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a run keeps a thousand unread signals and refuses the next")
    func mailboxIsBounded() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - wait: a\n  - wait: b"))
        for number in 0..<1_000 { _ = signal(world, world.runs[0], "b", id: "\(number)") }
        #expect(signal(world, world.runs[0], "b", id: "more").items == [.full])
        #expect(signal(world, world.runs[0], "b", id: "7").items == [.duplicate])
    }

    /// Goal: who holds a run's token can fill its mailbox with names that nobody reads; the run must still go on.
    @Test("a full mailbox does not shut out the signal that a step waits for, once")
    func awaitedSignalIsTaken() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(
            try world.deploy(
                "steps:\n  - wait: a\n  - sleep: 1h\n  - wait: a\n  - {when: \"false\", wait: b}"))
        world.store.flush()
        for number in 0..<1_000 { _ = signal(world, world.runs[0], "b", id: "\(number)") }
        for _ in 0..<2 { world.store.flush() }
        let taken = signal(world, world.runs[0], "a", id: "first")
        let early = signal(world, world.runs[0], "a", id: "second")
        world.store.flush()
        #expect(taken.items == [.stored])
        #expect(early.items == [.full])
        world.clock.advance(by: .seconds(3600))
        world.store.flush()
        let last = signal(world, world.runs[0], "a", id: "second")
        world.store.flush()
        #expect(last.items == [.stored])
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("of what waits behind a commit, one awaited signal is let into a full mailbox")
    func oneAwaitedSignalBehindACommit() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy("steps:\n  - wait: a\n  - wait: b"))
        world.store.flush()
        for number in 0..<999 { _ = signal(world, world.runs[0], "b", id: "\(number)") }
        for _ in 0..<2 { world.store.flush() }
        let last = signal(world, world.runs[0], "b", id: "last")
        let told = ["one", "two", "three"].map { signal(world, world.runs[0], "a", id: $0) }
        for _ in 0..<3 { world.store.flush() }
        #expect(last.items == [.stored])
        #expect(told.map(\.items) == [[.stored], [.full], [.full]])
    }
}
