import Values

/// The children of a run that are open.
///
/// What is a fold of entries and what is not stand side by side: that a child has been asked to end is
/// forgotten by a restart, and asking again does no harm.
struct OpenCalls: Sendable {
    /// Nodes that wait for the end of their child.
    private var steps: Set<Int> = []
    /// Of those, the ones whose child has been asked to end.
    private var asked: Set<Int> = []
    /// Whether a scope may have ended around one of them since this was last looked at.
    private(set) var hasNews = false
    /// Children whose step lost a race, with its node: the run ends after them all the same.
    private(set) var strays: [RunID: Int] = [:]
    /// Nodes that lost a race before it was known whether their child is durable.
    private var unanswered: Set<Int> = []

    var isEmpty: Bool { steps.isEmpty && strays.isEmpty && unanswered.isEmpty }
    var stepCount: Int { steps.count }
    var hasStrays: Bool { !strays.isEmpty || !unanswered.isEmpty }

    /// - Parameters:
    ///   - step: The node, whose child is durable.
    ///   - endsSoon: Whether nothing new may start around it any more.
    mutating func begin(_ step: Int, endsSoon: Bool) {
        steps.insert(step)
        if endsSoon { hasNews = true }
    }

    mutating func settle(_ step: Int) {
        steps.remove(step)
        asked.remove(step)
    }

    /// A scope, or the run, is ending; without open calls that is no news.
    mutating func mustEnd() { hasNews = !steps.isEmpty }

    /// Steps whose child is to be asked to end, each once.
    mutating func takeEnding(where isEnding: (Int) -> Bool) -> [Int] {
        hasNews = false
        let found = steps.subtracting(asked).filter(isEnding).sorted()
        asked.formUnion(found)
        return found
    }

    mutating func addStray(_ child: RunID, of step: Int) { strays[child] = step }

    /// Whether that child was one.
    mutating func endStray(_ child: RunID) -> Bool { strays.removeValue(forKey: child) != nil }

    /// The child that a node has left behind by losing its race; nil for none.
    func stray(of step: Int) -> RunID? { strays.first { $0.value == step }?.key }

    /// Nodes that have lost a race and still hold the run up: by a child, or because it is not known of one.
    var straySteps: Set<Int> { unanswered.union(strays.values) }

    mutating func awaitAnswer(to step: Int) { unanswered.insert(step) }

    /// Whether that answer was still to come.
    mutating func takeAnswer(to step: Int) -> Bool { unanswered.remove(step) != nil }
}
