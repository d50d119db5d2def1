package import Billing
package import Ports
package import Values

/// One immutable fact of a run.
///
/// The state is the fold of its entries (I4). Indirect, because an entry is handed on several times, from its decision
/// to its fold and its stored form.
package indirect enum JournalEntry: Sendable {
    /// The run exists, with all that started it.
    case runStarted(RunStart)
    /// A step's outcome: recorded once (I2).
    case stepSettled(path: String, StepResult)
    /// A guard was false, or all that the step waits for was skipped.
    case stepSkipped(path: String, reason: SkipReason)
    /// An attempt failed and another will follow at `retryAt`; `madeAt` is as in ``StepResult/madeAt``.
    case attemptFailed(
        path: String, attempt: Int, error: StepError, interval: Meter.Interval, retryAt: Instant,
        madeAt: Instant? = nil)
    /// A group began, or a step with a strategy, with what it runs over; nil for a group that runs once.
    case stepOpened(path: String, over: GuardedValue?)
    /// A step sleeps, free of charge, until that instant.
    ///
    /// `isWallTime` says that the instant itself was asked for; else a duration was, and a step of the wall clock
    /// moves the instant.
    case stepSleeping(path: String, until: Instant, isWallTime: Bool = false)
    /// A step waits for a signal, free of charge; nil for as long as it takes. `isWallTime` is as above.
    case stepWaiting(path: String, until: Instant?, isWallTime: Bool = false)
    /// A step waits, free of charge, for the end of the run that it has started.
    case stepCalling(path: String, child: RunID)
    /// These requests, and no others, may have left when the entry before it ended a scope or paused the run.
    ///
    /// Without it a restart could not tell a request whose answer is still to come from one that never left.
    case stepsInFlight(paths: [String])
    /// Kept until a step takes it, also where none waits yet.
    case signalReceived(RunSignal)
    /// The run's own time is over.
    case runTimedOut
    /// The journal has come to more bytes than a run may keep.
    case runTooLarge(byteCountMax: Int)
    /// All steps went well, and the run's own `output` could not be computed.
    case outputFailed(StepError)
    /// Nothing more is sent until the balance is above zero.
    case runPaused
    /// The run waited for others with its concurrency key, and now it is its turn.
    case runAdmitted
    case runResumed
    /// A person has paused the run: nothing new starts until it is released or cancelled.
    case runHeld(reason: String)
    case runReleased
    case cancelRequested(reason: String)
    /// All steps are over and what was to be undone is: how the run ends is decided, and its `finally` steps run.
    case runFinalizing(RunOutcome)
    /// The `finally` steps were cut short: what of them has not begun never will.
    case finallyCut(StepError)
    case runFinished(RunOutcome)
    /// The wall clock has been stepped by that much since the entry before: what was to end after a duration
    /// ends that much later by it.
    case clockStepped(by: Duration)
}

