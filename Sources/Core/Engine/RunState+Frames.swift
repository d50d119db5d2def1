import Ports
import Values
import Workflow

// Opening and ending of groups and strategies while entries are folded.

extension RunState {
    /// Adds the items of a strategy or the steps of a group, and makes those ready that may start.
    mutating func open(_ index: Int, over: Value?, _ plan: RunPlan) {
        let step = plan.steps[nodes[index].step]
        let number = frames.count
        if let strategy = step.strategy, nodes[index].item == 0 {
            let over = over ?? .null
            let count = strategy.itemCount(over) ?? 0
            var frame = Frame(owner: index, first: nodes.count, count: count, scope: nil)
            frame.over = over
            frames.append(frame)
            for item in 0..<count {
                nodes.append(
                    Node(step: nodes[index].step, frame: number, item: item + 1, waitingCount: .max))
            }
            begin(index, number)
            admit(number, strategy)
        } else if let inner = plan.innerScope[nodes[index].step] {
            let scope = plan.scopes[inner]
            frames.append(Frame(owner: index, first: nodes.count, count: scope.count, scope: inner))
            for position in scope.first..<(scope.first + scope.count) {
                nodes.append(
                    Node(step: position, frame: number, waitingCount: plan.steps[position].after.count))
            }
            begin(index, number)
            startFrame(number)
        }
    }

    private mutating func begin(_ index: Int, _ frame: Int) {
        nodes[index].opened = frame
        set(index, .open)
        if frames[frame].count == 0 { touch(frame) }
    }

    /// Admits items of a strategy in order, up to its concurrency.
    mutating func admit(_ frame: Int, _ strategy: Strategy) {
        while !frames[frame].isClosed, frames[frame].admittedCount < frames[frame].count,
            frames[frame].admittedCount - frames[frame].settledCount < strategy.concurrency
        {
            frames[frame].admittedCount += 1
            begin(frames[frame].first + frames[frame].admittedCount - 1)
        }
    }

    /// Admits the next item after one has settled, unless the frame is closed or has a winner.
    mutating func admitNext(after index: Int, _ plan: RunPlan) {
        guard nodes[index].item > 0, frames[nodes[index].frame].winner == nil,
            let strategy = plan.steps[nodes[index].step].strategy
        else { return }
        admit(nodes[index].frame, strategy)
    }

    /// Closes a frame and everything below: nothing new starts, and resting steps stop waiting.
    mutating func close(_ frame: Int) {
        guard !frames[frame].isClosed else { return }
        frames[frame].isClosed = true
        news.closed.append(frame)
        calls.mustEnd()
        for index in frames[frame].first..<(frames[frame].first + frames[frame].count)
        where !nodes[index].isSettling {
            switch nodes[index].phase {
            case .waitingRetry, .sleeping, .waiting: set(index, .ready)
            case .open: if let opened = nodes[index].opened { close(opened) }
            default: break
            }
        }
        touch(frame)
    }

    // MARK: - The end of a frame

    /// Ends what a settled node had opened; unsettled nodes in it will never settle.
    ///
    /// - Returns: The result as expressions see it.
    mutating func conclude(_ index: Int, _ result: StepResult, _ plan: RunPlan) -> StepView {
        let step = nodes[index].step
        guard let frame = nodes[index].opened else {
            // Written without `||`, because its autoclosure would copy the whole state.
            let parsesBody = plan.isRead[step] ? true : Self.isLoop(nodes[index].frame, frames, nodes, plan)
            return StepView(result, parsesBody: parsesBody, reading: plan.steps[step].action.reading)
        }
        cancel(frame, leavesUnbegun: result.error == nil && frames[frame].winner == nil, plan)
        defer { forget(frame, plan) }
        guard let strategy = plan.steps[step].strategy, nodes[index].item == 0 else {
            return StepView(result, parsesBody: true)
        }
        guard plan.isRead[step] else { return StepView(result, parsesBody: false) }
        return StepView(items: items(of: frame, strategy), of: result, winner: winner(result, in: frame))
    }

