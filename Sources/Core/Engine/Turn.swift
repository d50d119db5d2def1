import Billing
import Ports
import Values
import Workflow

/// The processing of one input.
struct Turn {
    /// Longest time of all expressions of one step together.
    private static let stepWorkMax = Duration.milliseconds(250)

    var machine: RunMachine
    let surroundings: Surroundings
    let at: Instant
    var decision = Decision()
    /// Measures this turn's expressions, step by step.
    let meter: EvaluationMeter
    /// Sensitive values of the response being judged, before its entry is recorded.
    var judged = SensitiveTexts()

    /// Everything that is removed from recorded and outgoing texts.
    var redaction: Redaction { Redaction(surroundings.redactor, machine.state.sensitive, judged) }

    init(machine: RunMachine, surroundings: Surroundings, at: Instant) {
        self.machine = machine
        self.surroundings = surroundings
        self.at = at
        meter = EvaluationMeter(limit: Self.stepWorkMax, gauge: surroundings.gauge)
    }

    var plan: RunPlan { machine.plan }

    func step(_ index: Int) -> PlannedStep { plan.steps[machine.state.nodes[index].step] }

    func path(_ index: Int) -> String { machine.state.path(index, plan) }

    /// The scope of a node's expressions.
    func scope(of index: Int, response: ResponseBranch? = nil) -> RunScope {
        let node = machine.state.nodes[index]
        return RunScope(
            state: machine.state, plan: plan, surroundings: surroundings,
            frame: node.frame > 0 ? machine.state.scopeFrame(of: index) : 0,
            item: node.item > 0 ? node.undone ?? index : nil, node: index, response: response, meter: meter,
            at: at)
    }

    /// The scope of the output of a frame.
    func scope(inside frame: Int) -> RunScope {
        RunScope(
            state: machine.state, plan: plan, surroundings: surroundings, frame: frame, item: nil, node: nil,
            response: nil, meter: meter, at: at)
    }

    mutating func take(_ input: RunInput) {
        switch input {
        case .started(let start, let isFunded): begin(start, copies: [], isFunded: isFunded)
        case .forked(let fork, let isFunded): begin(fork.start, copies: fork.copies, isFunded: isFunded)
        case .recovered:
            rearm()
            // A request that may have been sent before is sent again, even if the run exceeds its size with
            // it.
            return advance()
        case .clockStepped(let shift, _):
            // The input that follows it advances the run.
            let step = shift - machine.state.clockShift
            if machine.state.start != nil, step != .zero { record(.clockStepped(by: step)) }
            return
        case .answered(let step, let attempt, let outcome):
            guard isAwaited(step, attempt: attempt) else { return }
            settleAttempt(step, attempt: attempt, outcome)
        case .retryDue(let step, _):
            guard machine.state.nodes.indices.contains(step) else { return }
            endWait(step)
        case .signalled(let signal, _): receive(signal)
        case .delivered(let step, let error, _):
            guard isAwaited(step, attempt: 1) else { return }
            settle(step, StepResult(error: error, content: .none, attemptCount: 0, interval: nil))
        case .called(let step, let child, _): noteChild(step, child)
        case .notCalled(let step, let error, _): noteNoChild(step, error)
        case .childEnded(let step, let child, let outcome, _): noteChildEnd(step, child, outcome)
        case .admitted:
            guard machine.state.isQueued else { return }
            record(.runAdmitted)
        case .timeoutDue:
            guard let end = machine.state.timeoutEnd(plan), end <= at, machine.state.ending == nil else {
                return
            }
            record(.runTimedOut)
        case .fundsEnded(let unsent, _):
            withdraw(unsent)
            if !machine.state.isPaused, machine.state.ending == nil { record(.runPaused) }
        case .fundsReturned:
            guard machine.state.isPaused else { return }
            record(.runResumed)
        case .held(let reason, _):
            guard !machine.state.isHeld else { return }
            record(.runHeld(reason: bounded(reason)))
        case .released:
            guard machine.state.isHeld else { return }
            record(.runReleased)
        case .withheld(let unsent, _): withdraw(unsent)
        case .cancelRequested(let reason, let cutsFinally, _):
            let isEnding = machine.state.ending != nil
            if isEnding || (!cutsFinally && machine.state.final != nil) {
                // What it waits for may be the `finally` steps of a child.
                if isEnding, cutsFinally { machine.state.calls.askAgain() }
                if machine.state.isHeld { record(.runReleased) }
            } else {
                record(
                    machine.state.final == nil
                        ? .cancelRequested(reason: reason)
                        : .finallyCut(StepError(code: "cancelled", message: reason)))
            }
        case .resumed: break
        }
        endIfTooLarge()
        advance()
    }

