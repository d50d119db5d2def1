package import Billing
package import Values
import Workflow

/// Where a run stands: the fold of its entries (I4), and beside it what is in flight just now, which
/// no entry tells and which a restart forgets.
///
/// Only ``apply(_:plan:)`` changes the durable part; recovery is nothing but calling it again.
package struct RunState: Sendable {
    /// One step's place in its life.
    package enum Phase: Sendable, Hashable {
        /// It waits for other steps.
        case pending
        /// All it waits for is settled; its guard has not been asked or its request not been sent.
        case ready
        /// Sent, and not answered. Volatile: after a crash it is `ready` again, under the same key (I3).
        case inFlight(attempt: Int)
        /// Failed, and tried again at that instant.
        case waitingRetry(attempt: Int, at: Instant)
        /// A durable timer runs.
        case sleeping(until: Instant)
        /// It waits for a signal; nil for as long as it takes.
        case waiting(since: Instant, until: Instant?)
        /// It waits for the end of the run that it has started.
        case calling(child: RunID, since: Instant)
        case succeeded
        case failed
        case skipped

        package var isSettled: Bool { self == .succeeded || self == .failed || self == .skipped }
    }

    struct StepState: Sendable {
        var phase = Phase.pending
        /// Steps that it still waits for.
        var waitingCount: Int
        /// Attempts that failed and were recorded.
        var failedAttemptCount = 0
        /// When the first attempt had failed.
        var firstFailedAt: Instant?
        /// What expressions see; kept only where some expression looks, and for the run's view.
        var result: StepView?
    }

    package let run: RunID
    package private(set) var start: RunStart?
    package private(set) var trigger: TriggerView?
    private(set) var steps: [StepState]
    package private(set) var meter = Meter()
    package private(set) var isPaused = false
    /// Whether it waits until fewer runs with its concurrency key go.
    package private(set) var isQueued = false
    /// Steps whose child is open.
    private(set) var callingSteps: Set<Int> = []
    /// Those of them whose child has been asked to end; volatile, as asking twice does no harm.
    private var cancelledCalls: Set<Int> = []
    package private(set) var outcome: RunOutcome?
    package private(set) var sequence: Int64 = 0
    /// How the run will end once nothing is in flight; set by a failed step, `fail`, `finish` or a cancel.
    package private(set) var ending: RunOutcome?
    /// Steps whose phase is `ready`, in the order in which they became so.
    var readySteps: [Int] = []
    private(set) var settledCount = 0
    /// Steps that succeeded, in that order.
    private(set) var succeededSteps: [Int] = []
    /// Steps of lists whose guard was false: the list goes on behind them.
    private(set) var passedSteps: Set<Int> = []
    /// Signals that no step has taken yet, oldest first.
    private(set) var mailbox: [RunSignal] = []
    /// Every signal that ever came.
    private(set) var signalIDs: Set<String> = []

    /// What stands in a machine while its real state is being worked on.
    static let vacant = RunState(run: RunID(number: 0), steps: [])

    private init(run: RunID, steps: [StepState]) {
        self.run = run
        self.steps = steps
    }

    init(run: RunID, plan: RunPlan) {
        self.run = run
        steps = plan.steps.indices.map { index in
            // A compensation waits for more than any step: the undoing starts it.
            StepState(waitingCount: plan.isCompensation(index) ? .max : plan.steps[index].after.count)
        }
    }

    var isOver: Bool { outcome != nil }

    func phase(_ index: Int) -> Phase { steps[index].phase }

    func result(_ index: Int) -> StepView? { steps[index].result }

    func firstFailedAt(_ index: Int) -> Instant? { steps[index].firstFailedAt }

    func attempt(_ index: Int) -> Int { steps[index].failedAttemptCount + 1 }

    /// Whether a signal of that id has come.
    package func hasSignal(_ id: String) -> Bool { signalIDs.contains(id) }

    package var mailboxCount: Int { mailbox.count }

    /// Whether its going on depends on other runs, or theirs on it, so that it is better kept in memory.
    package var isTiedToOthers: Bool { !callingSteps.isEmpty || start?.concurrencyKey != nil }

    /// Steps whose child is open and has not been asked to end; they count as asked from now on.
    mutating func childrenToCancel() -> [Int] {
        guard cancelledCalls.count < callingSteps.count else { return [] }
        let asked = callingSteps.subtracting(cancelledCalls).sorted()
        cancelledCalls = callingSteps
        return asked
    }

    var hasInFlight: Bool {
        steps.contains { if case .inFlight = $0.phase { true } else { false } }
    }
}

// MARK: - The durable part

