import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Concurrency keys")
struct ConcurrencyRunTests {
    private static func workflow(_ limit: Int = 1, _ rule: String = "queue") -> String {
        """
        concurrency: {key: << trigger.body.account >>, limit: \(limit), on_limit: \(rule)}
        steps:
          r: {request: {url: "https://a.example/<< trigger.body.n >>"}}
        """
    }

    private func start(
        _ world: RuntimeWorld, _ plan: RunPlan, _ account: Value, _ number: Int64,
        of tenant: TenantID = .operatorTenant, dedupe: String? = nil
    ) throws {
        try world.start(
            plan, of: tenant, body: ["account": account, "n": .int(number)],
            dedupe: dedupe.map { RunCommit.Dedupe(key: $0) }, keepsWithoutFunds: true)
    }

    private func sent(_ world: RuntimeWorld) -> [String] {
        world.transport.requests.map { String($0.url.dropFirst("https://a.example/".count)) }
    }

    private func queued(_ world: RuntimeWorld) -> [RunID] {
        world.runtime.queued(among: world.runs).sorted()
    }

    @Test("runs of one key go one after the other, first come first served; other keys do not wait")
    func fifo() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        for number in 1...4 { try start(world, plan, "a", Int64(number)) }
        try start(world, plan, "b", 9)
        #expect(sent(world) == ["1", "9"])
        #expect(queued(world) == Array(world.runs[1...3]))
        for (request, next) in [(0, "2"), (2, "3"), (3, "4")] {
            world.transport.succeed(request)
            #expect(sent(world).last == next)
        }
        #expect(queued(world).isEmpty)
        world.transport.succeed(4)
        world.transport.succeed(1)
        #expect(world.outcomes.items.count == 5 && world.runtime.load.openRuns == 0)
        #expect(
            try world.kinds(of: world.runs[1]) == [
                "run.started", "run.admitted", "step.succeeded", "run.finished",
            ])
    }

    @Test("a limit above one lets that many go, and a null key none wait")
    func higherLimit() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow(3))
        for number in 1...5 { try start(world, plan, "a", Int64(number)) }
        for number in 6...7 { try start(world, plan, .null, Int64(number)) }
        #expect(sent(world) == ["1", "2", "3", "6", "7"])
        world.transport.succeed(1)
        #expect(sent(world).last == "4")
        world.transport.succeed(0)
        #expect(sent(world).last == "5")
    }

    @Test("a key holds within one tenant and one workflow (I10)")
    func keysAreApart() throws {
        let world = try RuntimeWorld()
        try world.credit(1_000, reference: "gift")
        let own = try world.deploy(Self.workflow())
        let other = try world.deploy(Self.workflow(), name: "other")
        let foreign = try world.deploy(Self.workflow(), of: RuntimeWorld.tenant)
        try start(world, own, "a", 1)
        try start(world, other, "a", 2)
        try start(world, foreign, "a", 3, of: RuntimeWorld.tenant)
        #expect(sent(world) == ["1", "2", "3"])
    }

    @Test("keys are compared byte by byte: two spellings of one letter are two keys")
    func keysAreBytes() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        try start(world, plan, "\u{E9}", 1)
        try start(world, plan, "e\u{301}", 2)
        #expect(sent(world) == ["1", "2"])
    }

    @Test("a failed or cancelled run lets the next go as well")
    func everyEndCounts() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        for number in 1...3 { try start(world, plan, "a", Int64(number)) }
        world.transport.answer(0, .success(OutboundResponse(status: 404, headers: [], body: [])))
        #expect(sent(world) == ["1", "2"])
        #expect(world.cancel(world.runs[1], of: .operatorTenant, reason: "x") == true)
        world.transport.succeed(1)
        #expect(sent(world) == ["1", "2", "3"])
    }

    @Test("a queued run that is cancelled ends at once, and those behind it keep their order")
    func cancelledInTheQueue() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        for number in 1...4 { try start(world, plan, "a", Int64(number)) }
        #expect(world.cancel(world.runs[1], of: .operatorTenant, reason: "x") == true)
        #expect(try world.status(of: world.runs[1]) == .cancelled)
        #expect(sent(world) == ["1"])
        world.transport.succeed(0)
        #expect(sent(world) == ["1", "3"])
        world.transport.succeed(1)
        #expect(sent(world) == ["1", "3", "4"])
    }

    @Test("a queue survives a restart in its order, also where the one that went is over by then")
    func restart() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        for number in 1...4 { try start(world, plan, "a", Int64(number)) }
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 4)
        #expect(sent(next) == ["1"])
        next.transport.succeed(0)
        #expect(sent(next) == ["1", "2"])
        try start(next, plan, "a", 5)
        next.transport.succeed(1)
        next.transport.succeed(2)
        next.transport.succeed(3)
        #expect(sent(next) == ["1", "2", "3", "4", "5"])
    }

    @Test("a crash between a run's end and the next one's turn lets that one go after the restart")
    func crashBetween() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(Self.workflow())
        for number in 1...2 { try start(world, plan, "a", Int64(number)) }
        world.store.flush()
        world.transport.succeed(0)
        world.store.flush()
        #expect(try world.status(of: world.runs[0]) == .succeeded)
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 1)
        for _ in 0..<5 { next.store.flush() }
        #expect(sent(next) == ["2"])
    }

    @Test("a run whose turn comes before its start is durable goes once it is")
    func turnBeforeDurable() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(Self.workflow())
        try start(world, plan, "a", 1)
        world.store.flush()
        world.transport.succeed(0)
        try start(world, plan, "a", 2)
        for _ in 0..<5 { world.store.flush() }
        #expect(sent(world) == ["1", "2"])
    }

    @Test("a start that the store refuses holds no place, and lets those behind it go")
    func refusedStart() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(Self.workflow())
        try start(world, plan, "a", 1)
        world.store.failNext(.full)
        world.store.flush()
        try start(world, plan, "a", 2)
        for _ in 0..<5 { world.store.flush() }
        #expect(sent(world) == ["2"])
    }

    @Test("a second delivery of a queued start is the first one, and takes no place")
    func duplicate() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        try start(world, plan, "a", 1, dedupe: "x")
        try start(world, plan, "a", 2, dedupe: "y")
        try start(world, plan, "a", 2, dedupe: "y")
        guard case .duplicate(world.runs[1], true) = world.results.items[2] else {
            return #expect(Bool(false))
        }
        world.transport.succeed(0)
        world.transport.succeed(1)
        #expect(world.outcomes.items.count == 2 && world.runtime.load.openRuns == 0)
        try start(world, plan, "a", 3)
        #expect(sent(world) == ["1", "2", "3"])
    }

    // MARK: - skip

    @Test("skip starts nothing at the limit and names a run that goes")
    func skip() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow(2, "skip"))
        for number in 1...3 { try start(world, plan, "a", Int64(number)) }
        guard case .skipped(world.runs[0]) = world.results.items[2] else { return #expect(Bool(false)) }
        #expect(world.runs.count == 2 && sent(world) == ["1", "2"])
        #expect(try world.store.runs(of: .operatorTenant, RunQuery()).count == 2)
        world.transport.succeed(0)
        try start(world, plan, "a", 4)
        #expect(sent(world) == ["1", "2", "4"])
    }

    @Test("a repeat of the start that goes is told as a duplicate, and not as skipped")
    func skipAndDedupe() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow(1, "skip"))
        try start(world, plan, "a", 1, dedupe: "x")
        try start(world, plan, "a", 1, dedupe: "x")
        guard case .duplicate(world.runs[0], true) = world.results.items[1] else {
            return #expect(Bool(false))
        }
    }

    @Test("nobody is told of a run that is not durable yet: the answer waits for it (I5)")
    func skipWaits() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(Self.workflow(1, "skip"))
        try start(world, plan, "a", 1)
        try start(world, plan, "a", 2)
        #expect(world.results.items.isEmpty)
        world.store.failNext(.full)
        world.store.flush()
        for _ in 0..<3 { world.store.flush() }
        #expect(world.results.items.count == 2 && world.runs.count == 1)
        #expect(sent(world) == ["2"])
    }

    @Test("a start too many that came before the first was durable is answered once it is")
    func skipIsToldLater() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(Self.workflow(1, "skip"))
        try start(world, plan, "a", 1)
        try start(world, plan, "a", 2)
        world.store.flush()
        guard case .skipped(world.runs[0])? = world.results.items.dropFirst().first else {
            return #expect(Bool(false), "\(world.results.items)")
        }
        #expect(world.runs.count == 1 && sent(world) == ["1"])
    }

    // MARK: - Calls

    @Test("a child is queued as any run, and its parent waits; a skipped one fails the step")
    func calls() throws {
        for (rule, code) in [("queue", nil), ("skip", "child_skipped")] {
            let world = try RuntimeWorld()
            let plan = try world.deploy(Self.workflow(1, rule), name: "child")
            try start(world, plan, "a", 1)
            try world.start(
                try world.deploy("steps:\n  c: {call: child, input: {account: a, n: 2}}", name: "parent"))
            if let code {
                #expect(world.outcomes.items.first?.error?.code == code)
                continue
            }
            #expect(sent(world) == ["1"] && world.outcomes.items.isEmpty)
            world.transport.succeed(0)
            world.transport.succeed(1)
            #expect(world.outcomes.items.map(\.status) == [.succeeded, .succeeded])
        }
    }

    @Test("a run that would wait for the run that calls it fails at once in place of waiting for ever")
    func deadlock() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy("concurrency: {key: all}\nsteps:\n  c: {call: flow}")
        try world.start(plan)
        #expect(world.outcomes.items.first?.error?.code == "call_deadlock")
        #expect(world.runtime.load.openRuns == 0)
        let detached = try world.deploy("concurrency: {key: all}\nsteps:\n  c: {call: other, detach: true}")
        try world.deploy("concurrency: {key: all}\nsteps:\n  - finish: 1", name: "other")
        try world.start(detached)
        #expect(world.outcomes.items.last?.status == .succeeded)
    }

    /// A run that somebody starts waits for `go` and calls; one that was called does nothing.
    private static func caller(of name: String, limit: Int) -> String {
        """
        concurrency: {key: all, limit: \(limit)}
        steps:
          - {id: go, when: trigger.type != 'call', wait: go}
          - {id: c, when: trigger.type != 'call', call: \(name)}
        """
    }

    private func go(_ world: RuntimeWorld, _ run: Int, of started: [RunID]) {
        let signal = RunSignal(id: "g\(run)", name: "go", body: .null)
        world.runtime.signal(started[run], of: .operatorTenant, signal) { _ in }
    }

    private func errors(_ world: RuntimeWorld) -> [String?] { world.outcomes.items.map { $0.error?.code } }

    @Test(
        "runs that hold all places, and of which each calls a run that needs one, do not wait for ever",
        arguments: [false, true], [1, 2, 3])
    func mutualWait(onDisk: Bool, limit: Int) throws {
        let world = try RuntimeWorld(completesOnFlush: onDisk)
        func settle() { for _ in 0..<12 where onDisk { world.store.flush() } }
        let plan = try world.deploy(Self.caller(of: "between", limit: limit))
        try world.deploy("steps:\n  - call: flow", name: "between")
        for _ in 0..<limit { try world.start(plan) }
        settle()
        #expect(world.runs.count == limit && queued(world).isEmpty)
        for run in 0..<limit { go(world, run, of: world.runs) }
        settle()
        // The last call closes the circle; its run's end makes room for the children of the others.
        #expect(errors(world) == ["child_failed"] + [String?](repeating: nil, count: limit - 1))
        #expect(world.outcomes.items.first?.error?.message.contains("call_deadlock") == true)
        #expect(world.runtime.load.openRuns == 0)
    }

    @Test("two workflows that wait for each other's places do not wait for ever")
    func crossedWait() throws {
        let world = try RuntimeWorld()
        let left = try world.deploy(Self.caller(of: "right", limit: 1), name: "left")
        let right = try world.deploy(Self.caller(of: "left", limit: 1), name: "right")
        for plan in [left, right] { try world.start(plan) }
        go(world, 0, of: world.runs)
        #expect(world.outcomes.items.isEmpty && world.runtime.load.openRuns == 3)
        go(world, 1, of: world.runs)
        #expect(errors(world) == ["call_deadlock", nil] && world.runtime.load.openRuns == 0)
    }

    @Test("a restart forgets nothing of who waits for whom")
    func mutualWaitAcrossRestarts() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.caller(of: "flow", limit: 2))
        for _ in 0..<2 { try world.start(plan) }
        go(world, 0, of: world.runs)
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 3)
        go(next, 1, of: world.runs)
        #expect(try next.status(of: world.runs[1]) == .failed)
        #expect(try next.status(of: world.runs[0]) == .succeeded && next.runtime.load.openRuns == 0)
    }

    @Test("a child waits, and is not refused, where one of those before it can move")
    func childWaitsForOthers() throws {
        let world = try RuntimeWorld()
        let calling = try world.deploy(Self.caller(of: "flow", limit: 2))
        try world.start(calling)
        try world.start(calling)
        go(world, 0, of: world.runs)
        // Behind two of its like, of which only the first is in anybody's way.
        try world.start(calling)
        #expect(world.outcomes.items.isEmpty && world.runtime.load.openRuns == 4)
        #expect(world.cancel(world.runs[1], of: .operatorTenant, reason: "x") == true)
        #expect(try world.status(of: world.runs[0]) == .succeeded && world.runtime.load.openRuns == 1)
        go(world, 2, of: world.runs)
        #expect(try world.status(of: world.runs[2]) == .succeeded && world.runtime.load.openRuns == 0)
    }

    @Test("a child that would wait behind a run with a lower limit, which waits for its parent, is refused")
    func lowerLimitBefore() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.caller(of: "flow", limit: 2)))
        try world.start(try world.deploy(Self.caller(of: "flow", limit: 1)))
        try world.deploy(Self.caller(of: "flow", limit: 2))
        #expect(queued(world) == [world.runs[1]])
        go(world, 0, of: world.runs)
        #expect(errors(world) == ["call_deadlock"])
        go(world, 1, of: world.runs)
        #expect(errors(world) == ["call_deadlock", nil] && world.runtime.load.openRuns == 0)
    }

    @Test("a key that is none starts nothing, and says why")
    func badKey() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.workflow())
        try start(world, plan, ["x"], 1)
        try start(world, plan, .string(String(repeating: "k", count: 600)), 2)
        for result in world.results.items {
            guard case .refused("concurrency_key", _) = result else { return #expect(Bool(false)) }
        }
        #expect(world.results.items.count == 2 && world.runs.isEmpty)
    }

    @Test("two thousand runs behind one key go one by one, without growing any stack")
    func longQueue() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "concurrency: {key: all}\nsteps:\n  - when: trigger.body.n == 0\n    wait: go\n  - finish: 1")
        for number in 0..<2_000 { try start(world, plan, "a", Int64(number)) }
        #expect(queued(world).count == 1_999)
        world.runtime.signal(
            world.runs[0], of: .operatorTenant, RunSignal(id: "g", name: "go", body: .null)
        ) { _ in }
        #expect(world.outcomes.items.count == 2_000 && world.runtime.load.openRuns == 0)
    }

    @Test("many tenants, each with its queue, all get through")
    func manyTenants() throws {
        let world = try RuntimeWorld(script: { _ in ScriptedTransport.ok() })
        for number in 100..<120 {
            let tenant = TenantID(number: Int64(number))
            try world.store.addTenant(
                Tenant(tenant: tenant, name: "t\(number)", createdAt: world.clock.now()))
            try world.credit(1_000, reference: "g\(number)", of: tenant)
            let plan = try world.deploy(Self.workflow(), of: tenant)
            for run in 0..<5 { try start(world, plan, "a", Int64(run), of: tenant) }
        }
        #expect(world.outcomes.items.count == 100)
        #expect(world.outcomes.items.allSatisfy { $0.status == .succeeded })
    }
}
