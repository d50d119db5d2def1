import Billing
import Clocks
import Engine
import Foundation
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import Storage
import TestSupport
import Testing
import Values
import ZoneFiles

/// A transport with one thread of its own, as a real one has: it calls completions and performs actions there.
private final class TurningTransport: Transport {
    private let thread = ActionThread()
    private let clock: any RunClock
    let sentKeys = Recorder<String>()

    init(clock: any RunClock) { self.clock = clock }

    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    {
        let start = clock.now()
        sentKeys.add(request.headers["idempotency-key"] ?? "")
        perform {
            // Long enough to be charged for.
            let end = max(self.clock.now(), start + .milliseconds(2))
            completion(TransferOutcome(result: ScriptedTransport.ok(), startedAt: start, finishedAt: end))
        }
        return TransferID(number: 0)
    }

    func cancel(_ id: TransferID) {}

    func perform(_ action: @escaping @Sendable () -> Void) {
        if !thread.perform(action) { action() }
    }

    func shutDown() { thread.shutDown(finishing: true) }
}

/// A runtime on a real file, with real threads and a real clock.
private final class DiskWorld {
    let store: SQLiteStore
    let clock = SystemClock()
    let transport: TurningTransport
    let catalog: Catalog
    let runtime: Runtime

    init(_ path: String, options: RuntimeOptions = RuntimeOptions()) throws {
        let cryptography = OpenSSLCryptography()
        store = try SQLiteStore.open(
            path: path, sha256: { cryptography.sha256($0) }, clock: { [clock] in clock.now() })
        transport = TurningTransport(clock: clock)
        catalog = Catalog(store: store, loader: RuntimeWorld.loader, cryptography: cryptography)
        let vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography,
            options: options, metrics: Metrics(), log: .silent, onFatal: { _ in })
    }

    func shutDown() {
        runtime.drain(atMost: .seconds(5))
        transport.shutDown()
        clock.shutDown()
        store.close()
    }
}

@Suite("The runtime on a file, with threads")
struct RuntimeOnDiskTests {
    private static let source = Array(
        """
        name: flow
        version: 1
        triggers: [{type: http}]
        steps:
          a: {request: {url: https://a.example/}}
          b: {request: {url: https://b.example/}}
          join: {after: [a, b], request: {url: https://c.example/}}
        """.utf8)

    /// Goal: no thread waits for itself, with a store that commits on its own thread or in place, while
    /// balances run out with nobody listening, credits come and workflows are deployed.
    @Test("runs, credits, deployments and depletions at once neither lock up nor lose anything")
    func nothingLocksUp() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "runtime-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let world = try DiskWorld(directory.appendingPathComponent("store.db").path)
        let tenant = Tenant(tenant: RuntimeWorld.tenant, name: "Acme", createdAt: world.clock.now())
        try world.store.addTenant(
            Tenant(tenant: .operatorTenant, name: "operator", createdAt: world.clock.now()))
        try world.store.addTenant(tenant)
        let definition = try #require(world.catalog.check(Self.source).definition)
        _ = try world.catalog.deploy(
            definition, source: Self.source, of: tenant.tenant, at: world.clock.now())
        let plan = try #require(try world.catalog.plan(named: "flow", of: tenant.tenant))
        try world.runtime.recover()

