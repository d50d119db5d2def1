import Billing
import Engine
package import Ports
package import Storage
import Values
import Workflow

/// Owns the runs that are not over: feeds their machines, stores what they decide, and only then
/// carries it out.
///
/// There is no thread here. Inputs are handled on the thread that brings them (the transport's, the
/// server's, the clock's) under one lock; effects are carried out on the store's thread once the commit is
/// durable. A run's commits are queued under the lock, so they are stored in the order of its decisions.
package final class Runtime: @unchecked Sendable {
    // Unchecked: everything below `lock` is read and written under it.
    package let store: any Store
    package let clock: any RunClock
    package let catalog: Catalog
    package let vault: SecretVault
    package let metrics: Metrics
    package let log: EventLog
    let transport: any Transport
    let cryptography: any Cryptography
    let options: RuntimeOptions
    let ids: RunIDSource
    /// How much of everyone's time each tenant's expressions may take, in triggers and in runs.
    package let allowance: WorkAllowance
    /// Measures the work of expressions.
    let gauge: any WorkGauge

    let lock = Lock()
    var slots: [RunID: RunSlot] = [:]
    /// Starts whose commit has not returned; with `slots` the work in memory.
    var startingCount = 0
    /// Runs being read back from the store, and what is to be done with each then; see ``withSlot(_:_:)``.
    var loading: [RunID: [SlotUse]] = [:]
    /// Who waits for runs that have left memory.
    var awaited: [RunID: Awaited] = [:]
    /// Runs that have left memory, for ``load``.
    var waitingCount = 0
    var wakes = WakeList()
    var wakeAlarm: (id: AlarmID, at: Instant)?
    /// When the last run began to start.
    private var lastStartAt = Instant(microseconds: 0)
    /// Starts in a row that came alone.
    private var quietStartCount = 0
    /// Starts closer together than this come from several callers at once: they are stored in groups,
    /// because one committed in place would keep the listener's thread from reading the next.
    private static let quietStartInterval = Duration.microseconds(400)
    /// Runs that share a limit, by what they share.
    var queues: [ConcurrencyKey: ConcurrencyQueue] = [:]
    /// Open runs whose end a step of another waits for.
    var awaitedRuns: [RunID: AwaitingStep] = [:]
    /// Actions for the transport's thread; with the flag under `errandLock`.
    let errandLock = Lock()
    var errands: [Action] = []
    var areErrandsRunning = false
    /// Balances of metered tenants as last heard, in milliseconds.
    var balances: [TenantID: Int64] = [:]
    /// Tenants that were asked for before.
    var tenants: [TenantID: Tenant] = [:]
    var isStopping = false
    /// Attempts sent and not answered.
    var sentCount = 0
    let allAnswered = Condition()
    /// Runs that cannot go on and why; shown by `/readyz` and the metrics (I11).
    var stuck: [RunID: String] = [:]
    var fatal: StoreError?
    /// Commits decided in the present turn of the transport, handed to the store together.
    private var outbox: [Pending] = []
    /// Results that the store has handed back and nobody has acted on yet; under `settledLock`.
    private let settledLock = Lock()
    private var settled: [(Pending, Result<CommitReceipt, StoreError>)] = []
    private let surroundingsLock = Lock()
    private var knownSurroundings: [ObjectIdentifier: KnownSurroundings] = [:]
    private let onFatal: @Sendable (StoreError) -> Void

    /// - Parameters:
    ///   - store: Where runs are kept.
    ///   - transport: Sends their requests.
    ///   - clock: Tells the time and wakes.
    ///   - catalog: The workflows in service.
    ///   - vault: The tenants' secrets.
    ///   - cryptography: For signatures.
    ///   - options: Settings.
    ///   - metrics: Counters.
    ///   - log: Where events are written.
    ///   - gauge: Measures the work of expressions.
    ///   - onFatal: Called once when the store takes nothing more: the process should end and be started again.
    /// - Throws: ``StoreError`` where the store cannot be read.
    package init(
        store: any Store, transport: any Transport, clock: any RunClock, catalog: Catalog, vault: SecretVault,
        cryptography: any Cryptography, options: RuntimeOptions, metrics: Metrics, log: EventLog,
        gauge: any WorkGauge = TimeGauge(), onFatal: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        self.store = store
        self.transport = transport
        self.clock = clock
        self.catalog = catalog
        self.vault = vault
        self.cryptography = cryptography
        self.options = options
        self.metrics = metrics
        self.log = log
        self.gauge = gauge
        allowance = WorkAllowance(gauge: gauge)
        self.onFatal = onFatal
        ids = RunIDSource(after: try store.newestRun())
        waitingCount = try store.waitingRunCount()
        wakes.beginRefill()
        wakes.endRefill(try store.waitingRuns(after: nil, limit: WakeList.pageSize))
    }

    private struct KnownSurroundings {
        let plan: RunPlan
        let generation: Int
        let surroundings: Surroundings
    }

    /// What to do once the lock is given up, in order.
    typealias Action = @Sendable () -> Void

    func perform(_ actions: [Action]) {
        for action in actions { action() }
    }
}

