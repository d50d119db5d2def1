import Values
import Workflow

// What holds a run up, in words for people.

extension RunMachine {
    /// What keeps the whole run from starting anything, each with since when; empty where nothing does.
    func pauses(_ timeline: RunTimeline) -> Value {
        var pauses: [Value] = []
        if state.isPaused, state.ending == nil {
            pauses.append(["by": "balance", "since": Self.text(timeline.unfundedSince), "reason": .null])
        }
        if state.isHeld {
            pauses.append([
                "by": "operator", "since": Self.text(timeline.hold?.since),
                "reason": timeline.hold.map { .string($0.reason) } ?? .null,
            ])
        }
        return .array(state.isOver ? [] : pauses)
    }

    /// What an unfinished step waits for and since when; null for any other.
    func waitsFor(_ index: Int, _ timeline: RunTimeline) -> Value {
        let path = path(of: index)
        guard !state.isOver else { return .null }
        switch state.phase(index) {
        case .pending, .ready: return waitsToStart(index, timeline)
        case .inFlight: return Self.reason("answer", since: sentAt(index, timeline))
        case .waitingRetry(let attempt, let instant):
            return Self.reason(
                "retry", since: timeline.restingSince[path],
                ["attempt": .int(Int64(attempt)), "until": .string(instant.text)])
        case .sleeping(let until):
            return Self.reason("time", since: timeline.restingSince[path], ["until": .string(until.text)])
        case .waiting(let since, let until):
            guard case .wait(let rule) = plan.steps[state.nodes[index].step].action else { return .null }
            return Self.reason(
                "signal", since: since,
                [
                    "signals": .array(rule.signals.map { .string($0) }),
                    "until": until.map { .string($0.text) } ?? .null,
                ])
        case .calling(let child, let since):
            return Self.reason("run", since: since, ["run": .string("\(child)")])
        case .open: return waitsInside(index, since: timeline.restingSince[path])
        case .succeeded, .failed, .skipped, .cancelled: return .null
        }
    }

    /// What a group or a strategy waits for: its own steps, or its items.
    private func waitsInside(_ index: Int, since: Instant?) -> Value {
        guard let opened = state.nodes[index].opened else { return .null }
        let frame = state.frames[opened]
        guard frame.scope != nil else {
            return Self.reason(
                "items", since: since,
                ["settled": .int(Int64(frame.settledCount)), "count": .int(Int64(frame.count))])
        }
        let open = (frame.first..<(frame.first + frame.count)).filter { !state.phase($0).isSettled }
        return Self.reason("steps", since: since, ["steps": .array(open.map { .string(path(of: $0)) })])
    }

    /// A compensation that is due and has not begun, or a step of the file.
    private func waitsToStart(_ index: Int, _ timeline: RunTimeline) -> Value {
        let readyAt = readyAt(index, timeline)
        if state.ending != nil, !isCompensation(index) {
            return Self.reason("end", since: endingSince(timeline))
        }
        if state.phase(index) == .pending, !isCompensation(index) {
            let open = predecessors(of: index).filter { !state.phase($0).isSettled }
            return Self.reason(
                "steps", since: readyAt, ["steps": .array(open.map { .string(path(of: $0)) })])
        }
        if let hold = timeline.hold, state.isHeld {
            return Self.reason("operator", since: max(hold.since, readyAt), ["reason": .string(hold.reason)])
        }
        if state.isPaused, state.ending == nil {
            return Self.reason("balance", since: max(timeline.unfundedSince ?? readyAt, readyAt))
        }
        if state.isQueued, state.ending == nil { return Self.reason("limit", since: timeline.startedAt) }
        if let before = compensationUnderWay, before != index, isCompensation(index) {
            return Self.reason("steps", since: readyAt, ["steps": [.string(path(of: before))]])
        }
        return Self.reason("turn", since: timeline.firstMoving(from: readyAt))
    }

    /// When all that it comes after had settled, as far as they have; of a compensation, when the undoing
    /// came so far.
    private func readyAt(_ index: Int, _ timeline: RunTimeline) -> Instant {
        guard isCompensation(index) else {
            let settled = timeline.lastSettled(of: predecessors(of: index).map { path(of: $0) })
            return max(settled, timeline.retryAt[path(of: index)] ?? settled)
        }
        let undone = timeline.lastSettled(of: dueCompensations.map { path(of: $0) })
        let begun = max(endingSince(timeline), undone)
        return max(begun, timeline.retryAt[path(of: index)] ?? begun)
    }

    /// Since when the run is ending: a cancel, the timeout, or the step that failed or finished it.
    private func endingSince(_ timeline: RunTimeline) -> Instant {
        timeline.endingSince ?? state.ending?.failedStep.flatMap { timeline.settledAt[$0] }
            ?? timeline.lastSettled(of: timeline.settledAt.keys)
    }

    /// Nodes of the same scope that it comes after.
    private func predecessors(of index: Int) -> [Int] {
        let node = state.nodes[index]
        // An item begins when its step does.
        if node.item > 0, let owner = state.frames[node.frame].owner { return predecessors(of: owner) }
        return plan.steps[node.step].after.map { state.frames[node.frame].first + $0 }
    }

    private func sentAt(_ index: Int, _ timeline: RunTimeline) -> Instant {
        let readyAt = readyAt(index, timeline)
        return timeline.firstMoving(from: readyAt)
    }

    /// In the order in which they are sent.
    var dueCompensations: [Int] {
        guard let ending = state.ending, ending.status != .succeeded else { return [] }
        return state.undoable.reversed().compactMap { state.nodes[$0].compensation }
    }

    private var compensationUnderWay: Int? { dueCompensations.first { !state.phase($0).isSettled } }

    private static func reason(_ kind: String, since: Instant?, _ facts: Value = [:]) -> Value {
        var reason = Object()
        reason["kind"] = .string(kind)
        for fact in facts.object?.members ?? [] { reason[fact.name] = fact.value }
        reason["since"] = text(since)
        return .object(reason)
    }

    private static func text(_ instant: Instant?) -> Value { instant.map { .string($0.text) } ?? .null }
}
