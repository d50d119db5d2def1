package import Billing
import Ports
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
        /// Its items or its own steps run.
        case open
        case succeeded
        case failed
        case skipped
        /// The scope around it ended before it did.
        case cancelled

        package var isSettled: Bool {
            switch self {
            case .succeeded, .failed, .skipped, .cancelled: true
            default: false
            }
        }

        /// Whether somebody outside is at work on it, so that nothing around it may end.
        var isInFlight: Bool {
            switch self {
            case .inFlight, .calling: true
            default: false
            }
        }

        /// Whether it does nothing until a time or a signal comes.
        var isResting: Bool {
            switch self {
            case .waitingRetry, .sleeping, .waiting: true
            default: false
            }
        }

        /// When its rest ends by itself; nil where it does not.
        var restEnd: Instant? {
            switch self {
            case .waitingRetry(_, let end), .sleeping(let end): end
            case .waiting(_, let end): end
            default: nil
            }
        }

        var isCalling: Bool {
            if case .calling = self { return true }
            return false
        }
    }

    package let run: RunID
    package private(set) var trigger: TriggerView?
    /// The file's own steps and their compensations first, at the positions that the plan gives them.
    ///
    /// Only ``apply(_:plan:at:)`` adds more, so a node has the same position after a restart.
    var nodes: [Node]
    var frames: [Frame]
    package private(set) var meter = Meter()
    /// What the entries charge together.
    ///
    /// Not what the meter comes to: read again after the clock was set back, it takes intervals for overlapping
    /// that were charged one by one.
    package private(set) var chargedMilliseconds: Int64 = 0
    /// Whether the balance is used up.
    package private(set) var isPaused = false
    /// Whether a person has paused the run.
    package private(set) var isHeld = false
    /// Whether it waits until fewer runs with its concurrency key go.
    package private(set) var isQueued = false
    /// Steps whose child is open, and children that nobody waits for any more.
    var calls = OpenCalls()
    package private(set) var outcome: RunOutcome?
    package private(set) var sequence: Int64 = 0
    /// By how much the wall clock had been stepped when the last entry was written, in the life of the installation.
    ///
    /// Every instant that the state compares or subtracts is one of that wall clock.
    package private(set) var clockShift = Duration.zero
    /// Bytes that the journal holds: bodies as they are folded in, and facts as
    /// ``RunMachine/noteFacts(byteCount:)`` is told of them.
    package internal(set) var byteCount = 0
    /// Whether the run is ending because that came to more than it may keep.
    private(set) var isTooLarge = false
    /// How the run will end once nothing is in flight; set by a failed step, `fail`, `finish`, a cancel, the
    /// run's timeout, or an output that failed.
    package private(set) var ending: RunOutcome?
    /// How the run ends, once that is decided and only its `finally` steps are left; ``ending`` is then nil again,
    /// unless those were cut short.
    private(set) var final: RunOutcome?
    /// What the journal had come to by then.
    private(set) var byteCountBeforeFinally = 0
    /// Frames that may have come to their end, or whose `until` is to be asked.
    private var touched: [Int] = []
    /// Nodes that became ready, in that order.
    private var ready = NodeQueue()
    /// Nodes whose outcome is to be learnt although the scope around them has ended.
    var settling: Set<Int> = []
    /// Nodes that lost a race, succeeded all the same, and can be undone; in that order.
    private(set) var lost: [Int] = []
    /// Whether it was read from a journal and nothing has been decided since; volatile.
    var isJustRead = false
    /// Which batch of decisions this is, for ``Node/decidedIn``; volatile.
    var batch = 0
    /// What has ended since this was last looked at; volatile.
    var news = ScopeNews()
    /// Nodes in a phase that rests; few, however many nodes there are.
    private(set) var resting: Set<Int> = []
    /// Nodes that wait for a signal, by its name, in the order in which they began to.
    private var waiters: [String: NodeQueue] = [:]
    /// Nodes that succeeded in this run and can be undone, in that order.
    private(set) var undoable: [Int] = []
    /// How many of those the undoing has not come to yet; nil before it begins.
    private var undoCount: Int?
    /// What the run's texts must not show beside the tenant's secrets.
    private(set) var sensitive = SensitiveTexts()
    /// Signals that no step has taken yet, oldest first.
    private(set) var mailbox: [RunSignal] = []
    /// Every signal that ever came.
    private(set) var signalIDs: Set<String> = []

    /// What stands in a machine while its real state is being worked on.
    static var vacant: RunState { RunState(run: RunID(number: 0), nodes: [], frames: []) }

    private init(run: RunID, nodes: [Node], frames: [Frame]) {
        self.run = run
        self.nodes = nodes
        self.frames = frames
    }

    init(run: RunID, plan: RunPlan) {
        let count = plan.scopes[0].count
        let root = Frame(owner: nil, first: 0, count: count, scope: 0)
        self.init(run: run, nodes: plan.rootNodes, frames: [root])
    }

    package var start: RunStart? { trigger?.start }

    package var isOver: Bool { outcome != nil }

    /// Whether nothing new starts just now; a run that is ending undoes its steps also without a balance.
    package var isAtRest: Bool { isHeld || isPaused && ending == nil }

    func phase(_ index: Int) -> Phase { nodes[index].phase }

    func result(_ index: Int) -> StepView? { nodes[index].result }

    /// Whether a resting step ends at a time that was asked for, and not after a duration.
    func restsByWallTime(_ index: Int) -> Bool { nodes[index].restsByWallTime }

    /// When the run has taken as long as it may; nil for a run without a timeout, or before it has started.
    func timeoutEnd(_ plan: RunPlan) -> Instant? {
        guard let timeout = plan.definition.timeout, let start, final == nil else { return nil }
        return start.at + timeout + (clockShift - start.clockShift)
    }

    func firstFailedAt(_ index: Int) -> Instant? { nodes[index].firstFailedAt }

    func attempt(_ index: Int) -> Int { nodes[index].failedAttemptCount + 1 }

    /// Whether a signal of that id has come.
    package func hasSignal(_ id: String) -> Bool { signalIDs.contains(id) }

    package var mailboxCount: Int { mailbox.count }

    /// Whether a node waits for a signal of that name, so that the next one is not kept but taken.
    package func isWaiting(forSignal name: String) -> Bool {
        waiters[name]?.contains { if case .waiting = nodes[$0].phase { true } else { false } } ?? false
    }

    /// Whether its going on depends on other runs, or theirs on it, so that it is kept in memory.
    ///
    /// A run that calls waits for its child's end; one with a key holds a place or waits for one; and of a child
    /// that is awaited the runtime must know after a restart, to tell or to end it.
    package var isTiedToOthers: Bool {
        !calls.isEmpty || start?.concurrencyKey != nil
            || start?.parent.map { !$0.isDetached } ?? false
    }

    /// Where the run stands among all that its first start has led to; as far as its own journal tells.
    ///
    /// Goes through all nodes.
    package var knownLineage: RunLineage {
        let childCount = nodes.count { $0.child != nil }
        let own = start?.lineage ?? RunLineage(root: run, ordinal: 0)
        return RunLineage(root: own.root, ordinal: own.ordinal + childCount)
    }

    /// Requests, signals and calls that are to be answered, and children that are open.
    package var hasInFlight: Bool { frames[0].inFlightCount > 0 }

    /// Whether children are open that no step waits for.
    var hasStrays: Bool { calls.hasStrays }

    /// Whether every step of the file is settled.
    var isDone: Bool { frames[0].settledCount == frames[0].count }
}

