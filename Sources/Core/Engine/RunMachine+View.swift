package import Values
import Workflow

extension RunMachine {
    /// The run for people: outcome, what each step has come to, and what started it.
    ///
    /// - Parameter records: The journal, for the errors of attempts that were repeated.
    /// - Returns: Output, error, steps and the trigger's body.
    package func view(errorsIn records: [JournalRecord]) -> Object {
        var lastErrors: [String: StepError] = [:]
        for record in records {
            if case .attemptFailed(let path, _, let error, _, _) = record.entry { lastErrors[path] = error }
        }
        var object = Object()
        object["output"] = state.outcome?.output ?? .null
        object["error"] = Self.value(of: state.outcome)
        object["compensation"] = state.outcome?.compensation.map { .string($0.rawValue) } ?? .null
        object["steps"] = .array(
            state.nodes.indices.filter { !isCompensation($0) || state.phase($0) != .pending }.map { index in
                .object(step(index, lastError: lastErrors[path(of: index)]))
            })
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

    private func step(_ index: Int, lastError: StepError?) -> Object {
        let phase = state.phase(index)
        let result = state.result(index)
        var object = Object()
        object["id"] = .string(path(of: index))
        object["state"] = .string(phase.token)
        object["attempts"] = .int(Int64(result?.attemptCount ?? state.attempt(index) - 1))
        let error = phase == .succeeded ? nil : result?.error ?? lastError
        object["error"] = error.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null
        if case .waitingRetry(_, let instant) = phase {
            object["retry_at"] = .string(instant.text)
        } else {
            object["retry_at"] = .null
        }
        if case .call = plan.steps[state.nodes[index].step].action {
            object["run_id"] = child(of: index).map { .string("\($0)") } ?? .null
        }
        object["waits_for"] = waitsFor(index, phase)
        return object
    }

    /// What an unfinished step waits for and since when, for `explain`; null for any other.
    private func waitsFor(_ index: Int, _ phase: RunState.Phase) -> Value {
        let step = plan.steps[state.nodes[index].step]
        switch phase {
        case .pending:
            let first = state.frames[state.nodes[index].frame].first
            let open = step.after.filter { !state.phase(first + $0).isSettled }.map {
                Value.string(path(of: first + $0))
            }
            return ["kind": "steps", "steps": .array(open)]
        case .ready where state.isQueued:
            return ["kind": "limit", "since": .string((state.start?.at ?? Instant(microseconds: 0)).text)]
        case .ready: return state.isPaused ? ["kind": "balance"] : ["kind": "turn"]
        case .inFlight: return ["kind": "answer"]
        case .waitingRetry(let attempt, let at):
            return ["kind": "retry", "attempt": .int(Int64(attempt)), "until": .string(at.text)]
        case .sleeping(let until): return ["kind": "time", "until": .string(until.text)]
        case .waiting(let since, let until):
            guard case .wait(let rule) = step.action else { return .null }
            return [
                "kind": "signal", "signals": .array(rule.signals.map { .string($0) }),
                "since": .string(since.text), "until": until.map { .string($0.text) } ?? .null,
            ]
        case .calling(let child, let since):
            return ["kind": "run", "run": .string("\(child)"), "since": .string(since.text)]
        case .succeeded, .failed, .skipped: return .null
        }
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
