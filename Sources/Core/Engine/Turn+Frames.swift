import Billing
import Ports
import Values
import Workflow

// Opening and ending of groups and strategies.

extension Turn {
    /// Opens a group.
    mutating func open(_ index: Int) {
        let count = plan.innerScope[machine.state.nodes[index].step].map { plan.scopes[$0].count } ?? 0
        guard hasRoom(for: count) else { return fail(index, Self.tooManySteps) }
        record(.stepOpened(path: path(index), over: nil), at: index)
    }

    /// Opens a step that runs for each of several items.
    mutating func open(_ index: Int, _ strategy: Strategy) {
        do throws(ExpressionFailure) {
            let over = try storable(try value(strategy.over, index))
            guard let count = strategy.itemCount(over) else {
                throw .notAValue(reason: "a strategy runs over a list, a map or a whole number from 0")
            }
            // By division, because an expression may give a number whose product overflows.
            guard count - 1 <= (Strategy.elementCountMax - 1) / strategy.size else {
                return fail(index, Self.tooManyItems)
            }
            guard hasRoom(for: count) else { return fail(index, Self.tooManySteps) }
            record(.stepOpened(path: path(index), over: GuardedValue(over)), at: index)
        } catch {
            fail(index, stepError(error, in: "over"))
        }
    }

    private func hasRoom(for count: Int) -> Bool {
        // Each may need another node for its compensation.
        machine.state.nodes.count + 2 * count <= RunState.nodeCountMax
    }

    private static let tooManyItems = StepError(
        code: "too_many_items",
        message: "over: more than \(Strategy.elementCountMax) items; split them between runs")

    private static let tooManySteps = StepError(
        code: "too_many_steps",
        message: "the run has too many items and inner steps: \(RunState.nodeCountMax) is the most")

    // MARK: - Ends

    /// Settles the owner of a frame if nothing more can happen in it.
    mutating func endIfDone(_ number: Int) {
        let frame = machine.state.frames[number]
        guard let owner = frame.owner else { return }
        if frame.isClosed {
            if frame.inFlightCount == 0 { fail(owner, failure(of: frame)) }
            return
        }
        guard frame.scope == nil, let strategy = step(owner).strategy else {
            if frame.settledCount == frame.count { endGroup(owner, number) }
            return
        }
        if let winner = frame.winner { return endRace(owner, number, winner: winner) }
        do throws(ExpressionFailure) {
            if try isLoopOver(strategy, frame) { return settle(owner, succeeded(.none)) }
        } catch {
            return fail(owner, stepError(error, in: "until"))
        }
        guard frame.settledCount == frame.count else { return }
        if strategy.kind == .race, frame.count > 0 {
            fail(owner, failure(of: frame))
        } else {
            settle(owner, succeeded(.none))
        }
    }

    private func succeeded(_ content: StepResult.Content) -> StepResult {
        StepResult(error: nil, content: content, attemptCount: 0, interval: computingTime)
    }

    private mutating func endGroup(_ owner: Int, _ frame: Int) {
        guard case .group(let group) = step(owner).action, let template = group.output else {
            return settle(owner, succeeded(.none))
        }
        meter.beginGroup()
        do throws(ExpressionFailure) {
            settle(owner, succeeded(.output(try storable(try value(template, inside: frame)))))
        } catch {
            fail(owner, stepError(error, in: "output"))
        }
    }

    /// The value of a template in the scope of a frame.
    func value(_ template: Template, inside frame: Int) throws(ExpressionFailure) -> Value {
        try template.value(in: scope(inside: frame))
    }

    /// Whether `until` is true after the item that settled last.
    private func isLoopOver(
        _ strategy: Strategy, _ frame: RunState.Frame
    ) throws(ExpressionFailure) -> Bool {
        guard let until = strategy.until, let latest = frame.latest else { return false }
        meter.beginGroup()
        let opened = machine.state.nodes[latest].opened
        let place = opened.map { scope(inside: $0) } ?? scope(of: latest)
        return try GuardReading.isTrue(try until.evaluate(in: place))
    }

    /// Why a frame failed: the error of the node that failed it, with its path.
    private func failure(of frame: RunState.Frame) -> StepError {
        guard let failed = frame.failed, let error = machine.state.result(failed)?.error else {
            return StepError(code: "no_winner", message: "no item succeeded")
        }
        let isInner = machine.state.nodes[failed].opened.map { machine.state.frames[$0].failed != nil }
        guard !(isInner ?? false) else { return error }
        return StepError(code: error.code, message: bounded("\(path(failed)): \(error.message)"))
    }

    /// Ends a race: the losers are abandoned and their responses ignored.
    ///
    /// Their time in flight is charged up to now. Only those that can be undone are awaited, so that their
    /// work is undone.
    private mutating func endRace(_ owner: Int, _ frame: Int, winner: Int) {
        let kept = Set(keepLosers(of: frame))
        var abandoned = machine.state.inFlight(in: frame).filter { !kept.contains($0) }
        // What was decided in this turn has not been sent.
        abandoned.removeAll { index in
            let position = decision.effects.firstIndex { effect in
                switch effect {
                case .send(index, _, _), .call(index, _): true
                default: false
                }
            }
            if let position { decision.effects.remove(at: position) }
            return position != nil
        }
        let requests = abandoned.filter { if case .request = step($0).action { true } else { false } }
        let since = requests.map { machine.state.nodes[$0].sentAt }.min()
        var result = succeeded(.winner(machine.state.nodes[winner].item))
        if let since { result.interval = Meter.Interval(start: since, end: at) }
        awaitAnswers(toCallsOf: abandoned)
        settle(owner, result)
        decision.effects += requests.map { .abandon(step: $0) }
        cancelStrays(of: abandoned)
    }
}
