/// Counts the time that a group of evaluations takes, and ends it at a limit: each expression has a
/// budget of its own, but a step may hold thousands of them.
package final class EvaluationMeter: @unchecked Sendable {
    // Unchecked: used by one thread at a time, the one that evaluates.
    /// Time taken so far, without time in which the thread did not run.
    package private(set) var used = Duration.zero
    private let limit: Duration
    private var groupStart = Duration.zero

    /// - Parameter limit: What one group may take; exceeded by one expression's budget at most.
    package init(limit: Duration) { self.limit = limit }

    /// Begins the next group, with the whole limit before it.
    package func beginGroup() { groupStart = used }

    /// Whether nothing more of the group may be evaluated.
    package var isExhausted: Bool { used - groupStart >= limit }

    package func add(_ duration: Duration) { used += duration }
}