// MARK: - What comes next

extension RunState {
    /// The node that has been ready for the longest; it stays so until it starts.
    mutating func nextReady() -> Int? {
        ready.first { nodes[$0].phase == .ready && !frames[nodes[$0].frame].isClosed }
    }

    /// Whether ``nextReady()`` gives one.
    var hasReady: Bool {
        var queue = ready
        return queue.first { nodes[$0].phase == .ready && !frames[nodes[$0].frame].isClosed } != nil
    }

    /// A frame to look at, taken off the list; only those that are still open are given.
    mutating func nextTouched() -> Int? {
        while let frame = touched.popLast() {
            frames[frame].isTouched = false
            // A frame inside one that is closed never ends by itself.
            if let owner = frames[frame].owner, nodes[owner].phase == .open, !isClosed(around: owner) {
                return frame
            }
        }
        return nil
    }

    mutating func touch(_ frame: Int) {
        guard !frames[frame].isTouched else { return }
        frames[frame].isTouched = true
        touched.append(frame)
    }

    /// The node that has waited longest for a signal of that name.
    mutating func firstWaiter(for name: String) -> Int? {
        waiters[name]?.first { if case .waiting = nodes[$0].phase { true } else { false } }
    }

    /// The compensation of the loser of a race that succeeded last of those not yet undone.
    func nextLost() -> Int? {
        lost.reversed().lazy.compactMap { nodes[$0].compensation }.first { !nodes[$0].phase.isSettled }
    }

