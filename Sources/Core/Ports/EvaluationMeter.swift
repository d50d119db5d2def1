/// Counts the work of a group of evaluations, and ends it at a limit: each expression has a budget of its own,
/// but a step may hold thousands of them.
package final class EvaluationMeter: @unchecked Sendable {
    // Unchecked: used by one thread at a time, the one that evaluates.
    /// What was used so far, without time in which the thread did not run.
    package private(set) var used = Duration.zero
    private let limit: Duration
    private let gauge: (any WorkGauge)?
    private var groupStart = Duration.zero

    /// - Parameters:
    ///   - limit: What one group may take; exceeded by one expression's budget at most.
    ///   - gauge: What measures; nothing is ever used up without one.
    package init(limit: Duration, gauge: (any WorkGauge)?) {
        self.limit = limit
        self.gauge = gauge
    }

    /// Begins the next group, with the whole limit before it.
    package func beginGroup() { groupStart = used }

    /// Whether nothing more of the group may be evaluated.
    package var isExhausted: Bool { used - groupStart >= limit }

    /// Evaluates, and adds what that took, also where it fails.
    package func measure<Output, Failure: Error>(
        _ evaluation: () throws(Failure) -> Output
    ) throws(Failure) -> Output {
        guard let gauge else { return try evaluation() }
        let start = gauge.threadTime()
        defer { used += gauge.threadTime() - start }
        return try evaluation()
    }
}
