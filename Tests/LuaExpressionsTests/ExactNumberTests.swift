import Ports
import Testing
import Values

@testable import LuaExpressions

/// A number is the number that it is, whatever Lua's own numbers could hold of it.
@Suite("Exact numbers")
struct ExactNumberTests {
    private static func scope(_ numbers: [String: String]) -> MapScope {
        var body = Object()
        for (name, text) in numbers.sorted(by: { $0.key < $1.key }) {
            body[name] = value(text)
        }
        return MapScope(["trigger": ["body": .object(body)]])
    }

    /// As the reader of JSON has it.
    private static func value(_ text: String) -> Value {
        text == "-0" ? .number(text) : Int64(text).map { .int($0) } ?? .number(text)
    }

    private static func evaluate(_ source: String, _ numbers: [String: String]) throws -> Value {
        let scope = scope(numbers)
        let compiled = try Bench.compiler.compileForLua(source, isFast: true)
        let long = try compiled.evaluateInLua(in: scope)
        #expect(try compiled.evaluate(in: scope) == long, "the short way differs: \(source)")
        return long
    }

    static let hostile = [
        "18446744073709551615", "18446744073709551614", "9223372036854775808", "-9223372036854775809",
        "1234567890123.45", "12.50", "12.5", "1.0", "100", "1e2", "1e400", "-0", "0.1", "0.10", "1E+5",
        "123456789012345678901234567890", "3.141592653589793238462643383279", "1e-400",
    ]

