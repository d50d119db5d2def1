import Engine
import Values

/// How many runs each start has led to, of those that this process has to do with.
///
/// In memory alone. Each run carries in its first entry how many there were when it started, so a process that
/// reads runs back goes on counting from the highest number among them.
struct Descendants {
    private var counts: [RunID: Int] = [:]
    /// With more than this, those without open runs are forgotten.
    private var sizeMax = 4_096

    /// A run has been read back, or asks for a child.
    mutating func note(_ lineage: RunLineage) {
        guard lineage.ordinal > 0 else { return }
        counts[lineage.root] = max(counts[lineage.root] ?? 0, lineage.ordinal)
    }

    /// One more run of that root; nil where it has led to `limit` already.
    mutating func add(to root: RunID, atMost limit: Int) -> Int? {
        let count = counts[root] ?? 0
        guard count < limit else { return nil }
        counts[root] = count + 1
        return count + 1
    }

    /// The run that was counted last was not started after all.
    mutating func giveBack(_ root: RunID) {
        if let count = counts[root], count > 0 { counts[root] = count - 1 }
    }

    var isLarge: Bool { counts.count > sizeMax }

    /// Forgets what no open run belongs to.
    mutating func prune(keeping roots: Set<RunID>) {
        counts = counts.filter { roots.contains($0.key) }
        sizeMax = max(4_096, 2 * counts.count)
    }
}

extension Runtime {
    /// Called under the lock, with a run that has just been read.
    func noteDescendants(of slot: RunSlot) { descendants.note(slot.machine.state.knownLineage) }

    /// The place of a child among all that one start has led to; nil where that is as many as may be.
    func placeOfChild(of parent: RunID) -> RunLineage? {
        lock.withLock {
            guard let start = slots[parent]?.machine.state.start else {
                return RunLineage(root: parent, ordinal: 1)
            }
            if let lineage = start.lineage { descendants.note(lineage) }
            let root = start.lineage?.root ?? parent
            if descendants.isLarge {
                descendants.prune(
                    keeping: Set(slots.values.map { $0.machine.state.start?.lineage?.root ?? $0.run }))
            }
            return descendants.add(to: root, atMost: options.descendantCountMax)
                .map { RunLineage(root: root, ordinal: $0) }
        }
    }
}
