package import Billing
import Ports
package import Values
import Workflow

/// The state of a run: the fold of its entries (I4), and the volatile state of requests in flight.
///
/// No entry records the volatile part, and a restart loses it. Only ``apply(_:plan:at:)`` changes the durable
/// part; recovery just calls it again for each entry.
package struct RunState: Sendable {
    package let run: RunID
    package private(set) var trigger: TriggerView?
    /// The file's own steps and their compensations come first, at the plan's indexes.
    ///
    /// Only ``apply(_:plan:at:)`` adds nodes, so a node has the same index after a restart.
    var nodes: [Node]
    var frames: [Frame]
    package private(set) var meter = Meter()
    /// The sum of the entries' charges.
    ///
    /// It may differ from the meter's total: if the journal is read back after the clock was set back, the
    /// meter treats intervals as overlapping that were charged separately.
    package private(set) var chargedMilliseconds: Int64 = 0
    /// Whether the balance is used up.
    package private(set) var isPaused = false
    /// Whether a person has paused the run.
    package private(set) var isHeld = false
    /// Whether it waits for its turn among the runs with its concurrency key.
    package private(set) var isQueued = false
    /// Steps with an open child, and children that no step waits for any more.
    var calls = OpenCalls()
    package private(set) var outcome: RunOutcome?
    package private(set) var sequence: Int64 = 0
    /// How far the wall clock had been stepped at the last entry, over the life of the installation.
    ///
    /// All instants that the state compares or subtracts are times of that wall clock.
    package private(set) var clockShift = Duration.zero
    /// The bytes of the journal: bodies as they are folded, and facts through
    /// ``RunMachine/noteFacts(of:stored:)``.
    package internal(set) var byteCount = 0
    /// Whether the run is ending because its journal is too large.
    private(set) var isTooLarge = false
    /// The run's outcome once nothing is in flight.
    ///
    /// Set by a failed step, `fail`, `finish`, a cancellation, the run's timeout, or a failed output.
    package private(set) var ending: RunOutcome?
    /// The run's outcome, once it is decided and only the `finally` steps are left.
    ///
    /// ``ending`` is nil again then, unless those steps were cut short.
    private(set) var final: RunOutcome?
    /// The bytes of the journal at that time.
    private(set) var byteCountBeforeFinally = 0
    /// Frames that may have ended, or whose `until` must be evaluated.
    private var touched: [Int] = []
    /// Nodes that became ready, in that order.
    private var ready = NodeQueue()
    /// Nodes whose outcome must be learnt although the scope around them has ended.
    var settling: Set<Int> = []
    /// Nodes that lost a race but succeeded and can be undone, in that order.
    private(set) var lost: [Int] = []
    /// Whether it was read from a journal and nothing has been decided since; volatile.
    var isJustRead = false
    /// The number of the current batch of decisions, for ``Node/decidedIn``; volatile.
    var batch = 0
    /// What has ended since the last check; volatile.
    var news = ScopeNews()
    /// Nodes in a resting phase; few, however many nodes there are.
    private(set) var resting: Set<Int> = []
    /// Nodes that wait for a signal, by its name, in the order in which they began to wait.
    private var waiters: [String: NodeQueue] = [:]
    /// Nodes that succeeded in this run and can be undone, in that order.
    private(set) var undoable: [Int] = []
    /// The number of those that have not been undone yet; nil before the undoing begins.
    private var undoCount: Int?
    /// The run's own sensitive values, which its texts must not show.
    private(set) var sensitive = SensitiveTexts()
    /// Signals that no step has taken yet, oldest first.
    private(set) var mailbox: [RunSignal] = []
    /// The ids of all signals received.
    private(set) var signalIDs: Set<String> = []

    /// The placeholder in a machine while its real state is in use.
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

    /// Whether nothing new starts now; a run that is ending undoes its steps even without a balance.
    package var isAtRest: Bool { isHeld || isPaused && ending == nil }

    func phase(_ index: Int) -> Phase { nodes[index].phase }

    func result(_ index: Int) -> StepView? { nodes[index].result }

    /// Whether a resting step ends at a requested time and not after a duration.
    func restsByWallTime(_ index: Int) -> Bool { nodes[index].restsByWallTime }

    /// When the run's timeout passes; nil for a run without one, before its start, or in its `finally` steps.
    func timeoutEnd(_ plan: RunPlan) -> Instant? {
        guard let timeout = plan.definition.timeout, let start, final == nil else { return nil }
        return start.at + timeout + (clockShift - start.clockShift)
    }

    func firstFailedAt(_ index: Int) -> Instant? { nodes[index].firstFailedAt }

    func attempt(_ index: Int) -> Int { nodes[index].failedAttemptCount + 1 }

    /// Whether a signal with this id has been received.
    package func hasSignal(_ id: String) -> Bool { signalIDs.contains(id) }

    package var mailboxCount: Int { mailbox.count }

    /// Whether a node waits for a signal with this name, so that the next one is taken at once.
    package func isWaiting(forSignal name: String) -> Bool {
        waiters[name]?.contains { if case .waiting = nodes[$0].phase { true } else { false } } ?? false
    }

    /// Whether its progress depends on other runs, or theirs on it, so that it must stay in memory.
    ///
    /// A run that calls waits for its child's end. A run with a concurrency key holds a place or waits for
    /// one. An awaited child must be known after a restart, so that its caller is notified or it can be
    /// cancelled.
    package var isTiedToOthers: Bool {
        !calls.isEmpty || start?.concurrencyKey != nil
            || start?.parent.map { !$0.isDetached } ?? false
    }

    /// The number of runs that the root has caused, as far as this run's journal knows.
    ///
    /// Takes time linear in the number of nodes.
    package var knownLineage: RunLineage {
        let childCount = nodes.count { $0.child != nil }
        let own = start?.lineage ?? RunLineage(root: run, ordinal: 0)
        return RunLineage(root: own.root, ordinal: own.ordinal + childCount)
    }

    /// Whether requests, signals or calls are unanswered, or children are open.
    package var hasInFlight: Bool { frames[0].inFlightCount > 0 }

    /// Whether children are open that no step waits for.
    var hasStrays: Bool { calls.hasStrays }

    /// Whether every step of the file is settled.
    var isDone: Bool { frames[0].settledCount == frames[0].count }
}

