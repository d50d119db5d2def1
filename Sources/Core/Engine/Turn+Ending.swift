import Billing
import Ports
import Values
import Workflow

// How a run advances and ends.

extension Turn {
    /// The expression time after which a turn ends, so that a run of heavy steps does not delay others.
    ///
    /// Only evaluations in Lua are measured; plain paths and literals are not.
    private static let computingTimeMax = Duration.milliseconds(10)

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
        let hadItsTurn = !machine.state.isQueued && machine.state.start?.fault == nil
        guard let finally = plan.finallyIndex, hadItsTurn else { return finish(outcome) }
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
        // The recorded outcome, so that no notification contains more than the journal.
        decision.effects.append(.finish(machine.state.outcome ?? outcome))
    }
}
