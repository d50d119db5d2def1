import Values
import Workflow

// Explains to people what delays a run.

extension RunMachine {
    /// What prevents the whole run from starting anything, with the time since when; empty if nothing does.
    func pauses(_ timeline: RunTimeline) -> Value {
        var pauses: [Value] = []
        if state.isPaused, state.ending == nil {
            pauses.append([
                "by": .string(timeline.pausedBy), "since": Self.text(timeline.unfundedSince), "reason": .null,
            ])
        }
        if state.isHeld {
            pauses.append([
                "by": "operator", "since": Self.text(timeline.hold?.since),
                "reason": timeline.hold.map { .string($0.reason) } ?? .null,
            ])
        }
        return .array(state.isOver ? [] : pauses)
    }

    /// What an unfinished step waits for and since when, or what the run waits for of a race's loser;
    /// otherwise null.
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
        case .open: return waitsInside(index, timeline)
        case .cancelled: return waitsForStray(of: index, timeline)
        case .succeeded, .failed, .skipped: return .null
        }
    }

    /// What the run still waits for of a race's loser: the end of its child, or whether there is one.
    private func waitsForStray(of index: Int, _ timeline: RunTimeline) -> Value {
        guard state.calls.hasStrays, state.calls.straySteps.contains(index) else { return .null }
        let since = lostAt(index, timeline)
        guard let child = state.calls.stray(of: index) else { return Self.reason("answer", since: since) }
        return Self.reason("run", since: since, ["run": .string("\(child)")])
    }

    /// When the race around a node was decided: the settling of the innermost settled node around it.
    private func lostAt(_ index: Int, _ timeline: RunTimeline) -> Instant? {
        var next = state.frames[state.nodes[index].frame].owner
        while let owner = next {
            if let settled = timeline.settledAt[path(of: owner)] { return settled }
            next = state.frames[state.nodes[owner].frame].owner
        }
        return nil
    }

    /// What a group or a strategy waits for: its steps or its items.
    private func waitsInside(_ index: Int, _ timeline: RunTimeline) -> Value {
        let since = timeline.openedAt[path(of: index)]
        guard let opened = state.nodes[index].opened else { return .null }
        let frame = state.frames[opened]
        guard frame.scope != nil else {
            let (settled, count) = (Int64(frame.settledCount), Int64(frame.count))
            return Self.reason("items", since: since, ["settled": .int(settled), "count": .int(count)])
        }
        let open = (frame.first..<(frame.first + frame.count)).filter { !state.phase($0).isSettled }
        return Self.reason("steps", since: since, ["steps": .array(open.map { .string(path(of: $0)) })])
    }

    /// What a step that has not begun waits for; the step may be a due compensation.
    private func waitsToStart(_ index: Int, _ timeline: RunTimeline) -> Value {
        let readyAt = readyAt(index, timeline)
        if state.nodes[index].isSettling {
            guard let hold = timeline.hold, state.isHeld else { return Self.reason("answer", since: readyAt) }
            return Self.reason("operator", since: max(hold.since, readyAt), ["reason": .string(hold.reason)])
        }
        if state.final != nil, !isInFinally(index) {
            return Self.reason("end", since: timeline.endingSince ?? timeline.finalizingSince)
        }
        if state.ending != nil || state.isClosed(around: index), !isCompensation(index) {
            // A group may have ended long before the run.
            let ends = [
                state.ending.map { _ in endingSince(timeline) }, closedSince(around: index, timeline),
            ]
            return Self.reason("end", since: ends.compactMap { $0 }.min() ?? readyAt)
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
            return Self.reason(timeline.pausedBy, since: max(timeline.unfundedSince ?? readyAt, readyAt))
        }
        if state.isQueued, state.ending == nil { return Self.reason("limit", since: timeline.startedAt) }
        if let before = compensationUnderWay, before != index, isCompensation(index) {
            return Self.reason("steps", since: readyAt, ["steps": [.string(path(of: before))]])
        }
        return Self.reason("turn", since: timeline.firstMoving(from: readyAt))
    }

    /// When the steps before a node had settled, as far as they have; for a compensation, when its turn came.
    private func readyAt(_ index: Int, _ timeline: RunTimeline) -> Instant {
        let base = isCompensation(index) ? undoneSoFarAt(timeline) : freeAt(index, timeline)
        return max(base, timeline.retryAt[path(of: index)] ?? base)
    }

    /// Whether a node is a `finally` step or lies in one.
    private func isInFinally(_ index: Int) -> Bool {
        var node = index
        while let owner = state.frames[state.nodes[node].frame].owner { node = owner }
        return node == plan.finallyIndex
    }

    private func freeAt(_ index: Int, _ timeline: RunTimeline) -> Instant {
        let node = state.nodes[index]
        let settled = timeline.lastSettled(of: predecessors(of: index).map { path(of: $0) })
        guard let owner = state.frames[node.frame].owner else { return settled }
        let place = path(of: owner)
        let opened = timeline.openedAt[place] ?? settled
        guard node.item > 0, let strategy = plan.steps[node.step].strategy else {
            return max(settled, opened)
        }
        return timeline.settling(node.item - strategy.concurrency, within: place) ?? opened
    }

    /// When the turn of the next compensation came; they run one after another, the first once nothing is in
    /// flight.
    private func undoneSoFarAt(_ timeline: RunTimeline) -> Instant {
        max(endingSince(timeline), timeline.lastSettledAt)
    }

    /// When a failure around a node first prevented new starts there.
    private func closedSince(around index: Int, _ timeline: RunTimeline) -> Instant? {
        var since: Instant?
        var next: Int? = state.nodes[index].frame
        while let number = next {
            let frame = state.frames[number]
            if !isRace(frame), let failed = frame.failed, let settled = timeline.settledAt[path(of: failed)] {
                since = min(since ?? settled, settled)
            }
            next = frame.owner.map { state.nodes[$0].frame }
        }
        return since
    }

    /// Whether a frame is that of a race, which continues after a failed item.
    private func isRace(_ frame: RunState.Frame) -> Bool {
        guard frame.scope == nil, let owner = frame.owner else { return false }
        return plan.steps[state.nodes[owner].step].strategy?.kind == .race
    }

    /// When the run began to end: by a cancellation, its timeout, a failed output, or the step that failed or
    /// finished it.
    private func endingSince(_ timeline: RunTimeline) -> Instant {
        if state.final != nil { return timeline.cutSince ?? timeline.lastSettledAt }
        return timeline.endingSince ?? state.ending?.failedStep.flatMap { timeline.settledAt[$0] }
            ?? timeline.lastSettledAt
    }

    /// The nodes of the same scope that a node waits for.
    private func predecessors(of index: Int) -> [Int] {
        let node = state.nodes[index]
        // Items of a strategy wait for nothing.
        guard let scope = state.frames[node.frame].scope, plan.scopes.indices.contains(scope) else {
            return []
        }
        return plan.steps[node.step].after.map { state.frames[node.frame].first + $0 }
    }

    /// When the request could first be sent, by the journal, which a restart does not change.
    private func sentAt(_ index: Int, _ timeline: RunTimeline) -> Instant {
        timeline.firstMoving(from: readyAt(index, timeline))
    }

    /// The due compensations in the order in which they are sent.
    var dueCompensations: [Int] {
        guard let ending = state.ending, ending.status != .succeeded else {
            let isDue = state.ending != nil || state.isDone
            return isDue ? state.lost.reversed().compactMap { state.nodes[$0].compensation } : []
        }
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
