extension Instant {
    /// Parses an RFC 3339 date-time or a date alone, which means midnight in UTC; nil for anything else.
    ///
    /// A date-time is `2026-01-31T09:30:00Z`, with or without a fraction, with `Z` or an offset. A fraction
    /// is truncated to microseconds. A leap second counts as the second after it.
    package init?(rfc3339 text: String) {
        var reader = RFC3339Reader(bytes: Array(text.utf8))
        guard let days = reader.days() else { return nil }
        if reader.isAtEnd {
            self.init(microseconds: days * 86_400_000_000)
            return
        }
        guard reader.take("T") || reader.take("t") || reader.take(" "), let seconds = reader.secondsOfDay(),
            let fraction = reader.fraction(), let offset = reader.offset(), reader.isAtEnd
        else { return nil }
        self.init(microseconds: (days * 86_400 + seconds - offset) * 1_000_000 + fraction)
    }
}

private struct RFC3339Reader {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func digits(_ count: Int) -> Int64? {
        guard position + count <= bytes.count else { return nil }
        var number: Int64 = 0
        for _ in 0..<count {
            guard let digit = digit() else { return nil }
            number = number * 10 + digit
        }
        return number
    }

    private mutating func digit() -> Int64? {
        guard position < bytes.count, (0x30...0x39).contains(bytes[position]) else { return nil }
        position += 1
        return Int64(bytes[position - 1] - 0x30)
    }

    /// Days from 1970 to the date.
    mutating func days() -> Int64? {
        guard let year = digits(4), take("-"), let month = digits(2), take("-"), let day = digits(2),
            (1...12).contains(month), day >= 1
        else { return nil }
        let next = month == 12 ? (year + 1, Int64(1)) : (year, month + 1)
        let first = Instant.days(year: year, month: month, day: 1)
        guard day <= Instant.days(year: next.0, month: next.1, day: 1) - first else { return nil }
        return first + day - 1
    }

    mutating func secondsOfDay() -> Int64? {
        guard let hour = digits(2), take(":"), let minute = digits(2), take(":"), let second = digits(2),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    /// Microseconds; 0 if there is no fraction.
    mutating func fraction() -> Int64? {
        guard take(".") else { return 0 }
        guard var number = digit() else { return nil }
        var count = 1
        while let digit = digit() {
            if count < 6 { number = number * 10 + digit }
            count += 1
        }
        for _ in count..<max(count, 6) { number *= 10 }
        return number
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let isWest = take("-")
        guard isWest || take("+"), let hours = digits(2), take(":"), let minutes = digits(2), hours < 24,
            minutes < 60
        else { return nil }
        return (hours * 3600 + minutes * 60) * (isWest ? -1 : 1)
    }
}
