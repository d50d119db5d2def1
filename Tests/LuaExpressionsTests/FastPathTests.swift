import Ports
import Testing
import Values

@testable import LuaExpressions

/// A repeatable source of choices.
struct Choices {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func below(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state >> 11) % bound
    }

    mutating func pick<Item>(_ items: [Item]) -> Item { items[below(items.count)] }
}

@Suite("The way without Lua")
struct FastPathTests {
    private static let names = ["a", "b", "c", "n"]
    private static let scalars: [Value] = [
        nil, true, false, 0, 1, -1, 7, .number("7.0"), .int(9_007_199_254_740_993), .int(.max), .int(.min),
        .number("1.0"), .number("1.5"), .number("-0"),
        .number("12.50"), .number("9007199254740993.0"), .number("9223372036854775808"),
        .number("-9223372036854775809"), .number("1e400"), .number("1e-400"), "", "a", "1", "é", "e\u{301}",
    ]

    private func document(_ choices: inout Choices, depth: Int) -> Value {
        switch choices.below(depth <= 0 ? 4 : 7) {
        case 4: return .array((0..<choices.below(4)).map { _ in document(&choices, depth: depth - 1) })
        case 5, 6:
            var object = Object()
            for name in Self.names where choices.below(3) > 0 {
                object[name] = document(&choices, depth: depth - 1)
            }
            return .object(object)
        default: return choices.pick(Self.scalars)
        }
    }

    private func path(_ choices: inout Choices) -> String {
        var path = choices.pick(["trigger", "trigger", "steps", "vars", "secrets", "unknown", "item"])
        for _ in 0..<choices.below(5) {
            path += choices.pick([
                ".a", ".b", "['c']", "[\"n\"]", "[1]", "[2]", "[0]", ".n", "['1']", ".upper",
            ])
        }
        return path
    }

    private func expression(_ choices: inout Choices, depth: Int) -> String {
        func operand() -> String { expression(&choices, depth: depth - 1) }
        switch choices.below(depth <= 0 ? 5 : 10) {
        case 0:
            return choices.pick([
                "1", "0", "7", "1.5", "1.0", "10.0", "9007199254740993", "'a'", "\"1\"", "''",
            ])
        case 1: return choices.pick(["true", "false", "nil", "null", "'é'"])
        case 5: return "\(operand()) and \(operand())"
        case 6: return "\(operand()) or \(operand())"
        case 7: return "not \(operand())"
        case 8: return "(\(operand()))"
        case 9: return "\(operand()) \(choices.pick(["==", "!=", "~=", "<", "<=", ">", ">="])) \(operand())"
        default: return path(&choices)
        }
    }

    private enum Outcome: Equatable {
        case value(String)
        case failure(ExpressionFailure)
    }

    private func outcome(_ body: () throws(ExpressionFailure) -> Value) -> Outcome {
        do throws(ExpressionFailure) { return .value(JSON.text(try body())) } catch { return .failure(error) }
    }

    /// Goal: the short way is never seen, neither in values nor in errors.
    @Test("gives what Lua gives, for generated expressions and documents", arguments: 0..<8)
    func agreesWithLua(seed: Int) throws {
        var choices = Choices(seed: UInt64(seed + 1))
        var shortCount = 0
        for _ in 0..<500 {
            let scope = MapScope(
                [
                    "trigger": document(&choices, depth: 3), "steps": document(&choices, depth: 3),
                    "vars": document(&choices, depth: 1), "item": choices.pick(Self.scalars),
                ], secrets: ["a": "k", "n": "7"])
            for _ in 0..<4 {
                let source = expression(&choices, depth: 3)
                let compiled = try Bench.compiler.compileForLua(source, isFast: true)
                let short = outcome { () throws(ExpressionFailure) in try compiled.evaluate(in: scope) }
                let long = outcome { () throws(ExpressionFailure) in try compiled.evaluateInLua(in: scope) }
                #expect(short == long, "\(source) in \(JSON.text(.object(scope.members)))")
                if FastParser.parse(try Dialect(source, limits: .standard).tokens)?.evaluate(in: scope) != nil
                {
                    shortCount += 1
                }
            }
        }
        #expect(shortCount > 500, "the generator must reach the short way")
    }

    @Test("compares every pair of scalars as Lua does", arguments: ["==", "!=", "<", "<=", ">", ">="])
    func comparesAsLua(operation: String) throws {
        let compiled = try Bench.compiler.compileForLua("a.x \(operation) b.x", isFast: true)
        for left in Self.scalars {
            for right in Self.scalars {
                let scope = MapScope(["a": ["x": left], "b": ["x": right]])
                let short = outcome { () throws(ExpressionFailure) in try compiled.evaluate(in: scope) }
                let long = outcome { () throws(ExpressionFailure) in try compiled.evaluateInLua(in: scope) }
                #expect(short == long, "\(left) \(operation) \(right)")
            }
        }
    }

    static let covered = [
        "steps.a.response.body.x", "trigger.headers['k']",
        "steps.a.outcome == 'succeeded' and trigger.body.n > 3",
        "not (vars.x != null)", "'text'", "42", "trigger.items[1].id == 7 or false",
    ]

    @Test("covers what guards mostly are", arguments: covered)
    func covers(source: String) throws {
        #expect(FastParser.parse(try Dialect(source, limits: .standard).tokens) != nil)
    }

    static let leftToLua = [
        "a.b()", "a + 1", "#a", "len(a)", "string.upper", "a.b:c()", "a 'x'", "a {}", "('a').b", "{}", "-1",
        "'\\n'",
        "a[b]", "a.if", "x in [1]", "return 1", "0x10", "1e5", "a..b", "[[a]]",
    ]

    @Test("leaves the rest to Lua", arguments: leftToLua)
    func leavesToLua(source: String) throws {
        #expect(FastParser.parse(try Dialect(source, limits: .standard).tokens) == nil)
    }

    @Test("texts that only look the same are different, on both ways, also inside of lists and maps")
    func comparesBytes() throws {
        let scope = MapScope(["a": "\u{E9}", "b": "e\u{301}", "la": ["\u{E9}"], "lb": ["e\u{301}"]])
        for source in ["a == b", "(a == b) == true", "la == lb", "a in [b]"] {
            #expect(try Bench.evaluate(source, scope) == false, "\(source)")
        }
        #expect(try Bench.evaluate("a ~= b", scope) == true)
    }
}
