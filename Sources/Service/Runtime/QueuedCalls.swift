import Values

/// Runs that wait for their turn under a concurrency key, and whose ends other runs wait for, call by call.
///
/// A run that nobody has called holds nobody up while it waits, and is not in here. It is asked before a run is
/// queued whether that run would ever get its turn: see ``isDeadlock(_:limit:under:in:)``.
struct QueuedCalls {
    /// Of each queued run, those that wait for its end.
    private var callers: [RunID: [RunID]] = [:]
    /// The other way about, with the key under which each is queued.
    private var below: [RunID: [RunID: ConcurrencyKey]] = [:]

    mutating func enter(_ run: RunID, under key: ConcurrencyKey, callers: Set<RunID>) {
        guard !callers.isEmpty else { return }
        self.callers[run] = Array(callers)
        for caller in callers { below[caller, default: [:]][run] = key }
    }

    /// It goes now, or is over; one that was not in here changes nothing.
    mutating func leave(_ run: RunID) {
        for caller in callers.removeValue(forKey: run) ?? [] {
            below[caller]?[run] = nil
            if below[caller]?.isEmpty == true { below[caller] = nil }
        }
    }

    /// Whether a run that has entered here, and would be the last under its key, would never get its turn.
    ///
    /// That is so where the runs that hold the places wait for runs that wait for such places themselves, by
    /// whatever calls and keys, and none of them can move. It costs a look at the holders; only where all of them
    /// have called runs that are queued, all keys are looked at that these come to.
    ///
    /// - Parameters:
    ///   - run: The run, not in its queue yet.
    ///   - limit: By its own version of the workflow.
    ///   - key: Its key.
    ///   - queues: All that wait.
    /// - Returns: Whether it would wait for ever; it is to leave again then.
    func isDeadlock(
        _ run: RunID, limit: Int, under key: ConcurrencyKey, in queues: [ConcurrencyKey: ConcurrencyQueue]
    ) -> Bool {
        guard let queue = queues[key],
            queue.active.count(where: { below[$0] != nil }) >= min(limit, queue.lowestLimit)
        else { return false }
        var lines = self.lines(from: key, in: queues)
        lines[key]?.waiters.append(ConcurrencyQueue.Waiter(run: run, limit: limit))
        // All are taken to stand still at first, and let go as far as something moves.
        var moving: Set<RunID> = []
        var hasChanged = true
        while hasChanged {
            hasChanged = false
            for key in lines.keys {
                guard lines[key]?.letGo(&moving, below) == true else { continue }
                hasChanged = true
            }
            if moving.contains(run) { return false }
        }
        return true
    }

    /// What stands under one key.
    private struct Line {
        /// Active runs that wait for queued ones.
        var held: Set<RunID>
        var waiters: ArraySlice<ConcurrencyQueue.Waiter>

        /// Takes out what can move, and tells whether there was something.
        mutating func letGo(_ moving: inout Set<RunID>, _ below: [RunID: [RunID: ConcurrencyKey]]) -> Bool {
            let free = held.filter { below[$0]?.keys.allSatisfy(moving.contains) ?? true }
            held.subtract(free)
            var hasMoved = !free.isEmpty
            while let first = waiters.first, held.count < first.limit {
                moving.insert(first.run)
                waiters.removeFirst()
                hasMoved = true
            }
            return hasMoved
        }
    }

    /// The lines of that key, and of every key that its active runs come to by what they have called.
    private func lines(
        from key: ConcurrencyKey, in queues: [ConcurrencyKey: ConcurrencyQueue]
    ) -> [ConcurrencyKey: Line] {
        var lines: [ConcurrencyKey: Line] = [:]
        var next = [key]
        while let key = next.popLast() {
            guard lines[key] == nil, let queue = queues[key] else { continue }
            let held = queue.active.filter { below[$0] != nil }
            lines[key] = Line(held: held, waiters: queue.line[...])
            for run in held { next += (below[run] ?? [:]).values }
        }
        return lines
    }
}
