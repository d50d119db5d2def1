package import Values
import Workflow

extension RunMachine {
    /// The run for people: outcome, what each step has come to, and what started it.
    ///
    /// - Parameter records: The journal: errors of attempts that were repeated, and when things happened.
    /// - Returns: Output, error, origin, pauses, steps and the trigger's body.
    package func view(errorsIn records: [JournalRecord]) -> Object {
        let timeline = RunTimeline(records)
        let due = Set(state.isOver ? [] : dueCompensations)
        var object = Object()
        object["output"] = state.outcome?.output ?? .null
        object["error"] = Self.value(of: state.outcome)
        object["compensation"] = state.outcome?.compensation.map { .string($0.rawValue) } ?? .null
        object["origin"] = state.start?.origin?.value ?? .null
        object["paused_by"] = pauses(timeline)
        let shown = state.nodes.indices.filter { index in
            !isCompensation(index) || state.phase(index) != .pending || due.contains(index)
        }
        object["steps"] = .array(shown.map { .object(step($0, timeline)) })
        object["parent"] = state.start?.parent?.value ?? .null
        object["children"] = .array(children)
        object["concurrency_key"] = state.start?.concurrencyKey.map { .string($0) } ?? .null
        object["trigger_body"] = state.trigger?.body ?? .null
        return object
    }

    /// Children shown of one run: a wide step may have very many.
    private static let childCountMax = 1_000

    private var children: [Value] {
        var found: [Value] = []
        for index in state.nodes.indices where found.count < Self.childCountMax {
            guard let child = child(of: index) else { continue }
            found.append(["run": .string("\(child)"), "step": .string(path(of: index))])
        }
        return found
    }

    private func child(of index: Int) -> RunID? {
        if case .calling(let child, _) = state.phase(index) { return child }
        return state.result(index)?.child
    }

    private func step(_ index: Int, _ timeline: RunTimeline) -> Object {
        let phase = state.phase(index)
        let result = state.result(index)
        let path = path(of: index)
        var object = Object()
        object["id"] = .string(path)
        object["state"] = .string(phase.token)
        object["attempts"] = .int(Int64(result?.attemptCount ?? state.attempt(index) - 1))
        let error = phase == .succeeded ? nil : result?.error ?? timeline.lastErrors[path]
        object["error"] = error.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null
        if case .waitingRetry(_, let instant) = phase {
            object["retry_at"] = .string(instant.text)
        } else {
            object["retry_at"] = .null
        }
        if case .call = plan.steps[state.nodes[index].step].action {
            object["run_id"] = child(of: index).map { .string("\($0)") } ?? .null
        }
        object["waits_for"] = waitsFor(index, timeline)
        object["copied"] = .bool(timeline.copiedPaths.contains(path))
        return object
    }

    private static func value(of outcome: RunOutcome?) -> Value {
        guard let outcome, let error = outcome.error else { return .null }
        return [
            "code": .string(error.code), "message": .string(error.message),
            "step": outcome.failedStep.map { .string($0) } ?? .null,
        ]
    }
}

extension RunState.Phase {
    /// Stable, for the API.
    package var token: String {
        switch self {
        case .pending: "pending"
        case .ready: "ready"
        case .inFlight: "in_flight"
        case .waitingRetry: "waiting_retry"
        case .sleeping: "sleeping"
        case .waiting: "waiting"
        case .calling: "calling"
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .skipped: "skipped"
        }
    }
}
