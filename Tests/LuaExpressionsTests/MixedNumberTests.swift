import Ports
import TestSupport
import Testing
import Values

@testable import LuaExpressions

/// Whole numbers beside floats and decimals: the exact result, or an error that says so.
@Suite("Numbers of different kinds")
struct MixedNumberTests {
    /// What an operator must give.
    private enum Expected: Equatable {
        case whole(Int64)
        case float(Double)
        /// The result does not fit 64 bits.
        case overflow
        /// A float does not hold all digits of an operand.
        case inexact
        case division
    }

    private static func isExact(_ whole: Int64) -> Bool { Int64(exactly: Double(whole)) == whole }

    private static func wholes(_ operation: String, _ left: Int64, _ right: Int64) -> Expected {
        let (a, b) = (Int128(left), Int128(right))
        var exact: Int128
        switch operation {
        case "+": exact = a + b
        case "-": exact = a - b
        case "*": exact = a * b
        case "/", "^":
            guard isExact(left), isExact(right) else { return .inexact }
            return .float(operation == "/" ? Double(left) / Double(right) : Double(left))
        default:
            guard b != 0 else { return .division }
            let (quotient, rest) = a.quotientAndRemainder(dividingBy: b)
            let isBelow = rest != 0 && (rest < 0) != (b < 0)
            exact = operation == "//" ? quotient - (isBelow ? 1 : 0) : isBelow ? rest + b : rest
        }
        return Int64(exactly: exact).map { .whole($0) } ?? .overflow
    }

    private static func mixed(_ operation: String, _ left: Double, _ right: Double) -> Expected {
        switch operation {
        case "+": return .float(left + right)
        case "-": return .float(left - right)
        case "*": return .float(left * right)
        case "/": return .float(left / right)
        case "//": return .float((left / right).rounded(.down))
        default: return .float(left)
        }
    }

    private func outcome(_ source: String, _ scope: MapScope) throws -> Expected {
        do {
            let value = try Bench.evaluate(source, scope)
            if case .int(let whole) = value { return .whole(whole) }
            return .float(value.double ?? .nan)
        } catch ExpressionFailure.raised(let message) {
            if message.contains("overflow") { return .overflow }
            if message.contains("divide by zero") || message.contains("n%%0") { return .division }
            #expect(message.contains("more digits than a float"), "\(source): \(message)")
            return .inexact
        }
    }

    private static func whole(using random: inout SeededRandom) -> Int64 {
        let bits = Int.random(in: 1...63, using: &random)
        let number = Int64.random(in: 0...(Int64.max >> (63 - Int64(bits))), using: &random)
        return Bool.random(using: &random) ? number : -number
    }

    @Test("each operator on two whole numbers gives the exact result, or an error")
    func wholeNumbers() throws {
        var random = SeededRandom(seed: 11)
        for _ in 0..<1_500 {
            let operation = ["+", "-", "*", "/", "//", "%"].randomElement(using: &random) ?? "+"
            let (left, right) = (Self.whole(using: &random), Self.whole(using: &random))
            if operation == "/", right == 0 { continue }
            let expected = Self.wholes(operation, left, right)
            // In a chain another function computes.
            for source in ["a \(operation) b", "a \(operation) b + 0"] {
                let found = try outcome(source, MapScope(["a": .int(left), "b": .int(right)]))
                #expect(matches(found, expected), "\(source) with \(left) and \(right): \(found)")
            }
        }
    }

    /// A float that is whole may come back as a whole number.
    private func matches(_ found: Expected, _ expected: Expected) -> Bool {
        if case .float(let number) = expected, case .whole(let whole) = found {
            return Double(whole) == number
        }
        return found == expected
    }