    /// The compensation that is due: that of the node that succeeded last of those not yet undone.
    mutating func nextUndoing() -> Int? {
        var count = undoCount ?? undoable.count
        while count > 0, let compensation = nodes[undoable[count - 1]].compensation,
            nodes[compensation].phase.isSettled
        {
            count -= 1
        }
        undoCount = count
        return count > 0 ? nodes[undoable[count - 1]].compensation : nil
    }
}

// MARK: - The durable part

extension RunState {
    /// Folds the next record in.
    ///
    /// A record for a step that the plan does not have is ignored, which
    /// cannot happen while a run keeps the source that it started with.
    /// - Parameters:
    ///   - record: The next in sequence.
    ///   - plan: Of the run.
    ///   - known: The node that its path names, where the caller knows it.
    mutating func apply(_ record: JournalRecord, plan: RunPlan, at known: Int? = nil) {
        sequence = record.sequence
        chargedMilliseconds += record.chargeMilliseconds
        switch record.entry {
        case .runStarted(let start):
            trigger = TriggerView(start)
            sensitive.add(start.sensitive)
            clockShift = start.clockShift
            isQueued = start.isQueued
            byteCount += start.body.count
            startFrame(0)
        case .stepSettled(let path, let result):
            guard let index = known ?? node(path, plan) else { return }
            measure(result.interval)
            sensitive.add(result.sensitive)
            switch result.content {
            case .response(let response): byteCount += response.body.count
            case .child(let child): nodes[index].child = child.run
            default: break
            }
            let view = conclude(index, result, plan)
            settle(index, as: result.error == nil ? .succeeded : .failed, view, plan: plan)
            // What an earlier run did is that run's to undo.
            if result.error == nil, !result.isCopied, !plan.isCompensation[nodes[index].step] {
                keepUndoable(index, plan)
            }
            if case .signal(let signal) = result.content { mailbox.removeAll { $0.id == signal.id } }
            if !plan.isCompensation[nodes[index].step] {
                note(result, of: index, plan)
                admitNext(after: index, plan)
            }
        case .stepSkipped(let path, let reason):
            guard let index = known ?? node(path, plan) else { return }
            nodes[index].isLeftOut = reason == .guardFalse && plan.steps[nodes[index].step].isListed
            settle(index, as: .skipped, nil, plan: plan)
            admitNext(after: index, plan)
        case .attemptFailed(let path, let attempt, _, let interval, let retryAt, _):
            guard let index = known ?? node(path, plan) else { return }
            measure(interval)
            nodes[index].failedAttemptCount = attempt
            (nodes[index].mayHaveLeft, nodes[index].isInDoubt) = (false, false)
            if nodes[index].firstFailedAt == nil { nodes[index].firstFailedAt = interval.end }
            nodes[index].restsByWallTime = false
            set(index, .waitingRetry(attempt: attempt + 1, at: retryAt))
        case .stepOpened(let path, let over):
            guard let index = known ?? node(path, plan) else { return }
            open(index, over: over?.value, plan)
        case .stepSleeping(let path, let until, let isWallTime):
            guard let index = known ?? node(path, plan) else { return }
            nodes[index].restsByWallTime = isWallTime
            set(index, .sleeping(until: until))
        case .stepWaiting(let path, let until, let isWallTime):
            guard let index = known ?? node(path, plan) else { return }
            nodes[index].restsByWallTime = isWallTime
            awaitSignal(index, .waiting(since: record.at, until: until), plan)
        case .stepCalling(let path, let child):
            guard let index = known ?? node(path, plan) else { return }
            nodes[index].child = child
            set(index, .calling(child: child, since: record.at))
        case .stepsInFlight(let paths):
            for path in paths { if let index = node(path, plan) { noteLeft(index) } }
        case .signalReceived(let signal):
            mailbox.append(signal)
            signalIDs.insert(signal.id)
        case .runTimedOut:
            let error = StepError(code: "run_timed_out", message: "the run took longer than its timeout")
            end(RunOutcome(status: .failed, error: error))
        case .runTooLarge(let byteCountMax):
            isTooLarge = true
            let error = StepError(
                code: "run_too_large",
                message: "the run's journal has come to more than \(byteCountMax) bytes")
            end(RunOutcome(status: .failed, error: error))
        case .outputFailed(let error): end(RunOutcome(status: .failed, error: error))
        case .runPaused: (isPaused, news.hasPaused) = (true, true)
        case .runAdmitted: isQueued = false
        case .runResumed: isPaused = false
        case .runHeld: (isHeld, news.hasPaused) = (true, true)
        case .runReleased: isHeld = false
        case .cancelRequested(let reason):
            end(RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: reason)))
            isHeld = false
        case .runFinalizing(let outcome): finalize(as: outcome, plan)
        case .finallyCut(let error):
            end(RunOutcome(status: .failed, error: error))
            isHeld = false
        case .runFinished(let outcome):
            _ = meter.chargeRemainder()
            self.outcome = outcome
        case .clockStepped(let step): wallClockStepped(by: step)
        }
    }

    /// What the next interval adds, in whole milliseconds; the same arithmetic as ``apply(_:plan:)`` does.
    func charge(for interval: Meter.Interval?) -> Int64 {
        interval.map { meter.chargeAdded(by: $0) } ?? 0
    }

    /// What is left to charge at the end.
    var remainingCharge: Int64 {
        var meter = meter
        return meter.chargeRemainder()
    }

    private mutating func measure(_ interval: Meter.Interval?) {
        if let interval { _ = meter.charge(interval) }
    }

    /// Every phase is set here, so that the counts of what is in flight are right.
    mutating func set(_ index: Int, _ phase: Phase) {
        let was = nodes[index].isUnderWay
        if nodes[index].phase.isCalling { calls.settle(index) }
        if phase.isCalling { calls.begin(index, endsSoon: ending != nil || isClosed(around: index)) }
        if nodes[index].phase.isResting {
            if !phase.isResting { resting.remove(index) }
        } else if phase.isResting {
            resting.insert(index)
        }
        nodes[index].phase = phase
        if phase.isSettled { forgetDoubts(about: index) }
        if was != nodes[index].isUnderWay { countInFlight(index, by: was ? -1 : 1) }
    }

    /// A node is under way from now on, or no longer.
    mutating func countInFlight(_ index: Int, by change: Int) {
        var next: Int? = nodes[index].frame
        while let frame = next {
            frames[frame].inFlightCount += change
            if frames[frame].isClosed, frames[frame].inFlightCount == 0 { touch(frame) }
            next = frames[frame].owner.map { nodes[$0].frame }
        }
    }

    mutating func startFrame(_ frame: Int) {
        let (first, count) = (frames[frame].first, frames[frame].count)
        for index in first..<(first + count) where nodes[index].waitingCount == 0 { begin(index) }
    }

    private mutating func settle(_ index: Int, as phase: Phase, _ view: StepView?, plan: RunPlan) {
        set(index, phase)
        let (step, frame) = (nodes[index].step, nodes[index].frame)
        // The file's own steps are few and always shown; of all others only what is read, or went wrong.
        if frame == 0 || plan.isRead[step] || phase == .failed { nodes[index].result = view }
        guard !plan.isCompensation[step], index != plan.finallyIndex else { return }
        frames[frame].settledCount += 1
        guard let scope = frames[frame].scope else { return settleItem(index, as: phase, view, plan) }
        let offset = frames[frame].first - plan.scopes[scope].first
        for dependent in plan.dependents[step] {
            nodes[offset + dependent].waitingCount -= 1
            if nodes[offset + dependent].waitingCount == 0 { begin(offset + dependent) }
        }
        if frame > 0, frames[frame].settledCount == frames[frame].count { touch(frame) }
    }

    private mutating func settleItem(_ index: Int, as phase: Phase, _ view: StepView?, _ plan: RunPlan) {
        let frame = nodes[index].frame
        guard let strategy = plan.steps[nodes[index].step].strategy else { return }
        if strategy.isLoop {
            forgetBefore(index, plan)
            frames[frame].last = view
        }
        frames[frame].latest = index
        if strategy.kind == .race, phase == .succeeded, frames[frame].winner == nil {
            frames[frame].winner = index
        }
        touch(frame)
    }

    /// Lines a node up for the undoing; those inside groups get their compensation's node now.
    private mutating func keepUndoable(_ index: Int, _ plan: RunPlan) {
        let node = nodes[index]
        guard let undoing = plan.compensationIndex[node.step], node.item > 0 || node.opened == nil else {
            return
        }
        if node.compensation == nil {
            var compensation = Node(step: undoing, frame: node.frame, item: node.item, waitingCount: .max)
            compensation.undone = index
            nodes[index].compensation = nodes.count
            nodes.append(compensation)
        }
        undoable.append(index)
        if node.isLost { lost.append(index) }
    }

    /// A failed step fails its scope unless it says otherwise; `fail` and `finish` end the run.
    private mutating func note(_ result: StepResult, of index: Int, _ plan: RunPlan) {
        // What became of one that lost its race changes nothing.
        guard ending == nil, !nodes[index].isLost, index != plan.finallyIndex else { return }
        let step = plan.steps[nodes[index].step]
        guard let error = result.error else {
            guard case .finish = step.action else { return }
            var output = Value.null
            if case .output(let value) = result.content { output = value }
            return end(RunOutcome(status: .succeeded, output: output))
        }
        let frame = nodes[index].frame
        // Out of work or memory is final: a run that goes on could spend as much again at each step (G3).
        if error.isOutOfBudget { return fail(index, error, plan) }
        if let strategy = step.strategy, nodes[index].item > 0 {
            if strategy.kind != .scatter, frames[frame].failed == nil { frames[frame].failed = index }
            if strategy.kind == .fanOut || strategy.kind == .batch { close(frame) }
            return
        }
        guard step.onError == .fail else { return }
        if case .fail = step.action { return fail(index, error, plan) }
        if frame == 0 { return fail(index, error, plan) }
        if frames[frame].failed == nil { frames[frame].failed = index }
        close(frame)
    }

    private mutating func fail(_ index: Int, _ error: StepError, _ plan: RunPlan) {
        let origin = path(origin(ofFailure: index), plan)
        end(RunOutcome(status: .failed, error: error, failedStep: origin))
    }

    /// Nothing new starts once the run is ending, so steps that wait for another try wait no more.
    private mutating func end(_ outcome: RunOutcome) {
        ending = outcome
        news.hasEnded = true
        calls.mustEnd()
        for index in nodes.indices where !nodes[index].isSettling {
            switch nodes[index].phase {
            case .waitingRetry, .sleeping, .waiting: set(index, .ready)
            default: break
            }
        }
        ready.removeAll()
    }

    /// From now on only the `finally` steps run: none of the others begins or goes on any more.
    private mutating func finalize(as outcome: RunOutcome, _ plan: RunPlan) {
        final = outcome
        (ending, isTooLarge) = (nil, false)
        byteCountBeforeFinally = byteCount
        touched.removeAll()
        for frame in frames.indices { frames[frame].isTouched = false }
        ready.removeAll()
        for index in nodes.indices where !plan.isCompensation[nodes[index].step] {
            switch nodes[index].phase {
            case .ready: set(index, .pending)
            case .open:
                if let opened = nodes[index].opened { frames[opened].isClosed = true }
                set(index, .cancelled)
            default: break
            }
        }
    }

    private mutating func awaitSignal(_ index: Int, _ phase: Phase, _ plan: RunPlan) {
        guard case .wait(let rule) = plan.steps[nodes[index].step].action else { return }
        set(index, phase)
        for name in rule.signals { waiters[name, default: NodeQueue()].append(index) }
    }

    /// All that a node waits for is settled.
    ///
    /// A fork onto another version may have taken its outcome over before that, in the order of the first one.
    mutating func begin(_ index: Int) {
        if nodes[index].phase == .pending { becomeReady(index) }
    }

    mutating func becomeReady(_ index: Int) {
        set(index, .ready)
        if ending == nil, !isClosed(around: index) { ready.append(index) }
    }
}

