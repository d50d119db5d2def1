package import Billing
package import Ports
package import Values

/// One immutable fact of a run.
///
/// The state is the fold of its entries (I4). Indirect, because an entry is passed on several times on its
/// way to its fold and its stored form.
package indirect enum JournalEntry: Sendable {
    /// The run was created, with everything that started it.
    case runStarted(RunStart)
    /// The outcome of a step, recorded once (I2).
    case stepSettled(path: String, StepResult)
    /// The guard was false, or all steps that it waits for were skipped.
    case stepSkipped(path: String, reason: SkipReason)
    /// An attempt failed and a retry is due at `retryAt`; for `madeAt` see ``StepResult/madeAt``.
    case attemptFailed(
        path: String, attempt: Int, error: StepError, interval: Meter.Interval, retryAt: Instant,
        madeAt: Instant? = nil)
    /// A group opened, or a step with a strategy and its items; `over` is nil for a group that runs once.
    case stepOpened(path: String, over: GuardedValue?)
    /// A step sleeps until an instant, free of charge.
    ///
    /// `isWallTime` means that the instant itself was requested. Otherwise a duration was, and a step of the
    /// wall clock moves the instant.
    case stepSleeping(path: String, until: Instant, isWallTime: Bool = false)
    /// A step waits for a signal, free of charge; `until` is nil for no bound, `isWallTime` is as above.
    case stepWaiting(path: String, until: Instant?, isWallTime: Bool = false)
    /// A step waits, free of charge, for the end of the run that it started.
    case stepCalling(path: String, child: RunID)
    /// Exactly these requests may have left when the previous entry ended a scope or paused the run.
    ///
    /// Without this entry, a restart could not tell a request with a pending response from one that was never
    /// sent.
    case stepsInFlight(paths: [String])
    /// A signal arrived; it is kept until a step takes it, even if none waits yet.
    case signalReceived(RunSignal)
    /// The run's own timeout has passed.
    case runTimedOut
    /// The journal exceeds the bytes that a run may keep.
    case runTooLarge(byteCountMax: Int)
    /// All steps succeeded, but the run's `output` could not be computed.
    case outputFailed(StepError)
    /// Nothing more is sent until the balance is above zero.
    case runPaused
    /// The run's turn has come among the runs with its concurrency key.
    case runAdmitted
    case runResumed
    /// A person paused the run; nothing new starts until it is released or cancelled.
    case runHeld(reason: String)
    case runReleased
    case cancelRequested(reason: String)
    /// All steps and compensations are over: the outcome is decided, and the `finally` steps run.
    case runFinalizing(RunOutcome)
    /// The `finally` steps were cut short; those that have not begun will not run.
    case finallyCut(StepError)
    case runFinished(RunOutcome)
    /// The wall clock has been stepped since the previous entry; the ends of durations move by the same
    /// amount.
    case clockStepped(by: Duration)
}

