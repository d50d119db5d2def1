import Values

/// What shares one limit: the runs of a tenant's workflow with one key, compared byte by byte.
struct ConcurrencyKey: Hashable, Comparable {
    let tenant: TenantID
    private let workflow: [UInt8]
    private let key: [UInt8]

    init(tenant: TenantID, workflow: String, key: String) {
        self.tenant = tenant
        self.workflow = Array(workflow.utf8)
        self.key = Array(key.utf8)
    }

    static func < (left: Self, right: Self) -> Bool {
        if left.tenant != right.tenant { return left.tenant < right.tenant }
        if left.workflow != right.workflow { return left.workflow.lexicographicallyPrecedes(right.workflow) }
        return left.key.lexicographicallyPrecedes(right.key)
    }
}

/// Runs that share a limit: those that go, and those that wait, first come, first served.
struct ConcurrencyQueue {
    struct Waiter {
        var run: RunID
        /// Of the version of the workflow that the run is pinned to.
        var limit: Int
    }

    private(set) var active: Set<RunID> = []
    /// Those before `head` have had their turn; taking from the front of an array moves all of it.
    private var waiters: [Waiter] = []
    private var head = 0
    /// No waiter has a lower one; some that had may have gone since.
    private(set) var lowestLimit = Int.max
    /// Runs that ended before their turn, and still stand among the waiters.
    private var gone: Set<RunID> = []
    /// Starts to be tried again once it is known whether the active runs are durable.
    var postponed: [@Sendable () -> Void] = []

    var isEmpty: Bool { active.isEmpty && waitingCount == 0 && postponed.isEmpty }

    var waitingCount: Int { waiters.count - head - gone.count }

    /// Those that wait, in the order of their turns.
    var line: [Waiter] { waiters[head...].filter { !gone.contains($0.run) } }

    /// Whether a run with that limit would have to wait.
    func isFull(limit: Int) -> Bool { active.count >= limit || waitingCount > 0 }

    /// Takes a run in; true where it must wait.
    mutating func enter(_ run: RunID, limit: Int) -> Bool {
        guard !isFull(limit: limit) else {
            append(Waiter(run: run, limit: limit))
            return true
        }
        active.insert(run)
        return false
    }

    /// Takes in a run that went, or waited, before a restart; to be called by rising run.
    mutating func restore(_ run: RunID, isQueued: Bool, limit: Int) {
        if isQueued { append(Waiter(run: run, limit: limit)) } else { active.insert(run) }
    }

    private mutating func append(_ waiter: Waiter) {
        lowestLimit = waitingCount == 0 ? waiter.limit : min(lowestLimit, waiter.limit)
        waiters.append(waiter)
    }

    /// The run is over, or was never stored; to be called once for each that entered.
    mutating func leave(_ run: RunID) {
        if active.remove(run) == nil { gone.insert(run) }
    }

    /// The next run whose turn it is, now active; nil where none may go.
    mutating func admitNext() -> RunID? {
        while head < waiters.count, gone.remove(waiters[head].run) != nil { head += 1 }
        guard head < waiters.count, active.count < waiters[head].limit else { return compact() }
        let run = waiters[head].run
        head += 1
        active.insert(run)
        return run
    }

    private mutating func compact() -> RunID? {
        if head > 64, head * 2 > waiters.count {
            waiters.removeFirst(head)
            head = 0
        }
        return nil
    }
}