// MARK: - Steps of the clock

extension RunState {
    /// Moves every instant that a duration began or ends at, so that differences to readings of the stepped clock
    /// are what has really passed.
    private mutating func wallClockStepped(by step: Duration) {
        clockShift += step
        meter.move(by: step)
        for index in nodes.indices {
            nodes[index].sentAt = nodes[index].sentAt + step
            nodes[index].firstFailedAt = nodes[index].firstFailedAt.map { $0 + step }
        }
        for index in resting where !nodes[index].restsByWallTime {
            set(index, nodes[index].phase.moved(by: step))
        }
    }
}

extension RunState.Phase {
    fileprivate func moved(by step: Duration) -> Self {
        switch self {
        case .waitingRetry(let attempt, let instant): .waitingRetry(attempt: attempt, at: instant + step)
        case .sleeping(let until): .sleeping(until: until + step)
        case .waiting(let since, let until): .waiting(since: since, until: until.map { $0 + step })
        default: self
        }
    }
}

// MARK: - The volatile part

extension RunState {
    mutating func markInFlight(_ index: Int, at now: Instant) {
        set(index, .inFlight(attempt: attempt(index)))
        (nodes[index].sentAt, nodes[index].decidedIn) = (now, batch)
        if nodes[index].mayHaveLeft { nodes[index].isInDoubt = true }
    }

    /// A request that was decided but not sent goes back to where it came from.
    mutating func withdraw(_ index: Int) {
        if case .inFlight = nodes[index].phase { becomeReady(index) }
    }

    /// Its waiting time is over; an alarm left from an earlier wait, before its instant, changes nothing.
    mutating func endRetryWait(_ index: Int, at now: Instant) {
        if case .waitingRetry(_, let due) = nodes[index].phase, due <= now { becomeReady(index) }
    }

    /// Keeps the meter small once no interval can overlap what it holds.
    mutating func settleMeter() {
        // Waiting for a child is no interval, however long it takes.
        if frames[0].inFlightCount == calls.stepCount { meter.settle() }
    }
}
