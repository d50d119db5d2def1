import Values
import Workflow

// Requests that may have left when the scope around them ended, and their treatment after a restart. In the
// same commit, the entry that ends a scope is followed by one that names them. So a restart need not guess:
// these requests are sent again under their keys, and nothing else of that scope is.

extension RunState {
    /// What has ended in one turn.
    struct ScopeNews: Sendable {
        /// Whether the run is ending.
        var hasEnded = false
        /// Whether the run was paused, by its balance or by a person.
        var hasPaused = false
        /// Frames that were closed.
        var closed: [Int] = []

        var isEmpty: Bool { !hasEnded && !hasPaused && closed.isEmpty }
    }

    /// The batch number of a request that was decided but not sent.
    static let notSent = Int.max

    /// Whether the node's request may have left without a recorded outcome.
    private func mayHaveLeft(_ index: Int, _ plan: RunPlan) -> Bool {
        let node = nodes[index]
        guard !node.phase.isSettled, !node.isSettling, !plan.isCompensation[node.step],
            case .request = plan.steps[node.step].action
        else { return false }
        if case .inFlight = node.phase, node.decidedIn < batch { return true }
        return node.mayHaveLeft
    }

    /// All such nodes that the news concerns, by index.
    func nodesLeft(_ news: ScopeNews, _ plan: RunPlan) -> [Int] {
        if news.hasEnded || news.hasPaused { return nodes.indices.filter { mayHaveLeft($0, plan) } }
        return news.closed.flatMap { frame in
            let range = frames[frame].first..<(frames[frame].first + frames[frame].count)
            return range.filter { mayHaveLeft($0, plan) }
        }
    }

    /// Such nodes in one frame and in everything open below it.
    func nodesLeft(in frame: Int, _ plan: RunPlan) -> [Int] {
        var found: [Int] = []
        for index in frames[frame].first..<(frames[frame].first + frames[frame].count) {
            if mayHaveLeft(index, plan) || nodes[index].isSettling { found.append(index) }
            if let opened = nodes[index].opened, !nodes[index].phase.isSettled {
                found += nodesLeft(in: opened, plan)
            }
        }
        return found
    }

    /// Notes from the journal that the node's request may have left.
    mutating func noteLeft(_ index: Int) {
        guard !nodes[index].phase.isSettled else { return }
        nodes[index].mayHaveLeft = true
        if ending != nil || isClosed(around: index) { beginSettling(index) }
    }

    /// Prevents everything around the node from ending before its outcome is known.
    mutating func beginSettling(_ index: Int) {
        guard !nodes[index].isSettling else { return }
        // Its retry was due and may have been sent.
        if case .waitingRetry = nodes[index].phase { set(index, .ready) }
        let was = nodes[index].isUnderWay
        nodes[index].isSettling = true
        settling.insert(index)
        if !was { countInFlight(index, by: 1) }
    }

    /// Notes that the node has an outcome, or that none is awaited.
    mutating func forgetDoubts(about index: Int) {
        (nodes[index].mayHaveLeft, nodes[index].isInDoubt) = (false, false)
        guard nodes[index].isSettling else { return }
        nodes[index].isSettling = false
        settling.remove(index)
    }

    /// A node to send again, so that its outcome becomes known; takes time linear in the number of such
    /// nodes.
    func nextSettling() -> Int? {
        settling.isEmpty ? nil : settling.filter { nodes[$0].phase == .ready }.min()
    }

    /// Marks, after a restart, all requests that the previous process may have sent.
    mutating func doubtAllReady(at now: Instant, _ plan: RunPlan) {
        guard !isAtRest, !isQueued, ending == nil else { return }
        for index in nodes.indices where !isClosed(around: index) {
            switch nodes[index].phase {
            case .ready: nodes[index].mayHaveLeft = true
            case .waitingRetry(_, let due) where due <= now: nodes[index].mayHaveLeft = true
            default: break
            }
        }
    }
}

extension RunMachine {
    /// Notes that a decided request was not sent and will not be by this process.
    package mutating func noteUnsent(_ node: Int) {
        guard state.nodes.indices.contains(node) else { return }
        state.nodes[node].decidedIn = RunState.notSent
    }
}

extension Turn {
    /// Records the requests that may have left before a scope ended, so that a restart learns their outcomes.
    mutating func noteInFlight() {
        let news = machine.state.news
        machine.state.news = RunState.ScopeNews()
        let left = machine.state.nodesLeft(news, plan)
        guard !left.isEmpty else { return }
        record(.stepsInFlight(paths: left.map { path($0) }))
    }

    /// Sends a request again whose response an earlier process may have missed.
    mutating func settleDoubt(about index: Int) {
        machine.state.nodes[index].isInDoubt = true
        startStep(index)
    }

    /// The losers of a race that may have done undoable work, so that their responses are awaited.
    mutating func keepLosers(of frame: Int) -> [Int] {
        let left = machine.state.nodesLeft(in: frame, plan).filter { isUndoable($0) }
        let unlisted = left.filter { !machine.state.nodes[$0].isSettling }
        if !unlisted.isEmpty { record(.stepsInFlight(paths: unlisted.map { path($0) })) }
        return left
    }

    private func isUndoable(_ index: Int) -> Bool {
        plan.compensationIndex[machine.state.nodes[index].step] != nil
    }
}