/// What started a run, without secrets and signatures.
package struct RunStart: Sendable {
    /// The storage, shared between copies.
    ///
    /// A start is passed on many times on its way to the journal. If it were copied member by member, threads
    /// would contend for the members' reference counts.
    private final class Facts: @unchecked Sendable {
        // Unchecked: changed only while a single `RunStart` refers to it.
        var triggerKind: String
        var headers: [HTTPHeader]
        var query: [(name: String, value: String)]
        var body: [UInt8]
        var at: Instant
        var tenantName: String
        var externalCustomerID: String?
        var origin: RunOrigin?
        var parent: RunParent?
        var lineage: RunLineage?
        var cause: RunCause?
        var concurrencyKey: String?
        var isQueued: Bool = false
        var clockShift = Duration.zero
        var parsedBody: Value?
        var input: Value?
        var sensitive: [SensitivePart] = []
        var fault: StepError?

        init(
            triggerKind: String, headers: [HTTPHeader], query: [(name: String, value: String)], body: [UInt8],
            at: Instant, tenantName: String, externalCustomerID: String?
        ) {
            self.triggerKind = triggerKind
            self.headers = headers
            self.query = query
            self.body = body
            self.at = at
            self.tenantName = tenantName
            self.externalCustomerID = externalCustomerID
        }

        func copy() -> Facts {
            let copy = Facts(
                triggerKind: triggerKind, headers: headers, query: query, body: body, at: at,
                tenantName: tenantName, externalCustomerID: externalCustomerID)
            copy.origin = origin
            copy.parent = parent
            copy.lineage = lineage
            copy.cause = cause
            copy.concurrencyKey = concurrencyKey
            copy.isQueued = isQueued
            copy.clockShift = clockShift
            copy.parsedBody = parsedBody
            copy.input = input
            copy.sensitive = sensitive
            copy.fault = fault
            return copy
        }
    }

    private var facts: Facts
    private var ownFacts: Facts {
        mutating get {
            if !isKnownUniquelyReferenced(&facts) { facts = facts.copy() }
            return facts
        }
    }

    package init(
        triggerKind: String, headers: [HTTPHeader], query: [(name: String, value: String)], body: [UInt8],
        at: Instant, tenantName: String, externalCustomerID: String?
    ) {
        facts = Facts(
            triggerKind: triggerKind, headers: headers, query: query, body: body, at: at,
            tenantName: tenantName, externalCustomerID: externalCustomerID)
    }

    /// `http`, `webhook`, `hook`, `schedule`, `manual`, `run` or `call`.
    package var triggerKind: String {
        get { facts.triggerKind }
        set { ownFacts.triggerKind = newValue }
    }
    /// Names in lower case.
    package var headers: [HTTPHeader] {
        get { facts.headers }
        set { ownFacts.headers = newValue }
    }
    package var query: [(name: String, value: String)] {
        get { facts.query }
        set { ownFacts.query = newValue }
    }
    /// The exact bytes received.
    package var body: [UInt8] {
        get { facts.body }
        set { ownFacts.body = newValue }
    }
    package var at: Instant {
        get { facts.at }
        set { ownFacts.at = newValue }
    }
    /// The name at the start; later changes do not affect an open run.
    package var tenantName: String {
        get { facts.tenantName }
        set { ownFacts.tenantName = newValue }
    }
    package var externalCustomerID: String? {
        get { facts.externalCustomerID }
        set { ownFacts.externalCustomerID = newValue }
    }
    /// The run that this one continues; nil if it was started by a trigger or a call.
    package var origin: RunOrigin? {
        get { facts.origin }
        set { ownFacts.origin = newValue }
    }
    /// The caller of the run; nil if a trigger started it.
    package var parent: RunParent? {
        get { facts.parent }
        set { ownFacts.parent = newValue }
    }
    /// The position below the root of a chain of calls; nil if no run called this one.
    ///
    /// A retry or fork keeps the lineage of the original run.
    package var lineage: RunLineage? {
        get { facts.lineage }
        set { ownFacts.lineage = newValue }
    }
    /// The end of a run that started this one; nil for any other start.
    package var cause: RunCause? {
        get { facts.cause }
        set { ownFacts.cause = newValue }
    }
    /// Runs of the workflow with the same key share a limit; nil for none.
    package var concurrencyKey: String? {
        get { facts.concurrencyKey }
        set { ownFacts.concurrencyKey = newValue }
    }
    /// Whether the run starts nothing before ``RunInput/admitted(at:)``.
    package var isQueued: Bool {
        get { facts.isQueued }
        set { ownFacts.isQueued = newValue }
    }
    /// How far the wall clock had been stepped by then, over the life of the installation.
    package var clockShift: Duration {
        get { facts.clockShift }
        set { ownFacts.clockShift = newValue }
    }
    /// The value of the body, if JSON from outside could not represent it.
    ///
    /// JSON has no bytes, and a computed value may be nested deeper than JSON from outside.
    package var input: Value? {
        get { facts.input }
        set { ownFacts.input = newValue }
    }
    /// The body parsed by its content type, if the caller has done so already; not stored.
    package var parsedBody: Value? {
        get { facts.parsedBody }
        set { ownFacts.parsedBody = newValue }
    }
    /// Sensitive values of the caller, below `body`; the body itself contains masks.
    package var sensitive: [SensitivePart] {
        get { facts.sensitive }
        set { ownFacts.sensitive = newValue }
    }
    /// Why the run fails before its first step; nil for a run that can start.
    ///
    /// It makes a start visible that nobody waits for, and that would otherwise be refused.
    package var fault: StepError? {
        get { facts.fault }
        set { ownFacts.fault = newValue }
    }
}

