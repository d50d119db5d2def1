/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// Core never reads a clock; each input carries the instant at which it happened.
package struct Instant: Sendable, Hashable, Comparable {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }
    package init(milliseconds: Int64) { self.microseconds = milliseconds * 1000 }

    /// Milliseconds since 1970, rounded down.
    package var milliseconds: Int64 { microseconds.flooredQuotientAndRemainder(by: 1000).0 }
    /// Whole seconds since 1970, rounded down.
    package var seconds: Int64 { microseconds.flooredQuotientAndRemainder(by: 1_000_000).0 }

    package static func < (left: Instant, right: Instant) -> Bool { left.microseconds < right.microseconds }

    /// The instant moved by a duration; an overflow is a precondition failure, unlike in ``moved(by:)``.
    package static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(microseconds: instant.microseconds + duration.microseconds)
    }

    package static func - (left: Instant, right: Instant) -> Duration {
        .microseconds(left.microseconds - right.microseconds)
    }

    /// The instant moved by a duration; clamped to the first or last representable one.
    package func moved(by duration: Duration) -> Instant {
        let (sum, overflow) = microseconds.addingReportingOverflow(duration.microseconds)
        return Instant(microseconds: overflow ? (duration > .zero ? .max : .min) : sum)
    }

    /// RFC 3339 in UTC with milliseconds: `2026-01-31T09:30:00.000Z`.
    package var text: String {
        let (days, millisOfDay) = milliseconds.flooredQuotientAndRemainder(by: 86_400_000)
        let (year, month, day) = Self.civil(daysSince1970: days)
        func pad(_ number: Int64, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let seconds = millisOfDay / 1000
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(seconds / 3600, 2)):"
            + "\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2)).\(pad(millisOfDay % 1000, 3))Z"
    }

    /// The Gregorian date of a day number; counts in 400-year eras that start on 1 March.
    private static func civil(daysSince1970: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = (daysSince1970 + 719_468).flooredQuotientAndRemainder(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    /// Days from 1970-01-01 to a Gregorian date.
    package static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.flooredQuotientAndRemainder(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    /// The quotient rounded towards minus infinity, and its remainder, which is never negative for a positive
    /// divisor.
    package func flooredQuotientAndRemainder(by divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension Duration {
    /// The whole duration in microseconds, rounded towards zero.
    package var microseconds: Int64 {
        // `components` would take a thousand instructions.
        Int64(attoseconds / 1_000_000_000_000)
    }

    /// The whole duration in milliseconds, rounded towards zero.
    package var milliseconds: Int64 { microseconds / 1000 }
}
