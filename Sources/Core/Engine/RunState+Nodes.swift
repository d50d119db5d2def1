import Values
import Workflow

// The structure of a run: nodes, one for each step or item that runs or may run, in frames, one for each open
// scope. Frames and nodes are only added, and only by folding entries. So a node has the same index in every
// process that reads the journal, and effects and their answers refer to it by that index. A strategy adds
// all its items when it opens: an item's request appears in no entry before its outcome, so the item needs
// its index before it starts. The inner steps of an item are added when that item opens.

extension RunState {
    /// One step of a run, or one item of a step with a strategy.
    struct Node: Sendable {
        var phase = Phase.pending
        /// Its index in the plan.
        let step: Int
        /// The frame that contains it.
        let frame: Int
        /// The number of the item, from 1; 0 if it is none.
        let item: Int
        /// Whether its guard skipped it in a list, which continues after it.
        var isLeftOut = false
        /// The number of unsettled steps that it waits for.
        var waitingCount: Int
        /// The number of recorded failed attempts.
        var failedAttemptCount = 0
        /// When the first attempt had failed.
        var firstFailedAt: Instant?
        /// When its latest request was decided.
        var sentAt = Instant(microseconds: 0)
        /// The time that its attempt in flight has read, nil if it has read none; volatile.
        var madeAt: Instant?
        /// While it rests: whether it waits for a wall-clock time, and not for a duration.
        var restsByWallTime = false
        /// The batch in which its latest request was decided, or ``RunState/notSent``; volatile.
        var decidedIn = 0
        /// Whether a request may have left in an earlier batch or process without a recorded outcome.
        var mayHaveLeft = false
        /// Whether the scope around it, or the run, ended at such a time, so that its outcome must still be
        /// learnt.
        var isSettling = false
        /// Whether its attempt in flight repeats one with an unknown outcome; volatile.
        var isInDoubt = false
        /// Whether it lost a race while its request was in flight; it is undone if it succeeds.
        var isLost = false
        /// The frame of its items or inner steps, once it is open.
        var opened: Int?
        /// The run that it has started.
        var child: RunID?
        /// The node of its compensation; nil for none.
        var compensation: Int?
        /// The node that this compensation undoes; set only inside groups and strategies.
        var undone: Int?
        /// Its result for expressions; kept only if an expression may read it, or for the run's view.
        var result: StepView?

        init(step: Int, frame: Int, item: Int = 0, waitingCount: Int) {
            self.step = step
            self.frame = frame
            self.item = item
            self.waitingCount = waitingCount
        }

        /// Whether nothing around it may end, because someone outside is or may be working on it.
        var isUnderWay: Bool { phase.isInFlight || isSettling }

        /// Whether steps that wait for it alone are skipped with it.
        var cutsOff: Bool { phase == .skipped && !isLeftOut }
    }

    /// Nodes that were opened together; frame 0 contains the file's own steps.
    struct Frame: Sendable {
        /// The node that opened it; nil for the run itself.
        let owner: Int?
        /// Its first node; the others follow.
        let first: Int
        let count: Int
        /// The scope in the plan; nil for the items of a strategy.
        let scope: Int?
        /// The number of its settled nodes.
        var settledCount = 0
        /// The number of nodes under way in it and in everything open below.
        var inFlightCount = 0
        /// Whether nothing new starts in it, because it or something around it has failed.
        var isClosed = false
        /// The node that failed it first.
        var failed: Int?
        /// Whether it is in the list of frames to examine.
        var isTouched = false
        /// For a strategy: the value of `over`.
        var over = Value.null
        /// For a strategy: the number of items that have been admitted.
        var admittedCount = 0
        /// For a strategy: the item that settled last.
        var latest: Int?
        /// For a loop: the result of that item.
        var last: StepView?
        /// For a race: the first item that succeeded.
        var winner: Int?

        init(owner: Int?, first: Int, count: Int, scope: Int?) {
            self.owner = owner
            self.first = first
            self.count = count
            self.scope = scope
        }
    }

    /// Most nodes of a run.
    static let nodeCountMax = 250_000

    // MARK: - Names

    /// The path of a node in the journal: `charge`, `each/3/charge`, `charge/compensate`.
    func path(_ index: Int, _ plan: RunPlan) -> String {
        let node = nodes[index]
        guard let owner = frames[node.frame].owner else { return plan.steps[node.step].id }
        if let undone = node.undone { return path(undone, plan) + "/compensate" }
        return path(owner, plan) + "/" + (node.item > 0 ? String(node.item) : plan.steps[node.step].id)
    }

    /// The node with a path; nil if there is none yet.
    func node(_ path: String, _ plan: RunPlan) -> Int? {
        if let index = plan.indexByPath[path] { return index }
        var parts = path.split(separator: "/")[...]
        guard let root = parts.popFirst(), var index = plan.indexByPath[String(root)] else { return nil }
        for part in parts {
            guard let next = child(String(part), of: index, plan) else { return nil }
            index = next
        }
        return index
    }

    private func child(_ name: String, of index: Int, _ plan: RunPlan) -> Int? {
        if name == "compensate" { return nodes[index].compensation }
        guard let opened = nodes[index].opened else { return nil }
        let frame = frames[opened]
        guard let scope = frame.scope else {
            guard let number = Int(name), (1...max(1, frame.count)).contains(number), frame.count > 0 else {
                return nil
            }
            return frame.first + number - 1
        }
        return plan.scopes[scope].indexByID[name].map { frame.first + $0 }
    }

    // MARK: - Around a node

    /// The frame whose steps a node's expressions see as their own.
    func scopeFrame(of index: Int) -> Int {
        let frame = nodes[index].frame
        guard frames[frame].scope == nil, let owner = frames[frame].owner else { return frame }
        return nodes[owner].frame
    }

    /// Whether nothing new may start in the node's frame.
    func isClosed(around index: Int) -> Bool { frames[nodes[index].frame].isClosed }

    /// The innermost node that caused this one to fail.
    func origin(ofFailure index: Int) -> Int {
        var node = index
        while let opened = nodes[node].opened, let failed = frames[opened].failed { node = failed }
        return node
    }

    /// The nodes in flight in a frame and below.
    func inFlight(in frame: Int) -> [Int] {
        guard frames[frame].inFlightCount > 0 else { return [] }
        var found: [Int] = []
        for index in frames[frame].first..<(frames[frame].first + frames[frame].count) {
            if nodes[index].phase.isInFlight { found.append(index) }
            if let opened = nodes[index].opened { found += inFlight(in: opened) }
        }
        return found
    }

    /// The result of an item; a loop keeps only that of the previous one.
    func itemResult(_ index: Int) -> StepView? {
        let frame = frames[nodes[index].frame]
        return frame.latest == index ? frame.last ?? nodes[index].result : nodes[index].result
    }
}
