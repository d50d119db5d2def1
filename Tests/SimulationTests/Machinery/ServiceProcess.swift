import Engine
import Ingress
import LuaExpressions
import MemoryStore
import OpenSSLCrypto
import Ports
import Runtime
import Server
import Storage
import Values
import Workflow
import WorkflowYAML
import ZoneFiles

/// Reads workflow files as a server does, each text once for all simulations.
struct CachingLoader: DefinitionLoader {
    private final class Cache: @unchecked Sendable {
        // Unchecked: `known` is read and written under `lock`.
        private let lock = Lock()
        private var known: [[UInt8]: (definition: WorkflowDefinition?, problems: [Problem])] = [:]
        private let reader = WorkflowReader(
            compiler: LuaExpressionCompiler(cryptography: OpenSSLCryptography()), checksNames: false)

        func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
            if let found = lock.withLock({ known[source] }) { return found }
            let loaded = DocumentReader.workflow(source, with: reader)
            lock.withLock { known[source] = loaded }
            return loaded
        }
    }

    private static let cache = Cache()

    func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        Self.cache.load(source)
    }
}

/// One life of the service: everything that is real, on ports that the simulation holds.
final class ServiceProcess: @unchecked Sendable {
    // Unchecked: used by one thread.
    /// What it is built on.
    struct Ports {
        var timeline: Timeline
        var clock: SimulatedClock
        var transport: SimulatedTransport
        var store: MortalStore
        var gauge: CountingGauge
        var cryptography: SeededCryptography
        var options: RuntimeOptions
        var log: @Sendable ([UInt8]) -> Void
    }

    let number: Int
    let life: Life
    let clock: SimulatedClock
    let store: MortalStore
    let runtime: Runtime
    let scheduler: Scheduler
    let keys: KeyRing
    let vault: SecretVault
    private let api: APIHandler
    private let internalAPI: InternalHandler

    init(number: Int, life: Life, _ ports: Ports) throws(StoreError) {
        self.number = number
        self.life = life
        (clock, store) = (ports.clock, ports.store)
        let cryptography = ports.cryptography
        vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        let catalog = Catalog(store: store, loader: CachingLoader(), cryptography: cryptography)
        let clock = ports.clock
        runtime = try Runtime(
            store: store, transport: ports.transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography, options: ports.options, metrics: Metrics(),
            log: EventLog(now: { clock.now() }, sink: ports.log), gauge: ports.gauge
        ) { error in life.end("the store said \(error.label)") }
        scheduler = Scheduler(runtime: runtime, zones: ZoneFiles())
        let ingress = Ingress(runtime: runtime)
        keys = KeyRing(store: store, cryptography: cryptography)
        api = APIHandler(
            runtime: runtime, ingress: ingress, keys: keys, settings: APISettings(), scheduler: scheduler)
        internalAPI = InternalHandler(runtime: runtime, keys: keys)
    }

    /// Reads what is on the disk and sets it going.
    func begin() throws(StoreError) {
        try runtime.recover()
        try scheduler.start()
    }

    /// Gives it a request as its listener would; nothing is answered once its life is over.
    func handle(
        _ request: OutboundRequest, isInternal: Bool,
        respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        let inbound = InboundRequest(carrying: request, at: clock.now())
        let answer: @Sendable (InboundResponse) -> Void = { [life] response in
            if life.spend("an answer to \(inbound.path)") { respond(response) }
        }
        if isInternal {
            internalAPI.handle(inbound, respond: answer)
        } else {
            api.handle(inbound, respond: answer)
        }
    }
}

extension InboundRequest {
    /// A request as it arrives at the peer that its URL names.
    init(carrying request: OutboundRequest, at instant: Instant) {
        let address = request.url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        let rest = address.count > 3 ? "/" + address[3] : "/"
        let halves = rest.split(separator: "?", maxSplits: 1)
        let path = String(halves.first ?? "/")
        let query = halves.count > 1 ? FormEncoding.pairs(Array(halves[1].utf8)) ?? [] : []
        let segments = path.split(separator: "/").map { segment in
            String(decoding: Percent.decode(segment.utf8, plusIsSpace: false) ?? [], as: UTF8.self)
        }
        let headers = request.headers.map { HTTPHeader($0.name.lowercased(), $0.value) }
        let host = address.count > 2 ? String(address[2]) : ""
        self.init(
            method: request.method, path: path, segments: segments, query: query,
            headers: headers + [HTTPHeader("host", host)], body: request.body, peer: "198.51.100.7",
            receivedAt: instant)
    }
}

extension OutboundRequest {
    /// `shop.example` of `https://shop.example/charges`.
    var host: String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count > 2 ? String(parts[2]) : ""
    }
}
