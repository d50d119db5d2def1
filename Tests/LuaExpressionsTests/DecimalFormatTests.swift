import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("Decimals in string.format")
struct DecimalFormatTests {
    static let table: [(format: String, number: String, expected: String)] = [
        ("%d", "18446744073709551615", "18446744073709551615"), ("%d", "12.00", "12"), ("%d", "1.0e2", "100"),
        ("%d", "-18446744073709551615", "-18446744073709551615"), ("%d", "1e20", "100000000000000000000"),
        ("%i", "12345678901234567890", "12345678901234567890"), ("%d", "-0", "0"), ("%d", "0.00", "0"),
        ("%+d|%25d|%-25d|%025d", "18446744073709551615", ""),
        ("%.2f", "12.50", "12.50"), ("%.2f", "1234567890123456.785", "1234567890123456.78"),
        ("%.2f", "1234567890123456.775", "1234567890123456.78"),
        ("%.2f", "1234567890123456.7750000001", "1234567890123456.78"),
        ("%.2f", "1234567890123456.7650000001", "1234567890123456.77"),
        ("%.0f", "2.50", "2"), ("%.0f", "3.50", "4"), ("%.0f", "0.50", "0"), ("%.0f", "0.510", "1"),
        ("%.1f", "99.950", "100.0"), ("%.1f", "9.9500000000000000000001", "10.0"), ("%.2f", "0.0010", "0.00"),
        ("%.2f", "-0.0010", "-0.00"), ("%.3f", "1e-400", "0.000"), ("%f", "12.50", "12.500000"),
        ("%.20f", "0.10", "0.10000000000000000000"), ("%#.0f", "12.50", "12."),
        ("%9.2f", "-12.50", "   -12.50"),
        ("%-9.2f|", "12.50", "12.50    |"), ("%09.2f", "-12.50", "-00012.50"), ("% .1f", "12.50", " 12.5"),
        ("%.3d", "12.00", "012"), ("%06.3d", "12.00", "   012"), ("%.0d", "0.00", ""),
        ("%s", "12.50", "12.50"),
    ]

    private func format(_ format: String, _ number: String) throws -> Value {
        let scope = MapScope(["n": .number(number), "t": .string(number), "f": .string(format)])
        return try Bench.evaluate("string.format(f, n)", scope)
    }

    @Test("keep their digits and round half to even", arguments: table)
    func keepsDigits(format: String, number: String, expected: String) throws {
        guard !format.contains("|%25") else {
            let n = number
            let wide = "+\(n)|     \(n)|\(n)     |00000\(n)"
            let scope = MapScope(["n": .number(n), "f": .string(format)])
            #expect(try Bench.evaluate("string.format(f, n, n, n, n)", scope) == .string(wide))
            return
        }
        #expect(try self.format(format, number) == .string(expected))
    }

    @Test("a text that spells a decimal is formatted as the decimal")
    func texts() throws {
        #expect(try Bench.evaluate("string.format('%d', '18446744073709551615')") == "18446744073709551615")
        #expect(
            try Bench.evaluate("string.format('%.1f', '1234567890123456789.25')") == "1234567890123456789.2")
    }

    @Test(
        "refuse what has no such text",
        arguments: [
            ("%d", "12.50", "no integer representation"), ("%d", "1e-400", "no integer representation"),
            ("%d", "1e1000", "more than 1000 digits"),
            ("%.2f", "1e999999999999999999999", "more than 1000 digits"),
            ("%x", "18446744073709551615", "more digits than can be computed with"),
        ])
    func refuses(format: String, number: String, expected: String) throws {
        let scope = MapScope(["n": .number(number), "f": .string(format)])
        #expect(try Bench.raised("string.format(f, n)", scope).contains(expected))
    }

    @Test("round as C rounds a float of the same value")
    func roundsAsFloats() throws {
        for eighths in -40...40 {
            // A zero at the end makes a decimal of what would be a float.
            let number = Double(eighths) / 8
            let text = "\(number)0"
            for places in 0...4 {
                let scope = MapScope(["n": .number(text), "x": .number("\(number)")])
                #expect(
                    try Bench.evaluate("string.format('%.\(places)f', n)", scope)
                        == Bench.evaluate("string.format('%.\(places)f', x + 0.0)", scope), "\(text)")
            }
        }
    }
}
