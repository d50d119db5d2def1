import Engine
import MemoryStore
import Ports
import Storage
import TestSupport
import Testing
import Values
import ZoneFiles

@testable import Runtime

@Suite("Steps of the wall clock")
struct ClockStepTests {
    private static let request = "request: {method: POST, url: https://a.example/}"
    private static let steps: [Int64] = [600, -600, 86_400, -86_400]

    private static func count(_ world: RuntimeWorld) throws -> Int {
        try world.store.runs(of: .operatorTenant, RunQuery(limit: 200)).count
    }

    private static func charged(_ world: RuntimeWorld) throws -> Int64? {
        try world.store.run(world.runs[0], of: RuntimeWorld.tenant)?.chargedMilliseconds
    }

    // MARK: - Durations

    @Test(
        "a sleep, a retry, a wait and a run's timeout last as long as they say, in memory and out of it",
        arguments: steps, [5, 3_600])
    func durations(step: Int64, seconds: Int64) throws {
        for source in [
            "steps:\n  - sleep: \(seconds)s",
            "steps:\n  - {wait: {signal: a, timeout: \(seconds)s, on_timeout: continue}}",
            "steps:\n  - sleep: << '\(seconds)s' >>",
        ] {
            let world = try RuntimeWorld()
            try world.start(try world.deploy(source))
            world.clock.advance(by: .seconds(2))
            world.clock.step(by: .seconds(step))
            world.clock.advance(by: .seconds(seconds - 2) + .milliseconds(-1))
            world.clock.advance(by: .milliseconds(1) + .microseconds(-1))
            #expect(world.outcomes.items.isEmpty, "\(source): over too early")
            world.clock.advance(by: .milliseconds(100))
            #expect(world.outcomes.items.map(\.status) == [.succeeded], "\(source): over too late")
        }
    }

    @Test("a retry comes after its delay", arguments: steps, [5, 3_600])
    func retry(step: Int64, seconds: Int64) throws {
        let world = try RuntimeWorld()
        let retry = "retry: {max: 3, backoff: fixed, jitter: none, delay: \(seconds)s, max_delay: 2h}"
        try world.start(try world.deploy("steps:\n  - {\(Self.request), \(retry)}"))
        world.transport.answer(0, .failure(.connection(reason: "x")))
        world.clock.advance(by: .seconds(1))
        world.clock.step(by: .seconds(step))
        world.clock.advance(by: .seconds(seconds - 1) + .microseconds(-1))
        #expect(world.transport.requests.count == 1)
        world.clock.advance(by: .milliseconds(100))
        #expect(world.transport.requests.count == 2)
    }

