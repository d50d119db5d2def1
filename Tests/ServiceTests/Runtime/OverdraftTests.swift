import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

/// A balance falls below zero by the time of one attempt at most.
@Suite("What is in flight is held off the balance")
struct OverdraftTests {
    private static let tenant = RuntimeWorld.tenant
    /// One request of 30 s, the default.
    private static let one = "steps:\n  a: {request: {url: https://a.example/}}"

    private func world(
        credit: Int64, completesOnFlush: Bool = false, overdraftMax: Duration = .zero
    ) throws -> RuntimeWorld {
        var options = RuntimeOptions()
        options.overdraftMax = overdraftMax
        let world = try RuntimeWorld(completesOnFlush: completesOnFlush, options: options)
        try world.credit(credit, reference: "first")
        return world
    }

    private func balance(_ world: RuntimeWorld) throws -> Int64 {
        try world.store.account(of: Self.tenant).balanceMilliseconds
    }

    private func start(_ count: Int, of yaml: String = one, in world: RuntimeWorld) throws {
        let plan = try world.deploy(yaml, of: Self.tenant)
        for _ in 0..<count { try world.start(plan, of: Self.tenant) }
    }

    private func pauseCount(_ world: RuntimeWorld) throws -> Int {
        try world.runs.reduce(0) { count, run in
            count + (try world.kinds(of: run).filter { $0 == "run.paused" }.count)
        }
    }

    @Test("1,000 ms and 50 runs of 30 s each: one is sent, all are taken, and the balance falls to -29 s")
    func oneAttemptAtMost() throws {
        let world = try world(credit: 1000)
        try start(50, in: world)
        #expect(
            world.runs.count == 50, "a run without room begins paused; a refusal is for no balance at all")
        #expect(world.transport.requests.count == 1)
        world.clock.advance(by: .seconds(30))
        world.transport.answer(0, .failure(.timeout))
        #expect(try balance(world) == -29_000)
        #expect(world.transport.requests.count == 1)
        try world.start(
            try #require(try world.runtime.catalog.plan(named: "flow", of: Self.tenant)), of: Self.tenant)
        guard case .unfunded? = world.results.items.last else {
            return #expect(Bool(false), "\(world.results.items)")
        }
    }

    @Test("what may be overdrawn makes room for more runs in flight, and for none at a balance of zero")
    func overdraft() throws {
        let world = try world(credit: 1000, overdraftMax: .seconds(120))
        try start(50, in: world)
        // 121 s: the fifth is sent while 1 s is left beside four.
        #expect(world.transport.requests.count == 5)
        world.clock.advance(by: .seconds(30))
        for number in 0..<5 { world.transport.answer(number, .failure(.timeout)) }
        #expect(try balance(world) == 1000 - 5 * 30_000)
        #expect(world.transport.requests.count == 5)
        try world.credit(149_001, reference: "second")
        world.runtime.balanceChanged(of: Self.tenant)
        // 1 ms: as many again, since the overdraft is there again.
        #expect(world.transport.requests.count == 10)
    }

    @Test("a rich tenant's runs all go at once, and none is paused")
    func plenty() throws {
        let world = try world(credit: 50 * 30_000 + 1)
        try start(50, in: world)
        #expect(world.transport.requests.count == 50)
        #expect(try pauseCount(world) == 0)
    }

    @Test("as holds end the paused runs go on, the oldest first, each pausing once at most")
    func goOnInOrder() throws {
        // Room for two: the second is sent while 1 ms is left beside the first.
        let world = try world(credit: 30_001)
        try start(20, in: world)
        #expect(world.transport.requests.count == 2)
        for number in 0..<20 {
            world.clock.advance(by: .milliseconds(10))
            world.transport.succeed(number)
            // Beside a run that holds 30 s there is no room any more.
            let expected = min(20, max(2, number + 2))
            #expect(world.transport.requests.count == expected, "after \(number + 1) answers")
        }
        #expect(world.outcomes.items.map(\.status) == Array(repeating: .succeeded, count: 20))
        let order = world.transport.requests.map { $0.headers["millrace-run"] ?? "" }
        #expect(order == world.runs.map { "\($0)" })
        #expect(try pauseCount(world) == 18)
    }

    @Test("a credit resumes as many as it makes room for, and each of those sends")
    func creditMakesRoom() throws {
        let world = try world(credit: 1)
        try start(50, in: world)
        #expect(world.transport.requests.count == 1)
        // 300,001 ms, of which one run holds 30 s: nine more, and the last one on 30,001 ms.
        try world.credit(300_000, reference: "second")
        world.runtime.balanceChanged(of: Self.tenant)
        #expect(world.transport.requests.count == 11)
        let resumed = try world.runs.filter { try world.kinds(of: $0).contains("run.resumed") }
        #expect(resumed == Array(world.runs[1...10]))
        #expect(try pauseCount(world) == 49)
    }

