import Values

/// The open children of a run.
///
/// Part of this is a fold of entries and part is not: a restart forgets that a child was asked to end, and
/// asking again is harmless, because it does not cut the child's `finally` steps.
struct OpenCalls: Sendable {
    /// Nodes that wait for the end of their child.
    private var steps: Set<Int> = []
    /// Those of them whose child has been asked to end.
    private var asked: Set<Int> = []
    /// Whether the children that are asked next are to cut their `finally` steps.
    private(set) var cutsFinally = false
    /// Whether a scope around any of them may have ended since the last check.
    private(set) var hasNews = false
    /// Children whose step lost a race, with its node; the run waits for their end.
    private(set) var strays: [RunID: Int] = [:]
    /// Nodes that lost a race before it was known whether their child is durable.
    private var unanswered: Set<Int> = []

    var isEmpty: Bool { steps.isEmpty && strays.isEmpty && unanswered.isEmpty }
    var stepCount: Int { steps.count }
    var hasStrays: Bool { !strays.isEmpty || !unanswered.isEmpty }

    /// Notes that the child of a node is durable.
    ///
    /// - Parameters:
    ///   - step: The node.
    ///   - endsSoon: Whether nothing new may start around it.
    mutating func begin(_ step: Int, endsSoon: Bool) {
        steps.insert(step)
        if endsSoon { hasNews = true }
    }

    mutating func settle(_ step: Int) {
        steps.remove(step)
        asked.remove(step)
    }

    /// Notes that a scope or the run is ending; has no effect without open calls.
    mutating func mustEnd() { hasNews = !steps.isEmpty }

    /// Asks all children once more, and this time to cut their `finally` steps.
    mutating func askAgain() {
        asked = []
        (hasNews, cutsFinally) = (!steps.isEmpty || !strays.isEmpty, true)
    }

    /// Returns the steps whose child must be asked to end, each once.
    mutating func takeEnding(where isEnding: (Int) -> Bool) -> [Int] {
        (hasNews, cutsFinally) = (false, false)
        let found = steps.subtracting(asked).filter(isEnding).sorted()
        asked.formUnion(found)
        return found
    }

    mutating func addStray(_ child: RunID, of step: Int) { strays[child] = step }

    /// Removes a child; true if it was one of these.
    mutating func endStray(_ child: RunID) -> Bool { strays.removeValue(forKey: child) != nil }

    /// The child that a node left behind when it lost its race; nil for none.
    func stray(of step: Int) -> RunID? { strays.first { $0.value == step }?.key }

    /// Nodes that lost a race and still delay the run's end, by a child or because it is not known whether
    /// there is one.
    var straySteps: Set<Int> { unanswered.union(strays.values) }

    mutating func awaitAnswer(to step: Int) { unanswered.insert(step) }

    /// Removes a pending answer; true if there was one.
    mutating func takeAnswer(to step: Int) -> Bool { unanswered.remove(step) != nil }
}