    @Test("a run's own timeout comes after its time", arguments: steps)
    func runTimeout(step: Int64) throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("timeout: 2h\nsteps:\n  - wait: never\n"))
        world.clock.advance(by: .seconds(3_600))
        world.clock.step(by: .seconds(step))
        world.clock.advance(by: .seconds(3_600) + .microseconds(-1))
        #expect(world.outcomes.items.isEmpty)
        world.clock.advance(by: .milliseconds(100))
        #expect(world.outcomes.items.map(\.error?.code) == ["run_timed_out"])
    }

    @Test("what a run is charged is the time that passed", arguments: steps)
    func metering(step: Int64) throws {
        let world = try RuntimeWorld()
        try world.credit(100_000_000, reference: "gift")
        let plan = try world.deploy(
            "steps:\n  a: {\(Self.request)}\n  b: {\(Self.request)}", of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(2))
        world.clock.step(by: .seconds(step))
        world.clock.advance(by: .seconds(1))
        world.transport.succeed(0)
        world.clock.step(by: .seconds(step))
        world.clock.advance(by: .seconds(1))
        world.transport.succeed(1)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(try Self.charged(world) == 4_000)
        #expect(world.runtime.heldMilliseconds(of: RuntimeWorld.tenant) == 0)
    }

    @Test("a race's lost attempt is charged up to the winner's answer", arguments: steps)
    func race(step: Int64) throws {
        let world = try RuntimeWorld()
        try world.credit(100_000_000, reference: "gift")
        let plan = try world.deploy(
            "steps:\n  - {strategy: {type: race, over: [1, 2]}, \(Self.request)}", of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(2))
        world.clock.step(by: .seconds(step))
        world.transport.succeed(1)
        #expect(try Self.charged(world) == 2_000)
    }

    @Test("a journal read back after a crash in the midst of it counts the same", arguments: steps)
    func crash(step: Int64) throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - sleep: 2h"))
        world.clock.advance(by: .seconds(3_600))
        world.clock.step(by: .seconds(step))
        world.clock.advance(by: .seconds(60))
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(to: world.clock.now() + .seconds(3_540) + .microseconds(-1))
        #expect(next.runtime.load.openRuns == 1)
        next.clock.advance(by: .seconds(1))
        #expect(next.runtime.load.openRuns == 0)
    }

    @Test("the journal tells the step once, and an installation that has seen one starts runs with none")
    func told() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy("steps:\n  - sleep: 5s\n  - sleep: 5s")
        try world.start(plan)
        world.clock.step(by: .seconds(600))
        world.clock.advance(by: .seconds(10))
        #expect(
            try world.kinds(of: world.runs[0]) == [
                "run.started", "step.sleeping", "clock.stepped", "step.succeeded", "step.sleeping",
                "step.succeeded", "run.finished",
            ])
        try world.start(plan)
        world.clock.advance(by: .seconds(10))
        #expect(try !world.kinds(of: world.runs[1]).contains("clock.stepped"))
        #expect(world.runtime.metrics.count("clock_steps_total", "") == 1)
    }

    // MARK: - Times

    @Test("a sleep until a time ends when the wall clock shows it", arguments: [5, 3_600])
    func sleepUntil(seconds: Int64) throws {
        for key in ["sleep: {until: '%'}", "wait: {signal: a, timeout: << '%' >>, on_timeout: continue}"] {
            let world = try RuntimeWorld()
            let due = (world.clock.now() + .seconds(seconds)).text
            let source = "steps:\n  - \(key.split(separator: "%").joined(separator: due))"
            try world.start(try world.deploy(source))
            world.clock.step(by: .seconds(1))
            world.clock.advance(by: .seconds(seconds - 1) + .microseconds(-1))
            #expect(world.outcomes.items.isEmpty, "\(source)")
            world.clock.advance(by: .microseconds(1))
            #expect(world.outcomes.items.map(\.status) == [.succeeded], "\(source)")
        }
    }

    @Test("a sleep until a time that is stepped over ends at once, and one set back waits for it again")
    func sleepUntilBothWays() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy("steps:\n  - sleep: {until: '2026-01-01T06:00:00Z'}")
        try world.start(plan)
        world.clock.step(by: .seconds(-86_400))
        world.clock.advance(by: .seconds(86_400))
        #expect(world.outcomes.items.isEmpty)
        world.clock.step(by: .seconds(86_400))
        world.clock.advance(by: .zero)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("ids rise and starts are told the wall clock's time", arguments: steps)
    func ids(step: Int64) throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy("steps:\n  - {lua: return 1}")
        try world.start(plan)
        world.clock.step(by: .seconds(step))
        try world.start(plan)
        #expect(world.runs[0] < world.runs[1])
        let second = try #require(try world.store.run(world.runs[1], of: .operatorTenant))
        #expect(second.startedAt == world.clock.now())
    }

    // MARK: - Schedules

    private static func scheduled(_ world: RuntimeWorld, _ keys: String) throws -> Scheduler {
        let scheduler = Scheduler(runtime: world.runtime, zones: ZoneFiles())
        try scheduler.start()
        try world.deploy("steps:\n  - {lua: return 1}", trigger: "{type: schedule, overlap: allow, \(keys)}")
        return scheduler
    }

    @Test("a schedule follows a clock that is set forward, and catch_up decides over what was left out")
    func forward() throws {
        for (rule, afterStep) in [("none", 0), ("one", 1), ("all", 2)] {
            let world = try RuntimeWorld()
            let scheduler = try Self.scheduled(world, "cron: '0 * * * *', catch_up: \(rule)")
            world.clock.step(by: .seconds(2 * 3_600 + 600))
            world.clock.advance(by: .zero)
            #expect(try Self.count(world) == afterStep, "\(rule)")
            world.clock.advance(by: .seconds(3_000))
            #expect(try Self.count(world) == afterStep + 1, "\(rule)")
            withExtendedLifetime(scheduler) {}
        }
    }

    @Test(
        "a small correction over an occurrence leaves it out at no rule", arguments: ["none", "one", "all"])
    func smallForward(rule: String) throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.scheduled(world, "cron: '0 * * * *', catch_up: \(rule)")
        world.clock.advance(by: .seconds(3_599))
        world.clock.step(by: .seconds(2))
        world.clock.advance(by: .zero)
        #expect(try Self.count(world) == 1)
        withExtendedLifetime(scheduler) {}
    }

    @Test("a clock that was far ahead and is set back goes on from there", arguments: ["none", "one", "all"])
    func wasAhead(rule: String) throws {
        let world = try RuntimeWorld()
        world.clock.step(by: .seconds(10 * 86_400))
        let scheduler = try Self.scheduled(world, "cron: '*/10 * * * *', catch_up: \(rule)")
        world.clock.advance(by: .seconds(1_200))
        #expect(try Self.count(world) == 2)
        world.clock.step(by: .seconds(-10 * 86_400))
        world.clock.advance(by: .seconds(1_200))
        #expect(try Self.count(world) == 4)
        withExtendedLifetime(scheduler) {}
    }

    @Test("a clock that is set back repeats nothing that was started")
    func repeatsNothing() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.scheduled(world, "cron: '0 * * * *', catch_up: all")
        world.clock.advance(by: .seconds(2 * 3_600))
        world.clock.step(by: .seconds(-2 * 3_600))
        world.clock.advance(by: .seconds(2 * 3_600))
        #expect(try Self.count(world) == 2)
        world.clock.advance(by: .seconds(3_600))
        #expect(try Self.count(world) == 3)
        withExtendedLifetime(scheduler) {}
    }

    @Test("with catch_up none, a time that passed a moment before the process began starts nothing")
    func noneMeansNone() throws {
        let world = try RuntimeWorld()
        let scheduler = try Self.scheduled(world, "cron: '0 * * * *', catch_up: none")
        world.clock.advance(by: .seconds(1_800))
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(to: world.clock.now() + .seconds(1_801))
        let revived = Scheduler(runtime: next.runtime, zones: ZoneFiles())
        try revived.start()
        next.clock.advance(by: .seconds(60))
        #expect(try Self.count(next) == 0)
        // One that comes while it runs, and is handled a little late, is no missed one.
        next.clock.jump(to: next.clock.now() + .seconds(3_600 - 30))
        next.clock.advance(by: .zero)
        #expect(try Self.count(next) == 1)
        withExtendedLifetime((scheduler, revived)) {}
    }
}
