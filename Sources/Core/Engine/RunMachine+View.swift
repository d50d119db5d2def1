package import Values

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
        object["trigger_body"] = state.trigger?.body ?? .null
        return object
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
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .skipped: "skipped"
        }
    }
}
