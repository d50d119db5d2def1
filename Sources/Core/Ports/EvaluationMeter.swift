/// Measures the time of a group of evaluations and stops the group at a limit.
///
/// Each expression has its own budget, but a step may contain thousands of expressions.
package final class EvaluationMeter: @unchecked Sendable {
    // Unchecked: used by one thread at a time, the evaluating one.
    /// The time used so far, without time in which the thread did not run.
    package private(set) var used = Duration.zero
    private let limit: Duration
    private let gauge: (any WorkGauge)?
    private var groupStart = Duration.zero

    /// - Parameters:
    ///   - limit: The time of one group; exceeded by one expression's budget at most.
    ///   - gauge: Measures the time; without one, nothing is ever used up.
    package init(limit: Duration, gauge: (any WorkGauge)?) {
        self.limit = limit
        self.gauge = gauge
    }

    /// Begins the next group with the full limit.
    package func beginGroup() { groupStart = used }

    /// Whether the group has used up its limit.
    package var isExhausted: Bool { used - groupStart >= limit }

    /// Runs an evaluation and adds its time, even if it fails.
    package func measure<Output, Failure: Error>(
        _ evaluation: () throws(Failure) -> Output
    ) throws(Failure) -> Output {
        guard let gauge else { return try evaluation() }
        let start = gauge.threadTime()
        defer { used += gauge.threadTime() - start }
        return try evaluation()
    }
}
