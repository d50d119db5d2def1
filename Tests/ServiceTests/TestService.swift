import Assembly
import Clocks
import CurlTransport
import Foundation
import Ingress
import MicroHTTPServer
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import Server
import StandIns
import Storage
import Testing
import Values

/// A whole Millrace in this process with real parts: database file, listeners, transport, and the
/// providers' stand-ins, each on a port of its own.
final class TestService: @unchecked Sendable {
    // Unchecked: `listeners` is written while the test sets up and tears down, on one thread.
    let installation: Installation
    let suite: StandInSuite
    let url: String
    let internalURL: String
    /// The operator with its full key.
    private(set) var owner = Client.nobody
    private(set) var internalKey = ""
    let logged: LoggedLines
    let folder: URL

    private let transport: CurlTransport
    private let clock: SystemClock
    private var listeners: [MicroHTTPServer]

    var databasePath: String { folder.appending(path: "millrace.db").path }
    var runtime: Runtime { installation.runtime }

    /// - Parameters:
    ///   - standIns: Settings of the providers' stand-ins; webhooks are repeated after 50 ms by default.
    ///   - change: Edits the settings before anything is opened.
    /// - Throws: What keeps a part from starting.
    init(standIns: StandInOptions = .quick, change: (inout InstallationSettings) -> Void = { _ in }) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "millrace-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let clock = SystemClock()
        var options = CurlTransportOptions()
        options.transferCountMaxPerHost = 64
        let transport = CurlTransport(options: options) { clock.now() }
        let listening = Listening(clock: clock)
        let (front, back) = (LateHandler(), LateHandler())
        let (port, internalPort) = (try listening.start(front), try listening.start(back))
        suite = try StandInSuite(
            clock: clock, cryptography: OpenSSLCryptography(), transport: transport, options: standIns
        ) { try listening.start($0) }

