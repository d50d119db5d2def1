extension Instant {
    /// Parses an HTTP date in any of the three forms of RFC 9110, 5.6.7; nil for anything else.
    ///
    /// The forms are `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6
    /// 08:49:37 1994`. The weekday is not checked against the date. A two-digit year more than 50 years after
    /// `now` belongs to the previous century.
    package init?(httpDate text: String, now: Instant) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        let date: Fields?
        switch parts.count {
        case 6 where parts[5] == "GMT": date = Self.preferred(parts)
        case 4 where parts[3] == "GMT": date = Self.rfc850(parts, now: now)
        case 5, 6: date = Self.asctime(parts)
        default: date = nil
        }
        guard let date, let month = Self.months.firstIndex(of: String(date.month)),
            Self.weekdays.contains(where: { parts[0].hasPrefix($0) })
        else { return nil }
        self.init(
            rfc3339:
                "\(Self.pad(date.year, 4))-\(Self.pad(Int64(month + 1), 2))-\(Self.pad(date.day, 2))T\(date.time)Z"
        )
    }

    private typealias Fields = (year: Int64, month: Substring, day: Int64, time: Substring)

    private static func preferred(_ parts: [Substring]) -> Fields? {
        guard parts[0].utf8.count == 4, parts[0].hasSuffix(","), parts[4].utf8.count == 8,
            let day = number(parts[1], 2), let year = number(parts[3], 4)
        else { return nil }
        return (year, parts[2], day, parts[4])
    }

    private static func rfc850(_ parts: [Substring], now: Instant) -> Fields? {
        let date = parts[1].split(separator: "-", omittingEmptySubsequences: false)
        guard parts[0].hasSuffix("day,"), parts[2].utf8.count == 8, date.count == 3,
            let day = number(date[0], 2), let short = number(date[2], 2),
            let thisYear = Int64(now.text.prefix(4))
        else { return nil }
        let year = thisYear - thisYear % 100 + short
        return (year > thisYear + 50 ? year - 100 : year, date[1], day, parts[2])
    }

    /// Parses the asctime form; a one-digit day follows two blanks.
    private static func asctime(_ parts: [Substring]) -> Fields? {
        guard parts[0].utf8.count == 3, parts.count == 5 || parts[2].isEmpty,
            let day = parts.count == 5 ? number(parts[2], 2) : number(parts[3], 1),
            let time = parts.dropLast().last, time.utf8.count == 8,
            let year = number(parts[parts.count - 1], 4)
        else { return nil }
        return (year, parts[1], day, time)
    }

    private static func number(_ text: Substring, _ digitCount: Int) -> Int64? {
        let isNumber = text.utf8.count == digitCount && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return isNumber ? Int64(text) : nil
    }

    private static func pad(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
