import Assembly
import Clocks
import Engine
import Glibc
import MicroHTTPServer
import Ports
import Runtime
import SQLiteStore
import Storage
import Values

/// From the start of a process to being ready, with open runs in the file.
///
/// The harness times the second
/// process; the first, with `--fill`, makes the file.
struct RecoverBench {
    let options: BenchOptions

    func run() throws {
        if options.isFilling { return try fill() }
        let begin = ContinuousClock.now
        let bench = try BenchInstallation(options)
        let count = try bench.installation.runtime.recover()
        BenchOutput.print([
            "recovered": .int(Int64(count)),
            "ready_ms": BenchOutput.number(Double((ContinuousClock.now - begin).microseconds) / 1000),
            "max_rss_kib": .int(greatestResidentKibibytes()),
        ])
        exit(0)
    }

    /// Runs whose first step has been answered and whose second is due, or runs that sleep for weeks.
    private func fill() throws {
        let bench = try BenchInstallation(options)
        let writer = HistoryWriter(bench)
        let sleeper = options.isWaiting ? try bench.deploySleeper() : nil
        for number in 0..<options.runCount {
            if let sleeper {
                writer.addSleeping(number, sleeper)
            } else {
                writer.add(number, stepCount: 1)
            }
        }
        writer.finish()
        bench.installation.shutDown(drain: .zero)
        BenchOutput.print(["runs": .int(Int64(options.runCount))])
    }
}

/// From the start of a process on a new file to its first finished run.
struct FirstRunBench {
    let options: BenchOptions

    func run() throws {
        let begin = ContinuousClock.now
        let bench = try BenchInstallation(options)
        try bench.installation.runtime.recover()
        let load = Load(bench, runCount: 1, inFlight: 1)
        load.run()
        BenchOutput.print([
            "first_run_ms": BenchOutput.number(Double((ContinuousClock.now - begin).microseconds) / 1000),
            "failed": .int(Int64(load.failedCount)),
        ])
        exit(0)
    }
}

/// A file with finished runs of three steps each.
struct HistoryBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let writer = HistoryWriter(bench)
        for number in 0..<options.runCount { writer.add(number, stepCount: 3) }
        writer.finish()
        bench.installation.shutDown(drain: .zero)
        BenchOutput.print(["runs": .int(Int64(options.runCount))])
    }
}

/// Writes runs as the runtime would have, without sending anything: each is one commit of its whole journal.
final class HistoryWriter: @unchecked Sendable {
    // Unchecked: `waitingCount` and `failure` are read and written under `lock`.
    private static let waitingCountMax = 4_000
    private let bench: BenchInstallation
    private let surroundings: Surroundings
    private let firstRun: Int64
    private let lock = Lock()
    private let room = Condition()
    private var waitingCount = 0
    private var failure: StoreError?

    init(_ bench: BenchInstallation) {
        self.bench = bench
        surroundings = Surroundings(
            tenant: bench.tenant.tenant, secrets: OpenSecrets(), redactor: Redactor(secrets: []),
            cryptography: bench.installation.cryptography)
        // An hour ago, so that runs started now have greater ids.
        firstRun = (bench.installation.clock.now().milliseconds - 1_577_836_800_000 - 3_600_000) << 20
    }

    func add(_ number: Int, stepCount: Int) {
        let run = RunID(number: firstRun + Int64(number) * 1_000)
        var machine = RunMachine(run: run, plan: bench.plan)
        let start = bench.request(number) { _ in }.start
        var records = machine.handle(.started(start, isFunded: true), in: surroundings).records
        for step in 0..<stepCount {
            let response = OutboundResponse(
                status: 200, headers: [HTTPHeader("content-type", "application/json")],
                body: Array("{\"id\":\"ch_000001\",\"object\":\"charge\",\"status\":\"succeeded\"}".utf8))
            let outcome = TransferOutcome(
                result: .success(response), startedAt: start.at, finishedAt: start.at + .milliseconds(2))
            records += machine.handle(.answered(step: step, attempt: 1, outcome), in: surroundings).records
        }
        let isOver = stepCount == 3
        var commit = RunCommit(
            run: run, tenant: bench.tenant.tenant, entries: records.map(\.stored), isMetered: true)
        commit.start = RunRecord(
            run: run, tenant: bench.tenant.tenant, workflow: "bench", digest: bench.plan.digest,
            trigger: "http",
            status: isOver ? .succeeded : .running, startedAt: start.at, finishedAt: isOver ? start.at : nil)
        store(commit)
    }

    /// A run that sleeps, each until another second of the coming months.
    func addSleeping(_ number: Int, _ plan: RunPlan) {
        let run = RunID(number: firstRun + Int64(number) * 1_000)
        var machine = RunMachine(run: run, plan: plan)
        let until = bench.installation.clock.now() + .seconds(86_400 + Int64(number) * 7_919 % 5_000_000)
        let start = bench.request(plan, "{\"at\":\"\(until.text)\"}").start
        let records = machine.handle(.started(start, isFunded: true), in: surroundings).records
        var commit = RunCommit(
            run: run, tenant: bench.tenant.tenant, entries: records.map(\.stored), status: .waiting,
            wakeAt: until, isMetered: true)
        commit.start = RunRecord(
            run: run, tenant: bench.tenant.tenant, workflow: "sleeper", digest: plan.digest, trigger: "http",
            status: .waiting, startedAt: start.at)
        store(commit)
    }

    private func store(_ commit: RunCommit) {
        lock.lock()
        while waitingCount >= Self.waitingCountMax { room.wait(lock) }
        waitingCount += 1
        lock.unlock()
        bench.installation.store.commit(commit, inPlace: false) { [self] result in
            lock.withLock {
                if case .failure(let error) = result { failure = error }
                waitingCount -= 1
                if waitingCount < Self.waitingCountMax / 2 { room.broadcast() }
            }
        }
    }

    func finish() {
        lock.lock()
        defer { lock.unlock() }
        while waitingCount > 0 { room.wait(lock) }
        if let failure { BenchOutput.complain("a run was not written: \(failure)") }
    }
}

/// Serves webhooks until SIGTERM; each run is over with its first commit.
struct IntakeBench {
    let options: BenchOptions

    func run() throws {
        let bench = try BenchInstallation(options)
        let workflow = """
            name: intake
            version: 1
            triggers:
              - type: webhook
                when: trigger.body.type == 'payment.succeeded'
            steps:
              done:
                finish: ok
            """
        _ = try BenchInstallation.deploy(
            workflow, named: "intake", of: bench.tenant.tenant, to: bench.installation)
        let clock = bench.installation.clock
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: options.port, limits: ListenerLimits(), clock: { clock.now() },
            handler: bench.installation.api)
        let line = "http://127.0.0.1:\(listener.port)/hooks/\(bench.tenant.tenant)/intake\n"
        _ = line.withCString { write(1, $0, line.utf8.count) }
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        var signal: Int32 = 0
        sigwait(&signals, &signal)
        listener.shutDown(drain: .seconds(2))
        let flushes = bench.installation.store.flushCount
        bench.installation.shutDown(drain: .seconds(1))
        BenchOutput.print([
            "flushes": .int(flushes), "max_rss_kib": .int(greatestResidentKibibytes()),
            "runs": .int(bench.installation.runtime.metrics.count("runs_started_total")),
        ])
    }
}