        let (outcomes, allOver) = (Recorder<RunOutcome>(), Promise<Bool>())
        let count = 150
        for _ in 0..<count {
            let start = RunStart(
                triggerKind: "http", headers: [], query: [], body: [], at: world.clock.now(),
                tenantName: "Acme",
                externalCustomerID: nil)
            let request = StartRequest(
                tenant: tenant, plan: plan, start: start, keepsWithoutFunds: true,
                waiter: {
                    outcomes.add($0)
                    if outcomes.items.count == count { allOver.fulfil(true) }
                })
            world.runtime.start(request) { _ in }
        }
        let credits = WorkerThread(name: "credits") {
            [store = world.store, runtime = world.runtime, clock = world.clock] in
            for number in 0..<400 where allOver.wait(atMost: .milliseconds(3)) == nil {
                let credit = Credit(
                    tenant: tenant.tenant, milliseconds: 40, reference: "c\(number)", fingerprint: [1],
                    at: clock.now())
                _ = try? store.credit(credit)
                runtime.balanceChanged(of: tenant.tenant)
            }
        }
        let deployments = WorkerThread(name: "deployments") {
            [catalog = world.catalog, clock = world.clock] in
            for number in 0..<100 where allOver.wait(atMost: .milliseconds(5)) == nil {
                let source = Self.source + Array("\n# \(number)".utf8)
                guard let definition = catalog.check(source).definition else { continue }
                _ = try? catalog.deploy(definition, source: source, of: tenant.tenant, at: clock.now())
            }
        }
        #expect(
            allOver.wait(atMost: .seconds(20)) == true,
            "\(outcomes.items.count) of \(count); \(world.runtime.load)")
        credits.join()
        deployments.join()
        #expect(outcomes.items.allSatisfy { $0.status == .succeeded })
        #expect(Set(world.transport.sentKeys.items).count == count * 3)
        #expect(world.transport.sentKeys.items.count == count * 3, "nothing was sent twice")
        let ledgers = try world.store.verifyLedgers()
        #expect(ledgers.findings.isEmpty && ledgers.usedMilliseconds > 0)
        #expect(world.runtime.load.openRuns == 0 && world.runtime.load.sent == 0)
        world.shutDown()
    }

    /// Goal: whoever asks for a run that is just leaving memory, or being read, or due, finds it once.
    @Test("timers, signals, cancels and waiters that meet at runs out of memory lose and double nothing")
    func meetingAtWaitingRuns() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "runtime-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        var options = RuntimeOptions()
        options.parkingDelay = .zero
        let world = try DiskWorld(directory.appendingPathComponent("store.db").path, options: options)
        let tenant = Tenant(tenant: .operatorTenant, name: "operator", createdAt: world.clock.now())
        try world.store.addTenant(tenant)
        let source = Array(
            """
            name: flow
            version: 1
            triggers: [{type: http}]
            steps:
              word: {wait: {signal: go, timeout: 150ms, on_timeout: continue}}
              nap: {after: [word], sleep: 20ms}
              last: {after: [nap], request: {url: https://c.example/}}
            """.utf8)
        let checked = world.catalog.check(source)
        let definition = try #require(checked.definition, "\(checked.problems)")
        _ = try world.catalog.deploy(definition, source: source, of: tenant.tenant, at: world.clock.now())
        let plan = try #require(try world.catalog.plan(named: "flow", of: tenant.tenant))
        try world.runtime.recover()

        let (outcomes, allOver, runs) = (Recorder<RunOutcome>(), Promise<Bool>(), Recorder<RunID>())
        let count = 300
        for _ in 0..<count {
            let start = RunStart(
                triggerKind: "http", headers: [], query: [], body: [], at: world.clock.now(), tenantName: "",
                externalCustomerID: nil)
            let request = StartRequest(
                tenant: tenant, plan: plan, start: start, keepsWithoutFunds: true,
                waiter: {
                    outcomes.add($0)
                    if outcomes.items.count == count { allOver.fulfil(true) }
                })
            world.runtime.start(request) { if case .started(let run) = $0 { runs.add(run) } }
        }
        let (told, late) = (Recorder<SignalResult>(), Recorder<RunID>())
        let threads = (0..<3).map { thread in
            WorkerThread(name: "signals") { [runtime = world.runtime] in
                for number in 0..<count {
                    while runs.items.count <= number { usleep(200) }
                    let run = runs.items[number]
                    let signal = RunSignal(id: "k", name: "go", body: .null)
                    runtime.signal(run, of: .operatorTenant, signal) { told.add($0) }
                    if thread == 0 {
                        runtime.whenOver(run, otherwise: { late.add(run) }) { _ in late.add(run) }
                    }
                    if number % 7 == thread { usleep(3_000) }
                }
            }
        }
        #expect(
            allOver.wait(atMost: .seconds(20)) == true,
            "\(outcomes.items.count) of \(count); \(world.runtime.load)")
        for thread in threads { thread.join() }
        #expect(eventually { told.items.count == 3 * count && late.items.count == count })
        #expect(outcomes.items.count == count && outcomes.items.allSatisfy { $0.status == .succeeded })
        #expect(Set(world.transport.sentKeys.items).count == count)
        #expect(world.transport.sentKeys.items.count == count, "nothing was sent twice")
        #expect(world.runtime.load.openRuns == 0 && world.runtime.load.stuck.isEmpty)
        #expect(try world.store.waitingRunCount() == 0)
        for run in runs.items {
            let kinds = try world.store.entries(of: run).map(\.kind)
            #expect(kinds.filter { $0 == "step.succeeded" }.count == 3)
            #expect(kinds.filter { $0 == "signal.received" }.count <= 1)
        }
        world.shutDown()
    }

    @Test("occurrences of a schedule start one run each on a file, across a restart")
    func schedulesOnAFile() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "runtime-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let clock = ManualClock()
        for process in 1...2 {
            let world = try TurnedWorld(directory.appendingPathComponent("store.db").path, clock)
            if process == 1 {
                let source = Array(
                    """
                    name: hourly
                    version: 1
                    triggers:
                      - {type: schedule, cron: "0 * * * *", overlap: queue}
                      - {type: schedule, cron: "30 * * * *", overlap: allow}
                    steps:
                      - sleep: 10m
                    """.utf8)
                try world.store.addTenant(
                    Tenant(tenant: .operatorTenant, name: "operator", createdAt: clock.now()))
                let definition = try #require(world.catalog.check(source).definition)
                _ = try world.catalog.deploy(definition, source: source, of: .operatorTenant, at: clock.now())
            }
            try world.runtime.recover()
            let scheduler = Scheduler(runtime: world.runtime, zones: ZoneFiles())
            try scheduler.start()
            for occurrence in 1...4 {
                let expected = (process - 1) * 4 + occurrence
                clock.advance(by: .seconds(900))
                #expect(eventually { world.runtime.load.openRuns == 0 })
                clock.advance(by: .seconds(900))
                #expect(eventually { (try? world.count()) == expected }, "process \(process)")
                #expect(eventually { world.runtime.load.waitingRuns == 1 })
                // What was handled is kept on the clock's thread.
                clock.advance(by: .zero)
            }
            // The last run sleeps over the restart.
            world.shutDown()
            withExtendedLifetime(scheduler) {}
        }
        let world = try TurnedWorld(directory.appendingPathComponent("store.db").path, clock)
        try world.runtime.recover()
        clock.advance(by: .seconds(600))
        #expect(eventually { world.runtime.load.openRuns == 0 })
        let runs = try world.store.runs(of: .operatorTenant, RunQuery(limit: 99))
        #expect(runs.count == 8 && runs.allSatisfy { $0.status == .succeeded })
        world.shutDown()
    }
}

/// A runtime on a real file with a clock that a test turns.
private final class TurnedWorld {
    let store: SQLiteStore
    let transport: TurningTransport
    let catalog: Catalog
    let runtime: Runtime

    init(_ path: String, _ clock: ManualClock) throws {
        let cryptography = OpenSSLCryptography()
        store = try SQLiteStore.open(
            path: path, sha256: { cryptography.sha256($0) }, clock: { clock.now() })
        transport = TurningTransport(clock: clock)
        catalog = Catalog(store: store, loader: RuntimeWorld.loader, cryptography: cryptography)
        let vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography, options: RuntimeOptions(), metrics: Metrics(), log: .silent,
            onFatal: { _ in })
    }

    func count() throws -> Int { try store.runs(of: .operatorTenant, RunQuery(limit: 99)).count }

    func shutDown() {
        runtime.drain(atMost: .seconds(5))
        transport.shutDown()
        store.close()
    }
}
