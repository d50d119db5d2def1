import Assembly
import Engine
import Glibc
import Ports
import Runtime
import SQLiteStore
import Storage
import Values

/// Durable steps a second with a fixed number of runs under way, started in process.
struct StepsBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let load = Load(
            bench, runCount: options.runCount, inFlight: options.inFlight,
            caller: options.isThroughAPI ? try APICaller(bench) : nil)
        let flushesBefore = bench.installation.store.flushCount
        let processorBefore = processorSeconds()
        let begin = ContinuousClock.now
        load.run()
        let seconds = Double((ContinuousClock.now - begin).microseconds) / 1_000_000
        let processor = processorSeconds() - processorBefore
        let flushes = bench.installation.store.flushCount - flushesBefore
        let runs = load.latencies.sorted()
        let steps = bench.stopwatch.microseconds.sorted()
        let stepCount = Double(options.runCount * 3)
        bench.installation.shutDown(drain: .seconds(2))
        BenchOutput.print([
            "runs": .int(Int64(options.runCount)), "steps": .int(Int64(stepCount)),
            "seconds": BenchOutput.number(seconds), "steps_per_s": BenchOutput.number(stepCount / seconds),
            "cpu_s_per_1000_steps": BenchOutput.number(processor / stepCount * 1000),
            "flushes": .int(flushes), "failed": .int(Int64(load.failedCount)),
            "step_p50_ms": Self.percentile(steps, 50), "step_p99_ms": Self.percentile(steps, 99),
            "run_p50_ms": Self.percentile(runs, 50), "run_p99_ms": Self.percentile(runs, 99),
            "max_rss_kib": .int(greatestResidentKibibytes()),
        ])
    }

    /// Of microseconds, in milliseconds.
    static func percentile(_ sorted: [Int64], _ percent: Int) -> Value {
        guard !sorted.isEmpty else { return .null }
        return BenchOutput.number(Double(sorted[min(sorted.count - 1, sorted.count * percent / 100)]) / 1000)
    }
}

/// Keeps `inFlight` runs under way until `runCount` are over.
final class Load: @unchecked Sendable {
    // Unchecked: all that changes is read and written under `lock`.
    private let bench: BenchInstallation
    private let runCount: Int
    private let inFlight: Int
    private let lock = Lock()
    private var startedCount = 0
    private var finishedCount = 0
    private(set) var failedCount = 0
    private(set) var latencies: [Int64] = []
    private let done = Promise<Bool>()

    private let caller: APICaller?

    /// Starts runs through `caller`, or in process where that is nil.
    init(_ bench: BenchInstallation, runCount: Int, inFlight: Int, caller: APICaller? = nil) {
        self.bench = bench
        self.caller = caller
        self.runCount = runCount
        self.inFlight = inFlight
        latencies.reserveCapacity(runCount)
    }

    func run() {
        for _ in 0..<min(inFlight, runCount) { startNext() }
        _ = done.wait()
    }

    private func startNext() {
        let number: Int? = lock.withLock {
            guard startedCount < runCount else { return nil }
            startedCount += 1
            return startedCount
        }
        guard let number else { return }
        let begin = ContinuousClock.now
        if let caller {
            return caller.trigger(number) { [self] outcome in
                finished(outcome, after: (ContinuousClock.now - begin).microseconds)
            }
        }
        let started = StartedRun()
        let request = bench.request(number) { [self] outcome in
            started.run.map { bench.stopwatch.finish($0) }
            finished(outcome, after: (ContinuousClock.now - begin).microseconds)
        }
        bench.installation.runtime.start(request) { [self] result in
            if case .started(let run) = result { return started.run = run }
            BenchOutput.complain("a run did not start: \(result)")
            finished(RunOutcome(status: .failed), after: 0)
        }
    }

    private func finished(_ outcome: RunOutcome, after microseconds: Int64) {
        let isLast = lock.withLock {
            finishedCount += 1
            latencies.append(microseconds)
            if outcome.status != .succeeded { failedCount += 1 }
            return finishedCount == runCount
        }
        if isLast { return done.fulfil(true) }
        startNext()
    }
}
