import Values

/// A zone's permanent rule as a POSIX `TZ` text: `CET-1CEST,M3.5.0,M10.5.0/3`.
package struct PosixTimeZone: Sendable, Hashable {
    /// A day and time of each year at which the clocks change.
    struct Change: Sendable, Hashable {
        enum Day: Sendable, Hashable {
            /// 1 to 365; 29 February is never counted.
            case julian(Int64)
            /// 0 to 365; 29 February is counted.
            case ofYear(Int64)
            /// The week 1 to 5 of a month, with 5 for the last, and a weekday, with 0 for Sunday.
            case weekday(month: Int, week: Int, weekday: Int)
        }

        var day: Day
        /// Seconds after midnight, in local time before the change; may be negative or exceed a day.
        var time: Int64

        /// Seconds from 1970 to the change in a year, in local time.
        func local(in year: Int64) -> Int64 { dayNumber(in: year) * 86_400 + time }

        private func dayNumber(in year: Int64) -> Int64 {
            let newYear = Instant.days(year: year, month: 1, day: 1)
            switch day {
            case .julian(let number):
                return newYear + number - 1 + (LocalTime.isLeap(year) && number >= 60 ? 1 : 0)
            case .ofYear(let number): return newYear + number
            case .weekday(let month, let week, let weekday):
                let first = Instant.days(year: year, month: Int64(month), day: 1)
                var day = (weekday - LocalTime.weekday(ofDay: first) + 7) % 7 + (week - 1) * 7
                if day >= LocalTime.dayCount(ofMonth: month, in: year) { day -= 7 }
                return first + Int64(day)
            }
        }
    }

    struct Summer: Sendable, Hashable {
        /// Seconds east of UTC.
        var offset: Int64
        var start: Change
        var end: Change
    }

    /// Seconds east of UTC.
    let offset: Int64
    let summer: Summer?

    /// Parses a rule; nil if it is invalid or has daylight saving without the dates of the changes.
    package init?(_ text: String) {
        var reader = PosixTimeZoneReader(bytes: Array(text.utf8))
        guard let zone = reader.zone() else { return nil }
        self = zone
    }

    init(offset: Int64, summer: Summer?) {
        self.offset = offset
        self.summer = summer
    }

    /// The period around an instant, which begins no earlier than `floor`, where another rule ends.
    func period(at seconds: Int64, from floor: Int64) -> TimeZoneRules.Period {
        guard let summer else { return TimeZoneRules.Period(start: floor, end: .max, offset: offset) }
        let year = LocalTime(seconds: seconds + offset).year
        var changes: [TimeZoneRules.Transition] = []
        for year in year - 1...year + 1 {
            changes.append(.init(at: summer.end.local(in: year) - summer.offset, offset: offset))
            changes.append(.init(at: summer.start.local(in: year) - offset, offset: summer.offset))
        }
        // Of two changes at once, the start of summer wins: a permanent summer time is written that way.
        changes.sort {
            ($0.at, $0.offset == summer.offset ? 1 : 0) < ($1.at, $1.offset == summer.offset ? 1 : 0)
        }
        let before = changes.last { $0.at <= seconds }
        let after = changes.first { $0.at > seconds && $0.at > floor }
        return TimeZoneRules.Period(
            start: max(before?.at ?? floor, floor), end: after?.at ?? .max, offset: before?.offset ?? offset)
    }
}

/// Parses the text of a rule.
private struct PosixTimeZoneReader {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func zone() -> PosixTimeZone? {
        guard skipName(), let west = time(hourMax: 24) else { return nil }
        if position == bytes.count { return PosixTimeZone(offset: -west, summer: nil) }
        guard skipName() else { return nil }
        var summerOffset = -west + 3600
        if position < bytes.count, bytes[position] != UInt8(ascii: ",") {
            guard let west = time(hourMax: 24) else { return nil }
            summerOffset = -west
        }
        guard take(","), let start = change(), take(","), let end = change(), position == bytes.count else {
            return nil
        }
        return PosixTimeZone(offset: -west, summer: .init(offset: summerOffset, start: start, end: end))
    }

    /// Skips letters, or anything but `>` between angle brackets.
    private mutating func skipName() -> Bool {
        if take("<") {
            while position < bytes.count, bytes[position] != UInt8(ascii: ">") { position += 1 }
            return take(">")
        }
        let start = position
        while position < bytes.count, (0x41...0x5A).contains(bytes[position] & 0xDF) { position += 1 }
        return position - start >= 3
    }

    /// `[+-]h[:mm[:ss]]` in seconds.
    private mutating func time(hourMax: Int64) -> Int64? {
        let isNegative = take("-")
        if !isNegative { _ = take("+") }
        guard let hours = number(upTo: hourMax) else { return nil }
        var total = hours * 3600
        for unit in [Int64(60), 1] where take(":") {
            guard let number = number(upTo: 59) else { return nil }
            total += number * unit
        }
        return isNegative ? -total : total
    }

    private mutating func change() -> PosixTimeZone.Change? {
        guard let day = day() else { return nil }
        guard take("/") else { return PosixTimeZone.Change(day: day, time: 7200) }
        return time(hourMax: 167).map { PosixTimeZone.Change(day: day, time: $0) }
    }

    private mutating func day() -> PosixTimeZone.Change.Day? {
        if take("J") { return number(upTo: 365).flatMap { $0 >= 1 ? .julian($0) : nil } }
        guard take("M") else { return number(upTo: 365).map { .ofYear($0) } }
        guard let month = number(upTo: 12), month >= 1, take("."), let week = number(upTo: 5), week >= 1,
            take("."), let weekday = number(upTo: 6)
        else { return nil }
        return .weekday(month: Int(month), week: Int(week), weekday: Int(weekday))
    }

    private mutating func number(upTo limit: Int64) -> Int64? {
        let start = position
        var number: Int64 = 0
        while position < bytes.count, position - start < 3, (0x30...0x39).contains(bytes[position]) {
            number = number * 10 + Int64(bytes[position] - 0x30)
            position += 1
        }
        return position > start && number <= limit ? number : nil
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }
}
