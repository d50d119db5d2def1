package import Engine
import Ports
package import Storage
package import Values
import Workflow

/// A run that is not over, in memory.
final class RunSlot: @unchecked Sendable {
    // Unchecked: all that changes is read and written under the runtime's lock.
    let tenant: TenantID
    /// Seals its sensitive values.
    let sealer: any JournalSealer
    /// Of its tenant; nil where that is not metered.
    let funds: TenantFunds?
    /// What it may still take off them by what it has in flight.
    var hold = RunHold()
    /// Whether it is counted among the open runs of ``funds``.
    var hasPlace = false
    /// Whether it stands among the paused runs of ``funds``.
    var isAmongPaused = false
    var machine: RunMachine
    var surroundings: Surroundings
    /// Of the secrets in `surroundings`.
    var secretGeneration: Int
    /// Called once when the run is over.
    var waiters: [@Sendable (RunOutcome) -> Void] = []
    /// Whether a decision is on its way to the disk, or the journal is about to be read again.
    var isCommitting = false
    /// Inputs for after that.
    var waitingInputs: [RunInput] = []
    /// Whether an alarm is set for them, because the tenant has used up its share of work.
    var isPostponed = false
    /// Called with the run's status once a cancel, pause or resume is durable, or the run is over without it; with
    /// nil where neither will be known.
    var orderWaiters: [@Sendable (RunStatus?) -> Void] = []
    /// Called once their signals are durable.
    var signalWaiters: [(id: String, completion: @Sendable (SignalResult) -> Void)] = []
    /// Answers the caller of the trigger from a `reply` step; once.
    var replier: (@Sendable (RunReply) -> Void)?
    /// Transfers under way, by step; only of workflows that may have to end one.
    var transfers: [Int: TransferID] = [:]
    /// Steps that have lost a race with a request decided; none of them is sent any more.
    var abandoned: Set<Int> = []
    /// Alarms on the clock for its timers, by step; -1 for the run's own timeout.
    var alarms: [Int: AlarmID] = [:]
    /// How its row stands in the store.
    var stored = Stored.open
    /// Whether it is being handed, one after another, to those who have waited for it to be read.
    var isHandedOut = false
    /// Under which its start and its end count; nil for none.
    var concurrencyKey: ConcurrencyKey?
    /// How often in a row the journal was read again because the store had refused a commit.
    var reloadCount = 0

    /// What a run's row says of its waiting.
    enum Stored: Equatable {
        /// It is running or paused: a process that starts reads it at once.
        case open
        /// It waits: whoever starts leaves it until then, or until someone asks for it.
        case waiting(until: Instant?)
    }

    init(
        tenant: TenantID, funds: TenantFunds?, machine: RunMachine, surroundings: Surroundings,
        secretGeneration: Int, sealer: any JournalSealer
    ) {
        self.tenant = tenant
        self.sealer = sealer
        self.funds = funds
        self.machine = machine
        self.surroundings = surroundings
        self.secretGeneration = secretGeneration
    }

    var run: RunID { machine.state.run }

    var isMetered: Bool { funds != nil }
}

extension RunSlot: StartGate {
    func mayStart(timeout: Duration, at now: Instant) -> Bool {
        funds?.mayStartLate(self, timeout, now) ?? true
    }
}

/// A request to start a run.
package struct StartRequest: Sendable {
    package var tenant: Tenant
    package var plan: RunPlan
    package var start: RunStart
    /// What the run need not do again; its start is `start`.
    package var fork: RunFork?
    package var dedupe: RunCommit.Dedupe?
    /// The depletion that this run answers.
    package var settles: Depletion?
    /// The mail that this run acts upon.
    var takes: MailPlace?
    /// Whether a tenant without balance keeps the run, paused, in place of a refusal.
    package var keepsWithoutFunds: Bool
    /// Whether nobody waits for the answer: if the start itself is wrong, a run is stored that fails at once, where
    /// everyone sees it.
    var isUnattended = false
    /// Called once when the run is over; not for a duplicate.
    package var waiter: (@Sendable (RunOutcome) -> Void)?
    /// Called at most once, by the first `reply` step.
    package var replier: (@Sendable (RunReply) -> Void)?

    package init(
        tenant: Tenant, plan: RunPlan, start: RunStart, dedupe: RunCommit.Dedupe? = nil,
        settles: Depletion? = nil, keepsWithoutFunds: Bool, waiter: (@Sendable (RunOutcome) -> Void)? = nil,
        replier: (@Sendable (RunReply) -> Void)? = nil
    ) {
        self.replier = replier
        self.tenant = tenant
        self.plan = plan
        self.start = start
        self.dedupe = dedupe
        self.settles = settles
        self.keepsWithoutFunds = keepsWithoutFunds
        self.waiter = waiter
    }
}

extension StartRequest {
    /// What the run begins with; `start` is the request's, completed.
    func input(_ start: RunStart, isFunded: Bool) -> RunInput {
        guard var fork else { return .started(start, isFunded: isFunded) }
        fork.start = start
        return .forked(fork, isFunded: isFunded)
    }
}

/// What became of it.
package enum StartResult: Sendable {
    /// Durable (I5).
    case started(RunID)
    /// The dedupe key is taken; `isSameContent` is false where another content came under it.
    case duplicate(of: RunID, isSameContent: Bool)
    /// The workflow skips runs beyond its limit, and this one goes; nothing was stored.
    case skipped(of: RunID)
    /// The start itself is wrong, as its concurrency key; nothing was stored.
    case refused(code: String, message: String)
    /// The tenant has no balance; nothing was stored.
    case unfunded
    /// The operator has suspended the tenant; nothing was stored.
    case suspended
    /// The tenant has as many runs open as one may; nothing was stored.
    case tooManyRuns
    /// The tenant's expressions have taken more time than one may; there is room again after that, and nothing was
    /// stored.
    case computedTooMuch(retryAfter: Duration)
    /// Too many runs are open, or the process is stopping; nothing was stored.
    case overloaded
    /// The store refused; nothing was stored.
    case unavailable(StoreError)

    var isStarted: Bool {
        if case .started = self { return true }
        return false
    }
}
