import Assembly
import Clocks
import Engine
import Glibc
import Ports
import Runtime
import SQLiteStore
import Storage
import Values
import Workflow

/// The Millrace side of `make bench`: the engine under load inside this process, measured and printed
/// as one JSON object.
///
/// See `bench/README.md`.
package enum BenchCommand {
    /// - Parameter arguments: What stands after `bench`.
    /// - Returns: The exit code.
    package static func run(_ arguments: [String]) -> Int32 {
        // Threads inherit the mask: SIGTERM is then taken by the one that waits for it.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        guard let name = arguments.first, let options = BenchOptions(Array(arguments.dropFirst())) else {
            return usage()
        }
        do {
            switch name {
            case "steps": try StepsBench(options: options).run()
            case "recover": try RecoverBench(options: options).run()
            case "first-run": try FirstRunBench(options: options).run()
            case "history": try HistoryBench(options: options).run()
            case "fan-out": try FanOutBench(options: options).run()
            case "sleepers": try SleepersBench(options: options).run()
            case "timers": try TimersBench(options: options).run()
            case "signals": try SignalsBench(options: options).run()
            case "intake": try IntakeBench(options: options).run()
            default: return usage()
            }
            return 0
        } catch {
            BenchOutput.complain("bench \(name): \(error)")
            return 1
        }
    }

    private static func usage() -> Int32 {
        BenchOutput.complain(
            "usage: bench steps|recover|first-run|history|fan-out|sleepers|timers|signals|intake --db FILE [--runs N] [--in-flight K] [--url URL] [--port P] [--through-api] [--waiting] [--at-once] [--json]"
        )
        return 2
    }
}

/// The flags of the bench; those that say how have no values.
struct BenchOptions {
    var runCount = 1_000
    var inFlight = 64
    /// Where steps go; nothing listens at the default.
    var url = "http://127.0.0.1:9/"
    var database = ""
    var port: UInt16 = 0
    var isThroughAPI = false
    var isFilling = false
    /// Whether the file is filled with runs that wait.
    var isWaiting = false
    /// Whether all timers are due at the same instant.
    var isAtOnce = false

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            switch name {
            case "--through-api": isThroughAPI = true
            case "--fill": isFilling = true
            case "--waiting": isWaiting = true
            case "--at-once": isAtOnce = true
            case "--json": break
            default:
                guard let value = rest.popFirst(), set(name, value) else { return nil }
            }
        }
        if database.isEmpty { return nil }
    }

    private mutating func set(_ name: String, _ value: String) -> Bool {
        switch name {
        case "--runs": Int(value).map { runCount = $0 } != nil
        case "--in-flight": Int(value).map { inFlight = $0 } != nil
        case "--port": UInt16(value).map { port = $0 } != nil
        case "--url":
            {
                url = value; return true
            }()
        case "--db":
            {
                database = value; return true
            }()
        default: false
        }
    }
}

enum BenchOutput {
    static func print(_ value: Value) {
        let line = JSON.text(value) + "\n"
        _ = line.withCString { write(1, $0, line.utf8.count) }
    }

    static func complain(_ text: String) {
        let line = text + "\n"
        _ = line.withCString { write(2, $0, line.utf8.count) }
    }

    /// A double with three decimals.
    static func number(_ double: Double) -> Value { Value(double: (double * 1000).rounded() / 1000) ?? .null }
}

/// Seconds of processor time used by this process so far.
func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1_000_000
}

/// The greatest resident size of this process in KiB.
func greatestResidentKibibytes() -> Int64 { memory("VmHWM:") }

/// The present resident size of this process in KiB.
func residentKibibytes() -> Int64 { memory("VmRSS:") }

private func memory(_ name: String) -> Int64 {
    let file = open("/proc/self/status", O_RDONLY)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let count = read(file, &buffer, buffer.count)
    let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
        return Int64(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "0") ?? 0
    }
    return 0
}

/// A Millrace with one tenant, funded, and the three-step workflow.
struct BenchInstallation {
    let installation: Installation
    /// Between the runtime and the transport.
    let stopwatch = Stopwatch()
    let tenant: Tenant
    let plan: RunPlan

    init(_ options: BenchOptions) throws {
        var settings = InstallationSettings(
            databasePath: options.database, masterKey: [UInt8](repeating: 7, count: 32))
        settings.runtime.tenantEgress = EgressPolicy(allowed: [.init(range: "127.0.0.1", port: nil)])
        settings.runtime.operatorEgress = settings.runtime.tenantEgress
        let stopwatch = stopwatch
        installation = try Installation(
            settings, log: .standardErrorOnly(.warning),
            wrapping: { MeasuringTransport(transport: $0, stopwatch: stopwatch) },
            onFatal: { error in
                BenchOutput.complain("the store failed: \(error)")
                exit(1)
            })
        let store = installation.store
        let now = installation.clock.now()
        tenant = Tenant(tenant: TenantID(number: 42), name: "bench", createdAt: now)
        if try store.tenant(tenant.tenant) == nil {
            try store.addTenant(tenant)
            _ = try store.credit(
                Credit(
                    tenant: tenant.tenant, milliseconds: 1 << 50, reference: "bench", fingerprint: [], at: now
                ))
        }
        plan = try Self.deploy(
            Self.workflow(url: options.url), named: "bench", of: tenant.tenant, to: installation)
    }

    static func deploy(
        _ text: String, named name: String, of tenant: TenantID, to installation: Installation
    ) throws -> RunPlan {
        let source = Array(text.utf8)
        let (definition, problems) = installation.runtime.catalog.check(source)
        guard let definition else { throw BenchFailure(reason: "\(problems)") }
        _ = try installation.runtime.catalog.deploy(
            definition, source: source, of: tenant, at: installation.clock.now())
        guard let plan = try installation.runtime.catalog.plan(named: name, of: tenant) else {
            throw BenchFailure(reason: "the workflow is gone")
        }
        return plan
    }

    static func workflow(url: String) -> String {
        """
        name: bench
        version: 1
        triggers:
          - type: http
        steps:
          one:
            request: {method: POST, url: "\(url)", body: {step: 1, order: << trigger.body.order >>}}
          two:
            after: [one]
            request: {method: POST, url: "\(url)", body: {step: 2, order: << trigger.body.order >>}}
          three:
            after: [two]
            request: {method: POST, url: "\(url)", body: {step: 3, order: << trigger.body.order >>}}
        """
    }

    func request(_ number: Int, over: @escaping @Sendable (RunOutcome) -> Void) -> StartRequest {
        request(plan, "{\"kind\":\"order\",\"order\":\(number)}", over: over)
    }

    func request(
        _ plan: RunPlan, _ body: String, over: (@Sendable (RunOutcome) -> Void)? = nil
    ) -> StartRequest {
        let start = RunStart(
            triggerKind: "http", headers: [HTTPHeader("content-type", "application/json")], query: [],
            body: Array(body.utf8), at: installation.clock.now(),
            tenantName: tenant.name, externalCustomerID: nil)
        return StartRequest(
            tenant: tenant, plan: plan, start: start, keepsWithoutFunds: false, waiter: over)
    }
}

struct BenchFailure: Error {
    var reason: String
}
