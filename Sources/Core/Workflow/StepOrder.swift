/// A set of step indexes.
struct StepSet: Hashable {
    private var words: [UInt64]

    init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

    func contains(_ index: Int) -> Bool {
        words.indices.contains(index / 64) && words[index / 64] & (1 << UInt64(index % 64)) != 0
    }

    mutating func insert(_ index: Int) {
        if words.indices.contains(index / 64) { words[index / 64] |= 1 << UInt64(index % 64) }
    }

    mutating func formUnion(_ other: StepSet) {
        for index in words.indices { words[index] |= other.words[index] }
    }
}

/// Analyses of the `after` relation of a scope.
enum StepOrder {
    /// A topological order of the steps; steps in or behind a cycle are missing.
    private static func sorted(_ steps: [Step], without removed: Set<Int>) -> [Int] {
        var waitCounts = steps.map { step in step.after.count { !removed.contains($0) } }
        var followers: [[Int]] = Array(repeating: [], count: steps.count)
        for (index, step) in steps.enumerated() {
            for earlier in step.after where !removed.contains(earlier) { followers[earlier].append(index) }
        }
        var order = steps.indices.filter { waitCounts[$0] == 0 && !removed.contains($0) }
        var next = 0
        while next < order.count {
            for follower in followers[order[next]] {
                waitCounts[follower] -= 1
                if waitCounts[follower] == 0, !removed.contains(follower) { order.append(follower) }
            }
            next += 1
        }
        return order
    }

    /// For each step, all steps that have settled before it starts, directly or indirectly.
    static func ancestors(in steps: [Step]) -> [StepSet] {
        var sets = Array(repeating: StepSet(count: steps.count), count: steps.count)
        let order = sorted(steps, without: [])
        for index in order {
            for earlier in steps[index].after {
                sets[index].insert(earlier)
                sets[index].formUnion(sets[earlier])
            }
        }
        // A cycle is reported separately; the reads of its steps are not.
        for index in steps.indices where !order.contains(index) {
            for other in steps.indices { sets[index].insert(other) }
        }
        return sets
    }

    /// At most 20 disjoint cycles, each as indexes in which every step waits for the next.
    static func cycles(in steps: [Step]) -> [[Int]] {
        var removed: Set<Int> = []
        var found: [[Int]] = []
        while found.count < 20 {
            let settled = Set(sorted(steps, without: removed))
            guard let start = steps.indices.first(where: { !settled.contains($0) && !removed.contains($0) })
            else { break }
            var path = [start]
            // Each remaining step waits for another one, so the walk returns to its own path.
            while let last = path.last,
                let next = steps[last].after.first(where: { !settled.contains($0) && !removed.contains($0) })
            {
                if let first = path.firstIndex(of: next) {
                    let cycle = Array(path[first...])
                    found.append(cycle)
                    removed.formUnion(cycle)
                    break
                }
                path.append(next)
            }
        }
        return found
    }
}