// MARK: - Starting

extension Runtime {
    /// Stores a new run and, once it is durable, calls `completion` and sets it going.
    package func start(_ request: StartRequest, completion: @escaping @Sendable (StartResult) -> Void) {
        // Read before the secrets: a change in between makes the run look again, not miss it.
        let generation = vault.generation
        let secrets: OpenSecrets
        let isFunded: Bool
        do throws(StoreError) {
            secrets = try vault.secrets(of: request.tenant.tenant)
            isFunded = request.tenant.isMetered ? try balance(of: request.tenant.tenant) > 0 : true
        } catch {
            return completion(.unavailable(error))
        }
        guard isFunded || request.keepsWithoutFunds else { return completion(.unfunded) }
        let run = ids.next(at: request.start.at)
        let slot = RunSlot(
            tenant: request.tenant.tenant, isMetered: request.tenant.isMetered,
            machine: RunMachine(run: run, plan: request.plan),
            surroundings: surroundings(
                of: request.tenant.tenant, plan: request.plan, secrets: secrets, generation: generation),
            secretGeneration: generation)
        if let waiter = request.waiter { slot.waiters.append(waiter) }
        slot.replier = request.replier
        var start = request.start
        do throws(ExpressionFailure) {
            start.concurrencyKey = try concurrencyKey(of: request, slot.surroundings)
        } catch {
            return completion(.refused(code: "concurrency_key", message: "concurrency.key: \(error.message)"))
        }

        lock.lock()
        guard !isStopping, fatal == nil, slots.count + startingCount < openRunCountMax(for: start),
            allowance.admits(slot.tenant)
        else {
            lock.unlock()
            return completion(.overloaded)
        }
        switch admit(slot, start, request, completion) {
        case .goes: break
        case .waits: start.isQueued = true
        case .isPostponed: return lock.unlock()
        case .ends(let result):
            lock.unlock()
            return completion(result)
        }
        startingCount += 1
        let begun = allowance.reading()
        let decision = slot.machine.handle(
            request.input(start, isFunded: isFunded), in: slot.surroundings)
        allowance.charge(slot.tenant, since: begun)
        var commit = commit(of: decision, slot: slot)
        commit.dedupe = request.dedupe
        commit.settles = request.settles
        park(&commit, slot, decision)
        commit.start = RunRecord(
            run: run, tenant: slot.tenant, workflow: request.plan.definition.name,
            digest: request.plan.digest,
            trigger: request.start.triggerKind, status: commit.status ?? .running,
            startedAt: request.start.at,
            finishedAt: commit.finishedAt, wakeAt: commit.wakeAt)
        let stored = commit.stored
        submit(commit) { [self] result in
            startingCount -= 1
            if case .success(.stored) = result { slot.stored = stored }
            return settleStart(slot, decision, result, completion)
        }
        quietStartCount = request.start.at - lastStartAt > Self.quietStartInterval ? quietStartCount + 1 : 0
        lastStartAt = request.start.at
        // The first of a crowd also comes after a pause; a second pause tells the two apart.
        let actions = flush(mayCommitInPlace: quietStartCount > 1)
        lock.unlock()
        perform(actions)
    }

    /// Attached children may go beyond the limit: their parents hold places until they are over.
    private func openRunCountMax(for start: RunStart) -> Int {
        let isAwaited = start.parent.map { !$0.isDetached } ?? false
        return isAwaited ? options.openRunCountMax * 2 : options.openRunCountMax
    }

    /// Called under the lock.
    private func admit(
        _ slot: RunSlot, _ start: RunStart, _ request: StartRequest,
        _ completion: @escaping @Sendable (StartResult) -> Void
    ) -> Admittance {
        guard let key = start.concurrencyKey else { return .goes }
        let place = ConcurrencyKey(
            tenant: slot.tenant, workflow: request.plan.definition.name, key: key)
        slot.concurrencyKey = place
        return admit(slot.run, place, request) { [self] in self.start(request, completion: completion) }
    }