extension RunState {
    /// Folds the next record in.
    ///
    /// A record for a step that the plan does not have is ignored, which
    /// cannot happen while a run keeps the source that it started with.
    mutating func apply(_ record: JournalRecord, plan: RunPlan) {
        sequence = record.sequence
        switch record.entry {
        case .runStarted(let start):
            self.start = start
            trigger = TriggerView(start)
            isQueued = start.isQueued
            for index in steps.indices where steps[index].waitingCount == 0 { becomeReady(index) }
        case .stepSettled(let path, let result):
            guard let index = plan.indexByPath[path] else { return }
            measure(result.interval)
            settle(index, as: result.error == nil ? .succeeded : .failed, plan: plan)
            steps[index].result = StepView(result, parsesBody: plan.isRead[index])
            if case .signal(let signal) = result.content { mailbox.removeAll { $0.id == signal.id } }
            if !plan.isCompensation(index) { note(result, of: plan.steps[index]) }
        case .stepSkipped(let path, let reason):
            guard let index = plan.indexByPath[path] else { return }
            if reason == .guardFalse, plan.steps[index].isListed { passedSteps.insert(index) }
            settle(index, as: .skipped, plan: plan)
        case .attemptFailed(let path, let attempt, _, let interval, let retryAt):
            guard let index = plan.indexByPath[path] else { return }
            measure(interval)
            steps[index].failedAttemptCount = attempt
            if steps[index].firstFailedAt == nil { steps[index].firstFailedAt = interval.end }
            leaveReady(index)
            steps[index].phase = .waitingRetry(attempt: attempt + 1, at: retryAt)
        case .stepSleeping(let path, let until): rest(path, .sleeping(until: until), plan)
        case .stepWaiting(let path, let until): rest(path, .waiting(since: record.at, until: until), plan)
        case .stepCalling(let path, let child):
            rest(path, .calling(child: child, since: record.at), plan)
            if let index = plan.indexByPath[path] { callingSteps.insert(index) }
        case .signalReceived(let signal):
            mailbox.append(signal)
            signalIDs.insert(signal.id)
        case .runTimedOut:
            let error = StepError(code: "run_timed_out", message: "the run took longer than its timeout")
            ending = RunOutcome(status: .failed, error: error)
            stopRetries()
        case .runPaused: isPaused = true
        case .runAdmitted: isQueued = false
        case .runResumed: isPaused = false
        case .cancelRequested(let reason):
            ending = RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: reason))
            stopRetries()
        case .runFinished(let outcome):
            _ = meter.chargeRemainder()
            self.outcome = outcome
        }
    }

    /// What the next interval adds, in whole milliseconds; the same arithmetic as ``apply(_:plan:)`` does.
    func charge(for interval: Meter.Interval?) -> Int64 {
        guard let interval else { return 0 }
        var meter = meter
        return meter.charge(interval)
    }

    /// What is left to charge at the end.
    var remainingCharge: Int64 {
        var meter = meter
        return meter.chargeRemainder()
    }

    private mutating func measure(_ interval: Meter.Interval?) {
        if let interval { _ = meter.charge(interval) }
    }

    private mutating func settle(_ index: Int, as phase: Phase, plan: RunPlan) {
        leaveReady(index)
        callingSteps.remove(index)
        cancelledCalls.remove(index)
        steps[index].phase = phase
        guard !plan.isCompensation(index) else { return }
        settledCount += 1
        if phase == .succeeded { succeededSteps.append(index) }
        for dependent in plan.dependents[index] {
            steps[dependent].waitingCount -= 1
            if steps[dependent].waitingCount == 0 { becomeReady(dependent) }
        }
    }

    /// A failed step fails the run unless it says otherwise; `fail` and `finish` end it.
    private mutating func note(_ result: StepResult, of step: Step) {
        guard ending == nil else { return }
        // Out of work or memory is final: a run that goes on could spend as much again at each step (G3).
        if let error = result.error, step.onError == .fail || error.isOutOfBudget {
            ending = RunOutcome(status: .failed, error: error, failedStep: step.id)
            stopRetries()
        } else if case .finish = step.action, result.error == nil {
            var output = Value.null
            if case .output(let value) = result.content { output = value }
            ending = RunOutcome(status: .succeeded, output: output)
            stopRetries()
        }
    }

    /// Nothing new starts once the run is ending, so steps that wait for another try wait no more.
    private mutating func stopRetries() {
        for index in steps.indices {
            switch steps[index].phase {
            case .waitingRetry, .sleeping, .waiting: steps[index].phase = .ready
            default: break
            }
        }
        readySteps.removeAll()
    }

    private mutating func rest(_ path: String, _ phase: Phase, _ plan: RunPlan) {
        guard let index = plan.indexByPath[path] else { return }
        leaveReady(index)
        steps[index].phase = phase
    }

    private mutating func becomeReady(_ index: Int) {
        steps[index].phase = .ready
        if ending == nil { readySteps.append(index) }
    }

    private mutating func leaveReady(_ index: Int) {
        if steps[index].phase == .ready, let position = readySteps.firstIndex(of: index) {
            readySteps.remove(at: position)
        }
    }
}

// MARK: - The volatile part

extension RunState {
    mutating func markInFlight(_ index: Int) {
        leaveReady(index)
        steps[index].phase = .inFlight(attempt: attempt(index))
    }

    /// A request that was decided but not sent goes back to where it came from.
    mutating func withdraw(_ index: Int) {
        if case .inFlight = steps[index].phase { becomeReady(index) }
    }

    /// Its waiting time is over; an alarm left from an earlier wait, before its instant, changes nothing.
    mutating func endRetryWait(_ index: Int, at now: Instant) {
        if case .waitingRetry(_, let due) = steps[index].phase, due <= now { becomeReady(index) }
    }

    /// Keeps the meter small once no interval can overlap what it holds.
    mutating func settleMeter() {
        if !hasInFlight { meter.settle() }
    }
}