// MARK: - What comes next

extension RunState {
    /// The node that has been ready longest; it stays in the queue until it starts.
    mutating func nextReady() -> Int? {
        ready.first { nodes[$0].phase == .ready && !frames[nodes[$0].frame].isClosed }
    }

    /// Whether ``nextReady()`` would return a node.
    var hasReady: Bool {
        var queue = ready
        return queue.first { nodes[$0].phase == .ready && !frames[nodes[$0].frame].isClosed } != nil
    }

    /// Takes the next open frame from the list of frames to examine.
    mutating func nextTouched() -> Int? {
        while let frame = touched.popLast() {
            frames[frame].isTouched = false
            // A frame inside a closed one never ends by itself.
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

    /// The node that has waited longest for a signal with this name.
    mutating func firstWaiter(for name: String) -> Int? {
        waiters[name]?.first { if case .waiting = nodes[$0].phase { true } else { false } }
    }

    /// The unsettled compensation of a race's loser, of the one that succeeded last; takes time linear in the
    /// losers.
    func nextLost() -> Int? {
        lost.reversed().lazy.compactMap { nodes[$0].compensation }.first { !nodes[$0].phase.isSettled }
    }

    /// The due compensation: that of the node that succeeded last and is not undone yet.
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
    /// Folds the next record.
    ///
    /// A record of a step that the plan does not have is ignored; this cannot happen while a run keeps its
    /// source.
    ///
    /// - Parameters:
    ///   - record: The next record in sequence.
    ///   - plan: The run's plan.
    ///   - known: The node of its path, if the caller knows it.
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
            if let fault = start.fault { end(RunOutcome(status: .failed, error: fault)) }
        case .stepSettled(let path, let result):
            guard let index = known ?? node(path, plan) else { return }
            measure(result.interval)
            sensitive.add(result.sensitive)
            switch result.content {
            case .response(let response): byteCount += response.body.count
            case .child(let child):
                nodes[index].child = child.run
                _ = calls.endStray(child.run)
            default: break
            }
            let view = conclude(index, result, plan)
            settle(index, as: result.error == nil ? .succeeded : .failed, view, plan: plan)
            // The work of an earlier run is not this run's to undo.
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

    /// The whole milliseconds that an interval adds, by the same arithmetic as ``apply(_:plan:at:)``.
    func charge(for interval: Meter.Interval?) -> Int64 {
        interval.map { meter.chargeAdded(by: $0) } ?? 0
    }

    /// The remaining charge at the end of the run.
    var remainingCharge: Int64 {
        var meter = meter
        return meter.chargeRemainder()
    }

    private mutating func measure(_ interval: Meter.Interval?) {
        if let interval { _ = meter.charge(interval) }
    }

    /// Sets a phase; all changes go through here, so that the counts of nodes in flight stay correct.
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

    /// Updates the counts of nodes under way in all frames around a node.
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
        // The file's own steps are few and always shown; of the others only results that are read, and
        // failures, are kept.
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

    /// Queues a node for the undoing, and adds a compensation node for it inside groups.
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

    /// Fails the scope of a failed step unless the step tolerates it; `fail` and `finish` end the run.
    private mutating func note(_ result: StepResult, of index: Int, _ plan: RunPlan) {
        // The outcome of a race's loser changes nothing.
        guard ending == nil, !nodes[index].isLost, index != plan.finallyIndex else { return }
        let step = plan.steps[nodes[index].step]
        guard let error = result.error else {
            guard case .finish = step.action else { return }
            var output = Value.null
            if case .output(let value) = result.content { output = value }
            return end(RunOutcome(status: .succeeded, output: output))
        }
        let frame = nodes[index].frame
        // Exceeding work or memory is final: a run that continued could spend as much at each step (G3).
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

    /// Begins the end of the run: nothing new starts, and resting steps stop waiting.
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

    /// Adds facts from before the `finally` steps, which were not yet counted when those steps began.
    mutating func noteFactsBeforeFinally(byteCount: Int) { byteCountBeforeFinally += byteCount }

    /// Begins the `finally` steps: no other step starts or continues.
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

    /// Makes a node ready whose predecessors are settled.
    ///
    /// A fork onto another version may have copied its outcome before, in the order of the original run.
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
    /// Moves every instant at which a duration began or ends, so that its difference from the stepped clock
    /// is the time that has really passed.
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

// MARK: - The volatile part

extension RunState {
    mutating func markInFlight(_ index: Int, at now: Instant) {
        set(index, .inFlight(attempt: attempt(index)))
        (nodes[index].sentAt, nodes[index].decidedIn) = (now, batch)
        if nodes[index].mayHaveLeft { nodes[index].isInDoubt = true }
    }

    /// Makes a node ready again whose request was decided but not sent.
    mutating func withdraw(_ index: Int) {
        if case .inFlight = nodes[index].phase { becomeReady(index) }
    }

    /// Ends the wait for a retry; an alarm from an earlier wait, before the due time, changes nothing.
    mutating func endRetryWait(_ index: Int, at now: Instant) {
        if case .waitingRetry(_, let due) = nodes[index].phase, due <= now { becomeReady(index) }
    }

    /// Drops the meter's intervals once no later one can overlap them.
    mutating func settleMeter() {
        // Waiting for a child is no interval, however long it takes.
        if frames[0].inFlightCount == calls.stepCount { meter.settle() }
    }
}
