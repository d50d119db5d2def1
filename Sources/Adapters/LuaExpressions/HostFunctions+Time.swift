import CLuaSandbox
import Ports
import Schedules
import Values

// Dates and times of day, in UTC or in a time zone.
extension HostFunctions {
    /// The years 0001 to 9999, which is the range of RFC 3339.
    private static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    private func seconds(_ index: Int) throws(Refusal) -> Int64 {
        let seconds = try integer(index)
        guard Self.secondsRange.contains(seconds) else {
            throw .raised(
                "argument \(index + 1) must be a time in the years 1 to 9999, in seconds since 1970")
        }
        return seconds
    }

    /// The rules of the named time zone; UTC if none is named.
    private func rules(_ index: Int) throws(Refusal) -> TimeZoneRules {
        let given = argument(index)
        guard let given, given.kind != MILLRACE_LUA_NIL else { return TimeZoneRules(firstOffset: 0) }
        let name = try text(index)
        try charge(100)
        guard name != "UTC" else { return TimeZoneRules(firstOffset: 0) }
        guard let zones = evaluation.timeZones else { throw .raised("time zones cannot be read here") }
        do throws(TimeZoneError) { return try zones.rules(of: name) } catch { throw .raised("\(error)") }
    }

    /// `format(seconds, pattern, zone)`: without a pattern, RFC 3339.
    func formatTime() throws(Refusal) {
        let seconds = try seconds(0)
        let rules = try rules(2)
        let hasPattern = argument(1).map { $0.kind != Int32(MILLRACE_LUA_NIL) } ?? false
        let pattern = hasPattern ? try text(1) : "%Y-%m-%dT%H:%M:%S%z"
        try charge(pattern.utf8.count)
        let offset = rules.period(at: seconds).offset
        let local = LocalTime(seconds: seconds + offset)
        var written = ""
        var isDirective = false
        for character in pattern.unicodeScalars {
            if isDirective {
                guard let part = Self.part(character, local, offset, seconds) else {
                    throw .raised(
                        "the pattern has no %\(character): use %Y %m %d %H %M %S %y %j %a %b %z %s %%")
                }
                written += part
                isDirective = false
            } else if character == "%" {
                isDirective = true
            } else {
                written.unicodeScalars.append(character)
            }
        }
        if isDirective { throw .raised("the pattern ends with a %") }
        answer(written)
    }

    private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func part(
        _ letter: Unicode.Scalar, _ time: LocalTime, _ offset: Int64, _ seconds: Int64
    ) -> String? {
        switch letter {
        case "Y": pad(Int(time.year), 4)
        case "y": pad(Int(time.year) % 100, 2)
        case "m": pad(time.month, 2)
        case "d": pad(time.day, 2)
        case "H": pad(time.hour, 2)
        case "M": pad(time.minute, 2)
        case "S": pad(time.second, 2)
        case "j": pad(Int(time.dayNumber - LocalTime(time.year, 1, 1).dayNumber) + 1, 3)
        case "a": days[time.weekday]
        case "b": months[time.month - 1]
        case "s": String(seconds)
        case "z":
            offset == 0
                ? "Z"
                : (offset < 0 ? "-" : "+") + pad(Int(offset.magnitude) / 3600, 2) + ":"
                    + pad(Int(offset.magnitude) / 60 % 60, 2)
        case "%": "%"
        default: nil
        }
    }

    private static func pad(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    /// `add(seconds, amount, unit, zone)`: days, weeks, months and years keep the local time of day.
    func addTime() throws(Refusal) {
        let seconds = try seconds(0)
        let amount = try integer(1)
        guard (-10_000_000_000...10_000_000_000).contains(amount) else {
            throw .raised("argument 2 must be a whole number of at most 10 digits")
        }
        let unit = try text(2)
        let rules = try rules(3)
        let fixed: [String: Int64] = ["seconds": 1, "minutes": 60, "hours": 3600]
        let sum: Int64
        if let length = fixed[unit] {
            sum = seconds + amount * length
        } else {
            let local = LocalTime(seconds: seconds + rules.period(at: seconds).offset)
            sum = Self.seconds(of: try moved(local, amount, unit), rules)
        }
        guard Self.secondsRange.contains(sum) else {
            throw .raised("the time lies beyond the years 1 to 9999")
        }
        answer(sum)
    }

    private func moved(_ time: LocalTime, _ amount: Int64, _ unit: String) throws(Refusal) -> LocalTime {
        switch unit {
        case "days": return LocalTime(seconds: time.seconds + amount * 86_400)
        case "weeks": return LocalTime(seconds: time.seconds + amount * 7 * 86_400)
        case "months", "years":
            let months = time.year * 12 + Int64(time.month - 1) + amount * (unit == "years" ? 12 : 1)
            let (year, month) = months.flooredQuotientAndRemainder(by: 12)
            guard (1...9999).contains(year) else { throw .raised("the time lies beyond the years 1 to 9999") }
            let first = LocalTime(year, Int(month) + 1, 1)
            let next = month == 11 ? LocalTime(year + 1, 1, 1) : LocalTime(year, Int(month) + 2, 1)
            // A day beyond the end of the month becomes its last day.
            var moved = time
            (moved.year, moved.month) = (first.year, first.month)
            moved.day = min(time.day, Int(next.dayNumber - first.dayNumber))
            return moved
        default: throw .raised("the unit must be seconds, minutes, hours, days, weeks, months or years")
        }
    }

    /// The first instant with this local time; a skipped time moves forward by the length of the gap.
    private static func seconds(of time: LocalTime, _ rules: TimeZoneRules) -> Int64 {
        if let first = rules.instants(ofLocal: time).first { return first.seconds }
        let before = rules.period(at: time.seconds - 86_400).offset
        return time.seconds - before
    }
}
