import Values

/// RFC 3339 date-times.
enum Timestamp {
    /// Seconds since 1970, rounded down; nil for anything but a full date-time with an offset.
    static func seconds(_ text: String) -> Int64? {
        var reader = Reader(bytes: Array(text.utf8))
        guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), reader.take("-"),
            let day = reader.digits(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), reader.take(":"), let minute = reader.digits(2), reader.take(":"),
            let second = reader.digits(2), reader.fraction(), let offset = reader.offset(), reader.isAtEnd
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= daysInMonth(month, of: year), hour < 24, minute < 60,
            second <= 60
        else { return nil }
        // A leap second is the second after it, as in Unix time.
        let days = Instant.days(year: year, month: month, day: day)
        return days * 86_400 + hour * 3600 + minute * 60 + second - offset
    }

    private static func daysInMonth(_ month: Int64, of year: Int64) -> Int64 {
        let next = month == 12 ? (year + 1, Int64(1)) : (year, month + 1)
        return Instant.days(year: next.0, month: next.1, day: 1)
            - Instant.days(year: year, month: month, day: 1)
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        mutating func digits(_ count: Int) -> Int64? {
            guard position + count <= bytes.count else { return nil }
            var number: Int64 = 0
            for _ in 0..<count {
                guard SourceLexer.isDigit(bytes[position]) else { return nil }
                number = number * 10 + Int64(bytes[position] - UInt8(ascii: "0"))
                position += 1
            }
            return number
        }

        mutating func fraction() -> Bool {
            guard take(".") else { return true }
            let start = position
            while position < bytes.count, SourceLexer.isDigit(bytes[position]) { position += 1 }
            return position > start
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
}