    /// Ends a run whose journal is too large.
    ///
    /// The `finally` steps have a quarter of the limit of their own, so that they also run after that.
    private mutating func endIfTooLarge() {
        guard machine.state.ending == nil else { return }
        let byteCountMax = surroundings.runByteCountMax
        if machine.state.final == nil {
            guard machine.state.byteCount > byteCountMax else { return }
            record(.runTooLarge(byteCountMax: byteCountMax))
        } else if machine.state.byteCount - machine.state.byteCountBeforeFinally > byteCountMax / 4 {
            let message = "the `finally` steps have come to more than \(byteCountMax / 4) bytes"
            record(.finallyCut(StepError(code: "run_too_large", message: message)))
        }
    }

    /// Takes back requests that were not sent and children that were not started.
    private mutating func withdraw(_ unsent: [Int]) {
        for step in unsent where machine.state.nodes.indices.contains(step) {
            // It may have lost its race meanwhile; then only this answer was awaited.
            _ = machine.state.calls.takeAnswer(to: step)
            machine.state.withdraw(step)
        }
    }

    private mutating func begin(_ start: RunStart, copies: [JournalEntry], isFunded: Bool) {
        record(.runStarted(start))
        for entry in copies { record(entry) }
        if !isFunded, start.fault == nil { record(.runPaused) }
        if let timeout = plan.definition.timeout { decision.effects.append(.wakeRun(at: at + timeout)) }
    }

    /// Redacts an entry, appends it and folds it.
    ///
    /// - Parameters:
    ///   - entry: The entry.
    ///   - node: Its node, if it has one.
    ///   - charge: The run time charged with it, in milliseconds.
    ///   - isRedacted: Whether the caller has removed the secrets, so that a long response is searched only
    ///     once.
    mutating func record(
        _ entry: JournalEntry, at node: Int? = nil, charge: Int64 = 0, isRedacted: Bool = false
    ) {
        let record = JournalRecord(
            sequence: machine.state.sequence + 1, at: at, chargeMilliseconds: charge,
            entry: isRedacted ? entry : redacted(entry))
        machine.state.apply(record, plan: plan, at: node)
        decision.records.append(record)
        if !machine.state.news.isEmpty { noteInFlight() }
    }

    private func redacted(_ entry: JournalEntry) -> JournalEntry {
        let redaction = self.redaction
        return redaction.isEmpty ? entry : entry.redacted(by: redaction)
    }

    private func isAwaited(_ step: Int, attempt: Int) -> Bool {
        machine.state.nodes.indices.contains(step)
            && machine.state.phase(step) == .inFlight(attempt: attempt)
    }

    /// Requests the timers again that the process has lost.
    private mutating func rearm() {
        if let end = machine.state.timeoutEnd(plan) { decision.effects.append(.wakeRun(at: end)) }
        for index in machine.state.nodes.indices {
            switch machine.state.phase(index) {
            case .waitingRetry(_, let instant), .sleeping(let instant):
                let isWallTime = machine.state.restsByWallTime(index)
                decision.effects.append(.wake(step: index, at: instant, isWallTime: isWallTime))
            case .waiting(_, let until): rearmWait(index, until: until)
            case .calling(let child, _): decision.effects.append(.awaitChild(step: index, child))
            default: break
            }
        }
        rearmStrays()
    }
}