    private func settleStart(
        _ slot: RunSlot, _ decision: Decision, _ result: Result<CommitReceipt, StoreError>,
        _ completion: @escaping @Sendable (StartResult) -> Void
    ) -> [Action] {
        let run = slot.run
        switch result {
        case .success(.stored):
            metrics.add("runs_started_total")
            if slot.stored != .open {
                return [{ completion(.started(run)) }] + leaveAtStart(slot, decision.effects)
            }
            slots[run] = slot
            var actions: [Action] = [{ completion(.started(run)) }] + carryOut(decision.effects, of: slot)
            actions += admitAfterStart(slot)
            // A credit may have come after the balance was read and before the run could be found.
            if slot.machine.state.isPaused, hasFunds(slot) {
                actions += decide(slot, .fundsReturned(at: clock.now()))
            }
            return actions
        case .success(.duplicate(let first, let isSameContent)):
            return leaveQueue(slot) + [{ completion(.duplicate(of: first, isSameContent: isSameContent)) }]
        case .failure(let error):
            return leaveQueue(slot) + [{ completion(.unavailable(error)) }]
        }
    }

    /// What a plan's runs rest on; made once for each plan and state of the secrets, because every
    /// form of every secret has to be worked out for the redactor.
    func surroundings(of tenant: TenantID, plan: RunPlan, secrets: OpenSecrets, generation: Int)
        -> Surroundings
    {
        let key = ObjectIdentifier(plan)
        let known = surroundingsLock.withLock { knownSurroundings[key] }
        if let known, known.plan === plan, known.generation == generation { return known.surroundings }
        // A workflow that reaches `secrets` without naming one may read any of them.
        let readsAny = plan.definition.secretNames.contains("*")
        let named =
            readsAny
            ? secrets.byName.values.map(\.value)
            : plan.definition.secretNames.compactMap { secrets.byName[$0]?.value }
        let replaced = vault.replacedValues(of: tenant, named: readsAny ? nil : plan.definition.secretNames)
        var made = Surroundings(
            tenant: tenant, secrets: secrets, redactor: Redactor(secrets: named + replaced),
            cryptography: cryptography)
        made.signalKey = vault.signalKey
        made.gauge = gauge
        surroundingsLock.withLock {
            if knownSurroundings.count >= 2_000 { knownSurroundings.removeAll() }
            knownSurroundings[key] = KnownSurroundings(plan: plan, generation: generation, surroundings: made)
        }
        return made
    }
}

// MARK: - Inputs

extension Runtime {
    /// Gives an input to a run.
    ///
    /// One for a run that is over or unknown is dropped.
    func handle(_ run: RunID, _ input: RunInput) {
        lock.lock()
        guard let slot = slots[run], fatal == nil else { return lock.unlock() }
        refreshSecrets(slot)
        let actions = decide(slot, input) + flush()
        lock.unlock()
        perform(actions)
    }

    /// As ``handle(_:_:)``, for an answer, on the transport's thread.
    ///
    /// What answers of one turn decide
    /// goes to the store together at the turn's end: one wake-up and larger groups.
    func handleAnswer(_ run: RunID, step: Int, attempt: Int, _ outcome: TransferOutcome) {
        lock.lock()
        sentCount -= 1
        if sentCount == 0 { allAnswered.broadcast() }
        guard let slot = slots[run], fatal == nil else { return lock.unlock() }
        if !slot.transfers.isEmpty { slot.transfers[step] = nil }
        refreshSecrets(slot)
        let mustSchedule = outbox.isEmpty
        let actions = decide(slot, .answered(step: step, attempt: attempt, outcome))
        let isScheduled = mustSchedule && !outbox.isEmpty
        lock.unlock()
        perform(actions)
        if isScheduled { transport.perform { [self] in flushTurn() } }
    }

    private func flushTurn() {
        lock.lock()
        let actions = flush()
        lock.unlock()
        perform(actions)
    }

    /// Decides and stores; returns what to do at once.
    ///
    /// Called under the lock.
    ///
    /// While a decision of the run is not durable its further inputs wait: they would else be decided, and
    /// requests sent, on the strength of what a full disk may still refuse (I1).
    func decide(_ slot: RunSlot, _ input: RunInput) -> [Action] {
        slot.waitingInputs.append(input)
        return decideWaiting(slot)
    }