    @Test("a whole number beside a float is exact, or an error")
    func wholeBesideFloat() throws {
        var random = SeededRandom(seed: 12)
        for _ in 0..<1_000 {
            let operation = ["+", "-", "*", "/", "//"].randomElement(using: &random) ?? "+"
            let whole = Self.whole(using: &random)
            let float = Double(Int.random(in: 1...1_000_000, using: &random)) + 0.5
            let isExact = Self.isExact(whole)
            let scope = MapScope(["a": .int(whole)])
            let left = isExact ? Self.mixed(operation, Double(whole), float) : .inexact
            var found = try outcome("a \(operation) \(float)", scope)
            #expect(matches(found, left), "\(whole) \(operation) \(float): \(found)")
            if whole == 0 { continue }
            let right = isExact ? Self.mixed(operation, float, Double(whole)) : .inexact
            found = try outcome("\(float) \(operation) a", scope)
            #expect(matches(found, right), "\(float) \(operation) \(whole): \(found)")
        }
    }

    static let results: [(String, Value)] = [
        ("math.floor(1234567890123456789.5)", .int(1_234_567_890_123_456_789)),
        ("math.ceil(1234567890123456789.5)", .int(1_234_567_890_123_456_790)),
        ("math.floor(-1234567890123456789.5)", .int(-1_234_567_890_123_456_790)),
        ("math.ceil(-1234567890123456789.5)", .int(-1_234_567_890_123_456_789)),
        ("math.floor('99999999999999999999.9')", .number("99999999999999999999")),
        ("math.ceil('99999999999999999999.9')", .number("100000000000000000000")),
        ("math.ceil(-0.00000000000000000001)", .int(0)), ("math.floor('1e3')", .int(1000)),
        ("math.floor(x)", .int(12)), ("math.ceil(x)", .int(13)), ("math.floor(1e300) == 1e300", true),
        ("math.max(123456789012345678901, 1)", .number("123456789012345678901")),
        ("math.min(123456789012345678902, 123456789012345678901, 1e30)", .number("123456789012345678901")),
        ("math.max(9007199254740993, 9007199254740992.0)", .int(9_007_199_254_740_993)),
        ("math.tointeger(9007199254740993.0)", .int(9_007_199_254_740_993)),
        ("math.tointeger(123456789012345678901)", .null), ("math.tointeger(x)", .null),
        ("math.type(x)", "decimal"), ("math.type(123456789012345678901)", "decimal"),
        ("math.type(12.5)", "float"),
        ("string.format('%.2f', '2.675')", "2.68"), ("string.format('%.2f', 2.675)", "2.68"),
        ("string.format('%.2f', 2.665)", "2.66"), ("string.format('%.2f', 1.005)", "1.00"),
        ("string.format('%.1f', x)", "12.5"), ("string.format('%.0f', 2.5)", "2"),
        ("string.format('%.3f', 1e-7)", "0.000"), ("string.format('%.2f', -0.125)", "-0.12"),
        ("string.format('%.20f', 0.5)", "0.50000000000000000000"),
        ("string.format('%.2f', 1e20)", "100000000000000000000.00"),
        ("2 ^ 10", .int(1024)), ("-2 ^ 2", .int(-4)), ("2 ^ 3 ^ 2", .int(512)), ("2 ^ -1", .number("0.5")),
        ("7 % 3 .. ''", "1"), ("7 / 2 * 2", .int(7)), ("-7 % 3", .int(2)), ("7.5 % 2", .number("1.5")),
    ]

    @Test(
        "functions keep all digits, and a tie goes to the even digit of the number as it is written",
        arguments: results)
    func functions(source: String, expected: Value) throws {
        let value = try Bench.evaluate(source, MapScope(["x": .number("12.50")]))
        #expect(
            value == expected || value.double == expected.double && value.double != nil, "\(source): \(value)"
        )
    }

    @Test(
        "what cannot be exact is an error that says what to do",
        arguments: [
            ("9007199254740993 ^ 1", "more digits than a float"),
            ("math.fmod(9007199254740993, 2.0)", "more digits than a float"),
            ("money.from_minor(123456789012345678901, 'EUR')", "does not fit 64 bits"),
            ("money.from_minor(1.5, 'EUR')", "must be a whole number"),
        ])
    func errors(source: String, message: String) throws {
        #expect(try Bench.raised(source).contains(message))
    }
}
