import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values
import Workflow
import ZoneFiles

@Suite("Runs by the calendar")
struct SchedulerTests {
    /// The clock begins at 2026-01-01T00:00:00Z.
    private static let finishing = "steps:\n  one: {lua: 'return 1'}\n"
    private static let calling = "steps:\n  one: {request: {method: GET, url: 'https://a.example/'}}\n"

    private static func schedule(_ keys: String) -> String { "{type: schedule, \(keys)}" }

    private static func begin(_ world: RuntimeWorld) throws -> Scheduler {
        let scheduler = Scheduler(runtime: world.runtime, zones: ZoneFiles())
        try scheduler.start()
        return scheduler
    }

    /// When runs were scheduled, oldest first.
    private static func starts(_ world: RuntimeWorld, of tenant: TenantID = .operatorTenant) throws
        -> [String]
    {
        try world.store.runs(of: tenant, RunQuery(limit: 200)).reversed().map {
            String($0.startedAt.text.prefix(16))
        }
    }

    private static func count(_ world: RuntimeWorld, of tenant: TenantID = .operatorTenant) throws -> Int {
        try world.store.runs(of: tenant, RunQuery(limit: 200)).count
    }

    @Test("each occurrence starts one run, and a second process on the same store none again")
    func oncePerOccurrence() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(Self.finishing, trigger: Self.schedule("cron: '*/10 * * * *'"))
        #expect(
            scheduler.schedules(of: "flow", tenant: .operatorTenant).first?.nextAt == world.clock.now()
                + .seconds(600))
        world.clock.advance(by: .seconds(3600))
        #expect(try Self.count(world) == 6)
        let second = Scheduler(runtime: world.runtime, zones: ZoneFiles())
        try second.start()
        world.clock.advance(by: .zero)
        #expect(try Self.count(world) == 6)
        world.clock.advance(by: .seconds(600))
        #expect(try Self.count(world) == 7)
        withExtendedLifetime((scheduler, second)) {}
    }

    @Test(
        "after a time without a process catch_up decides",
        arguments: [("none", 1), ("one", 2), ("all", 24)])
    func catchUp(rule: String, expected: Int) throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            Self.finishing, trigger: Self.schedule("cron: '0 * * * *', overlap: allow, catch_up: \(rule)"))
        world.clock.advance(by: .seconds(3600))
        #expect(try Self.count(world) == 1)
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .seconds(23 * 3600 + 1800))
        let revived = try Self.begin(next)
        next.clock.advance(by: .zero)
        #expect(try Self.count(next) == expected)
        withExtendedLifetime((scheduler, revived)) {}
    }

    @Test(
        "overlap skips, keeps the newest one waiting, or lets both run",
        arguments: [("skip", 1, 1), ("queue", 1, 2), ("allow", 3, 3)])
    func overlap(rule: String, whileOpen: Int, afterwards: Int) throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(Self.calling, trigger: Self.schedule("cron: '*/10 * * * *', overlap: \(rule)"))
        world.clock.advance(by: .seconds(1800))
        #expect(try Self.count(world) == whileOpen)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(1))
        #expect(try Self.count(world) == afterwards)
        withExtendedLifetime(scheduler) {}
    }

    @Test("a tenant without balance has its occurrences skipped and counted, not piled up")
    func unfunded() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            Self.finishing, of: RuntimeWorld.tenant,
            trigger: Self.schedule("cron: '0 * * * *', catch_up: all"))
        world.clock.advance(by: .seconds(3 * 3600))
        #expect(try Self.count(world, of: RuntimeWorld.tenant) == 0)
        let refusals = try world.store.refusals(of: "flow", of: RuntimeWorld.tenant)
        #expect(refusals.map(\.reason) == [.balance])
        #expect(refusals.first?.count == 3)
        try world.credit(1000, reference: "a")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(3600))
        #expect(try Self.count(world, of: RuntimeWorld.tenant) == 1)
        withExtendedLifetime(scheduler) {}
    }

    @Test(
        "occurrences that a full engine cannot start are tried again together, by one alarm, and each starts once"
    )
    func triedAgainTogether() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 1
        let world = try RuntimeWorld(options: options)
        let scheduler = try Self.begin(world)
        for name in ["a", "b", "c"] {
            try world.deploy(Self.finishing, name: name, trigger: Self.schedule("cron: '0 1 1 1 *'"))
        }
        try world.start(try world.deploy(Self.calling, name: "blocker"))
        world.clock.advance(by: .seconds(3600))
        let count = world.clock.alarmCount
        world.clock.advance(by: .seconds(30))
        #expect(world.clock.alarmCount == count)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(60))
        #expect(try Self.count(world) == 4)
        withExtendedLifetime(scheduler) {}
    }

    @Test("while a tenant has as many runs open as one may, of each workflow the newest occurrence waits")
    func newestWaitsForRoom() throws {
        var options = RuntimeOptions()
        options.openRunCountPerTenantMax = 1
        let world = try RuntimeWorld(options: options)
        try world.credit(36_000_000, reference: "gift")
        let scheduler = try Self.begin(world)
        for name in ["a", "b"] {
            try world.deploy(
                Self.finishing, name: name, of: RuntimeWorld.tenant,
                trigger: Self.schedule("cron: '0 * * * *', overlap: allow"))
        }
        let blocker = try world.deploy(Self.calling, name: "blocker", of: RuntimeWorld.tenant)
        try world.start(blocker, of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(6 * 3600 + 60))
        #expect(try Self.count(world, of: RuntimeWorld.tenant) == 1)
        let dropped = "schedule_occurrences_dropped_total"
        #expect(world.runtime.metrics.count(dropped, "reason=\"open_runs\"") == 10)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(60))
        #expect(try Self.count(world, of: RuntimeWorld.tenant) == 3)
        let scheduled = try world.store.runs(of: RuntimeWorld.tenant, RunQuery(limit: 9)).compactMap { run in
            run.trigger == "schedule" ? try world.store.entries(of: run.run).first?.body : nil
        }
        let times = try scheduled.map { try JSON.parse($0).object?["scheduled_at"]?.text }
        #expect(times == ["2026-01-01T06:00:00.000Z", "2026-01-01T06:00:00.000Z"])
        withExtendedLifetime(scheduler) {}
    }

    @Test("a fork of a scheduled run is no occurrence, also while it waits and after a restart")
    func forkIsNoOccurrence() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            "steps:\n  one: {sleep: 30d}\n", trigger: Self.schedule("cron: '0 * * * *', overlap: skip"))
        world.clock.advance(by: .seconds(3600))
        let first = try #require(try world.store.runs(of: .operatorTenant, RunQuery(limit: 9)).first)
        let tenant = try #require(try world.store.tenant(.operatorTenant))
        world.runtime.fork(ForkRequest(tenant: tenant, record: first, kind: .fork, step: "one")) { _ in }
        #expect(world.cancel(first.run, of: .operatorTenant, reason: "x") == true)
        #expect(try Self.count(world) == 2)
        let next = try world.crashed()
        try next.runtime.recover()
        let revived = try Self.begin(next)
        next.clock.advance(by: .seconds(3600))
        #expect(try Self.count(next) == 3)
        withExtendedLifetime((scheduler, revived)) {}
    }

    @Test("a changed expression counts from its deployment, and a deleted workflow starts nothing")
    func changes() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(Self.finishing, trigger: Self.schedule("cron: '0 * * * *'"))
        world.clock.advance(by: .seconds(3600))
        try world.deploy(Self.finishing, trigger: Self.schedule("cron: '30 0 2 1 *'"))
        world.clock.advance(by: .seconds(5 * 3600))
        #expect(try Self.count(world) == 1)
        world.clock.advance(by: .seconds(24 * 3600))
        #expect(try Self.count(world) == 2)
        _ = try world.catalog.delete("flow", of: .operatorTenant)
        #expect(scheduler.schedules(of: "flow", tenant: .operatorTenant).isEmpty)
        world.clock.advance(by: .seconds(400 * 86_400))
        #expect(try Self.count(world) == 2)
    }

    @Test("in the nights of the change each local time starts once")
    func changeOfClocks() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        world.clock.advance(to: try #require(Instant(rfc3339: "2026-03-28T12:00:00Z")))
        try world.deploy(
            Self.finishing, trigger: Self.schedule("cron: '30 2 * * *', timezone: Europe/Amsterdam"))
        world.clock.advance(by: .seconds(2 * 86_400))
        #expect(try Self.starts(world) == ["2026-03-29T01:00", "2026-03-30T00:30"])
        withExtendedLifetime(scheduler) {}
    }

    @Test(
        "an alarm that comes late starts what it stands for; after a minute catch_up decides",
        arguments: [
            ("none", 30, 1), ("none", 90, 0), ("one", 90, 1), ("one", 7_300, 1), ("all", 7_300, 3),
        ])
    func lateAlarm(rule: String, secondsLate: Int64, expected: Int) throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            Self.finishing, trigger: Self.schedule("cron: '0 * * * *', overlap: allow, catch_up: \(rule)"))
        world.clock.jump(to: world.clock.now() + .seconds(3600 + secondsLate))
        world.clock.advance(by: .zero)
        #expect(try Self.count(world) == expected)
        // The next one is on time again.
        world.clock.advance(by: .seconds(3600))
        #expect(try Self.count(world) == expected + 1)
        withExtendedLifetime(scheduler) {}
    }

    @Test("a clock that is set back starts no occurrence twice and none early")
    func clockSetBack() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(Self.finishing, trigger: Self.schedule("cron: '0 * * * *', catch_up: all"))
        let begin = world.clock.now()
        world.clock.advance(by: .seconds(2 * 3600 + 1800))
        #expect(try Self.count(world) == 2)
        world.clock.jump(to: begin)
        world.clock.advance(by: .seconds(2 * 3600 + 3599))
        #expect(try Self.count(world) == 2)
        world.clock.advance(by: .seconds(1))
        #expect(try Self.count(world) == 3)
        // The same for the next process: what was handled is known to the store.
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.jump(to: begin)
        let revived = try Self.begin(next)
        next.clock.advance(by: .seconds(3 * 3600 + 1))
        #expect(try Self.count(next) == 3)
        withExtendedLifetime((scheduler, revived)) {}
    }

    @Test("after a clock that was far ahead has come back, schedules go on from now, and repeat nothing")
    func clockWasAhead() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        let rule = "cron: '0 * * * *', overlap: allow, catch_up: all"
        try world.deploy(Self.finishing, trigger: Self.schedule(rule))
        let begin = world.clock.now()
        world.clock.advance(by: .seconds(2 * 3600 + 1800))
        let before = try Self.starts(world)
        world.clock.jump(to: begin + .seconds(2 * 366 * 86_400))
        world.clock.advance(by: .zero)
        try world.deploy(Self.finishing, name: "later", trigger: Self.schedule(rule))
        world.clock.advance(by: .seconds(3600))
        let ahead = try Self.count(world)
        #expect(before == ["2026-01-01T01:00", "2026-01-01T02:00"] && ahead > 100)
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.jump(to: begin + .seconds(3 * 3600 + 600))
        let revived = try Self.begin(next)
        next.clock.advance(by: .zero)
        #expect(try Self.count(next) == ahead, "three o'clock passed under the other clock")
        next.clock.advance(by: .seconds(2 * 3600))
        #expect(try Self.count(next) == ahead + 4, "both workflows at four and at five")
        // A restart after that goes on from there, and catches up with what it has missed.
        let last = try next.crashed()
        try last.runtime.recover()
        last.clock.advance(by: .seconds(2 * 3600))
        let third = try Self.begin(last)
        last.clock.advance(by: .zero)
        #expect(try Self.count(last) == ahead + 8)
        withExtendedLifetime((scheduler, revived, third)) {}
    }

    @Test("a clock that was behind for a while starts nothing anew, also of times whose keys are forgotten")
    func clockWasBehind() throws {
        let world = try RuntimeWorld()
        try world.credit(1_000, reference: "gift")
        let scheduler = try Self.begin(world)
        try world.deploy(
            Self.finishing, of: RuntimeWorld.tenant,
            trigger: Self.schedule("cron: '0 0 * * *', overlap: allow, catch_up: all"))
        let begin = world.clock.now()
        for _ in 0..<60 { world.clock.advance(by: .seconds(86_400)) }
        #expect(try Self.count(world, of: RuntimeWorld.tenant) == 60)
        while world.runtime.keepHouse() {}
        #expect(try Self.count(world, of: RuntimeWorld.tenant) <= 31)
        let behind = try world.crashed()
        try behind.runtime.recover()
        behind.clock.jump(to: begin + .seconds(-365 * 86_400))
        let second = try Self.begin(behind)
        behind.clock.advance(by: .seconds(1))
        let next = try behind.crashed()
        try next.runtime.recover()
        next.clock.jump(to: begin + .seconds(62 * 86_400 + 600))
        let third = try Self.begin(next)
        next.clock.advance(by: .zero)
        let today = next.clock.now().text.prefix(10)
        let started = try Self.starts(next, of: RuntimeWorld.tenant).filter { $0.hasPrefix(today) }
        #expect(started.count == 2, "the days that passed meanwhile")
        withExtendedLifetime((scheduler, second, third)) {}
    }

    @Test("two schedules of one workflow start a run each, and one where they coincide")
    func twoTriggers() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            Self.finishing,
            trigger: Self.schedule("cron: '*/20 * * * *'") + "\n  - " + Self.schedule("cron: '*/30 * * * *'"))
        world.clock.advance(by: .seconds(3600))
        #expect(
            try Self.starts(world) == [
                "2026-01-01T00:20", "2026-01-01T00:30", "2026-01-01T00:40", "2026-01-01T01:00",
            ])
        let schedules = scheduler.schedules(of: "flow", tenant: .operatorTenant)
        #expect(schedules.map(\.rule.cron) == ["*/20 * * * *", "*/30 * * * *"])
        #expect(schedules.map { $0.nextAt?.text.prefix(16) } == ["2026-01-01T01:20", "2026-01-01T01:30"])
    }

    @Test(
        "an occurrence that waits survives a crash with the rule of its own schedule",
        arguments: [("skip", "queue", 2), ("queue", "skip", 1)])
    func queuedAcrossCrash(first: String, second: String, expected: Int) throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        world.clock.advance(by: .seconds(1800))
        // The second one's occurrence comes while the first one's run is open.
        try world.deploy(
            Self.calling,
            trigger: Self.schedule("cron: '0 * * * *', overlap: \(first)") + "\n  - "
                + Self.schedule("cron: '10 * * * *', overlap: \(second)"))
        world.clock.advance(by: .seconds(2400))
        world.clock.advance(by: .seconds(1))
        #expect(try Self.count(world) == 1)
        let next = try world.crashed()
        try next.runtime.recover()
        let revived = try Self.begin(next)
        next.clock.advance(by: .seconds(1))
        #expect(try Self.count(next) == 1)
        next.transport.succeed(0)
        next.clock.advance(by: .seconds(1))
        #expect(try Self.count(next) == expected)
        withExtendedLifetime((scheduler, revived)) {}
    }

    @Test("a run that sleeps, out of memory, still counts for overlap, also after a restart")
    func sleepingRunOverlaps() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.begin(world)
        try world.deploy(
            "steps:\n  - sleep: 150m", trigger: Self.schedule("cron: '0 * * * *', overlap: queue"))
        world.clock.advance(by: .seconds(3600))
        #expect(world.runtime.load.waitingRuns == 1)
        world.clock.advance(by: .seconds(3600))
        #expect(try Self.count(world) == 1)
        world.clock.advance(by: .seconds(1))
        let next = try world.crashed()
        try next.runtime.recover()
        let revived = try Self.begin(next)
        #expect(next.runtime.load.waitingRuns == 1)
        next.clock.advance(by: .seconds(3600))
        #expect(try Self.count(next) == 1)
        next.clock.advance(by: .seconds(1800))
        #expect(try Self.count(next) == 2)
        withExtendedLifetime((scheduler, revived)) {}
    }

    @Test(
        "a fork of a scheduled run that sleeps does not count for overlap, also after a restart",
        arguments: [false, true])
    func sleepingForkDoesNotOverlap(restarts: Bool) throws {
        var world = try RuntimeWorld()
        var schedulers = [try Self.begin(world)]
        try world.deploy(
            "steps:\n  - {id: nap, sleep: 10m}", trigger: Self.schedule("cron: '0 * * * *', overlap: skip"))
        world.clock.advance(by: .seconds(3600 + 3300))
        let first = try #require(try world.store.runs(of: .operatorTenant, RunQuery(limit: 1)).first)
        #expect(first.status == .succeeded)
        world.runtime.fork(
            ForkRequest(
                tenant: try #require(try world.store.tenant(.operatorTenant)), record: first, kind: .fork,
                step: "nap")
        ) { _ in }
        if restarts {
            world = try world.crashed()
            try world.runtime.recover()
            schedulers.append(try Self.begin(world))
        }
        #expect(world.runtime.load.waitingRuns == 1)
        world.clock.advance(by: .seconds(360))
        #expect(try Self.count(world) == 3, "the run, its fork, and the second occurrence beside it")
        withExtendedLifetime(schedulers) {}
    }
}
