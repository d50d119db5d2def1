import Values
import Workflow

// What a run is made of: nodes, one for each step that runs or may run, in frames, one for each scope
// that is open. Frames and nodes are only ever added, and only by folding entries: a node has the same
// position in every process that reads the journal, which is what effects and their answers go by. The items
// of a strategy are added all at once when it opens: what an item sends is in no entry before its outcome, so
// it must have its place before it starts. The steps inside of an item are added when that item opens.

extension RunState {
    /// One step of a run, or one item of a step with a strategy.
    struct Node: Sendable {
        var phase = Phase.pending
        /// Of the plan.
        let step: Int
        /// That it stands in.
        let frame: Int
        /// Which item it is, from 1; 0 for none.
        let item: Int
        /// Skipped by its guard in a list, which goes on behind it.
        var isLeftOut = false
        /// Steps that it still waits for.
        var waitingCount: Int
        /// Attempts that failed and were recorded.
        var failedAttemptCount = 0
        /// When the first attempt had failed.
        var firstFailedAt: Instant?
        /// When it was last decided to send its request.
        var sentAt = Instant(microseconds: 0)
        /// When its attempt in flight was made, if its expressions asked for the time; volatile.
        var madeAt: Instant?
        /// While it rests: whether until a time of the wall clock, and not for a duration.
        var restsByWallTime = false
        /// The batch of decisions in which that was; ``RunState/notSent`` if it was not sent after all, volatile.
        var decidedIn = 0
        /// Whether its request may have left in an earlier batch or process, and no outcome of it is recorded.
        var mayHaveLeft = false
        /// Whether the scope around it, or the run, ended while that was so: its outcome is still to be learnt.
        var isSettling = false
        /// Whether its attempt in flight repeats one whose outcome nobody knows; volatile.
        var isInDoubt = false
        /// Whether it lost a race while its request was under way: if it succeeds, it is undone.
        var isLost = false
        /// The frame of its items or of its own steps, once it is open.
        var opened: Int?
        /// The run that it has started.
        var child: RunID?
        /// The node that undoes it; nil for none.
        var compensation: Int?
        /// The node that it undoes; known of those inside groups and strategies.
        var undone: Int?
        /// What expressions see; kept only where some expression looks, and for the run's view.
        var result: StepView?

        init(step: Int, frame: Int, item: Int = 0, waitingCount: Int) {
            self.step = step
            self.frame = frame
            self.item = item
            self.waitingCount = waitingCount
        }

        /// Whether nothing around it may end, because somebody outside is at work on it, or may be.
        var isUnderWay: Bool { phase.isInFlight || isSettling }

        /// Whether what comes after it alone is skipped with it.
        var cutsOff: Bool { phase == .skipped && !isLeftOut }
    }

    /// Nodes that were opened together; the file's own are frame 0.
    struct Frame: Sendable {
        /// The node that was opened; nil for the run itself.
        let owner: Int?
        /// Its first node; the others follow.
        let first: Int
        let count: Int
        /// Of the plan; nil for the items of a strategy.
        let scope: Int?
        /// Its nodes that are settled.
        var settledCount = 0
        /// Nodes in flight, in it and in all that is open below it.
        var inFlightCount = 0
        /// Nothing new starts in it: it has failed, or something around it has.
        var isClosed = false
        /// The node that failed it first.
        var failed: Int?
        /// Whether it is on the list of those to look at.
        var isTouched = false
        /// Of a strategy: what it runs over.
        var over = Value.null
        /// Of a strategy: items that may run, or did.
        var admittedCount = 0
        /// Of a strategy: the item that settled last.
        var latest: Int?
        /// Of a loop: the result of that item.
        var last: StepView?
        /// Of a race: the first that succeeded.
        var winner: Int?

        init(owner: Int?, first: Int, count: Int, scope: Int?) {
            self.owner = owner
            self.first = first
            self.count = count
            self.scope = scope
        }
    }

    /// Nodes that a run has at most.
    static let nodeCountMax = 250_000

    // MARK: - Names

    /// The node's place in the journal: `charge`, `each/3/charge`, `charge/compensate`.
    func path(_ index: Int, _ plan: RunPlan) -> String {
        let node = nodes[index]
        guard let owner = frames[node.frame].owner else { return plan.steps[node.step].id }
        if let undone = node.undone { return path(undone, plan) + "/compensate" }
        return path(owner, plan) + "/" + (node.item > 0 ? String(node.item) : plan.steps[node.step].id)
    }

    /// The node of that path; nil where there is none (yet).
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

    /// Whether nothing new may start where that node stands.
    func isClosed(around index: Int) -> Bool { frames[nodes[index].frame].isClosed }

    /// The node deepest inside that made this one fail.
    func origin(ofFailure index: Int) -> Int {
        var node = index
        while let opened = nodes[node].opened, let failed = frames[opened].failed { node = failed }
        return node
    }

    /// Nodes in flight in that frame and below.
    func inFlight(in frame: Int) -> [Int] {
        guard frames[frame].inFlightCount > 0 else { return [] }
        var found: [Int] = []
        for index in frames[frame].first..<(frames[frame].first + frames[frame].count) {
            if nodes[index].phase.isInFlight { found.append(index) }
            if let opened = nodes[index].opened { found += inFlight(in: opened) }
        }
        return found
    }

    /// What expressions see of an item's result, which a loop keeps only of the one before.
    func itemResult(_ index: Int) -> StepView? {
        let frame = frames[nodes[index].frame]
        return frame.latest == index ? frame.last ?? nodes[index].result : nodes[index].result
    }
}
