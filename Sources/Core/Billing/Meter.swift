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
    /// All time so far, also of intervals that were dropped from `covered` because nothing can overlap them again.
    package private(set) var totalMicroseconds: Int64 = 0
    /// What has been charged so far.
    package private(set) var chargedMilliseconds: Int64 = 0

    package init() {}

    /// Takes an attempt's interval in and returns the whole milliseconds to charge for it, rounded
    /// down; the rest is kept for the next.
    ///
    /// An interval that ends before it starts counts as empty. One that comes about in order costs the same
    /// however many came before.
    package mutating func charge(_ interval: Interval) -> Int64 {
        let merge = merge(of: interval)
        if let merge {
            totalMicroseconds += merge.addedMicroseconds
            covered.replaceSubrange(merge.range, with: CollectionOfOne(merge.interval))
        }
        return chargeUp(to: totalMicroseconds / 1000)
    }

    /// What ``charge(_:)`` would return; nothing is taken in.
    package func chargeAdded(by interval: Interval) -> Int64 {
        let total = totalMicroseconds + (merge(of: interval)?.addedMicroseconds ?? 0)
        return max(0, total / 1000 - chargedMilliseconds)
    }

    /// What is left to charge at the end of a run: the broken millisecond, rounded up.
    package mutating func chargeRemainder() -> Int64 {
        chargeUp(to: (totalMicroseconds + 999) / 1000)
    }

    /// Moves all that was taken in, because the clock that measures it has been stepped by that much.
    package mutating func move(by step: Duration) {
        for index in covered.indices {
            covered[index].start = covered[index].start + step
            covered[index].end = covered[index].end + step
        }
    }

    /// Forgets where the time lay, but not how much it was; right when nothing of the run is in flight.
    package mutating func settle() {
        covered.removeAll(keepingCapacity: true)
    }

    private mutating func chargeUp(to milliseconds: Int64) -> Int64 {
        let charge = max(0, milliseconds - chargedMilliseconds)
        chargedMilliseconds += charge
        return charge
    }

    /// How an interval goes into `covered`: in place of those in `range`, which it touches.
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
