import Values

/// A date and a time of day in the Gregorian calendar, without a time zone.
package struct LocalTime: Sendable, Hashable {
    package var year: Int64
    /// 1 to 12.
    package var month: Int
    /// 1 to 31.
    package var day: Int
    /// 0 to 23.
    package var hour: Int
    package var minute: Int
    package var second: Int

    package init(
        _ year: Int64, _ month: Int, _ day: Int, _ hour: Int = 0, _ minute: Int = 0, _ second: Int = 0
    ) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The local time `seconds` after 1970-01-01T00:00:00 local time, with no change of the offset between.
    package init(seconds: Int64) {
        let (days, secondOfDay) = seconds.flooredQuotientAndRemainder(by: 86_400)
        self.init(dayNumber: days)
        hour = Int(secondOfDay / 3600)
        minute = Int(secondOfDay / 60 % 60)
        second = Int(secondOfDay % 60)
    }

    /// Midnight, `days` after 1970-01-01; counted in 400-year eras that start on 1 March.
    package init(dayNumber days: Int64) {
        let (era, dayOfEra) = (days + 719_468).flooredQuotientAndRemainder(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        self.init(
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), Int(month),
            Int(dayOfYear - (153 * shifted + 2) / 5 + 1))
    }

    /// Days from 1970-01-01 to the date.
    package var dayNumber: Int64 { Instant.days(year: year, month: Int64(month), day: Int64(day)) }

    /// The inverse of ``init(seconds:)``.
    package var seconds: Int64 { dayNumber * 86_400 + Int64(hour * 3600 + minute * 60 + second) }

    /// 0 for Sunday to 6 for Saturday.
    package var weekday: Int { Self.weekday(ofDay: dayNumber) }

    /// The weekday of a day number; day 0 is 1970-01-01, a Thursday.
    package static func weekday(ofDay dayNumber: Int64) -> Int {
        Int((dayNumber + 4).flooredQuotientAndRemainder(by: 7).1)
    }

    package static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    package static func dayCount(ofMonth month: Int, in year: Int64) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