/// What a run started with; secrets and signatures are not in it.
package struct RunStart: Sendable {
    /// One for all copies, because a start passes through many hands on its way to the journal: copied member by
    /// member, the counts of its members would be what threads wait for each other for.
    private final class Facts: @unchecked Sendable {
        // Unchecked: changed only while one `RunStart` alone refers to it.
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
    /// The exact bytes that came.
    package var body: [UInt8] {
        get { facts.body }
        set { ownFacts.body = newValue }
    }
    package var at: Instant {
        get { facts.at }
        set { ownFacts.at = newValue }
    }
    /// As they were at the start: later changes do not reach a run under way.
    package var tenantName: String {
        get { facts.tenantName }
        set { ownFacts.tenantName = newValue }
    }
    package var externalCustomerID: String? {
        get { facts.externalCustomerID }
        set { ownFacts.externalCustomerID = newValue }
    }
    /// The run that this one goes on from; nil for one that a trigger started.
    package var origin: RunOrigin? {
        get { facts.origin }
        set { ownFacts.origin = newValue }
    }
    /// Who called the run; nil where a trigger started it.
    package var parent: RunParent? {
        get { facts.parent }
        set { ownFacts.parent = newValue }
    }
    /// Nil for a run that nobody has called.
    ///
    /// A retry or fork keeps that of the run it was made out of.
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
    /// Whether it starts nothing until ``RunInput/admitted(at:)``.
    package var isQueued: Bool {
        get { facts.isQueued }
        set { ownFacts.isQueued = newValue }
    }
    /// By how much the wall clock had been stepped until then, in the life of the installation.
    package var clockShift: Duration {
        get { facts.clockShift }
        set { ownFacts.clockShift = newValue }
    }
    /// What the run was given, if its body cannot say it: JSON has no value for bytes, and what a run computes may be
    /// nested deeper than JSON from outside.
    package var input: Value? {
        get { facts.input }
        set { ownFacts.input = newValue }
    }
    /// The body read by its content type, where the caller has done so already; not stored.
    package var parsedBody: Value? {
        get { facts.parsedBody }
        set { ownFacts.parsedBody = newValue }
    }
    /// Values that the caller's answers called sensitive, below `body`: in the body itself stand masks.
    package var sensitive: [SensitivePart] {
        get { facts.sensitive }
        set { ownFacts.sensitive = newValue }
    }
}

/// A message from outside to a run.
package struct RunSignal: Sendable, Hashable {
    /// The sender's key: a second signal under it is the same one.
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

/// How a step ended.
package struct StepResult: Sendable {
    package enum Content: Sendable {
        /// An HTTP answer, accepted or not.
        case response(OutboundResponse)
        /// What a computation returned.
        case output(Value)
        /// The signal that ended a wait.
        case signal(RunSignal)
        /// The run that the step has started.
        case child(ChildResult)
        /// A wait that nobody ended.
        case timedOut
        /// The item, from 1, that won a race.
        case winner(Int)
        /// No answer at all.
        case none
    }

    /// Nil for a success.
    package var error: StepError?
    package var content: Content
    /// Tries made, from 1; 0 for a step that sends nothing.
    package var attemptCount: Int
    /// When the last attempt was in flight; nil for a step that sends nothing.
    package var interval: Meter.Interval?
    /// What `time.now()` gave to the expressions of the last attempt; nil if they did not ask.
    package var madeAt: Instant?
    /// Whether an earlier run did the work, so that this one neither pays for it nor undoes it.
    package var isCopied = false
    /// Values that are never shown, below `body`, `headers` or `output`: in the content stand masks.
    package var sensitive: [SensitivePart] = []

    package init(error: StepError?, content: Content, attemptCount: Int, interval: Meter.Interval?) {
        self.error = error
        self.content = content
        self.attemptCount = attemptCount
        self.interval = interval
    }
}

/// Why a step or an attempt failed: facts for people and for expressions.
package struct StepError: Sendable, Hashable {
    /// A stable label: `status`, `timeout`, `connection`, `fail_when`, `schema`, `raised`, ….
    package var code: String
    /// One sentence, without secrets, at most 1 KiB.
    package var message: String

    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    var isOutOfBudget: Bool { code == "budget_exceeded" || code == "memory_exceeded" }
}

/// Why a step was not run.
package enum SkipReason: String, Sendable {
    /// Its guard was false or null.
    case guardFalse = "guard_false"
    /// Every step that it waits for was skipped.
    case allSkipped = "all_skipped"
    /// Nobody sent the signal in time, and the step says `on_timeout: reject`.
    case timedOut = "timed_out"
}

/// How a run ended.
package struct RunOutcome: Sendable, Hashable {
    package enum Status: String, Sendable { case succeeded, failed, cancelled }
    /// How a part of the run's end came out, which changes nothing about its status.
    package enum Closing: String, Sendable { case succeeded, failed }

    /// Whether what had succeeded was undone; nil if nothing was to be undone.
    package var compensation: Closing?
    /// How the `finally` steps ended; nil for none.
    package var finally: Closing?
    package var status: Status
    package var output: Value
    /// What failed the run; nil for a success.
    package var error: StepError?
    /// The step that failed it, where one did.
    package var failedStep: String?

    package init(status: Status, output: Value = .null, error: StepError? = nil, failedStep: String? = nil) {
        self.status = status
        self.output = output
        self.error = error
        self.failedStep = failedStep
    }
}

/// An entry with its place in the journal and what it charges.
package struct JournalRecord: Sendable {
    /// From 1.
    package var sequence: Int64
    package var at: Instant
    /// Run time charged with it, at least 0 (I7).
    package var chargeMilliseconds: Int64
    package var entry: JournalEntry

    package init(sequence: Int64, at: Instant, chargeMilliseconds: Int64, entry: JournalEntry) {
        self.sequence = sequence
        self.at = at
        self.chargeMilliseconds = chargeMilliseconds
        self.entry = entry
    }
}
