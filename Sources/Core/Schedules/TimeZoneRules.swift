package import Values

/// The offsets of a time zone from UTC, past, present and future.
package struct TimeZoneRules: Sendable, Hashable {
    /// A span of time with a constant offset.
    package struct Period: Sendable, Hashable {
        /// Seconds since 1970, inclusive; `Int64.min` before the first change.
        package var start: Int64
        /// Seconds since 1970, exclusive; `Int64.max` after the last change.
        package var end: Int64
        /// Seconds east of UTC.
        package var offset: Int64
    }

    package struct Transition: Sendable, Hashable {
        /// Seconds since 1970.
        package var at: Int64
        /// The offset from then on, in seconds east of UTC.
        package var offset: Int64

        package init(at: Int64, offset: Int64) {
            self.at = at
            self.offset = offset
        }
    }

    /// The offset before the first transition.
    private let firstOffset: Int64
    /// By rising time.
    private let transitions: [Transition]
    /// The rule after the last transition.
    private let tail: PosixTimeZone?

    /// - Parameters:
    ///   - firstOffset: Seconds east of UTC before the first transition.
    ///   - transitions: By strictly rising time.
    ///   - tail: The rule after the last transition; nil if its offset stays for ever.
    package init(firstOffset: Int64, transitions: [Transition] = [], tail: PosixTimeZone? = nil) {
        self.firstOffset = firstOffset
        self.transitions = transitions
        self.tail = tail
    }

    package static let utc = TimeZoneRules(firstOffset: 0)

    /// The range of the calendar in seconds since 1970, roughly the years 5 to 10000.
    static let range: ClosedRange<Int64> = -62_000_000_000...253_402_300_800

    /// The period that contains an instant; instants beyond the calendar's range are clamped to its edge.
    package func period(at seconds: Int64) -> Period {
        let seconds = min(max(seconds, Self.range.lowerBound), Self.range.upperBound)
        guard let last = transitions.last, let first = transitions.first else {
            return tail.map { $0.period(at: seconds, from: .min) }
                ?? Period(start: .min, end: .max, offset: firstOffset)
        }
        if seconds < first.at { return Period(start: .min, end: first.at, offset: firstOffset) }
        if seconds >= last.at {
            return tail.map { $0.period(at: seconds, from: last.at) }
                ?? Period(start: last.at, end: .max, offset: last.offset)
        }
        var (low, high) = (0, transitions.count - 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if transitions[middle].at <= seconds { low = middle } else { high = middle }
        }
        return Period(start: transitions[low].at, end: transitions[high].at, offset: transitions[low].offset)
    }

    /// The local time at an instant.
    package func localTime(at instant: Instant) -> LocalTime {
        LocalTime(seconds: instant.seconds + period(at: instant.seconds).offset)
    }

    /// The instants at which the local time is `time`, by rising time.
    ///
    /// There is usually one; there are none in a gap, when the clocks go forward, and two when they go back.
    package func instants(ofLocal time: LocalTime) -> [Instant] {
        let local = time.seconds
        // No zone is further than a day from UTC.
        var seconds = local - 86_400
        var found: [Instant] = []
        while true {
            let period = period(at: seconds)
            let candidate = local - period.offset
            if candidate >= period.start, candidate < period.end {
                found.append(Instant(microseconds: candidate * 1_000_000))
            }
            guard period.end <= local + 86_400 else { return found }
            seconds = period.end
        }
    }
}
