import Engine
import LuaExpressions
import MemoryStore
import OpenSSLCrypto
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values
import Workflow
import WorkflowYAML

/// Collects values from any thread.
final class Recorder<Item: Sendable>: @unchecked Sendable {
    // Unchecked: `kept` is read and written under `lock`.
    private let lock = Lock()
    private var kept: [Item] = []

    func add(_ item: Item) { lock.withLock { kept.append(item) } }
    var items: [Item] { lock.withLock { kept } }
}

/// A transport without a network: a test answers each request, or a script does at once.
final class ScriptedTransport: Transport, @unchecked Sendable {
    // Unchecked: all that changes is read and written under `lock`.
    /// Nil for a request that the test answers itself.
    typealias Script = @Sendable (OutboundRequest) -> Result<OutboundResponse, TransportFailure>?

    struct Sent {
        let request: OutboundRequest
        let at: Instant
        let completion: @Sendable (TransferOutcome) -> Void
        var isAnswered = false
    }

    private let lock = Lock()
    private let clock: any RunClock
    private var sent: [Sent] = []
    private var script: Script?
    private var cancelledNumbers: [Int] = []
    private var ignoresCancels = false

    init(clock: any RunClock, script: Script? = nil) {
        self.clock = clock
        self.script = script
    }

    func answerAll(with script: Script?) { lock.withLock { self.script = script } }

    @discardableResult
    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    {
        let now = clock.steady()
        let (number, script) = lock.withLock {
            sent.append(Sent(request: request, at: now, completion: completion))
            return (sent.count - 1, self.script)
        }
        if let result = script?(request) { answer(number, result) }
        return TransferID(number: UInt64(number))
    }

    /// From now on a cancel comes too late: the answer is on its way.
    func ignoreCancels() { lock.withLock { ignoresCancels = true } }

    func cancel(_ id: TransferID) {
        let number = Int(id.number)
        let isTooLate = lock.withLock {
            cancelledNumbers.append(number)
            return ignoresCancels
        }
        if !isTooLate { answer(number, .failure(.cancelled)) }
    }

    func shutDown() { for number in waiting { answer(number, .failure(.cancelled)) } }

    /// Answers a request once; later answers do nothing.
    func answer(_ number: Int, _ result: Result<OutboundResponse, TransportFailure>) {
        let call: Sent? = lock.withLock {
            guard sent.indices.contains(number), !sent[number].isAnswered else { return nil }
            sent[number].isAnswered = true
            return sent[number]
        }
        guard let call else { return }
        call.completion(TransferOutcome(result: result, startedAt: call.at, finishedAt: clock.steady()))
    }

    func succeed(_ number: Int, _ body: Value = .object(Object())) { answer(number, Self.ok(body)) }

    static func ok(_ body: Value = .object(Object())) -> Result<OutboundResponse, TransportFailure> {
        .success(
            OutboundResponse(
                status: 200, headers: [HTTPHeader("content-type", "application/json")], body: JSON.bytes(body)
            ))
    }

    /// Numbers of the requests that were to be ended, in order.
    var cancelled: [Int] { lock.withLock { cancelledNumbers } }
    var requests: [OutboundRequest] { lock.withLock { sent.map(\.request) } }
    var steps: [String] { requests.map { $0.headers["millrace-step"] ?? "" } }
    /// Numbers of the requests that nobody has answered.
    var waiting: [Int] { lock.withLock { sent.indices.filter { !sent[$0].isAnswered } } }
}

struct FileLoader: DefinitionLoader {
    static let reader = WorkflowReader(compiler: LuaExpressionCompiler(cryptography: OpenSSLCryptography()))

    func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        DocumentReader.workflow(source, with: Self.reader)
    }
}

/// Does something else once, in the midst of reading a source.
final class InterruptedLoader: DefinitionLoader, @unchecked Sendable {
    // Unchecked: `interruption` is read and written under `lock`.
    private let lock = Lock()
    private var interruption: (@Sendable () -> Void)?

