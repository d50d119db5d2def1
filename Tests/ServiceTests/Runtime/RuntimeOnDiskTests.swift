import Billing
import Clocks
import Engine
import Foundation
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import Storage
import Testing
import Values

/// A transport with one thread of its own, as a real one has: it calls completions and performs actions there.
private final class TurningTransport: Transport, @unchecked Sendable {
    // Unchecked: what changes is read and written under `lock`.
    private let lock = Lock()
    private let changed = Condition()
    private var actions: [@Sendable () -> Void] = []
    private var isShutDown = false
    private var thread: WorkerThread?
    private let clock: any RunClock
    let sentKeys = Recorder<String>()

    init(clock: any RunClock) {
        self.clock = clock
        thread = WorkerThread(name: "turns") { self.run() }
    }

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
        let isLate = lock.withLock {
            if !isShutDown { actions.append(action) }
            changed.signal()
            return isShutDown
        }
        if isLate { action() }
    }

    private func run() {
        lock.lock()
        while !isShutDown || !actions.isEmpty {
            if actions.isEmpty {
                changed.wait(lock)
                continue
            }
            let due = actions
            actions = []
            lock.unlock()
            for action in due { action() }
            lock.lock()
        }
        lock.unlock()
    }

    func shutDown() {
        lock.withLock {
            isShutDown = true
            changed.signal()
        }
        thread?.join()
        thread = nil
    }
}

/// A runtime on a real file, with real threads and a real clock.
private final class DiskWorld {
    let store: SQLiteStore
    let clock = SystemClock()
    let transport: TurningTransport
    let catalog: Catalog
    let runtime: Runtime

    init(_ path: String) throws {
        let cryptography = OpenSSLCryptography()
        store = try SQLiteStore.open(
            path: path, sha256: { cryptography.sha256($0) }, clock: { [clock] in clock.now() })
        transport = TurningTransport(clock: clock)
        catalog = Catalog(store: store, loader: RuntimeWorld.loader, cryptography: cryptography)
        let vault = SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography,
            options: RuntimeOptions(), metrics: Metrics(), log: .silent, onFatal: { _ in })
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
}
