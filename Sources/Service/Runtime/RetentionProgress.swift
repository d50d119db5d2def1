import Storage
import Values

/// How far old runs have been deleted, so that each round need not look at those before that are still open.
///
/// Only in memory: a process that starts looks at all of them once.
struct RetentionProgress {
    /// All that was over before this is deleted; nil where that is not known.
    private var deletedUpTo: Instant?
    /// When all are looked at again, which makes up for a clock that was set back.
    private var wholeAt = Instant(microseconds: .min)

    /// Between two looks at all.
    static let wholeInterval = Duration.seconds(86_400)

    /// From which start on runs are to be looked at, beside those that took long; nil for all.
    ///
    /// What ended since then and took no longer than ``RunRecord/longDuration`` began no earlier.
    func startedSince(at now: Instant) -> Instant? {
        guard let deletedUpTo, now < wholeAt else { return nil }
        return Instant(microseconds: deletedUpTo.microseconds - RunRecord.longDuration.microseconds)
    }

    /// A round has found no more.
    ///
    /// - Parameters:
    ///   - instant: All that was over before it is deleted now.
    ///   - isWhole: Whether it looked at all.
    ///   - now: When.
    mutating func noteDeleted(upTo instant: Instant, isWhole: Bool, at now: Instant) {
        deletedUpTo = instant
        if isWhole { wholeAt = now + Self.wholeInterval }
    }
}
