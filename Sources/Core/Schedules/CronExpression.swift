/// A recurrence by wall-clock time: five fields for minute, hour, day of month, month and day of week.
///
/// A field is `*` or a list of numbers, names (`jan`, `sun`) and ranges, each with an optional step: `1-5`,
/// `*/15`, `mon,thu`, `10/20` (from 10 in steps of 20). 0 and 7 are Sunday. If neither day field begins with
/// `*`, a day matches if it matches one of them; otherwise it must match both. `@hourly`, `@daily`,
/// `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` stand for the usual five fields.
package struct CronExpression: Sendable, Hashable {
    /// One bit for each matching number.
    let minutes: UInt64
    let hours: UInt64
    let daysOfMonth: UInt64
    let months: UInt64
    let daysOfWeek: UInt64
    /// Whether a day has to match only one of the two day fields.
    let fitsEitherDay: Bool
    /// Whether the minute field begins with `*`, which means a pace and no fixed time.
    let isPaced: Bool

    package static let byteCountMax = 200

    private static let aliases = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    /// Parses an expression.
    ///
    /// - Parameter text: At most ``byteCountMax`` bytes; case is ignored.
    /// - Throws: ``CronProblem`` with the field, also for a day that no listed month has.
    package init(_ text: String) throws(CronProblem) {
        guard text.utf8.count <= Self.byteCountMax else {
            throw CronProblem(message: "a cron expression has at most \(Self.byteCountMax) bytes", offset: 0)
        }
        var written = text.lowercased()
        if let name = Self.fields(of: written).first, name.utf8.first == UInt8(ascii: "@") {
            guard Self.fields(of: written).count == 1, let meant = Self.aliases[String(name)] else {
                throw CronProblem(
                    message: "\"\(text)\" is none of \(Self.aliases.keys.sorted().joined(separator: ", "))",
                    offset: 0)
            }
            written = meant
        }
        let parts = Self.fields(of: written).map(\.utf8)
        guard parts.count == 5 else {
            throw CronProblem(
                message: "a cron expression has five fields (minute, hour, day of month, month, day of week)"
                    + ", not \(parts.count)", offset: 0)
        }
        var sets: [UInt64] = []
        for (field, part) in zip(CronProblem.Field.allCases, parts) {
            let offset = written.utf8.distance(from: written.startIndex, to: part.startIndex)
            var reader = CronFieldReader(field: field, bytes: Array(part), offset: offset)
            sets.append(try reader.set())
        }
        func startsWithStar(_ index: Int) -> Bool { parts[index].first == UInt8(ascii: "*") }
        minutes = sets[0]
        hours = sets[1]
        daysOfMonth = sets[2]
        months = sets[3]
        daysOfWeek = (sets[4] | sets[4] >> 7) & 0x7F
        fitsEitherDay = !startsWithStar(2) && !startsWithStar(4)
        isPaced = startsWithStar(0)
        guard fitsEitherDay || hasDate else {
            let offset = written.utf8.distance(from: written.startIndex, to: parts[2].startIndex)
            throw CronProblem(
                field: .dayOfMonth,
                message: "the day of month never comes: no month of the list has that day",
                offset: offset)
        }
    }

    /// The words between blanks and line breaks.
    package static func fields(of text: String) -> [Substring] {
        // By bytes, because CR LF is a single character.
        text.utf8.split { $0 == 0x20 || (0x09...0x0D).contains($0) }.map { Substring($0) }
    }

    private var hasDate: Bool {
        (1...12).contains { month in
            guard Self.has(month, months) else { return false }
            // 2024 has a 29 February.
            return (1...LocalTime.dayCount(ofMonth: month, in: 2024)).contains { Self.has($0, daysOfMonth) }
        }
    }

    static func has(_ number: Int, _ set: UInt64) -> Bool { set >> UInt64(number) & 1 == 1 }

    /// The least number of a set at or above `number`.
    static func next(_ number: Int, in set: UInt64) -> Int? {
        let left = number > 63 ? 0 : (set >> UInt64(number)) << UInt64(number)
        return left == 0 ? nil : left.trailingZeroBitCount
    }

    /// Whether it recurs in every hour of a matching day.
    var isHourly: Bool { hours == (1 << 24) - 1 }

    func fits(day: Int, weekday: Int) -> Bool {
        let isDay = Self.has(day, daysOfMonth)
        let isWeekday = Self.has(weekday, daysOfWeek)
        return fitsEitherDay ? isDay || isWeekday : isDay && isWeekday
    }

    /// Whether a local time matches, whatever its seconds are.
    package func fits(_ time: LocalTime) -> Bool {
        Self.has(time.minute, minutes) && Self.has(time.hour, hours) && Self.has(time.month, months)
            && fits(day: time.day, weekday: time.weekday)
    }
}
