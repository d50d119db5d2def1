package import Clocks
package import CurlTransport
package import Ingress
import LuaExpressions
package import OpenSSLCrypto
package import Ports
package import Runtime
package import SQLiteStore
package import Server
package import Storage
import Values
package import Workflow
import WorkflowYAML
import ZoneFiles

/// Reads workflow files, YAML or JSON, with Lua expressions.
package struct WorkflowFileLoader: DefinitionLoader {
    private let reader: WorkflowReader
    private let checker: WorkflowReader

    package init(cryptography: any Cryptography) {
        let compiler = LuaExpressionCompiler(cryptography: cryptography, timeZones: ZoneFiles())
        reader = WorkflowReader(compiler: compiler, checksNames: false)
        checker = WorkflowReader(compiler: compiler, timeZones: ZoneFiles())
    }

    package func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        DocumentReader.workflow(source, with: reader)
    }

    package func check(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        DocumentReader.workflow(source, with: checker)
    }
}

/// What a whole Millrace needs to know to start; see `docs/configuration.md`.
package struct InstallationSettings: Sendable {
    package var databasePath: String
    /// 32 bytes.
    package var masterKey: [UInt8]
    package var runtime = RuntimeOptions()
    package var transport = CurlTransportOptions()
    package var api = APISettings()
    /// Requests a second that each public webhook takes in the long run; 0 for any number.
    package var webhookRate = 0
    /// Requests that each takes at once, above its rate.
    package var webhookBurst = 1

    package init(databasePath: String, masterKey: [UInt8]) {
        self.databasePath = databasePath
        self.masterKey = masterKey
    }

    var webhookLimit: WebhookLimit? {
        webhookRate > 0 ? WebhookLimit(perSecond: webhookRate, burst: webhookBurst) : nil
    }
}

/// One Millrace in this process: the adapters picked and put together.
///
/// Listeners are started apart.
package final class Installation: Sendable {
    package let clock: SystemClock
    package let cryptography: OpenSSLCryptography
    package let store: SQLiteStore
    package let transport: CurlTransport
    package let runtime: Runtime
    /// Starts nothing before its `start()`, which follows ``Runtime/recover()``.
    package let scheduler: Scheduler
    package let ingress: Ingress
    package let keys: KeyRing
    package let api: APIHandler
    package let internalAPI: InternalHandler

    /// Opens the database and puts everything together; no run goes on before ``Runtime/recover()``.
    ///
    /// - Parameters:
    ///   - settings: Paths, keys and bounds.
    ///   - log: Where events are written.
    ///   - wrapping: Puts something between the runtime and the transport, such as a measurement.
    ///   - onFatal: Called once when the store takes nothing more; the process should end.
    /// - Throws: ``StoreError`` where the database cannot be opened; it is as it was.
    package init(
        _ settings: InstallationSettings, log: EventLog,
        wrapping: (CurlTransport) -> any Transport = { $0 }, onFatal: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        let clock = SystemClock()
        let cryptography = OpenSSLCryptography()
        let store = try SQLiteStore.open(
            path: settings.databasePath, sha256: { cryptography.sha256($0) }, clock: { clock.now() })
        let transport = CurlTransport(options: settings.transport) { clock.steady() }
        let catalog = Catalog(
            store: store, loader: WorkflowFileLoader(cryptography: cryptography), cryptography: cryptography)
        let vault = try SecretVault(store: store, cryptography: cryptography, masterKey: settings.masterKey)
        self.clock = clock
        self.cryptography = cryptography
        self.store = store
        self.transport = transport
        runtime = try Runtime(
            store: store, transport: wrapping(transport), clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography, options: settings.runtime, metrics: Metrics(), log: log,
            onFatal: onFatal)
        scheduler = Scheduler(runtime: runtime, zones: ZoneFiles())
        ingress = Ingress(runtime: runtime, webhookLimit: settings.webhookLimit)
        keys = KeyRing(store: store, cryptography: cryptography)
        api = APIHandler(
            runtime: runtime, ingress: ingress, keys: keys, settings: settings.api, scheduler: scheduler)
        internalAPI = InternalHandler(runtime: runtime, keys: keys)
    }

    /// Waits up to `drain` for attempts under way, then closes everything.
    ///
    /// Nothing is lost: what was
    /// not answered is sent again by the next process under the same keys (I3).
    package func shutDown(drain: Duration) {
        runtime.drain(atMost: drain)
        ingress.refusals.flush()
        transport.shutDown()
        clock.shutDown()
        store.close()
    }
}
