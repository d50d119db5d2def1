package import Values

/// Measures a run's time: the union of the intervals in which at least one of its steps was in flight.
///
/// Fed with each attempt's interval, in any order; says how many whole milliseconds that adds to
/// what was charged before. Parallel steps count once, sleeping and waiting not at all.
package struct Meter: Sendable, Hashable {
    package struct Interval: Sendable, Hashable {
        package var start: Instant
        package var end: Instant

        package init(start: Instant, end: Instant) {
            self.start = start
            self.end = end
        }
    }

    /// Apart from each other and in order.
    private var covered: [Interval] = []
    /// Length of intervals that were dropped from `covered` because nothing can overlap them again.
    private var settledMicroseconds: Int64 = 0
    /// What has been charged so far.
    package private(set) var chargedMilliseconds: Int64 = 0

    package init() {}

    /// Takes an attempt's interval in and returns the whole milliseconds to charge for it, rounded
    /// down; the rest is kept for the next.
    ///
    /// An interval that ends before it starts counts as empty.
    package mutating func charge(_ interval: Interval) -> Int64 {
        insert(interval)
        return chargeUp(to: totalMicroseconds / 1000)
    }

    /// What is left to charge at the end of a run: the broken millisecond, rounded up.
    package mutating func chargeRemainder() -> Int64 {
        chargeUp(to: (totalMicroseconds + 999) / 1000)
    }

    /// Forgets where the time lay, but not how much it was; right when nothing of the run is in flight.
    package mutating func settle() {
        settledMicroseconds = totalMicroseconds
        covered.removeAll(keepingCapacity: true)
    }

    /// All time so far.
    package var totalMicroseconds: Int64 {
        covered.reduce(settledMicroseconds) { $0 + ($1.end - $1.start).microseconds }
    }

    private mutating func chargeUp(to milliseconds: Int64) -> Int64 {
        let charge = max(0, milliseconds - chargedMilliseconds)
        chargedMilliseconds += charge
        return charge
    }

    private mutating func insert(_ interval: Interval) {
        guard interval.end > interval.start else { return }
        var merged = interval
        var kept: [Interval] = []
        for other in covered {
            if other.end < merged.start || other.start > merged.end {
                kept.append(other)
            } else {
                merged.start = min(merged.start, other.start)
                merged.end = max(merged.end, other.end)
            }
        }
        let index = kept.firstIndex { $0.start > merged.start } ?? kept.count
        kept.insert(merged, at: index)
        covered = kept
    }
}
