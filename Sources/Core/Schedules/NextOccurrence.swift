package import Values

/// The occurrences of a cron expression in a time zone.
///
/// If the clocks go forward, times in the gap happen once, at the first instant after it; an expression that
/// matches in every hour just continues. If the clocks go back, repeated times happen the first time only. An
/// expression that matches in every hour, or whose minute field begins with `*`, runs through both, because
/// it means a pace and no fixed time.
package struct NextOccurrence: Sendable, Hashable {
    package let cron: CronExpression
    package let zone: TimeZoneRules

    /// Every date recurs within this time: 29 February is at most 8 years away.
    private static let searchSeconds: Int64 = 12 * 366 * 86_400

    package init(_ cron: CronExpression, in zone: TimeZoneRules) {
        self.cron = cron
        self.zone = zone
    }

    /// The first occurrence after `instant`; nil at the end of the calendar (the year 10000).
    package func next(after instant: Instant) -> Instant? {
        let after = instant.seconds
        guard TimeZoneRules.range.contains(after) else { return nil }
        let limit = min(after + Self.searchSeconds, TimeZoneRules.range.upperBound)
        var period = zone.period(at: after)
        var floor = after
        while true {
            if let found = first(in: period, after: floor, before: min(period.end, limit)) {
                return Instant(microseconds: found * 1_000_000)
            }
            guard period.end < limit else { return nil }
            floor = period.end - 1
            period = zone.period(at: period.end)
        }
    }

    /// The last `count` occurrences after `instant` and not after `end`, by rising time.
    ///
    /// Searches back from `end` over growing spans, so that a long interval costs little.
    package func latest(_ count: Int, after instant: Instant, upTo end: Instant) -> [Instant] {
        var span: Int64 = 3_600_000_000
        while true {
            let start = max(instant, Instant(microseconds: end.microseconds - span))
            var found: [Instant] = []
            var last = start
            while let next = next(after: last), next <= end {
                found.append(next)
                last = next
            }
            if found.count >= count || start == instant { return found.suffix(count) }
            span = span > Int64.max / 16 ? Int64.max / 2 : span * 8
        }
    }

    /// The first occurrence in a period, in seconds since 1970.
    private func first(in period: TimeZoneRules.Period, after: Int64, before limit: Int64) -> Int64? {
        var from = max(after + 1, period.start)
        if period.start > .min {
            let offsetBefore = zone.period(at: period.start - 1).offset
            let shift = period.offset - offsetBefore
            if shift > 0, !cron.isHourly, after < period.start {
                let skipped = period.start + offsetBefore
                if firstLocal(from: skipped, before: skipped + shift) != nil { return period.start }
            }
            if shift < 0, !cron.isHourly, !cron.isPaced { from = max(from, period.start - shift) }
        }
        guard from < limit else { return nil }
        return firstLocal(from: from + period.offset, before: limit + period.offset).map {
            $0 - period.offset
        }
    }

    /// The first matching whole minute in a span without an offset change, in seconds of local time.
    private func firstLocal(from: Int64, before limit: Int64) -> Int64? {
        let start = LocalTime(seconds: from + 59)
        var (day, minuteOfDay) = (start.dayNumber, start.hour * 60 + start.minute)
        while day * 86_400 < limit {
            let date = LocalTime(dayNumber: day)
            guard CronExpression.has(date.month, cron.months) else {
                let count = LocalTime.dayCount(ofMonth: date.month, in: date.year)
                (day, minuteOfDay) = (day + Int64(count - date.day + 1), 0)
                continue
            }
            if cron.fits(day: date.day, weekday: LocalTime.weekday(ofDay: day)),
                let minute = firstMinute(from: minuteOfDay)
            {
                let found = day * 86_400 + Int64(minute) * 60
                return found < limit ? found : nil
            }
            (day, minuteOfDay) = (day + 1, 0)
        }
        return nil
    }

    /// The first matching minute at or after `minuteOfDay`, in minutes after midnight.
    private func firstMinute(from minuteOfDay: Int) -> Int? {
        guard let hour = CronExpression.next(minuteOfDay / 60, in: cron.hours) else { return nil }
        if hour == minuteOfDay / 60, let minute = CronExpression.next(minuteOfDay % 60, in: cron.minutes) {
            return hour * 60 + minute
        }
        let later = hour == minuteOfDay / 60 ? CronExpression.next(hour + 1, in: cron.hours) : hour
        guard let later, let minute = CronExpression.next(0, in: cron.minutes) else { return nil }
        return later * 60 + minute
    }
}
