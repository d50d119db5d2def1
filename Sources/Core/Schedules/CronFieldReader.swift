/// Parses one field of a cron expression, in lower case.
struct CronFieldReader {
    let field: CronProblem.Field
    let bytes: [UInt8]
    /// The offset of the field in the whole text.
    let offset: Int
    private var position = 0

    init(field: CronProblem.Field, bytes: [UInt8], offset: Int) {
        self.field = field
        self.bytes = bytes
        self.offset = offset
    }

    /// One bit for each matching number.
    mutating func set() throws(CronProblem) -> UInt64 {
        var set: UInt64 = 0
        repeat { set |= try item() } while take(",")
        guard position == bytes.count else { throw problem("has something unexpected in it") }
        return set
    }

    private mutating func item() throws(CronProblem) -> UInt64 {
        let (first, last) = try range()
        var step = 1
        if take("/") {
            guard let number = number(), number >= 1 else {
                throw problem("has a step that is not at least 1")
            }
            step = number
        }
        return stride(from: first, through: last, by: step).reduce(0) { $0 | 1 << UInt64($1) }
    }

    private mutating func range() throws(CronProblem) -> (Int, Int) {
        let bounds = field.bounds
        // 7 is Sunday again, so `*` and an open step end at Saturday.
        let last = field == .dayOfWeek ? 6 : bounds.upperBound
        if take("*") { return (bounds.lowerBound, last) }
        let first = try value()
        guard take("-") else {
            let isOpen = position < bytes.count && bytes[position] == UInt8(ascii: "/")
            return (first, isOpen ? max(first, last) : first)
        }
        var end = try value()
        // As in `fri-sun`.
        if field == .dayOfWeek, end == 0, first > 0 { end = 7 }
        guard first <= end else { throw problem("has a range that ends before it begins") }
        return (first, end)
    }

    private mutating func value() throws(CronProblem) -> Int {
        let bounds = field.bounds
        if let number = number() {
            if bounds.contains(number) { return number }
        } else if position + 3 <= bytes.count {
            let name = String(decoding: bytes[position..<position + 3], as: UTF8.self)
            if let index = field.names.firstIndex(of: name) {
                position += 3
                return bounds.lowerBound + index
            }
        }
        let names = field.names
        let words = names.first.flatMap { first in names.last.map { " or \(first) to \($0)" } } ?? ""
        throw problem("takes \(bounds.lowerBound) to \(bounds.upperBound)\(words)")
    }

    /// Up to four digits; longer numbers are valid in no field.
    private mutating func number() -> Int? {
        var number = 0
        let start = position
        while position < bytes.count, position - start < 4, (0x30...0x39).contains(bytes[position]) {
            number = number * 10 + Int(bytes[position] - 0x30)
            position += 1
        }
        return position == start ? nil : number
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private func problem(_ what: String) -> CronProblem {
        let text = String(decoding: bytes.prefix(40), as: UTF8.self)
        return CronProblem(
            field: field, message: "the \(field.rawValue) \(what): \"\(text)\"", offset: offset + position)
    }
}
