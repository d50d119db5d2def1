package import Values
import Workflow

extension RunMachine {
    /// The run for people: its outcome, the state of each step, and what started it.
    ///
    /// - Parameters:
    ///   - records: The journal, for the errors of failed attempts and the times of events.
    ///   - pausedBy: What a run without funds waits for: `balance` or `suspension`.
    ///   - surroundings: Without secrets, for the values that guards read; nil to omit those.
    /// - Returns: Output, error, origin, pauses, steps and the trigger's body.
    package func view(
        errorsIn records: [JournalRecord], pausedBy: String = "balance", in surroundings: Surroundings? = nil
    ) -> Object {
        var timeline = RunTimeline(records)
        timeline.pausedBy = pausedBy
        if let finishing = finishingNode { timeline.noteFinish(path(of: finishing)) }
        let due = Set(state.isOver ? [] : dueCompensations)
        var object = Object()
        object["output"] = state.outcome?.output ?? .null
        object["error"] = state.outcome?.errorValue ?? .null
        object["compensation"] = state.outcome?.compensation.map { .string($0.rawValue) } ?? .null
        object["finally"] = state.outcome?.finally.map { .string($0.rawValue) } ?? .null
        object["origin"] = state.start?.origin?.value ?? .null
        object["paused_by"] = pauses(timeline)
        let (shown, leftOutCount) = shownNodes(due)
        object["steps"] = .array(
            shown.map { index in
                var facts = step(index, timeline)
                facts["guard"] = guardFacts(index, timeline, in: surroundings)
                return .object(facts)
            })
        if leftOutCount > 0 { object["steps_left_out"] = .int(Int64(leftOutCount)) }
        object["parent"] = state.start?.parent?.value ?? .null
        // A child has the cause of its parent, where it is shown.
        let cause = state.start?.parent == nil ? state.start?.cause : nil
        object["cause"] = cause.map { ["run": .string("\($0.run)")] } ?? .null
        object["children"] = .array(children)
        object["concurrency_key"] = state.start?.concurrencyKey.map { .string($0) } ?? .null
        object["trigger_body"] = state.trigger?.shownBody ?? .null
        return object
    }

    /// The step that ended the run by `finish`; nil if there is none or the run is over.
    private var finishingNode: Int? {
        func finishes(_ step: PlannedStep) -> Bool { if case .finish = step.action { true } else { false } }
        guard !state.isOver, state.ending != nil, plan.steps.contains(where: finishes) else { return nil }
        return state.nodes.indices.first {
            state.phase($0) == .succeeded && finishes(plan.steps[state.nodes[$0].step])
        }
    }

    /// Most children in a view, because a wide step may have very many.
    private static let childCountMax = 1_000

    private var children: [Value] {
        var found: [Value] = []
        for index in state.nodes.indices where found.count < Self.childCountMax {
            guard let child = state.nodes[index].child else { continue }
            found.append(["run": .string("\(child)"), "step": .string(path(of: index))])
        }
        return found
    }

    /// Most items and inner steps in a view, in addition to the file's own steps.
    private static let innerShownMax = 1_000

    /// The file's own steps, each followed by its open or opened inner steps, and the compensations at the
    /// end.
    ///
    /// If there are too many inner steps, those that failed or continue take precedence.
    private func shownNodes(_ due: Set<Int>) -> (nodes: [Int], leftOutCount: Int) {
        var inner: [Int] = []
        for index in plan.scopes[0].count..<state.nodes.count where isShownInside(index, due) {
            inner.append(index)
        }
        let leftOutCount = max(0, inner.count - Self.innerShownMax)
        var shown = Set(inner)
        if leftOutCount > 0 {
            let strays = state.calls.straySteps
            func isUrgent(_ index: Int) -> Bool {
                if state.isOver { return state.phase(index) == .failed }
                return ![.succeeded, .skipped, .cancelled].contains(state.phase(index))
                    || strays.contains(index)
            }
            let others = inner.filter { !isUrgent($0) }
            shown = Set((inner.filter(isUrgent) + others).prefix(Self.innerShownMax))
        }
        var nodes: [Int] = []
        for index in 0..<plan.scopes[0].count { list(index, shown, into: &nodes) }
        nodes += inner.filter { isCompensation($0) && shown.contains($0) }
        if let finally = plan.finallyIndex, shown.contains(finally) { list(finally, shown, into: &nodes) }
        return (nodes, leftOutCount)
    }

