import Ports
import Storage
import Values

/// A request with the key that came with it, and readers for what it carries.
struct Call {
    let request: InboundRequest
    let tenant: Tenant
    let key: APIKey
    /// Answers it; exactly once.
    let respond: @Sendable (InboundResponse) -> Void

    var isOperator: Bool { tenant.tenant == .operatorTenant && key.scope == .full }

    func query(_ name: String) -> String? {
        request.query.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    /// 1 to 200, 50 where nothing is said.
    func limit() throws(Refusal) -> Int {
        guard let text = query("limit") else { return 50 }
        guard let limit = Self.wholeNumber(text), (1...200).contains(limit) else {
            throw Refusal(400, "limit_out_of_range", "limit is a whole number from 1 to 200")
        }
        return Int(limit)
    }

    /// Where the page before ended; nil for the first page.
    func cursor<Position>(_ read: (String) -> Position?) throws(Refusal) -> Position? {
        guard let text = query("cursor") else { return nil }
        guard let position = read(text) else {
            throw Refusal(400, "cursor_malformed", "cursor is what the page before gave as next")
        }
        return position
    }

    /// Digits and nothing else.
    static func wholeNumber(_ text: String) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }

    func instant(_ name: String) throws(Refusal) -> Instant? {
        guard let text = query(name) else { return nil }
        guard let instant = Instant(rfc3339: text) else {
            throw Refusal(400, "time_malformed", "\(name) is a time such as 2026-01-31T09:30:00Z")
        }
        return instant
    }

    /// The body as an object with no other members than `names`.
    func object(_ names: Set<String>) throws(Refusal) -> Object {
        let value: Value
        do throws(JSONProblem) { value = request.body.isEmpty ? [:] : try JSON.parse(request.body) } catch {
            throw Refusal(
                400, "malformed_body", "the body is not JSON: \(error.reason) at byte \(error.offset)")
        }
        guard let object = value.object else {
            throw Refusal(400, "malformed_body", "the body is a JSON object")
        }
        for member in object.members where !names.contains(member.name) {
            throw Refusal(
                422, "unknown_member",
                "the body has no member \"\(member.name)\": known are \(names.sorted().joined(separator: ", "))"
            )
        }
        return object
    }

    /// A text of 1 to `byteCountMax` bytes without control characters.
    static func text(_ object: Object, _ name: String, byteCountMax: Int) throws(Refusal) -> String? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let text = value.string, (1...byteCountMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            throw Refusal(
                422, "member_unfit",
                "\(name) is a text of 1 to \(byteCountMax) bytes without control characters")
        }
        return text
    }

    static func required<T>(_ value: T?, _ name: String) throws(Refusal) -> T {
        guard let value else { throw Refusal(422, "member_missing", "the body lacks \"\(name)\"") }
        return value
    }
}

extension Instant {
    /// `2026-01-31T09:30:00Z`, with or without a fraction, with `Z` or an offset; or `2026-01-31`.
    package init?(rfc3339 text: String) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard bytes.indices.contains(range.lowerBound), range.upperBound <= bytes.count else {
                return nil
            }
            guard bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return Int64(String(decoding: bytes[range], as: UTF8.self))
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), bytes[4] == 0x2D,
            bytes[7] == 0x2D, (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var seconds = Instant.days(year: year, month: month, day: day) * 86_400
        var fraction: Int64 = 0
        if bytes.count > 10 {
            guard bytes.count >= 20, bytes[10] == UInt8(ascii: "T") || bytes[10] == UInt8(ascii: " "),
                let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
                bytes[13] == 0x3A, bytes[16] == 0x3A, hour < 24, minute < 60, second < 61
            else { return nil }
            seconds += hour * 3600 + minute * 60 + second
            var position = 19
            if bytes[position] == UInt8(ascii: ".") {
                let digits = bytes[(position + 1)...].prefix { (0x30...0x39).contains($0) }
                guard (1...9).contains(digits.count) else { return nil }
                let padded =
                    Array(digits.prefix(6)) + [UInt8](repeating: 0x30, count: max(0, 6 - digits.count))
                fraction = Int64(String(decoding: padded, as: UTF8.self)) ?? 0
                position += 1 + digits.count
            }
            let zone = Array(bytes[position...])
            if zone != [UInt8(ascii: "Z")] {
                guard zone.count == 6, zone[0] == UInt8(ascii: "+") || zone[0] == UInt8(ascii: "-"),
                    zone[3] == 0x3A,
                    let hours = number((position + 1)..<(position + 3)),
                    let minutes = number((position + 4)..<(position + 6)), hours < 24, minutes < 60
                else { return nil }
                seconds -= (zone[0] == UInt8(ascii: "+") ? 1 : -1) * (hours * 3600 + minutes * 60)
            }
        }
        self.init(microseconds: seconds * 1_000_000 + fraction)
    }
}