    func interruptNext(_ interruption: @escaping @Sendable () -> Void) {
        lock.withLock { self.interruption = interruption }
    }

    func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        let interruption = lock.withLock {
            defer { self.interruption = nil }
            return self.interruption
        }
        interruption?()
        return FileLoader().load(source)
    }
}

/// Time that stands still, so that what a test computes is never too much, however busy the machine is.
struct StillGauge: WorkGauge {
    func threadTime() -> Duration { .zero }
    func elapsedTime() -> Duration { .zero }
}

/// A runtime on a store in memory, with a clock and a network that stand still until a test moves them.
final class RuntimeWorld: @unchecked Sendable {
    // Unchecked: nothing changes after it was made.
    static let tenant = TenantID(number: 9)
    static let loader = FileLoader()

    let store: MemoryStore
    let clock: ManualClock
    let transport: ScriptedTransport
    let catalog: Catalog
    let vault: SecretVault
    let runtime: Runtime
    let fatal = Recorder<StoreError>()
    let results = Recorder<StartResult>()
    let outcomes = Recorder<RunOutcome>()
    let cancels = Recorder<Bool>()
    private let options: RuntimeOptions
    private let gauge: any WorkGauge

    init(
        completesOnFlush: Bool = false, script: ScriptedTransport.Script? = nil,
        options: RuntimeOptions = RuntimeOptions(), gauge: any WorkGauge = StillGauge()
    ) throws {
        let cryptography = OpenSSLCryptography()
        let store = MemoryStore(completesOnFlush: completesOnFlush) { cryptography.sha256($0) }
        let clock = ManualClock()
        self.store = store
        self.clock = clock
        self.options = options
        self.gauge = gauge
        transport = ScriptedTransport(clock: clock, script: script)
        (catalog, vault, runtime) = try Self.parts(store, transport, clock, options, gauge, fatal)
        try store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: clock.now()))
        try store.addTenant(Tenant(tenant: Self.tenant, name: "Acme", createdAt: clock.now()))
    }

    /// The next process, on what the dead one has left.
    private init(after world: RuntimeWorld, loader: any DefinitionLoader) throws {
        store = world.store.reopened()
        clock = ManualClock(at: world.clock.now() + .milliseconds(1))
        (options, gauge) = (world.options, world.gauge)
        transport = ScriptedTransport(clock: clock)
        (catalog, vault, runtime) = try Self.parts(store, transport, clock, options, gauge, fatal, loader)
    }

    private static func parts(
        _ store: MemoryStore, _ transport: ScriptedTransport, _ clock: ManualClock, _ options: RuntimeOptions,
        _ gauge: any WorkGauge, _ fatal: Recorder<StoreError>,
        _ loader: any DefinitionLoader = RuntimeWorld.loader
    ) throws -> (Catalog, SecretVault, Runtime) {
        let cryptography = OpenSSLCryptography()
        let catalog = Catalog(store: store, loader: loader, cryptography: cryptography)
        let vault = try SecretVault(
            store: store, cryptography: cryptography, masterKey: [UInt8](repeating: 7, count: 32))
        let runtime = try Runtime(
            store: store, transport: transport, clock: clock, catalog: catalog, vault: vault,
            cryptography: cryptography,
            options: options, metrics: Metrics(), log: .silent, gauge: gauge, onFatal: { fatal.add($0) })
        return (catalog, vault, runtime)
    }

    func crashed(
        script: ScriptedTransport.Script? = nil, loader: any DefinitionLoader = RuntimeWorld.loader
    ) throws -> RuntimeWorld {
        let next = try RuntimeWorld(after: self, loader: loader)
        next.transport.answerAll(with: script)
        return next
    }

    // MARK: - Doing

    /// Deploys steps (and more keys) as a workflow of that name.
    @discardableResult
    func deploy(
        _ yaml: String, name: String = "flow", of tenant: TenantID = .operatorTenant,
        trigger: String = "type: http"
    ) throws -> RunPlan {
        let source = Array("name: \(name)\nversion: 1\ntriggers:\n  - \(trigger)\n\(yaml)".utf8)
        let (definition, problems) = catalog.check(source)
        let checked = try #require(definition, "\(problems)")
        _ = try catalog.deploy(checked, source: source, of: tenant, at: clock.now())
        return try #require(try catalog.plan(named: name, of: tenant))
    }

    func start(
        _ plan: RunPlan, of tenant: TenantID = .operatorTenant, body: Value = .null,
        dedupe: RunCommit.Dedupe? = nil,
        keepsWithoutFunds: Bool = false
    ) throws {
        let start = RunStart(
            triggerKind: "http", headers: [], query: [], body: JSON.bytes(body), at: clock.now(),
            tenantName: "Acme",
            externalCustomerID: nil)
        let request = StartRequest(
            tenant: try #require(try store.tenant(tenant)), plan: plan, start: start, dedupe: dedupe,
            keepsWithoutFunds: keepsWithoutFunds, waiter: { [outcomes] in outcomes.add($0) })
        runtime.start(request) { [results] in results.add($0) }
    }

    /// Stores the end of a run of one request behind its runtime's back, as a commit does whose answer is lost.
    ///
    /// With `mail` it posts what the end is told to the workflow `alert`.
    func finishUnheard(
        _ plan: RunPlan, _ run: RunID, of tenant: TenantID = .operatorTenant, after: Duration = .zero,
        mail: Bool = false
    ) throws {
        let surroundings = Surroundings(
            tenant: tenant, secrets: OpenSecrets(), redactor: Redactor(secrets: [] as [String]),
            cryptography: OpenSSLCryptography())
        let (start, end) = (clock.now(), clock.now() + after)
        let records = try store.entries(of: run).map { try JournalRecord(stored: $0) }
        var machine = RunMachine(run: run, plan: plan, records: records)
        _ = machine.handle(.recovered(at: start), in: surroundings)
        let outcome = TransferOutcome(result: ScriptedTransport.ok(), startedAt: start, finishedAt: end)
        let decision = machine.handle(.answered(step: 0, attempt: 1, outcome), in: surroundings)
        var commit = RunCommit(
            run: run, tenant: tenant, entries: decision.records.map(\.stored), status: .succeeded,
            finishedAt: end,
            isMetered: tenant != .operatorTenant)
        if mail { commit.mail = RunEnd.mail(of: machine, to: ["alert"], of: tenant, at: end) }
        store.commit(commit, inPlace: false) { _ in }
    }

    func credit(_ milliseconds: Int64, reference: String, of tenant: TenantID = RuntimeWorld.tenant) throws {
        let outcome = try store.credit(
            Credit(
                tenant: tenant, milliseconds: milliseconds, reference: reference, fingerprint: [1],
                at: clock.now()))
        guard case .credited = outcome else { throw StoreError.exists(what: "\(outcome)") }
    }

    /// What the cancel was answered within the call; nil where it waits for the disk.
    func cancel(_ run: RunID, of tenant: TenantID, reason: String) -> Bool? {
        let before = cancels.items.count
        runtime.cancel(run, of: tenant, reason: reason) { [cancels] in cancels.add($0) }
        return cancels.items.dropFirst(before).first
    }

    // MARK: - Looking

    /// Runs that were started, in order.
    var runs: [RunID] {
        results.items.compactMap { if case .started(let run) = $0 { run } else { nil } }
    }

    func kinds(of run: RunID) throws -> [String] { try store.entries(of: run).map(\.kind) }

    func status(of run: RunID, _ tenant: TenantID = .operatorTenant) throws -> RunStatus? {
        try store.run(run, of: tenant)?.status
    }
}
