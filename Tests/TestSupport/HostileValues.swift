package import Ports
package import Values

/// Values and texts as a hostile or careless sender makes them.
package struct HostileValues {
    private var random: SeededRandom

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private static let texts = [
        "", " ", "~", "~\"AA==\"", "\"", "\\", "\u{0}", "\u{7F}", "\u{FFFD}", "\u{FEFF}", "\u{2028}", "é",
        "e\u{301}", "😀",
        "base64", "{\"base64\":\"AA==\"}", "null", "1e400", "__proto__", "[]", "a[]", "a", "<< secrets.X >>",
        "NaN",
        String(repeating: "x", count: 300),
    ]
    private static let numbers: [Value] = [
        0, .int(.max), .int(.min), .number("-0"), .number("12.50"), .number("1e400"), .number("1E-999"),
        .number("123456789012345678901234567890"), .int(9_007_199_254_740_993),
    ]

    private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    package mutating func text() -> String { Self.texts[below(Self.texts.count)] }

    package mutating func bytes() -> [UInt8] {
        (0..<below(12)).map { _ in UInt8(truncatingIfNeeded: below(256)) }
    }

    /// With bytes where JSON has none, if `mayHoldBytes`.
    package mutating func value(depth: Int = 0, mayHoldBytes: Bool = false) -> Value {
        switch below(depth > 3 ? 5 : 8) {
        case 0: return nil
        case 1: return .bool(below(2) == 0)
        case 2: return Self.numbers[below(Self.numbers.count)]
        case 3: return .string(text())
        case 4: return mayHoldBytes ? Value(bytes: bytes()) : .string(text())
        case 5:
            return .array((0..<below(4)).map { _ in value(depth: depth + 1, mayHoldBytes: mayHoldBytes) })
        default:
            var object = Object()
            for _ in 0..<below(below(9) == 0 ? 40 : 4) {
                object[text() + String(below(3))] = value(depth: depth + 1, mayHoldBytes: mayHoldBytes)
            }
            return .object(object)
        }
    }

    /// JSON about as deep as is read, one level around it.
    package mutating func deepJSON() -> [UInt8] {
        let levels = JSON.depthMax - below(3)
        let isList = below(2) == 0
        let (open, close) = isList ? ("[", "]") : ("{\"a\":", "}")
        let inner = isList ? "" : "1"
        return Array(
            (String(repeating: open, count: levels) + inner + String(repeating: close, count: levels)).utf8)
    }

    /// A body with its content type.
    package mutating func body() -> (type: String?, bytes: [UInt8]) {
        switch below(8) {
        case 0: (nil, bytes())
        case 1: ("application/json", deepJSON())
        case 2: ("application/json", Array("\u{FEFF}{\"a\\ud83d\":\"\\udc00\\u0000\"}".utf8))
        case 3: ("application/x-www-form-urlencoded", Array("a=1&a=%FF&b[]=%00&=&a%5B%5D=x".utf8))
        case 4:
            (
                "multipart/form-data; boundary=X",
                Array("--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n".utf8)
                    + bytes()
                    + Array("\r\n--X--".utf8)
            )
        case 5: ("text/plain; charset=iso-8859-1", bytes())
        case 6: ("image/png", bytes())
        default: ("application/json", JSON.bytes(value()))
        }
    }

    package mutating func pairs() -> [(name: String, value: String)] {
        (0..<below(6)).map { _ in (["a", "a", "b[]", text()][below(4)], text()) }
    }

    package mutating func headers() -> [HTTPHeader] { pairs().map { HTTPHeader("x-\(below(2))", $0.value) } }
}
