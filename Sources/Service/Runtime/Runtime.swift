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
    /// Of the work in memory, what tenants have beyond what one may start: woken runs, and children.
    ///
    /// It takes no place from others.
    var excessRunCount = 0
    /// Runs being read back from the store, and what is to be done with each then; see ``withSlot(_:_:)``.
    var loading: [RunID: [SlotUse]] = [:]
    /// Who waits for runs that have left memory.
    var awaited: [RunID: Awaited] = [:]
    /// Runs that have left memory, for ``load``.
    var waitingCount = 0
    var wakes = WakeList()
    var wakeAlarm: (id: AlarmID, at: Instant)?
    /// When the last run began to start.
    var lastStartAt = Instant(microseconds: 0)
    /// Starts in a row that came alone.
    var quietStartCount = 0
    /// Starts closer together than this come from several callers at once: they are stored in groups,
    /// because one committed in place would keep the listener's thread from reading the next.
    static let quietStartInterval = Duration.microseconds(400)
    /// Runs that share a limit, by what they share.
    var queues: [ConcurrencyKey: ConcurrencyQueue] = [:]
    /// Those that wait there while others wait for their ends.
    var queuedCalls = QueuedCalls()
    var descendants = Descendants()
    var mailRoom = MailRoom()
    /// Open runs whose end a step of another waits for.
    var awaitedRuns: [RunID: AwaitingStep] = [:]
    /// Actions for the transport's thread; with the flag under `errandLock`.
    let errandLock = Lock()
    var errands: [Action] = []
    var areErrandsRunning = false
    /// Of metered tenants that this process has heard of.
    var funds: [TenantID: TenantFunds] = [:]
    /// Tenants that were asked for before.
    var tenants = LRUCache<TenantID, Tenant>(weightMax: 10_000)
    /// By how much the wall clock had been stepped in the life of the installation, when this process began.
    let clockShiftAtStart: Duration
    /// Rises when a tenant's row changes: one that was read before is not kept.
    var tenantGeneration = 0
    /// Tenants that the operator has suspended, all of them.
    var suspended: [TenantID: Tenant.Suspension] = [:]
    /// Held over a change in the store and the one in memory, so that both come in one order.
    let suspensionLock = Lock()
    /// What has been deleted for its age.
    var retention = RetentionProgress()
    var isStopping = false
    /// Attempts sent and not answered.
    var sentCount = 0
    let allAnswered = Condition()
    /// Runs that cannot go on and why; shown by `/readyz` and the metrics (I11).
    var stuck: [RunID: String] = [:]
    var fatal: StoreError?
    /// Whether the last commit found no room on the disk.
    var isOutOfRoom = false
    /// Commits decided in the present turn of the transport, handed to the store together.
    var outbox: [Pending] = []
    /// Results that the store has handed back and nobody has acted on yet; under `settledLock`.
    let settledLock = Lock()
    var settled: [(Pending, Result<CommitReceipt, StoreError>)] = []
    let surroundingsLock = Lock()
    var knownSurroundings = LRUCache<ObjectIdentifier, KnownSurroundings>(weightMax: 10_000)
    let onFatal: @Sendable (StoreError) -> Void

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
        clockShiftAtStart = try Self.storedClockShift(store)
        for tenant in try store.suspendedTenants() { suspended[tenant.tenant] = tenant.suspension }
        waitingCount = try store.waitingRunCount()
        wakes.beginRefill()
        wakes.endRefill(try store.waitingRuns(after: nil, limit: WakeList.pageSize))
        clock.whenStepped { [weak self] step in self?.clockStepped(by: step) }
    }

    struct KnownSurroundings {
        /// Weak, so that the catalog alone says how long a plan is kept: another may be at that address by then.
        weak var plan: RunPlan?
        let generation: Int
        let surroundings: Surroundings
    }

    /// What to do once the lock is given up, in order.
    typealias Action = @Sendable () -> Void

    func perform(_ actions: [Action]) {
        for action in actions { action() }
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
        let clockReading = clockReading(for: slot)
        var decision =
            clockReading.stepped.map { slot.machine.handle($0, in: slot.surroundings) } ?? Decision()
        for (index, input) in inputs.enumerated() {
            let next = slot.machine.handle(
                clockReading.adjusted(input), in: slot.surroundings, at: clockReading.instant(of: input),
                isContinuing: index > 0 || clockReading.stepped != nil)
            decision.records += next.records
            decision.effects += next.effects
        }
        allowance.charge(slot.tenant, since: begun)
        let answerCount = slot.isMetered ? inputs.count(where: \.isAnswer) : 0
        guard !decision.records.isEmpty else {
            slot.hold.endAttempts(answerCount)
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
                noteCharge(of: decision, answerCount: answerCount, to: slot)
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
                clock.schedule(after: .milliseconds(200)) { self.goOnAfterPostponement(run) }
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

    private func refreshSecrets(_ slot: RunSlot) {
        let generation = vault.generation
        guard slot.secretGeneration != generation else { return }
        // Where they cannot be read just now, the run goes on with those it had.
        guard let secrets = try? vault.secrets(of: slot.tenant),
            let surroundings = try? surroundings(
                of: slot.tenant, plan: slot.machine.plan, secrets: secrets, generation: generation)
        else { return }
        slot.surroundings = surroundings
        slot.secretGeneration = generation
    }
}
