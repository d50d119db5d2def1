package import Values

/// Measures a run's time: the union of the intervals in which at least one of its steps was in flight.
///
/// It receives each attempt's interval, in any order, and returns the whole milliseconds to charge in
/// addition. Parallel steps count once; sleeping and waiting do not count.
package struct Meter: Sendable, Hashable {
    package struct Interval: Sendable, Hashable {
        package var start: Instant
        package var end: Instant

        package init(start: Instant, end: Instant) {
            self.start = start
            self.end = end
        }
    }

    /// Disjoint and in order.
    private var covered: [Interval] = []
    /// The total time so far, including intervals dropped from `covered` because nothing can overlap them.
    package private(set) var totalMicroseconds: Int64 = 0
    /// The milliseconds charged so far.
    package private(set) var chargedMilliseconds: Int64 = 0

    package init() {}

    /// Adds an attempt's interval and returns the whole milliseconds to charge for it, rounded down.
    ///
    /// The remainder is kept for the next call. An interval that ends before it starts is empty. For
    /// intervals roughly in order, the cost does not depend on how many came before.
    package mutating func charge(_ interval: Interval) -> Int64 {
        let merge = merge(of: interval)
        if let merge {
            totalMicroseconds += merge.addedMicroseconds
            covered.replaceSubrange(merge.range, with: CollectionOfOne(merge.interval))
        }
        return chargeUp(to: totalMicroseconds / 1000)
    }

    /// The result that ``charge(_:)`` would have, without adding the interval.
    package func chargeAdded(by interval: Interval) -> Int64 {
        let total = totalMicroseconds + (merge(of: interval)?.addedMicroseconds ?? 0)
        return max(0, total / 1000 - chargedMilliseconds)
    }

    /// The remaining fraction of a millisecond at the end of a run, rounded up.
    package mutating func chargeRemainder() -> Int64 {
        chargeUp(to: (totalMicroseconds + 999) / 1000)
    }

    /// Moves all intervals, because the clock that measures them has been stepped.
    package mutating func move(by step: Duration) {
        for index in covered.indices {
            covered[index].start = covered[index].start + step
            covered[index].end = covered[index].end + step
        }
    }

    /// Drops the intervals but keeps their total; valid if nothing of the run is in flight.
    package mutating func settle() {
        covered.removeAll(keepingCapacity: true)
    }

    private mutating func chargeUp(to milliseconds: Int64) -> Int64 {
        let charge = max(0, milliseconds - chargedMilliseconds)
        chargedMilliseconds += charge
        return charge
    }

    /// How an interval is merged into `covered`: it replaces the intervals in `range`, which it touches.
    private struct Merge {
        var range: Range<Int>
        var interval: Interval
        var addedMicroseconds: Int64
    }

    /// Nil for an empty interval.
    private func merge(of interval: Interval) -> Merge? {
        guard interval.end > interval.start else { return nil }
        let first = firstIndex(endingFrom: interval.start)
        var merge = Merge(
            range: first..<first, interval: interval,
            addedMicroseconds: (interval.end - interval.start).microseconds)
        var next = first
        while next < covered.count, covered[next].start <= interval.end {
            let other = covered[next]
            merge.addedMicroseconds -=
                (min(other.end, interval.end) - max(other.start, interval.start)).microseconds
            merge.interval.start = min(merge.interval.start, other.start)
            merge.interval.end = max(merge.interval.end, other.end)
            next += 1
        }
        merge.range = first..<next
        return merge
    }

    /// The first interval in `covered` that ends at `instant` or later.
    private func firstIndex(endingFrom instant: Instant) -> Int {
        if let last = covered.last, last.end < instant { return covered.count }
        var (low, high) = (0, covered.count)
        while low < high {
            let middle = (low + high) / 2
            if covered[middle].end < instant { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