    private static func isLoop(_ frame: Int, _ frames: [Frame], _ nodes: [Node], _ plan: RunPlan) -> Bool {
        guard frames[frame].scope == nil, let owner = frames[frame].owner else { return false }
        return plan.steps[nodes[owner].step].strategy?.isLoop ?? false
    }

    private func winner(_ result: StepResult, in frame: Int) -> StepView? {
        guard case .winner(let number) = result.content, (1...max(1, frames[frame].count)).contains(number),
            frames[frame].count > 0
        else { return nil }
        return nodes[frames[frame].first + number - 1].result
    }

    private func items(of frame: Int, _ strategy: Strategy) -> [Value] {
        let frame = frames[frame]
        return (0..<frame.count).map { offset in
            let node = nodes[frame.first + offset]
            return StepBranch(phase: node.isLost ? .cancelled : node.phase, view: node.result)
                .itemValue(of: strategy.item(offset + 1, of: frame.over))
        }
    }

    /// Cancels the unsettled nodes of a frame and of everything open below it.
    ///
    /// - Parameters:
    ///   - frame: The frame.
    ///   - leavesUnbegun: Whether the frame ended well, so that unsettled nodes have never begun.
    ///   - plan: The run's plan.
    private mutating func cancel(_ frame: Int, leavesUnbegun: Bool, _ plan: RunPlan) {
        let range = frames[frame].first..<(frames[frame].first + frames[frame].count)
        guard frames[frame].settledCount < frames[frame].count else { return }
        frames[frame].isClosed = true
        for index in range where !nodes[index].phase.isSettled {
            let isUnbegun = frames[frame].scope == nil && nodes[index].item > frames[frame].admittedCount
            if case .calling(let child, _) = nodes[index].phase { calls.addStray(child, of: index) }
            let canBeUndone = plan.compensationIndex[nodes[index].step] != nil && nodes[index].opened == nil
            if canBeUndone, nodes[index].mayHaveLeft {
                nodes[index].isLost = true
                beginSettling(index)
                continue
            }
            // Its child may succeed before the cancel arrives.
            if canBeUndone, nodes[index].phase.isInFlight { nodes[index].isLost = true }
            set(index, isUnbegun || leavesUnbegun ? .pending : .cancelled)
            if let opened = nodes[index].opened { cancel(opened, leavesUnbegun: false, plan) }
        }
    }

    /// Drops the results of a frame that nothing can read any more.
    private mutating func forget(_ frame: Int, _ plan: RunPlan) {
        let range = frames[frame].first..<(frames[frame].first + frames[frame].count)
        guard let scope = frames[frame].scope else {
            guard let owner = frames[frame].owner, !isUndoable(owner, plan) else { return }
            frames[frame].over = .null
            frames[frame].last = nil
            for index in range { nodes[index].result = nodes[index].result?.errorAlone }
            return
        }
        // The `until` of a loop still reads the steps of the item that has just ended.
        guard !plan.scopes[scope].isUndoable, !isInLoop(frame, plan) else { return }
        for index in range { nodes[index].result = nodes[index].result?.errorAlone }
    }

    /// Drops the results of the previous item, which only `until` could read.
    mutating func forgetBefore(_ index: Int, _ plan: RunPlan) {
        guard let latest = frames[nodes[index].frame].latest, let frame = nodes[latest].opened,
            let scope = frames[frame].scope, !plan.scopes[scope].isUndoable
        else { return }
        for index in frames[frame].first..<(frames[frame].first + frames[frame].count) {
            nodes[index].result = nodes[index].result?.errorAlone
        }
    }

    private func isUndoable(_ owner: Int, _ plan: RunPlan) -> Bool {
        let step = nodes[owner].step
        if plan.compensationIndex[step] != nil { return true }
        return plan.innerScope[step].map { plan.scopes[$0].isUndoable } ?? false
    }

    private func isInLoop(_ frame: Int, _ plan: RunPlan) -> Bool {
        frames[frame].owner.map { Self.isLoop(nodes[$0].frame, frames, nodes, plan) } ?? false
    }
}