    /// Decides all that waits, to be stored as one commit.
    func decideWaiting(_ slot: RunSlot) -> [Action] {
        guard !slot.isCommitting, !slot.waitingInputs.isEmpty, fatal == nil else { return [] }
        guard allowance.admits(slot.tenant) else { return postpone(slot) }
        let inputs = slot.waitingInputs
        slot.waitingInputs = []
        let begun = allowance.reading()
        var decision = slot.machine.handle(inputs[0], in: slot.surroundings)
        for input in inputs.dropFirst() {
            let next = slot.machine.handle(input, in: slot.surroundings)
            decision.records += next.records
            decision.effects += next.effects
        }
        allowance.charge(slot.tenant, since: begun)
        guard !decision.records.isEmpty else {
            return tellOrderWaiters(of: slot) + tellSignalWaiters(of: slot)
                + carryOut(decision.effects, of: slot) + leaveIfAtRest(slot)
        }
        slot.isCommitting = true
        var commit = commit(of: decision, slot: slot)
        park(&commit, slot, decision)
        let stored = commit.status == nil ? slot.stored : commit.stored
        submit(commit) { [self, decision] result in
            switch result {
            case .success:
                slot.stored = stored
                return settle(slot, decision)
            case .failure(let error): return loseTrack(of: slot, inputs, because: error)
            }
        }
        return []
    }

    /// A decision is durable.
    ///
    /// Called under the lock.
    private func settle(_ slot: RunSlot, _ decision: Decision) -> [Action] {
        slot.isCommitting = false
        slot.reloadCount = 0
        // An order that still waits has been told to nobody.
        let isOrderWaiting = slot.waitingInputs.contains(where: \.isOrder)
        let told = (isOrderWaiting ? [] : tellOrderWaiters(of: slot)) + tellSignalWaiters(of: slot)
        if slot.stored != .open, slot.mayLeave {
            return told + carryOut(decision.effects.filter { !$0.isAlarm }, of: slot) + leave(slot)
        }
        return told + carryOut(decision.effects, of: slot) + decideWaiting(slot)
    }

    /// A tenant whose expressions have taken too much of everyone's time waits, with its inputs kept (S15).
    private func postpone(_ slot: RunSlot) -> [Action] {
        guard !slot.isPostponed else { return [] }
        slot.isPostponed = true
        let run = slot.run
        return [
            { [self] in
                clock.schedule(at: clock.now() + .milliseconds(200)) { self.goOnAfterPostponement(run) }
            }
        ]
    }

    private func goOnAfterPostponement(_ run: RunID) {
        lock.lock()
        guard let slot = slots[run] else { return lock.unlock() }
        slot.isPostponed = false
        let actions = decideWaiting(slot) + flush()
        lock.unlock()
        perform(actions)
    }

    /// Lines a commit up for the store.
    ///
    /// `settle` runs under the lock once it is durable or refused; what
    /// it returns is done after the lock is given up. Called under the lock, before ``flush()``.
    private func submit(
        _ commit: RunCommit, settle: @escaping (Result<CommitReceipt, StoreError>) -> [Action]
    ) {
        outbox.append(Pending(commit, settle))
    }

    /// Hands what is lined up to the store, and acts at once on what the store did in place.
    ///
    /// Called
    /// under the lock, at the end of what was begun under it.
    func flush(mayCommitInPlace: Bool = true) -> [Action] {
        var actions: [Action] = []
        while !outbox.isEmpty {
            let batch = outbox
            outbox.removeAll(keepingCapacity: true)
            let isAlone = mayCommitInPlace && batch.count == 1 && slots.count + startingCount <= 1
            for pending in batch {
                pending.beginCall()
                store.commit(pending.commit, inPlace: isAlone) { [self] result in
                    if !pending.keepsInPlace(result) { takeBack(pending, result) }
                }
                if let result = pending.takeInPlaceResult() {
                    actions += note(result, pending.commit.tenant) + pending.settle(result)
                }
            }
        }
        return actions
    }

    /// On the store's thread: collects the results of a group, and has the transport's thread act on
    /// them all under one lock.
    ///
    /// There the requests that follow are sent without another hand-off.
    private func takeBack(_ pending: Pending, _ result: Result<CommitReceipt, StoreError>) {
        // A start's caller waits for its answer, which the store's thread can give at once.
        if pending.commit.start != nil {
            lock.lock()
            let actions = note(result, pending.commit.tenant) + pending.settle(result) + flush()
            lock.unlock()
            return perform(actions)
        }
        let isFirst = settledLock.withLock {
            settled.append((pending, result))
            return settled.count == 1
        }
        if isFirst { transport.perform { [self] in settleAll() } }
    }