    private func isShownInside(_ index: Int, _ due: Set<Int>) -> Bool {
        guard state.phase(index) == .pending else { return true }
        if index == plan.finallyIndex { return false }
        return due.contains(index) || !isCompensation(index) && state.nodes[index].item == 0
    }

    /// Lists a node and its inner nodes; a shown node may lie inside one that is not shown.
    private func list(_ index: Int, _ shown: Set<Int>, into nodes: inout [Int]) {
        if index < plan.scopes[0].count || shown.contains(index) { nodes.append(index) }
        guard let opened = state.nodes[index].opened else { return }
        let frame = state.frames[opened]
        for inner in frame.first..<(frame.first + frame.count) { list(inner, shown, into: &nodes) }
    }

    private func step(_ index: Int, _ timeline: RunTimeline) -> Object {
        let phase = state.phase(index)
        let result = state.result(index)
        let path = path(of: index)
        var object = Object()
        object["id"] = .string(path)
        object["kind"] = .string(plan.steps[state.nodes[index].step].action.kindName)
        object["state"] = .string(stateToken(of: index, timeline))
        object["attempts"] = .int(Int64(result?.attemptCount ?? attemptCount(index, phase)))
        let error = phase == .succeeded ? nil : result?.error ?? timeline.lastErrors[path]
        object["error"] = error.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null
        if case .waitingRetry(_, let instant) = phase {
            object["retry_at"] = .string(instant.text)
        } else {
            object["retry_at"] = .null
        }
        if case .call = plan.steps[state.nodes[index].step].action {
            object["run_id"] = state.nodes[index].child.map { .string("\($0)") } ?? .null
        }
        object["waits_for"] = waitsFor(index, timeline)
        object["copied"] = .bool(timeline.copiedPaths.contains(path))
        timeline.history.add(to: &object, of: path)
        if let opened = state.nodes[index].opened, state.frames[opened].scope == nil {
            let frame = state.frames[opened]
            object["items"] = ["count": .int(Int64(frame.count)), "settled": .int(Int64(frame.settledCount))]
        }
        return object
    }

    /// The token of a node's state; in a finished run, an unsettled node is either cancelled or was not
    /// reached.
    ///
    /// No entry records a request before its outcome, so a node of which the journal knows no beginning was
    /// not reached.
    private func stateToken(of index: Int, _ timeline: RunTimeline) -> String {
        let phase = state.phase(index)
        guard state.isOver, !phase.isSettled else { return phase.token }
        let hasBegun = state.nodes[index].opened != nil || timeline.restingSince[path(of: index)] != nil
        return hasBegun ? RunState.Phase.cancelled.token : "not_reached"
    }

    /// The number of attempts of a step whose result is not kept.
    private func attemptCount(_ index: Int, _ phase: RunState.Phase) -> Int {
        let failed = state.attempt(index) - 1
        guard phase == .succeeded, state.nodes[index].opened == nil,
            case .request = plan.steps[state.nodes[index].step].action
        else { return failed }
        return failed + 1
    }

}

extension RunOutcome {
    /// The error that failed the run and its step; null for a success.
    package var errorValue: Value {
        guard let error else { return .null }
        return [
            "code": .string(error.code), "message": .string(error.message),
            "step": failedStep.map { .string($0) } ?? .null,
        ]
    }
}

extension RunState.Phase {
    /// Stable tokens for the API.
    package var token: String {
        switch self {
        case .pending: "pending"
        case .ready: "ready"
        case .inFlight: "in_flight"
        case .waitingRetry: "waiting_retry"
        case .sleeping: "sleeping"
        case .waiting: "waiting"
        case .calling: "calling"
        case .open: "open"
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .skipped: "skipped"
        case .cancelled: "cancelled"
        }
    }
}
