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
import Workflow

/// A runtime on a real file with real threads and a real clock, and a metered tenant with a workflow of races.
final class RacingWorld {
    let store: SQLiteStore
    let transport: ThreadedTransport
    let runtime: Runtime
    private let clock = SystemClock()
    private let tenant: Tenant
    private let plan: RunPlan
    private let folder: URL

    /// The requests of `script` are answered at once, on the transport's thread.
    init(_ source: String, script: @escaping ScriptedTransport.Script) throws {
        let cryptography = OpenSSLCryptography()
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("races-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        store = try SQLiteStore.open(
            path: folder.appendingPathComponent("store.db").path, sha256: { cryptography.sha256($0) },
            clock: { [clock] in clock.now() })
        transport = ThreadedTransport(clock: clock)
        transport.scripted.answerAll(with: script)
        let catalog = Catalog(store: store, loader: RuntimeWorld.loader, cryptography: cryptography)
        let vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography, options: RuntimeOptions(), metrics: Metrics(), log: .silent,
            onFatal: { _ in })
        tenant = Tenant(tenant: RuntimeWorld.tenant, name: "Acme", createdAt: clock.now())
        try store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: clock.now()))
        try store.addTenant(tenant)
        let credit = Credit(
            tenant: tenant.tenant, milliseconds: 10_000_000, reference: "c", fingerprint: [1],
            at: clock.now())
        _ = try store.credit(credit)
        let bytes = Array(source.utf8)
        let definition = try #require(catalog.check(bytes).definition, "\(catalog.check(bytes).problems)")
        _ = try catalog.deploy(definition, source: bytes, of: tenant.tenant, at: clock.now())
        plan = try #require(try catalog.plan(named: definition.name, of: tenant.tenant))
        try runtime.recover()
    }

    func start(_ waiter: @escaping @Sendable (RunOutcome) -> Void) {
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: [], at: clock.now(), tenantName: tenant.name,
            externalCustomerID: nil)
        let request = StartRequest(
            tenant: tenant, plan: plan, start: start, keepsWithoutFunds: true, waiter: waiter)
        runtime.start(request) { _ in }
    }

    func shutDown() {
        transport.shutDown()
        clock.shutDown()
        store.close()
        try? FileManager.default.removeItem(at: folder)
    }
}
