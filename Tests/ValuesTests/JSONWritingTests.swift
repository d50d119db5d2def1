import TestSupport
import Testing
import Values

@Suite("JSON: writing")
struct JSONWritingTests {
    @Test("Control characters, quotes and backslashes are escaped, all else is kept")
    func escapes() {
        let text = "a\"b\\c/\u{0}\u{1}\u{8}\u{9}\u{A}\u{C}\u{D}\u{1F}\u{7F}é😀"
        #expect(
            JSON.text(.string(text))
                == #""a\"b\\c/\u0000\u0001\b\t\n\f\r\u001f"# + "\u{7F}é😀\"")
    }

    @Test("Integers are written in full", arguments: [0, 7, -7, 10, 99, 100, 1 << 53, .max, .min] as [Int64])
    func integers(number: Int64) {
        #expect(JSON.text(.int(number)) == String(number))
    }

    @Test("Pretty text indents by two spaces and keeps empty lists and maps short")
    func pretty() {
        let value: Value = ["a": [1, ["b": nil]], "c": [], "d": [:]]
        let expected = """
            {
              "a": [
                1,
                {
                  "b": null
                }
              ],
              "c": [],
              "d": {}
            }
            """
        #expect(JSON.prettyText(value) == expected)
    }

    @Test("Whatever is written is read as the same value", arguments: 0..<8)
    func roundTrip(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<100 {
            let value = random.value(depth: 5)
            try #expect(JSON.parse(JSON.bytes(value)) == value)
            try #expect(JSON.parse(JSON.prettyText(value)) == value)
            try #expect(JSON.text(JSON.parse(JSON.text(value))) == JSON.text(value))
        }
    }

    @Test("A text cut anywhere, or with one byte changed, is read or refused and never worse")
    func damagedTexts() throws {
        var random = SeededRandom(seed: 99)
        for _ in 0..<20 {
            let bytes = JSON.bytes(random.value(depth: 4))
            for end in 0..<min(bytes.count, 200) { _ = try? JSON.parse(Array(bytes[..<end])) }
            for position in 0..<min(bytes.count, 200) {
                var damaged = bytes
                damaged[position] = UInt8(truncatingIfNeeded: random.next())
                if let value = try? JSON.parse(damaged) {
                    try #expect(JSON.parse(JSON.bytes(value)) == value)
                }
            }
        }
    }
}

/// Random values.
extension SeededRandom {
    mutating func text() -> String {
        let alphabet: [Character] = [
            "a", "Z", "\"", "\\", "\n", "\u{0}", "\u{1F}", "é", "😀", " ", "/", "\u{2028}",
        ]
        return String(
            (0..<Int.random(in: 0...24, using: &self)).map { _ in alphabet.randomElement(using: &self) ?? "a"
            })
    }

    mutating func value(depth: Int) -> Value {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &self) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2: return .int(Int64(bitPattern: next()) >> Int64.random(in: 0..<64, using: &self))
        case 3:
            return .number(
                ["1.5", "-0", "1e400", "99999999999999999999"].randomElement(using: &self) ?? "0.1")
        case 4: return .string(text())
        case 5, 6:
            return .array((0..<Int.random(in: 0...5, using: &self)).map { _ in value(depth: depth - 1) })
        default:
            var object = Object()
            for _ in 0..<Int.random(in: 0...20, using: &self) { object[text()] = value(depth: depth - 2) }
            return .object(object)
        }
    }
}
