import Ports
import Values
import Workflow

// Runs that start other runs. Waiting for a child is free of charge.

extension Turn {
    /// Most calls from the first run of a chain to the last.
    static let callDepthMax = 16

    mutating func call(_ index: Int, _ template: CallTemplate) {
        do throws(ExpressionFailure) {
            guard let name = try value(template.workflow, index).string, WorkflowName.isName(name) else {
                throw .notAValue(reason: "a call takes the name of a workflow")
            }
            let input = redaction.guarded(try storable(try value(template.input ?? .constant(.null), index)))
            let depth = (machine.state.start?.parent?.depth ?? 0) + 1
            guard depth <= Self.callDepthMax else {
                let message = "call: runs call each other more than \(Self.callDepthMax) deep"
                return fail(index, StepError(code: "call_too_deep", message: message))
            }
            let parent = RunParent(
                run: machine.state.run, step: path(index), depth: depth, isDetached: template.isDetached)
            machine.state.markInFlight(index, at: at)
            decision.effects.append(
                .call(step: index, ChildCall(workflow: name, input: input, parent: parent)))
        } catch {
            fail(index, stepError(error, in: "call"))
        }
    }

    /// Notes that the child is durable.
    ///
    /// It also applies to a step that a restart has made ready again: the child belongs to the earlier call.
    mutating func noteChild(_ index: Int, _ child: RunID) {
        guard machine.state.nodes.indices.contains(index), case .call(let template) = step(index).action
        else { return }
        _ = machine.state.calls.takeAnswer(to: index)
        switch machine.state.phase(index) {
        case .inFlight, .ready: break
        case .cancelled where !template.isDetached: return noteStray(index, child)
        default: return
        }
        if template.isDetached {
            let result = ChildResult(run: child, output: .null, isDetached: true)
            return settle(index, Self.ended(.child(result)))
        }
        record(.stepCalling(path: path(index), child: child), at: index)
        decision.effects.append(.awaitChild(step: index, child))
    }

    /// Notes that no child was started or will be.
    mutating func noteNoChild(_ index: Int, _ error: StepError) {
        _ = machine.state.calls.takeAnswer(to: index)
        guard machine.state.nodes.indices.contains(index), case .inFlight = machine.state.phase(index),
            case .call = step(index).action
        else { return }
        settle(index, Self.ended(.none, error))
    }

    /// Notes the end of a child; a second notice of the same end changes nothing.
    mutating func noteChildEnd(_ index: Int, _ child: RunID, _ outcome: RunOutcome) {
        guard !machine.state.calls.endStray(child) else { return noteStrayEnd(index, child, outcome) }
        guard machine.state.nodes.indices.contains(index),
            case .calling(child, _) = machine.state.phase(index)
        else { return }
        let result = ChildResult(run: child, output: outcome.status == .succeeded ? outcome.output : .null)
        settle(index, Self.ended(.child(result), error(of: child, outcome)))
    }

    private func error(of child: RunID, _ outcome: RunOutcome) -> StepError? {
        let place = outcome.failedStep.map { " in step \($0)" } ?? ""
        let why = outcome.error.map { "\(place): \($0.code): \($0.message)" } ?? ""
        switch outcome.status {
        case .succeeded: return nil
        case .failed: return StepError(code: "child_failed", message: bounded("run \(child) failed\(why)"))
        case .cancelled:
            let why = outcome.error.map { ": \($0.message)" } ?? ""
            return StepError(code: "child_cancelled", message: bounded("run \(child) was cancelled\(why)"))
        }
    }

    private static func ended(_ content: StepResult.Content, _ error: StepError? = nil) -> StepResult {
        StepResult(error: error, content: content, attemptCount: 0, interval: nil)
    }

    // MARK: - Ending children

    /// Requests the end of every open child in a scope where nothing new may start.
    mutating func cancelChildren() {
        guard machine.state.calls.hasNews else { return }
        let isEnding = machine.state.ending != nil
        var calls = machine.state.calls
        machine.state.calls = OpenCalls()
        let cutsFinally = calls.cutsFinally
        if cutsFinally {
            for (child, step) in calls.strays.sorted(by: { $0.key < $1.key }) {
                cancel(child, of: step, cutsFinally: true)
            }
        }
        let steps = calls.takeEnding { isEnding || machine.state.isClosed(around: $0) }
        machine.state.calls = calls
        for index in steps {
            guard case .calling(let child, _) = machine.state.phase(index) else { continue }
            cancel(child, of: index, cutsFinally: cutsFinally)
        }
    }

    private mutating func cancel(_ child: RunID, of index: Int, cutsFinally: Bool = false) {
        let ending = machine.state.ending
        let why = ending.map { $0.error?.code ?? $0.status.rawValue } ?? "its result is not needed"
        let reason = "step \(path(index)) of \(machine.state.run), which called it, has ended: \(why)"
        decision.effects.append(.cancelChild(child, reason: reason, cutsFinally: cutsFinally))
    }

    // MARK: - Lost races

    /// Notes steps that lose a race while their child is being started, so that they are notified of it.
    mutating func awaitAnswers(toCallsOf lost: [Int]) {
        for index in lost {
            guard case .call(let template) = step(index).action, !template.isDetached,
                case .inFlight = machine.state.phase(index)
            else { continue }
            machine.state.calls.awaitAnswer(to: index)
        }
    }

    /// Cancels the children of steps that have just lost a race; the run's end waits for theirs.
    mutating func cancelStrays(of lost: [Int]) {
        for index in lost {
            guard let child = machine.state.nodes[index].child, machine.state.calls.strays[child] == index
            else { continue }
            cancel(child, of: index)
        }
    }

    /// Cancels the child of a step that has lost its race before it was known.
    mutating func noteStray(_ index: Int, _ child: RunID) {
        machine.state.calls.addStray(child, of: index)
        decision.effects.append(.awaitChild(step: index, child))
        cancel(child, of: index)
    }

    /// Notes the end of a child whose step lost a race: it may have succeeded before its cancel arrived, and is then
    /// undone like a request that did.
    private mutating func noteStrayEnd(_ index: Int, _ child: RunID, _ outcome: RunOutcome) {
        guard outcome.status == .succeeded, machine.state.nodes[index].isLost else { return }
        settle(index, Self.ended(.child(ChildResult(run: child, output: outcome.output))))
    }

    /// Awaits and cancels such children again after a restart.
    mutating func rearmStrays() {
        for (child, index) in machine.state.calls.strays.sorted(by: { $0.key < $1.key }) {
            decision.effects.append(.awaitChild(step: index, child))
            cancel(child, of: index)
        }
    }
}

extension RunMachine {
    /// Calls that a process before this one may have made, and that are not made again because their scope has
    /// ended: the node of each, and the key under which its child started.
    ///
    /// Asked after a restart. A child that is open names its caller; one that has ended is found by that key alone.
    package var callsInDoubt: [(node: Int, dedupeKey: String)] {
        state.nodes.indices.compactMap { index in
            let step = state.nodes[index].step
            guard state.nodes[index].phase == .ready, !plan.isCompensation[step],
                case .call = plan.steps[step].action, state.ending != nil || state.isClosed(around: index)
            else { return nil }
            return (index, ChildCall.dedupeKey(of: state.run, step: path(of: index)))
        }
    }
}
