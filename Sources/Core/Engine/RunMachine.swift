import Billing
package import Ports
package import Values
import Workflow

/// The run machine: takes one input, returns journal entries and effects.
///
/// A value without clock, randomness, I/O or `await`: the same inputs always lead to the same
/// decisions, as long as the gauge that it is handed measures the same work. Whoever owns it stores the
/// entries and carries out the effects afterwards.
package struct RunMachine: Sendable {
    package let plan: RunPlan
    package internal(set) var state: RunState

    /// A run that has not begun.
    package init(run: RunID, plan: RunPlan) {
        self.plan = plan
        state = RunState(run: run, plan: plan)
    }

    /// A run as its journal tells it; ``RunInput/recovered(at:)`` sets it going again.
    package init(run: RunID, plan: RunPlan, records: some Sequence<JournalRecord>) {
        self.init(run: run, plan: plan)
        for record in records { state.apply(record, plan: plan) }
        state.isJustRead = true
    }

    /// The facts of entries, as the store keeps them, count among what the run keeps.
    ///
    /// To be called with those of each decision, and once with those of the journal that a run is read from: what
    /// it keeps is the same after a restart.
    package mutating func noteFacts(byteCount: Int) { state.byteCount += byteCount }

    /// The node's place in the journal: `charge`, `charge/compensate`.
    package func path(of node: Int) -> String { state.path(node, plan) }

    /// Where a path stands; -1 where it does not (yet).
    package func position(of path: String) -> Int { state.node(path, plan) ?? -1 }

    /// Whether a position is a compensation's.
    package func isCompensation(_ node: Int) -> Bool {
        state.nodes.indices.contains(node) && plan.isCompensation[state.nodes[node].step]
    }

    /// Whether that attempt is under way (decided, and not answered yet), and whether a run that is ending needs it: to
    /// undo a step, or to learn what became of one.
    ///
    /// Mutating, although it changes nothing: asked of a machine in a class, it is not copied for the question.
    package mutating func standing(of node: Int, attempt: Int) -> (isInFlight: Bool, isUndoing: Bool) {
        guard state.nodes.indices.contains(node) else { return (false, false) }
        return (
            state.nodes[node].phase == .inFlight(attempt: attempt),
            plan.isCompensation[state.nodes[node].step] || state.nodes[node].isSettling && state.ending != nil
        )
    }

    /// By how much the wall clock had been stepped, as far as the run has been told.
    ///
    /// Mutating for the reason above.
    package mutating func knownClockShift() -> Duration { state.clockShift }

    /// Decides what an input means.
    ///
    /// An input that no longer fits (an answer to an older attempt, a
    /// signal to a run that is over) decides nothing.
    ///
    /// - Parameters:
    ///   - input: What has happened.
    ///   - surroundings: What the decision rests on beside the journal.
    ///   - now: When it is decided, in place of the input's own instant; nil for that.
    ///   - isContinuing: Whether the decision before it is stored in one commit with this one, so that nothing of
    ///     it has left yet.
    /// - Returns: What is to be stored, and what is to be done once it is.
    package mutating func handle(
        _ input: RunInput, in surroundings: Surroundings, at now: Instant? = nil, isContinuing: Bool = false
    ) -> Decision {
        guard !state.isOver else { return Decision() }
        if !isContinuing { state.batch += 1 }
        // Whichever input comes first: it may send, or end something, and both ask what may have left before.
        if state.isJustRead {
            state.isJustRead = false
            state.doubtAllReady(at: now ?? input.at, plan)
        }
        state.news = RunState.ScopeNews()
        var turn = Turn(
            machine: RunMachine(vacantOf: plan), surroundings: surroundings, at: now ?? input.at)
        // The turn must be the only owner of the state, or its first change would copy all steps; swapped,
        // nothing of it is counted in or out either.
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

/// One input being decided.
struct Turn {
    /// What all expressions of one step may take together.
    private static let stepWorkMax = Duration.milliseconds(250)

    var machine: RunMachine
    let surroundings: Surroundings
    let at: Instant
    var decision = Decision()
    /// Of this turn's expressions, step by step.
    let meter: EvaluationMeter
    /// Sensitive values of the answer that is being judged, before its entry is recorded.
    var judged = SensitiveTexts()

    /// What is taken out of all that is recorded or handed on.
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

    /// What the expressions of that node see.
    func scope(of index: Int, response: ResponseBranch? = nil) -> RunScope {
        let node = machine.state.nodes[index]
        return RunScope(
            state: machine.state, plan: plan, surroundings: surroundings,
            frame: node.frame > 0 ? machine.state.scopeFrame(of: index) : 0,
            item: node.item > 0 ? node.undone ?? index : nil, node: index, response: response, meter: meter,
            at: at)
    }

    /// What an output sees of that frame.
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
            // What may have been sent before is sent again, also where the run has become too large with it.
            return advance()
        case .clockStepped(let shift, _):
            // Whatever it comes before sets the run going.
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
            // One that is ending already needs no more than to be let go on with that.
            guard machine.state.ending == nil || machine.state.isHeld else { return }
            record(cancel(reason))
        case .resumed: break
        }
        endIfTooLarge()
        advance()
    }

    /// What a cancel comes to: the end of the run, or of its `finally` steps.
    private func cancel(_ reason: String) -> JournalEntry {
        if machine.state.ending != nil { return .runReleased }
        guard machine.state.final == nil else {
            return .finallyCut(StepError(code: "cancelled", message: reason))
        }
        return .cancelRequested(reason: reason)
    }

    /// The `finally` steps may keep a quarter of what a run may, so that one that was too large has them, too.
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

    /// What had been decided was not sent, nor a child started.
    private mutating func withdraw(_ unsent: [Int]) {
        for step in unsent where machine.state.nodes.indices.contains(step) {
            // It may have lost its race meanwhile, after which only this answer is awaited.
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

    /// Appends an entry, without secrets, and folds it in.
    ///
    /// - Parameters:
    ///   - entry: What has happened.
    ///   - node: The one that it speaks of.
    ///   - charge: Run time charged with it, in milliseconds.
    ///   - isRedacted: Whether the caller has taken the secrets out, because a long answer is searched once.
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

    /// Asks again for the timers that the process forgot.
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
    /// After this much computing a turn ends, so that a long run of heavy steps holds nobody up.
    private static let computingTimeMax = Duration.milliseconds(10)
    /// From here on a turn's computing is run time; what is less is not worth a charge.
    private static let chargedTimeMin = Duration.milliseconds(5)

    /// Starts all that is ready, until nothing changes; ends the run once nothing is left to do.
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
        // What is ready at rest may be out all the same, sent before the journal was read again; the time of its
        // answer is not to be counted beside what it overlaps.
        if !machine.state.isAtRest { machine.state.settleMeter() }
        cancelChildren()
        guard !machine.state.hasInFlight, !machine.state.hasStrays else { return }
        if let outcome = machine.state.final { return finishAfterFinally(outcome) }
        guard areLosersUndone(), let outcome = finalOutcome() else { return }
        if outcome.status == .succeeded || isUndone(next: { $0.nextUndoing() }) { close(outcome) }
    }

    /// Whether what the losers of races have done is undone; a run that does not succeed undoes it with all else.
    private mutating func areLosersUndone() -> Bool {
        guard !machine.state.lost.isEmpty,
            machine.state.ending.map({ $0.status == .succeeded }) ?? machine.state.isDone
        else { return true }
        return isUndone { $0.nextLost() }
    }

    /// How the run ends, now that nothing is in flight; nil while steps are left.
    ///
    /// An output that fails is recorded as what ends the run before anything is undone (I1): whoever reads the
    /// journal after a crash must go on with the undoing, even where the same expression would succeed by then.
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

    /// Starts the compensation of the step that succeeded last of those not yet undone; true once none is
    /// left.
    ///
    /// One after the other, so that each finds what the ones after its step have restored.
    private mutating func isUndone(next: (inout RunState) -> Int?) -> Bool {
        while let index = next(&machine.state) {
            switch machine.state.phase(index) {
            case .pending, .ready:
                if machine.state.isHeld { return false }
                // What made the run fail may have used up all that one step may compute.
                meter.beginGroup()
                startStep(index)
            default: break
            }
            if !machine.state.phase(index).isSettled { return false }
        }
        return true
    }

    /// Whether every compensation of those nodes succeeded; nil where none was due.
    private func compensationResult(_ undone: [Int]) -> RunOutcome.Closing? {
        let due = undone.compactMap { machine.state.nodes[$0].compensation }
        guard !due.isEmpty else { return nil }
        return due.allSatisfy { machine.state.phase($0) == .succeeded } ? .succeeded : .failed
    }

    /// All is over but for the `finally` steps, if there are any.
    ///
    /// A run that never had its turn has done nothing that they could follow.
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
        // As it was recorded: whoever waits for it is told no more than the journal says.
        decision.effects.append(.finish(machine.state.outcome ?? outcome))
    }

    mutating func startStep(_ index: Int) {
        let step = step(index)
        // The step itself was asked; its items all run.
        if machine.state.nodes[index].item > 0 { return act(index, step) }
        if isSkippedWithAll(index, step) { return skip(index, .allSkipped) }
        do throws(ExpressionFailure) {
            guard try isGuardTrue(step, index) else { return skip(index, .guardFalse) }
        } catch {
            return fail(index, stepError(error, in: "when"))
        }
        act(index, step)
    }

    /// Whether all that the step waits for was skipped.
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

    /// A guard yields true, false or null; anything else is an error and never a skip.
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

    // What is evaluated is evaluated in functions of their own: a scope holds the whole state, and as long as
    // one lives, the next change of the state would copy all of its nodes.

    /// The request, and whether its expressions have asked for the time.
    private func request(
        _ index: Int, _ template: RequestTemplate
    ) throws(RequestFailure) -> (request: OutboundRequest, isTimed: Bool) {
        let scope = scope(of: index)
        let builder = RequestBuilder(
            template: template, stepPath: path(index), run: machine.state.run,
            attempt: machine.state.attempt(index), scope: scope, surroundings: surroundings, at: at)
        return (try builder.request(), scope.isTimeRead)
    }

    /// The template's value as the step of that node sees it.
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

    /// A computed value, which must be no deeper than the journal's reader takes.
    func storable(_ value: Value) throws(ExpressionFailure) -> Value {
        guard value.isNested(atMost: JSON.computedDepthMax) else {
            throw .notAValue(reason: "nested deeper than \(JSON.computedDepthMax) levels")
        }
        return value
    }

    /// A computed value that leaves the run in another way than in a request: no secret leaves with it.
    func outgoing(_ value: Value) throws(ExpressionFailure) -> Value {
        redaction.redact(try storable(value))
    }

    mutating func fail(_ index: Int, _ error: StepError) {
        settle(index, StepResult(error: error, content: .none, attemptCount: 0, interval: computingTime))
    }

    mutating func skip(_ index: Int, _ reason: SkipReason) {
        record(.stepSkipped(path: path(index), reason: reason), at: index)
    }

    /// What this turn has computed so far, as run time; nil where it is too little.
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

/// What a guard's value means.
package enum GuardReading {
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