/// A signal to a run.
package struct RunSignal: Sendable, Hashable {
    /// The sender's key; a second signal with the same key is a duplicate.
    package var id: String
    /// `[a-z][a-z0-9_]*`, at most 64 characters.
    package var name: String
    package var body: Value

    package init(id: String, name: String, body: Value) {
        self.id = id
        self.name = name
        self.body = body
    }
}

/// The result of a step.
package struct StepResult: Sendable {
    package enum Content: Sendable {
        /// An HTTP response, accepted or not.
        case response(OutboundResponse)
        /// The value of a computation or a group.
        case output(Value)
        /// The signal that ended a wait.
        case signal(RunSignal)
        /// The run that the step started.
        case child(ChildResult)
        /// A wait that timed out.
        case timedOut
        /// The item, from 1, that won a race.
        case winner(Int)
        /// No result, such as after a failure without a response.
        case none
    }

    /// Nil for a success.
    package var error: StepError?
    package var content: Content
    /// The number of attempts, from 1; 0 for a step that sends nothing.
    package var attemptCount: Int
    /// The time of the last attempt; nil for a step that sends nothing.
    package var interval: Meter.Interval?
    /// The result of `time.now()` in the last attempt's expressions; nil if they did not ask.
    package var madeAt: Instant?
    /// Whether an earlier run did the work, so that this one neither pays for it nor undoes it.
    package var isCopied = false
    /// Values that are never shown, below `body`, `headers` or `output`; the content itself contains masks.
    package var sensitive: [SensitivePart] = []

    package init(error: StepError?, content: Content, attemptCount: Int, interval: Meter.Interval?) {
        self.error = error
        self.content = content
        self.attemptCount = attemptCount
        self.interval = interval
    }
}

/// Why a step or an attempt failed, for people and for expressions.
package struct StepError: Sendable, Hashable {
    /// A stable label: `status`, `timeout`, `connection`, `fail_when`, `schema`, `raised`, ….
    package var code: String
    /// One sentence without secrets, at most 1 KiB.
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    var isOutOfBudget: Bool { code == "budget_exceeded" || code == "memory_exceeded" }
}

/// Why a step did not run.
package enum SkipReason: String, Sendable {
    /// Its guard was false or null.
    case guardFalse = "guard_false"
    /// Every step that it waits for was skipped.
    case allSkipped = "all_skipped"
    /// The signal did not arrive in time, and the step has `on_timeout: reject`.
    case timedOut = "timed_out"
}

/// The outcome of a run.
package struct RunOutcome: Sendable, Hashable {
    package enum Status: String, Sendable { case succeeded, failed, cancelled }
    /// The result of compensations or `finally` steps, which does not affect the run's status.
    package enum Closing: String, Sendable { case succeeded, failed }

    /// Whether the compensations succeeded; nil if there were none.
    package var compensation: Closing?
    /// Whether the `finally` steps succeeded; nil if there were none.
    package var finally: Closing?
    package var status: Status
    package var output: Value
    /// The error that failed the run; nil for a success.
    package var error: StepError?
    /// The step that failed the run, if any.
    package var failedStep: String?

    package init(status: Status, output: Value = .null, error: StepError? = nil, failedStep: String? = nil) {
        self.status = status
        self.output = output
        self.error = error
        self.failedStep = failedStep
    }
}

/// An entry with its sequence and its charge.
package struct JournalRecord: Sendable {
    /// Counted from 1.
    package var sequence: Int64
    package var at: Instant
    /// The run time charged with the entry, at least 0 (I7).
    package var chargeMilliseconds: Int64
    package var entry: JournalEntry

    package init(sequence: Int64, at: Instant, chargeMilliseconds: Int64, entry: JournalEntry) {
        self.sequence = sequence
        self.at = at
        self.chargeMilliseconds = chargeMilliseconds
        self.entry = entry
    }
}
