import Billing
package import Ports
package import Values
import Workflow

/// The run machine: takes one input and returns journal entries and effects.
///
/// A value without clock, randomness, I/O or concurrency. The same inputs always lead to the same decisions,
/// provided that the gauge measures the same work. Its owner stores the entries and carries out the effects
/// afterwards.
package struct RunMachine: Sendable {
    package let plan: RunPlan
    package internal(set) var state: RunState

    /// A run that has not begun.
    package init(run: RunID, plan: RunPlan) {
        self.plan = plan
        state = RunState(run: run, plan: plan)
    }

    /// A run folded from its journal; ``RunInput/recovered(at:)`` starts it again.
    package init(run: RunID, plan: RunPlan, records: some Sequence<JournalRecord>) {
        self.init(run: run, plan: plan)
        for record in records { state.apply(record, plan: plan) }
        state.isJustRead = true
    }

    /// Adds the bytes of stored facts to what the run keeps.
    ///
    /// To be called with the facts of each decision, and once with those of a journal that is read back, so
    /// that the sum is the same after a restart.
    package mutating func noteFacts(byteCount: Int) { state.byteCount += byteCount }

    /// The path of a node in the journal, such as `charge` or `charge/compensate`.
    package func path(of node: Int) -> String { state.path(node, plan) }

    /// The node with a path; -1 if there is none yet.
    package func position(of path: String) -> Int { state.node(path, plan) ?? -1 }

    /// Whether a node is a compensation.
    package func isCompensation(_ node: Int) -> Bool {
        state.nodes.indices.contains(node) && plan.isCompensation[state.nodes[node].step]
    }

    /// Whether an attempt is in flight, and whether a run that is ending needs it: to undo a step or to learn
    /// its outcome.
    ///
    /// Mutating although it changes nothing, so that a machine inside a class is not copied for the call.
    package mutating func standing(of node: Int, attempt: Int) -> (isInFlight: Bool, isUndoing: Bool) {
        guard state.nodes.indices.contains(node) else { return (false, false) }
        return (
            state.nodes[node].phase == .inFlight(attempt: attempt),
            plan.isCompensation[state.nodes[node].step] || state.nodes[node].isSettling && state.ending != nil
        )
    }

    /// How far the wall clock had been stepped, as far as the run has been notified.
    ///
    /// Mutating for the reason above.
    package mutating func knownClockShift() -> Duration { state.clockShift }

    /// Decides on an input.
    ///
    /// An input that no longer applies, such as a response to an older attempt or a signal to a finished run,
    /// decides nothing.
    ///
    /// - Parameters:
    ///   - input: The event.
    ///   - surroundings: The inputs of the decision besides the journal.
    ///   - now: The time of the decision; nil for the input's own instant.
    ///   - isContinuing: Whether the previous decision is stored in the same commit, so that nothing of it
    ///     has left yet.
    /// - Returns: The entries to store, and the effects to carry out once they are stored.
    package mutating func handle(
        _ input: RunInput, in surroundings: Surroundings, at now: Instant? = nil, isContinuing: Bool = false
    ) -> Decision {
        guard !state.isOver else { return Decision() }
        if !isContinuing { state.batch += 1 }
        // Done before any input: it may send or end something, and both depend on what may have left before.
        if state.isJustRead {
            state.isJustRead = false
            state.doubtAllReady(at: now ?? input.at, plan)
        }
        state.news = RunState.ScopeNews()
        var turn = Turn(
            machine: RunMachine(vacantOf: plan), surroundings: surroundings, at: now ?? input.at)
        // The turn must own the state uniquely, or its first change would copy all nodes. A swap also avoids
        // reference counting.
        swap(&self, &turn.machine)
        turn.take(input)
        swap(&self, &turn.machine)
        return turn.decision
    }

    private init(vacantOf plan: RunPlan) {
        self.plan = plan
        state = .vacant
    }
}

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
        case .cancelRequested(let reason, _):
            // A run that is ending already only has to be released.
            guard machine.state.ending == nil || machine.state.isHeld else { return }
            record(cancel(reason))
        case .resumed: break
        }
        endIfTooLarge()
        advance()
    }

    /// The entry for a cancellation: it ends the run or its `finally` steps, or only releases the run.
    private func cancel(_ reason: String) -> JournalEntry {
        if machine.state.ending != nil { return .runReleased }
        guard machine.state.final == nil else {
            return .finallyCut(StepError(code: "cancelled", message: reason))
        }
        return .cancelRequested(reason: reason)
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
        if !isFunded { record(.runPaused) }
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

// MARK: - Going on

extension Turn {
    /// The expression time after which a turn ends, so that a run of heavy steps does not delay others.
    ///
    /// Only evaluations in Lua are measured; plain paths and literals are not.
    private static let computingTimeMax = Duration.milliseconds(10)
    /// The expression time from which a turn's computing is charged as run time.
    private static let chargedTimeMin = Duration.milliseconds(5)

    /// Starts all that is ready until nothing changes, and ends the run once nothing is left.
    mutating func advance() {
        while true {
            if machine.state.ending == nil, let frame = machine.state.nextTouched() {
                endIfDone(frame)
                continue
            }
            guard !machine.state.isAtRest, !machine.state.isQueued else { break }
            let doubtful = machine.state.nextSettling()
            guard let index = doubtful ?? (machine.state.ending == nil ? machine.state.nextReady() : nil)
            else { break }
            guard meter.used < Self.computingTimeMax else {
                decision.effects.append(.goOn)
                break
            }
            meter.beginGroup()
            if doubtful == nil { startStep(index) } else { settleDoubt(about: index) }
        }
        // A ready request of a run at rest may be in flight, sent before the journal was read back. Its time
        // must not be counted in addition to time that it overlaps.
        if !machine.state.isAtRest { machine.state.settleMeter() }
        cancelChildren()
        guard !machine.state.hasInFlight, !machine.state.hasStrays else { return }
        if let outcome = machine.state.final { return finishAfterFinally(outcome) }
        guard areLosersUndone(), let outcome = finalOutcome() else { return }
        if outcome.status == .succeeded || isUndone(next: { $0.nextUndoing() }) { close(outcome) }
    }

    /// Whether the work of races' losers is undone; a run that does not succeed undoes it with everything
    /// else.
    private mutating func areLosersUndone() -> Bool {
        guard !machine.state.lost.isEmpty,
            machine.state.ending.map({ $0.status == .succeeded }) ?? machine.state.isDone
        else { return true }
        return isUndone { $0.nextLost() }
    }

    /// The run's outcome, once nothing is in flight; nil while steps are left.
    ///
    /// A failed output is recorded as the run's end before anything is undone (I1). So a process that reads
    /// the journal after a crash continues with the undoing, even if the expression would succeed by then.
    private mutating func finalOutcome() -> RunOutcome? {
        let ended = machine.state.isDone ? RunOutcome(status: .succeeded) : nil
        guard var outcome = machine.state.ending ?? ended else { return nil }
        guard outcome.status == .succeeded, outcome.output.isNull, let template = plan.definition.output
        else { return outcome }
        meter.beginGroup()
        do throws(ExpressionFailure) {
            outcome.output = try storable(try value(template, inside: 0))
        } catch {
            record(.outputFailed(stepError(error, in: "output")))
            return machine.state.ending
        }
        return outcome
    }

    /// Starts the next compensation, that of the step that succeeded last; true once none is left.
    ///
    /// They run one after another, so that each sees what the later steps' compensations have restored.
    private mutating func isUndone(next: (inout RunState) -> Int?) -> Bool {
        while let index = next(&machine.state) {
            switch machine.state.phase(index) {
            case .pending, .ready:
                if machine.state.isHeld { return false }
                // The failure of the run may have used up the budget of its step.
                meter.beginGroup()
                startStep(index)
            default: break
            }
            if !machine.state.phase(index).isSettled { return false }
        }
        return true
    }

    /// Whether all compensations of these nodes succeeded; nil if there were none.
    private func compensationResult(_ undone: [Int]) -> RunOutcome.Closing? {
        let due = undone.compactMap { machine.state.nodes[$0].compensation }
        guard !due.isEmpty else { return nil }
        return due.allSatisfy { machine.state.phase($0) == .succeeded } ? .succeeded : .failed
    }

    /// Ends the run, after its `finally` steps if there are any.
    ///
    /// They are omitted if the run never had its turn, because it has done nothing.
    private mutating func close(_ outcome: RunOutcome) {
        var outcome = outcome
        let undone = outcome.status == .succeeded ? machine.state.lost : machine.state.undoable
        outcome.compensation = compensationResult(undone)
        guard let finally = plan.finallyIndex, !machine.state.isQueued else { return finish(outcome) }
        record(.runFinalizing(outcome))
        meter.beginGroup()
        open(finally)
        advance()
    }

    private mutating func finishAfterFinally(_ outcome: RunOutcome) {
        guard let finally = plan.finallyIndex else { return finish(outcome) }
        let phase = machine.state.phase(finally)
        guard phase.isSettled || machine.state.ending != nil else { return }
        var outcome = outcome
        outcome.finally = phase == .succeeded ? .succeeded : .failed
        finish(outcome)
    }

    private mutating func finish(_ outcome: RunOutcome) {
        record(.runFinished(outcome), charge: machine.state.remainingCharge)
        // The recorded outcome, so that nobody is told more than the journal contains.
        decision.effects.append(.finish(machine.state.outcome ?? outcome))
    }

    mutating func startStep(_ index: Int) {
        let step = step(index)
        // Only the step's own guard counts; all of its items run.
        if machine.state.nodes[index].item > 0 { return act(index, step) }
        if isSkippedWithAll(index, step) { return skip(index, .allSkipped) }
        do throws(ExpressionFailure) {
            guard try isGuardTrue(step, index) else { return skip(index, .guardFalse) }
        } catch {
            return fail(index, stepError(error, in: "when"))
        }
        act(index, step)
    }

    /// Whether all steps that the step waits for were skipped.
    private func isSkippedWithAll(_ index: Int, _ step: PlannedStep) -> Bool {
        guard !step.after.isEmpty else { return false }
        let first = machine.state.frames[machine.state.nodes[index].frame].first
        return step.after.allSatisfy { machine.state.nodes[first + $0].cutsOff }
    }

    private mutating func act(_ index: Int, _ step: PlannedStep) {
        if let strategy = step.strategy, machine.state.nodes[index].item == 0 {
            return open(index, strategy)
        }
        switch step.action {
        case .request(let template): send(index, template)
        case .compute(let expression): compute(index, .expression(expression))
        case .finish(let template): compute(index, template)
        case .call(let template): call(index, template)
        case .sleep(let rule): sleep(index, rule)
        case .wait(let rule): wait(index, rule)
        case .signal(let template): signal(index, template)
        case .reply(let template): reply(index, template)
        case .group: open(index)
        case .fail(let template):
            do throws(ExpressionFailure) {
                fail(index, StepError(code: "fail", message: bounded(try value(template, index).text)))
            } catch {
                fail(index, stepError(error, in: "fail"))
            }
        }
    }

    /// Evaluates the guard: true, false or null; anything else is an error and never a skip.
    private func isGuardTrue(_ step: PlannedStep, _ index: Int) throws(ExpressionFailure) -> Bool {
        guard let expression = step.guardExpression else { return true }
        return try GuardReading.isTrue(try expression.evaluate(in: scope(of: index)))
    }

    private mutating func send(_ index: Int, _ template: RequestTemplate) {
        do throws(RequestFailure) {
            var (request, isTimed) = try request(index, template)
            machine.state.nodes[index].madeAt = isTimed ? at : nil
            request.mayReuseConnection = mayBeRepeated(index, attempt: machine.state.attempt(index))
            machine.state.markInFlight(index, at: at)
            decision.effects.append(
                .send(step: index, attempt: machine.state.attempt(index), request))
        } catch {
            fail(index, stepError(error))
        }
    }

    // Each evaluation is a function of its own: a scope retains the whole state, and while one is alive, a
    // change of the state would copy all nodes.

    /// The request, and whether its expressions asked for the time.
    private func request(
        _ index: Int, _ template: RequestTemplate
    ) throws(RequestFailure) -> (request: OutboundRequest, isTimed: Bool) {
        let scope = scope(of: index)
        let builder = RequestBuilder(
            template: template, stepPath: path(index), run: machine.state.run,
            attempt: machine.state.attempt(index), scope: scope, surroundings: surroundings, at: at)
        return (try builder.request(), scope.isTimeRead)
    }

    /// The value of a template in the scope of a node.
    func value(_ template: Template, _ index: Int) throws(ExpressionFailure) -> Value {
        try template.value(in: scope(of: index))
    }

    private mutating func compute(_ index: Int, _ template: Template) {
        do throws(ExpressionFailure) {
            let output = try storable(try value(template, index))
            settle(
                index,
                StepResult(error: nil, content: .output(output), attemptCount: 0, interval: computingTime))
        } catch {
            fail(index, stepError(error, in: "lua"))
        }
    }

    /// A computed value.
    ///
    /// - Throws: ``ExpressionFailure/notAValue(reason:)`` if it is nested deeper than the journal's reader
    ///   accepts.
    func storable(_ value: Value) throws(ExpressionFailure) -> Value {
        guard value.isNested(atMost: JSON.computedDepthMax) else {
            throw .notAValue(reason: "nested deeper than \(JSON.computedDepthMax) levels")
        }
        return value
    }

    /// A computed value that leaves the run other than in a request, with secrets removed.
    func outgoing(_ value: Value) throws(ExpressionFailure) -> Value {
        redaction.redact(try storable(value))
    }

    mutating func fail(_ index: Int, _ error: StepError) {
        settle(index, StepResult(error: error, content: .none, attemptCount: 0, interval: computingTime))
    }

    mutating func skip(_ index: Int, _ reason: SkipReason) {
        record(.stepSkipped(path: path(index), reason: reason), at: index)
    }

    /// This turn's expression time as run time; nil if it is too short to be charged.
    var computingTime: Meter.Interval? {
        meter.used >= Self.chargedTimeMin ? Meter.Interval(start: at, end: at + meter.used) : nil
    }

    mutating func settle(_ index: Int, _ result: StepResult, isRedacted: Bool = false) {
        record(
            .stepSettled(path: path(index), result), at: index,
            charge: machine.state.charge(for: result.interval), isRedacted: isRedacted)
    }
}

// MARK: - Errors as facts

extension Turn {
    func stepError(_ failure: ExpressionFailure, in place: String) -> StepError {
        StepError(code: failure.label, message: bounded("\(place): \(failure.message)"))
    }

    func stepError(_ failure: RequestFailure) -> StepError {
        StepError(code: failure.code, message: bounded(failure.message))
    }

    /// One line of at most 1 KiB, without secrets.
    func bounded(_ text: String) -> String { ShownText.line(redaction.redact(text)) }
}

/// The meaning of a guard's value.
package enum GuardReading {
    /// Whether the value is true; null counts as false.
    ///
    /// - Throws: ``ExpressionFailure/notAValue(reason:)`` for anything but true, false and null.
    package static func isTrue(_ value: Value) throws(ExpressionFailure) -> Bool {
        switch value {
        case .bool(let flag): return flag
        case .null: return false
        default:
            throw .notAValue(
                reason: "a guard gives true, false or null, and this one gave a \(value.kindName)")
        }
    }
}