    private func settleAll() {
        let batch = settledLock.withLock {
            defer { settled.removeAll(keepingCapacity: true) }
            return settled
        }
        lock.lock()
        var actions: [Action] = []
        for (pending, result) in batch {
            actions += note(result, pending.commit.tenant) + pending.settle(result)
        }
        actions += flush()
        lock.unlock()
        perform(actions)
    }

    /// Learns the balance and raises the alarm at its end.
    ///
    /// Called under the lock.
    private func note(_ result: Result<CommitReceipt, StoreError>, _ tenant: TenantID) -> [Action] {
        switch result {
        case .success(.stored(let balance, let depletion)):
            if let balance { balances[tenant] = balance }
            guard let depletion else { return [] }
            // On the clock's thread: this one may be the store's, which cannot wait for itself.
            return [{ [self] in clock.schedule(at: clock.now()) { self.announce(depletion) } }]
        case .success(.duplicate): return []
        case .failure(let error):
            metrics.add("store_errors_total", "error=\"\(error.label)\"")
            return error.isRetryable || error.isAboutOneCommit ? [] : die(error)
        }
    }

    /// The store takes nothing more: nothing further is decided or sent.
    ///
    /// Called under the lock.
    private func die(_ error: StoreError) -> [Action] {
        guard fatal == nil else { return [] }
        fatal = error
        log.write(.error, "store.failed", [("error", .string(error.label)), ("detail", .string("\(error)"))])
        return [{ [onFatal] in onFatal(error) }]
    }

    private func commit(of decision: Decision, slot: RunSlot) -> RunCommit {
        var commit = RunCommit(
            run: slot.run, tenant: slot.tenant, entries: decision.records.map(\.stored),
            isMetered: slot.isMetered)
        for record in decision.records {
            switch record.entry {
            case .runPaused, .runResumed, .runHeld, .runReleased, .cancelRequested:
                commit.status = slot.machine.state.isAtRest ? .paused : .running
            case .runFinished(let outcome):
                commit.status = RunStatus(outcome.status)
                commit.finishedAt = record.at
            default: break
            }
        }
        return commit
    }

    private func refreshSecrets(_ slot: RunSlot) {
        let generation = vault.generation
        guard slot.secretGeneration != generation else { return }
        // Where they cannot be read just now, the run goes on with those it had.
        guard let secrets = try? vault.secrets(of: slot.tenant) else { return }
        slot.surroundings = surroundings(
            of: slot.tenant, plan: slot.machine.plan, secrets: secrets, generation: generation)
        slot.secretGeneration = generation
    }
}

/// A commit under way.
///
/// Its completion may be called on the caller's own thread while that still holds
/// the lock (in place), or later on the store's.
private final class Pending: @unchecked Sendable {
    // Unchecked: `isInCall` and `inPlaceResult` are touched by the calling thread only; `settle` runs
    // under the runtime's lock.
    let commit: RunCommit
    let settle: (Result<CommitReceipt, StoreError>) -> [Runtime.Action]
    private var caller: UInt = 0
    private var isInCall = false
    private var inPlaceResult: Result<CommitReceipt, StoreError>?

    init(_ commit: RunCommit, _ settle: @escaping (Result<CommitReceipt, StoreError>) -> [Runtime.Action]) {
        self.commit = commit
        self.settle = settle
    }

    /// The current thread is about to hand it to the store; not always the one that decided it.
    func beginCall() {
        caller = CurrentThread.identity
        isInCall = true
    }

    /// Whether this is the caller's thread, still in its call: then the result waits for it.
    func keepsInPlace(_ result: Result<CommitReceipt, StoreError>) -> Bool {
        guard CurrentThread.identity == caller, isInCall else { return false }
        inPlaceResult = result
        return true
    }

    func takeInPlaceResult() -> Result<CommitReceipt, StoreError>? {
        isInCall = false
        return inPlaceResult
    }
}

extension RunStatus {
    init(_ status: RunOutcome.Status) {
        switch status {
        case .succeeded: self = .succeeded
        case .failed: self = .failed
        case .cancelled: self = .cancelled
        }
    }
}

extension StoreError {
    /// Whether the store itself is well and only this one thing was refused.
    var isAboutOneCommit: Bool {
        switch self {
        case .exists, .missing, .outOfRange: true
        default: false
        }
    }
}