        let logged = LoggedLines()
        var settings = InstallationSettings(
            databasePath: folder.appending(path: "millrace.db").path,
            masterKey: [UInt8](repeating: 7, count: 32))
        let loopback = EgressPolicy.Destination(range: "127.0.0.0/8", port: nil)
        settings.runtime.tenantEgress = EgressPolicy(
            allowed: [loopback],
            denied: [port, internalPort].map { EgressPolicy.Destination(range: "127.0.0.0/8", port: $0) })
        settings.runtime.operatorEgress = EgressPolicy(allowed: [loopback])
        settings.api.publicURL = "http://127.0.0.1:\(port)"
        change(&settings)
        installation = try Installation(
            settings, log: EventLog(now: { clock.now() }, sink: { logged.add($0) })
        ) { error in
            Issue.record("the store failed: \(error)")
        }
        (self.clock, self.transport, self.logged) = (clock, transport, logged)
        (url, internalURL) = ("http://127.0.0.1:\(port)", "http://127.0.0.1:\(internalPort)")
        listeners = listening.listeners
        try addOperator()
        try installation.runtime.recover()
        front.open(to: installation.api)
        back.open(to: installation.internalAPI)
    }

    private func addOperator() throws {
        let now = clock.now()
        try installation.store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: now))
        let full = try installation.keys.make(for: .operatorTenant, scope: .full, at: now)
        owner = Client(service: self, tenant: "\(TenantID.operatorTenant)", key: full.secret)
        internalKey = try installation.keys.make(for: .operatorTenant, scope: .internal, at: now).secret
    }

    /// Ends everything and removes the files.
    func stop() {
        owner = Client.nobody
        for listener in listeners.prefix(2) { listener.shutDown(drain: .zero) }
        installation.shutDown(drain: .zero)
        transport.shutDown()
        for listener in listeners.dropFirst(2) { listener.shutDown(drain: .zero) }
        clock.shutDown()
        try? FileManager.default.removeItem(at: folder)
    }

    // MARK: - Requests

    /// Sends and waits, without reading anything into the answer.
    func call(
        _ method: String, _ path: String, key: String? = nil, body: [UInt8] = [], headers: [HTTPHeader] = [],
        isInternal: Bool = false
    ) -> Reply {
        let answer = Promise<Reply>()
        begin(method, path, key: key, body: body, headers: headers, isInternal: isInternal) {
            answer.fulfil($0)
        }
        return answer.wait(atMost: .seconds(20))
            ?? Reply(status: 0, headers: [], body: Array("no answer".utf8))
    }

    /// Sends; `then` is called with the answer on the transport's thread.
    func begin(
        _ method: String, _ path: String, key: String? = nil, body: [UInt8] = [], headers: [HTTPHeader] = [],
        isInternal: Bool = false, then: @escaping @Sendable (Reply) -> Void
    ) {
        var headers = headers
        if let key { headers.append(HTTPHeader("Authorization", "Bearer \(key)")) }
        let request = OutboundRequest(
            method: method, url: (isInternal ? internalURL : url) + path, headers: headers, body: body,
            timeout: .seconds(20), bodyByteCountMax: 16 << 20,
            egress: EgressPolicy(allowed: [.init(range: "127.0.0.1", port: nil)]))
        transport.send(request) { outcome in
            switch outcome.result {
            case .success(let response):
                then(Reply(status: response.status, headers: response.headers, body: response.body))
            case .failure(let failure):
                then(Reply(status: 0, headers: [], body: Array(failure.message.utf8)))
            }
        }
    }

    /// A call of the internal API with the internal key.
    func callInternal(_ path: String, _ body: Value, key: String? = nil, idempotencyKey: String? = nil)
        -> Reply
    {
        call(
            "POST", "/api/internal/" + path, key: key ?? internalKey, body: JSON.bytes(body),
            headers: idempotencyKey.map { [HTTPHeader("Idempotency-Key", $0)] } ?? [], isInternal: true)
    }

    /// Posts to a public webhook address.
    func hook(
        _ workflow: String, of tenant: String = "operator", _ body: String,
        type: String = "application/json", headers: [HTTPHeader] = []
    ) -> Reply {
        call(
            "POST", "/hooks/\(tenant)/\(workflow)", body: Array(body.utf8),
            headers: [HTTPHeader("Content-Type", type)] + headers)
    }

    /// Gives a request to the public handler directly, as if it had arrived at `at`.
    func handle(
        _ method: String, _ segments: [String], body: [UInt8], headers: [HTTPHeader], at: Instant
    ) -> Reply {
        let request = InboundRequest(
            method: method, path: "/" + segments.joined(separator: "/"), segments: segments, query: [],
            headers: headers, body: body, peer: "127.0.0.1", receivedAt: at)
        let answer = Promise<Reply>()
        installation.api.handle(request) {
            answer.fulfil(Reply(status: $0.status, headers: $0.headers, body: $0.body))
        }
        return answer.wait(atMost: .seconds(20)) ?? Reply(status: 0, headers: [], body: [])
    }

    /// Triggers with a key, through an ingress of the test's own.
    func trigger(_ workflow: String, of client: Client, through ingress: Ingress) throws -> TriggerReply? {
        let id = try #require(TenantID(client.tenant))
        let tenant = try #require(try installation.store.tenant(id))
        let request = InboundRequest(
            method: "POST", path: "/", segments: [], query: [], headers: [], body: [], peer: "127.0.0.1",
            receivedAt: now)
        let answer = Promise<TriggerReply>()
        let call = TriggerCall(tenant: tenant, workflow: workflow, source: .key, request: request)
        ingress.trigger(call) { answer.fulfil($0) }
        return answer.wait(atMost: .seconds(20))
    }

    // MARK: - Tenants

    /// A purchase as if a tenant had pressed Buy.
    func addPurchase(minutes: Int64, amount: Int64, for client: Client) throws -> String {
        let purchase = Purchase(
            purchase: runtime.newPurchaseID(), tenant: try #require(TenantID(client.tenant)),
            minutes: minutes,
            price: Credit.Paid(amountMinor: amount, currency: "EUR"), state: .open, createdAt: now)
        try installation.store.addPurchase(purchase)
        return "\(purchase.purchase)"
    }

    /// A new tenant; `milliseconds` are put on its balance.
    func tenant(_ name: String = "Acme", milliseconds: Int64 = 600_000) throws -> Client {
        let made = owner.post("/api/tenants", ["name": .string(name)])
        let client = Client(
            service: self, tenant: try #require(made["tenant_id"]?.string),
            key: try #require(made["key"]?["secret"]?.string))
        if milliseconds > 0 {
            let credited = callInternal(
                "billing/credit",
                [
                    "tenant_id": .string(client.tenant), "ms": .int(milliseconds),
                    "reference": .string("gift:\(client.tenant)"),
                ])
            try #require(credited.status == 201, "\(credited.text)")
        }
        return client
    }

    /// Where a purchase stands: `open`, `credited` or `parked`.
    func stateOfPurchase(_ id: String) throws -> String? {
        try PurchaseID(id).flatMap { try installation.store.purchase($0) }?.state.rawValue
    }

    var now: Instant { clock.now() }

    // MARK: - Waiting

    /// Waits until no run is under way; paused runs count as under way.
    func settle(atMost limit: Duration = .seconds(15)) -> Bool {
        eventually(atMost: limit) { runtime.load.openRuns == 0 }
    }

    /// Checks that every ledger agrees with its journals.
    func expectSoundLedgers(_ location: SourceLocation = #_sourceLocation) {
        let found = owner.get("/api/ledger/verification")
        #expect(found["findings"] == [], sourceLocation: location)
    }
}

/// Asks again until it is so or the time is over.
func eventually(atMost limit: Duration = .seconds(10), _ isSo: () -> Bool) -> Bool {
    let end = ContinuousClock.now + limit
    while !isSo() {
        if ContinuousClock.now > end { return false }
        usleep(3_000)
    }
    return true
}

/// Gives a test a service of its own and ends it afterwards.
func withService(
    standIns: StandInOptions = .quick, change: (inout InstallationSettings) -> Void = { _ in },
    _ body: (TestService) throws -> Void
) throws {
    let service = try TestService(standIns: standIns, change: change)
    defer { service.stop() }
    try body(service)
}

extension StandInOptions {
    /// Webhooks that are not accepted come again after 50 ms, ten times.
    static var quick: StandInOptions {
        var options = StandInOptions()
        options.webhookDelays = [Duration](repeating: .milliseconds(50), count: 10)
        return options
    }
}
