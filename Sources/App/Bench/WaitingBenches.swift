import Assembly
import Clocks
import Engine
import Glibc
import Ports
import Runtime
import Storage
import Values
import Workflow

// Runs that wait: what they cost in memory, how late they are woken, how soon a signal reaches them.

extension BenchInstallation {
    /// A workflow that sleeps until the instant in its trigger's body.
    func deploySleeper() throws -> RunPlan {
        try Self.deploy(
            """
            name: sleeper
            version: 1
            triggers:
              - type: http
            steps:
              - sleep: {until: << trigger.body.at >>}
            """, named: "sleeper", of: tenant.tenant, to: installation)
    }

    /// A workflow that waits for a signal.
    func deployListener() throws -> RunPlan {
        try Self.deploy(
            """
            name: listener
            version: 1
            triggers:
              - type: http
            steps:
              - wait: {signal: go, timeout: 30d}
            output: << steps.step_1.signal.body.n >>
            """, named: "listener", of: tenant.tenant, to: installation)
    }
}

/// Starts runs in process, so many at a time, and waits until all of them are durable.
struct Starting {
    let bench: BenchInstallation
    private static let atOnce = 256

    /// - Parameters:
    ///   - count: How many.
    ///   - request: The one with that number.
    /// - Returns: The runs, in no particular order.
    /// - Throws: ``BenchFailure`` where one does not start.
    func start(_ count: Int, _ request: (Int) -> StartRequest) throws -> [RunID] {
        let started = Gathering<RunID>()
        for number in 0..<count {
            started.wait(until: number - Self.atOnce)
            bench.installation.runtime.start(request(number)) { result in
                guard case .started(let run) = result else {
                    BenchOutput.complain("a run did not start: \(result)")
                    exit(1)
                }
                started.add(run)
            }
        }
        started.wait(until: count)
        return started.items
    }
}

/// Collects values from any thread.
final class Gathering<Item: Sendable>: @unchecked Sendable {
    // Unchecked: `kept` is read and written under `lock`.
    private let lock = Lock()
    private let changed = Condition()
    private var kept: [Item] = []

    func add(_ item: Item) {
        lock.withLock { kept.append(item) }
        changed.broadcast()
    }

    /// Waits until there are so many.
    func wait(until count: Int) {
        lock.lock()
        while kept.count < count { changed.wait(lock) }
        lock.unlock()
    }

    var items: [Item] { lock.withLock { kept } }
}

/// What a sleeping run costs in memory.
struct SleepersBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let plan = try bench.deploySleeper()
        try bench.installation.runtime.recover()
        let until = (bench.installation.clock.now() + .seconds(86_400 * 30)).text
        func sleep(_ count: Int) throws {
            _ = try Starting(bench: bench).start(count) { _ in bench.request(plan, "{\"at\":\"\(until)\"}")
            }
        }
        // The first ones fill caches and buffers that later ones share.
        try sleep(2_000)
        let before = residentKibibytes()
        let begin = ContinuousClock.now
        try sleep(options.runCount)
        let seconds = Double((ContinuousClock.now - begin).microseconds) / 1_000_000
        let growth = max(0, residentKibibytes() - before)
        let load = bench.installation.runtime.load
        bench.installation.shutDown(drain: .zero)
        BenchOutput.print([
            "runs": .int(Int64(options.runCount)), "waiting": .int(Int64(load.waitingRuns)),
            "in_memory": .int(Int64(load.openRuns - load.waitingRuns)),
            "bytes_per_run": BenchOutput.number(Double(growth) * 1024 / Double(options.runCount)),
            "runs_per_s": BenchOutput.number(Double(options.runCount) / seconds),
            "max_rss_kib": .int(greatestResidentKibibytes()),
        ])
    }
}

/// How late sleeping runs go on: from the instant that was asked for to a durable outcome.
struct TimersBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let plan = try bench.deploySleeper()
        try bench.installation.runtime.recover()
        let clock = bench.installation.clock
        // Time enough to start them all, and for each to leave memory.
        let first = clock.now() + .seconds(7) + .microseconds(Int64(options.runCount) * 200)
        let lateness = Gathering<Int64>()
        let count = Int64(options.runCount)
        _ = try Starting(bench: bench).start(options.runCount) { number in
            // Within one second, in whole milliseconds, as the text has them.
            let offset = options.isAtOnce ? 0 : Int64(number) * 7_919 % count * 1000 / count
            let due = Instant(milliseconds: first.milliseconds + offset)
            return bench.request(plan, "{\"at\":\"\(due.text)\"}") { _ in
                lateness.add((clock.now() - due).microseconds)
            }
        }
        let waiting = bench.installation.runtime.load.waitingRuns
        let processor = processorSeconds()
        lateness.wait(until: options.runCount)
        let used = processorSeconds() - processor
        bench.installation.shutDown(drain: .zero)
        let sorted = lateness.items.sorted()
        BenchOutput.print([
            "timers": .int(count), "left_memory": .int(Int64(waiting)),
            "late_p50_ms": StepsBench.percentile(sorted, 50),
            "late_p99_ms": StepsBench.percentile(sorted, 99),
            "late_max_ms": StepsBench.percentile(sorted, 100), "early": .int(Int64(sorted.count { $0 < 0 })),
            "cpu_s_per_1000": BenchOutput.number(used / Double(count) * 1000),
            "max_rss_kib": .int(greatestResidentKibibytes()),
        ])
    }
}

/// How soon a signal reaches a step of a run that is out of memory: from the call to the answer, which comes
/// once the step's outcome is durable.
struct SignalsBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let plan = try bench.deployListener()
        try bench.installation.runtime.recover()
        let over = Gathering<Bool>()
        let runs = try Starting(bench: bench).start(options.runCount) { _ in
            bench.request(plan, "{}") { over.add($0.status == .succeeded) }
        }
        let waiting = bench.installation.runtime.load.waitingRuns
        let api = options.isThroughAPI ? try APICaller(bench) : nil
        let answered = Gathering<Int64>()
        for (number, run) in runs.enumerated() {
            answered.wait(until: number + 1 - options.inFlight)
            let begin = ContinuousClock.now
            let done: @Sendable (Bool) -> Void = { isStored in
                if !isStored { BenchOutput.complain("a signal was not stored") }
                answered.add((ContinuousClock.now - begin).microseconds)
            }
            if let api {
                api.signal(run, number, done)
            } else {
                let signal = RunSignal(id: "\(number)", name: "go", body: ["n": .int(Int64(number))])
                bench.installation.runtime.signal(run, of: bench.tenant.tenant, signal) {
                    done($0 == .stored)
                }
            }
        }
        answered.wait(until: runs.count)
        over.wait(until: runs.count)
        bench.installation.shutDown(drain: .zero)
        let sorted = answered.items.sorted()
        BenchOutput.print([
            "signals": .int(Int64(runs.count)), "left_memory": .int(Int64(waiting)),
            "failed": .int(Int64(over.items.count { !$0 })),
            "p50_ms": StepsBench.percentile(sorted, 50), "p99_ms": StepsBench.percentile(sorted, 99),
            "max_ms": StepsBench.percentile(sorted, 100),
        ])
    }
}
