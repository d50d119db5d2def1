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
        let (shown, leftOutCount) = shownNodes()
        object["steps"] = .array(
            shown.map { .object(step($0, lastError: lastErrors.isEmpty ? nil : lastErrors[path(of: $0)])) })
        if leftOutCount > 0 { object["steps_left_out"] = .int(Int64(leftOutCount)) }
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
            guard let child = state.nodes[index].child else { continue }
            found.append(["run": .string("\(child)"), "step": .string(path(of: index))])
        }
        return found
    }

    /// Items and steps inside of groups that a view shows beside the file's own.
    private static let innerShownMax = 1_000

    /// The file's own steps, behind each what is open or was open below it, and what was undone at the end.
    ///
    /// Of more inner steps than are shown, those that have gone wrong or go on are kept first.
    private func shownNodes() -> (nodes: [Int], leftOutCount: Int) {
        var inner: [Int] = []
        for index in plan.scopes[0].count..<state.nodes.count where isShownInside(index) {
            inner.append(index)
        }
        let leftOutCount = max(0, inner.count - Self.innerShownMax)
        var shown = Set(inner)
        if leftOutCount > 0 {
            let urgent = inner.filter { ![.succeeded, .skipped, .cancelled].contains(state.phase($0)) }
            let others = inner.filter { [.succeeded, .skipped, .cancelled].contains(state.phase($0)) }
            shown = Set((urgent + others).prefix(Self.innerShownMax))
        }
        var nodes: [Int] = []
        for index in 0..<plan.scopes[0].count { list(index, shown, into: &nodes) }
        return (nodes + inner.filter { isCompensation($0) && shown.contains($0) }, leftOutCount)
    }

    private func isShownInside(_ index: Int) -> Bool {
        let isUnbegun = state.phase(index) == .pending
        return isUnbegun ? !isCompensation(index) && state.nodes[index].item == 0 : true
    }

    private func list(_ index: Int, _ shown: Set<Int>, into nodes: inout [Int]) {
        nodes.append(index)
        guard let opened = state.nodes[index].opened else { return }
        let frame = state.frames[opened]
        for inner in frame.first..<(frame.first + frame.count) where shown.contains(inner) {
            list(inner, shown, into: &nodes)
        }
    }

    private func step(_ index: Int, lastError: StepError?) -> Object {
        let phase = state.phase(index)
        let result = state.result(index)
        var object = Object()
        object["id"] = .string(path(of: index))
        object["state"] = .string(phase.token)
        object["attempts"] = .int(Int64(result?.attemptCount ?? attemptCount(index, phase)))
        let error = phase == .succeeded ? nil : result?.error ?? lastError
        object["error"] = error.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null
        if case .waitingRetry(_, let instant) = phase {
            object["retry_at"] = .string(instant.text)
        } else {
            object["retry_at"] = .null
        }
        if case .call = plan.steps[state.nodes[index].step].action {
            object["run_id"] = state.nodes[index].child.map { .string("\($0)") } ?? .null
        }
        object["waits_for"] = waitsFor(index, phase)
        if let opened = state.nodes[index].opened, state.frames[opened].scope == nil {
            let frame = state.frames[opened]
            object["items"] = ["count": .int(Int64(frame.count)), "settled": .int(Int64(frame.settledCount))]
        }
        return object
    }

    /// Of a step whose result is not kept.
    private func attemptCount(_ index: Int, _ phase: RunState.Phase) -> Int {
        let failed = state.attempt(index) - 1
        guard phase == .succeeded, state.nodes[index].opened == nil,
            case .request = plan.steps[state.nodes[index].step].action
        else { return failed }
        return failed + 1
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
        case .open: return waitsInside(index)
        case .succeeded, .failed, .skipped, .cancelled: return .null
        }
    }

    /// What a group or a strategy waits for: its own steps, or its items.
    private func waitsInside(_ index: Int) -> Value {
        guard let opened = state.nodes[index].opened else { return .null }
        let frame = state.frames[opened]
        guard frame.scope != nil else {
            return [
                "kind": "items", "settled": .int(Int64(frame.settledCount)),
                "count": .int(Int64(frame.count)),
            ]
        }
        let open = (frame.first..<(frame.first + frame.count)).filter { !state.phase($0).isSettled }
        return ["kind": "steps", "steps": .array(open.map { .string(path(of: $0)) })]
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
        case .open: "open"
        case .succeeded: "succeeded"
        case .failed: "failed"
        case .skipped: "skipped"
        case .cancelled: "cancelled"
        }
    }
}