    @Test("steps of one run side by side count once: all are sent on any balance")
    func parallelStepsCountOnce() throws {
        let world = try world(credit: 1)
        try start(
            1,
            of: """
                steps:
                  each: {strategy: {type: fan_out, over: 40, concurrency: 40}, request: {url: https://a.example/}}
                """, in: world)
        #expect(world.transport.requests.count == 40)
        world.clock.advance(by: .seconds(30))
        for number in 0..<40 { world.transport.answer(number, .failure(.timeout)) }
        #expect(try balance(world) == 1 - 30_000)
    }

    @Test(
        "what has waited in the transport's queue starts only where there is still room, else the run pauses")
    func lateStarts() throws {
        let world = try world(credit: 1000)
        try start(
            1,
            of: """
                steps:
                  each: {strategy: {type: fan_out, over: 3}, request: {url: https://a.example/}}
                """, in: world)
        let sent = world.transport.requests
        #expect(sent.count == 3)
        world.clock.advance(by: .milliseconds(500))
        let gate = try #require(sent[1].gate)
        #expect(
            gate.mayStart(timeout: .seconds(29), at: world.clock.now()), "it ends no later than the others")
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 30_000)
        #expect(gate.mayStart(timeout: .seconds(30), at: world.clock.now()))
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 30_500, "it ends later")
        world.clock.advance(by: .seconds(29))
        world.transport.succeed(0)
        #expect(try balance(world) == -28_500)
        #expect(!gate.mayStart(timeout: .seconds(30), at: world.clock.now()))
        world.transport.answer(2, .failure(.cancelled))
        #expect(try world.status(of: world.runs[0], Self.tenant) == .paused)
        world.transport.succeed(1)
        #expect(world.transport.requests.count == 3)
        try world.credit(60_000, reference: "second")
        world.runtime.balanceChanged(of: Self.tenant)
        #expect(world.transport.steps == ["each/1", "each/2", "each/3", "each/3"])
        world.transport.succeed(3)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 0)
    }

    @Test("a run's own time in flight counts: what comes after it on the same balance waits")
    func ownTimeCounts() throws {
        let world = try world(credit: 10_000)
        try start(
            1,
            of: """
                steps:
                  a: {request: {url: https://a.example/}}
                  early: {sleep: 5s}
                  b: {after: early, request: {url: https://b.example/}}
                  late: {sleep: 20s}
                  c: {after: late, request: {url: https://c.example/}}
                """, in: world)
        world.clock.advance(by: .seconds(5))
        #expect(world.transport.steps == ["a", "b"])
        world.clock.advance(by: .seconds(15))
        #expect(world.transport.steps == ["a", "b"], "20 s are used and not charged yet")
        world.clock.advance(by: .seconds(15))
        world.transport.answer(0, .failure(.timeout))
        world.transport.answer(1, .failure(.timeout))
        #expect(try balance(world) == 10_000 - 35_000)
    }

    private static let retrying =
        "steps:\n  r: {request: {url: https://r.example/}, retry: {max: 1, delay: 3s, jitter: none}}"

    @Test("a hold lasts until its charge is durable: nobody slips in between")
    func heldUntilDurable() throws {
        let world = try world(credit: 1000, completesOnFlush: true)
        let other = try world.deploy(Self.retrying, name: "retrying", of: Self.tenant)
        try world.start(other, of: Self.tenant)
        world.store.flush()
        world.transport.answer(0, .failure(.connection(reason: "refused")))
        world.store.flush()
        try start(1, in: world)
        world.store.flush()
        #expect(world.transport.steps == ["r", "a"])
        world.clock.advance(by: .seconds(2))
        world.transport.succeed(1)
        // The other's second try needs no commit: it finds the balance as it was, and the hold.
        world.clock.advance(by: .seconds(1))
        #expect(world.transport.steps == ["r", "a"])
        for _ in 0..<3 { world.store.flush() }
        #expect(try balance(world) == -1000)
        #expect(world.transport.steps == ["r", "a"])
        #expect(try world.status(of: world.runs[0], Self.tenant) == .paused)
    }

    @Test("a run that waits for its next try holds nothing meanwhile")
    func retryHoldsNothing() throws {
        let world = try world(credit: 1000)
        try world.start(try world.deploy(Self.retrying, name: "retrying", of: Self.tenant), of: Self.tenant)
        try start(1, in: world)
        #expect(world.transport.steps == ["r"])
        world.transport.answer(0, .failure(.connection(reason: "refused")))
        #expect(world.transport.steps == ["r", "a"])
        world.clock.advance(by: .milliseconds(100))
        world.transport.succeed(1)
        world.clock.advance(by: .seconds(3))
        #expect(world.transport.steps == ["r", "a", "r"])
    }

    @Test("a run without room is stored paused, in the commit of its start")
    func beginsPaused() throws {
        let world = try world(credit: 1000, completesOnFlush: true)
        try start(1, in: world)
        world.store.flush()
        try start(1, in: world)
        world.store.flush()
        #expect(try world.kinds(of: world.runs[1]) == ["run.started", "run.paused"])
        #expect(try world.status(of: world.runs[1], Self.tenant) == .paused)
    }

    @Test("holds die with the process: the next one sends through the same door, and none is left at the end")
    func killedInFlight() throws {
        var world = try world(credit: 30_001)
        try start(5, in: world)
        #expect(world.transport.requests.count == 2)
        let runs = world.runs
        for _ in 0..<3 {
            world = try world.crashed()
            try world.runtime.recover()
            #expect(world.transport.requests.count == 2)
        }
        for number in 0..<5 { world.transport.succeed(number) }
        for run in runs { #expect(try world.status(of: run, Self.tenant) == .succeeded) }
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 0)
    }

    @Test("a hold ends with a cancelled run, a run that sleeps and a lost race")
    func holdsEnd() throws {
        let world = try world(credit: 1000)
        try start(
            1,
            of: """
                steps:
                  - {id: first, strategy: {type: race, over: 2}, request: {url: https://a.example/}}
                  - {id: rest, sleep: 1h}
                  - {id: last, request: {url: https://b.example/}}
                """, in: world)
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 30_000)
        world.transport.succeed(0)
        world.clock.advance(by: .zero)
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 0)
        world.clock.advance(by: .seconds(3600))
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 30_000)
        #expect(world.cancel(world.runs[0], of: Self.tenant, reason: "x") != false)
        world.transport.succeed(2)
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(world.runtime.heldMilliseconds(of: Self.tenant) == 0)
    }

    @Test("an undoing goes on without room, and others wait for it")
    func undoingGoesOn() throws {
        let world = try world(credit: 100)
        let saga = try world.deploy(
            """
            steps:
              - id: charge
                request: {url: https://a.example/}
                compensate: {request: {url: https://undo.example/}}
              - {id: b, request: {url: https://b.example/}}
            """, name: "saga", of: Self.tenant)
        try world.start(saga, of: Self.tenant)
        world.clock.advance(by: .milliseconds(200))
        world.transport.succeed(0)
        #expect(try balance(world) == -100)
        #expect(world.cancel(world.runs[0], of: Self.tenant, reason: "x") != false)
        #expect(world.transport.steps == ["charge", "charge/compensate"])
        try world.credit(1000, reference: "second")
        world.runtime.balanceChanged(of: Self.tenant)
        try start(1, in: world)
        #expect(world.transport.requests.count == 2)
        world.transport.succeed(1)
        #expect(world.transport.steps == ["charge", "charge/compensate", "a"])
    }

    @Test("a balance that cannot be read just now is read again, and the paused runs go on then (I11)")
    func unreadableBalance() throws {
        let world = try world(credit: 1)
        try start(3, in: world)
        world.clock.advance(by: .milliseconds(5))
        world.transport.succeed(0)
        #expect(world.transport.requests.count == 1)
        try world.credit(1_000_000, reference: "second")
        world.store.failReads(with: .full)
        world.runtime.balanceChanged(of: Self.tenant)
        #expect(world.transport.requests.count == 1)
        world.clock.advance(by: .seconds(20))
        #expect(world.transport.requests.count == 1)
        world.store.failReads(with: nil)
        world.clock.advance(by: .seconds(64))
        #expect(world.transport.requests.count == 3)
    }

    @Test("paused runs that are cancelled are forgotten, the others still go on in order")
    func cancelledWhilePaused() throws {
        let world = try world(credit: 1000)
        try start(400, in: world)
        for run in world.runs[1..<390] { _ = world.cancel(run, of: Self.tenant, reason: "x") }
        try world.credit(10_000_000, reference: "second")
        world.runtime.balanceChanged(of: Self.tenant)
        let order = world.transport.requests.map { $0.headers["millrace-run"] ?? "" }
        #expect(order == ([world.runs[0]] + world.runs[390...]).map { "\($0)" })
    }
}