    @Test("a number that is passed on, joined or made a text keeps its digits", arguments: hostile)
    func digitsAreKept(text: String) throws {
        let value = Self.value(text)
        #expect(try Self.evaluate("trigger.body.n", ["n": text]) == value)
        #expect(
            try Self.evaluate("{trigger.body.n, {a = trigger.body.n}}", ["n": text]) == [value, ["a": value]])
        for source in [
            "'k-' .. trigger.body.n", "'k-' .. tostring(trigger.body.n)",
            "string.format('k-%s', trigger.body.n)",
            "(('x'):gsub('x', 'k-') .. ('x'):gsub('x', trigger.body.n))",
            "(('x'):gsub('x', function() return 'k-' .. trigger.body.n end))",
            "table.concat({'k-', trigger.body.n})",
        ] {
            #expect(try Self.evaluate(source, ["n": text]) == .string("k-" + text), "\(source)")
        }
    }

    @Test("two numbers are equal if they are the same number, and never else")
    func comparisonsAreExact() throws {
        for left in Self.hostile {
            for right in Self.hostile {
                let numbers = ["a": left, "b": right]
                let first = DecimalNumber(text: left)
                let second = DecimalNumber(text: right)
                for (source, expected) in [
                    ("trigger.body.a == trigger.body.b", first == second),
                    ("trigger.body.a ~= trigger.body.b", first != second),
                    ("trigger.body.a < trigger.body.b", first < second),
                    ("trigger.body.a <= trigger.body.b", first < second || first == second),
                    ("trigger.body.a in [trigger.body.b]", first == second),
                ] {
                    #expect(
                        try Self.evaluate(source, numbers) == .bool(expected), "\(left) \(source) \(right)")
                }
            }
        }
    }

    @Test(
        "what is computed is computed",
        arguments: [
            ("12.50 + 0", "12.5"), ("trigger.body.price * 2", "25"), ("trigger.body.price + 0.25", "12.75"),
            ("-trigger.body.price", "-12.5"), ("trigger.body.price // 1", "12"), ("2 ^ 10", "1024"),
            ("7 - 2 - 1", "4"), ("2 * 3 + 4 * 5 - 6 // 4", "25"), ("1 + (('a'):gsub('a', 'b') and 1)", "2"),
            ("(function() local s = 0 for i = 1, trigger.body.price do s = s + i end return s end)()", "78"),
            ("math.floor(trigger.body.price)", "12"), ("trigger.body.price % 5", "2.5"),
            ("9007199254740993 + 1", "9007199254740994"), ("#'abc' + 1", "4"), ("-2 ^ 2", "-4"),
        ])
    func results(source: String, expected: String) throws {
        let value = try Self.evaluate(source, ["price": "12.50"])
        #expect(value.text == expected)
    }

    @Test(
        "a result that does not fit is an error, and neither wrapped nor guessed",
        arguments: [
            ("math.maxinteger + 1", "overflow"), ("math.mininteger - 1", "overflow"),
            ("math.maxinteger * 2", "overflow"), ("-math.mininteger", "overflow"),
            ("math.mininteger // -1", "overflow"), ("1 + 2 + math.maxinteger", "overflow"),
            ("trigger.body.id + 1", "more digits than can be computed with"),
            ("trigger.body.huge / 2", "too large to compute with"),
            ("0x1ffffffffffffffff", "does not fit 64 bits"),
            ("trigger.body.none + 1", "arithmetic on a nil value (field 'none')"),
            ("1 < {}", "compare"), ("1 // 0", "divide by zero"), ("1 + 'x'", "arithmetic on a"),
            ("'a' .. {}", "concatenate a table value"),
        ])
    func refusals(source: String, expected: String) throws {
        let message = try Bench.raised(source, Self.scope(["id": "18446744073709551615", "huge": "1e400"]))
        #expect(message.contains(expected), "\(message)")
    }

    @Test("the least of all floats leaves an expression, and nothing ends the process")
    func leastInteger() throws {
        #expect(try Self.evaluate("-(2 ^ 63)", [:]) == .number("-9.223372036854776e+18"))
        #expect(Value(double: -9_223_372_036_854_775_808)?.text == "-9.223372036854776e+18")
    }

    @Test("only the first of several values is an operand")
    func operandsAreOneValue() throws {
        #expect(try Self.evaluate("'x' .. ('aba'):gsub('a', 'c')", [:]) == "xcbc")
        #expect(try Self.evaluate("(function(...) return 'a' .. ... end)('b', 'c')", [:]) == "ab")
    }

    @Test("long chains of operators compile and compute")
    func longChains() throws {
        let sum = (1...500).map { "\($0)" }.joined(separator: " + ")
        #expect(try Self.evaluate(sum, [:]) == 125_250)
        let text = (1...150).map { "'\($0 % 10)'" }.joined(separator: " .. ")
        #expect(try Self.evaluate(text, [:]).text.utf8.count == 150)
    }

    @Test("amounts are exact at any size, and no currency is guessed")
    func money() throws {
        #expect(
            try Self.evaluate(
                "{money.to_minor(99999999999999.99), money.to_minor('99999999999999.99'), "
                    + "money.to_minor(trigger.body.v), money.to_minor(trigger.body.w), money.to_minor(1e3)}",
                ["v": "99999999999999.99", "w": "12.50"])
                == [9_999_999_999_999_999, 9_999_999_999_999_999, 9_999_999_999_999_999, 1250, 100_000])
        #expect(try Bench.raised("money.to_minor('500', 'JPN')").contains("JPN"))
        #expect(try Bench.raised("money.from_minor(500, 'EURO')").contains("currency"))
        #expect(try Self.evaluate("money.to_minor('500', 'JPY')", [:]) == 500)
    }

    @Test("names of the engine's own operators cannot be used")
    func ownNamesAreRefused() {
        #expect(Bench.problem("__exact_add(1, 2)") != nil)
    }

    @Test("a whole number that JSON writes with a point is a position in a list")
    func wholeDecimals() throws {
        let scope = MapScope(["trigger": ["list": ["a", "b"], "two": .number("2.0"), "e": .number("1e0")]])
        let table: [(String, Value)] = [
            ("trigger.list[trigger.two]", "b"), ("trigger.list[trigger.e]", "a"),
            ("trigger.list[trigger.two + 0.5]", nil), ("math.tointeger(trigger.two)", 2),
        ]
        for (source, expected) in table {
            #expect(try Bench.evaluate(source, scope) == expected, "\(source)")
        }
        #expect(try Bench.raised("math.abs(math.mininteger)").contains("integer overflow"))
    }

    @Test("string.format keeps all digits of large integers")
    func formatsIntegers() throws {
        let table: [(String, Value)] = [
            ("string.format('%.2f', 9007199254740993)", "9007199254740993.00"),
            ("string.format('%.0f', math.mininteger)", "-9223372036854775808"),
            ("string.format('%+08.1f', 7)", "+00007.0"), ("string.format('%-6.1f|', 0)", "0.0   |"),
            ("string.format('%.1f', '9007199254740993')", "9007199254740993.0"),
        ]
        for (source, expected) in table { #expect(try Bench.evaluate(source) == expected, "\(source)") }
    }

    @Test("a list of decimals is sorted")
    func sortsDecimals() throws {
        let list = Value.array((0..<100).map { .number("\(($0 * 37) % 100).50") })
        let source = """
            local t = {}
            for i, n in ipairs(trigger.list) do t[i] = n end
            table.sort(t)
            for i = 2, #t do if t[i] < t[i - 1] then return i end end
            return #t
            """
        #expect(try Bench.evaluate(source, MapScope(["trigger": ["list": list]])) == 100)
    }
}
