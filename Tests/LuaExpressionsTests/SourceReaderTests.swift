import Ports
import TestSupport
import Testing
import Values

@testable import LuaExpressions

@Suite("The reader of sources")
struct SourceReaderTests {
    /// A source that was not understood kept Lua's own operators: its sums wrapped.
    static let hard: [(String, Value)] = [
        ("local x <const> = 2 return x + 1", 3), ("local x <const>, y = 1, 2 return x + y", 3),
        ("do local c <close> = nil end return 1 + 1", 2),
        ("for i = 1, 2 do if i == 1 then goto continue end ::continue:: end return 1 + 1", 2),
        ("goto done; do return 1 end ::done:: return 2 + 2", 4), (";;; return 1 + 1;", 2),
        ("local function f(...) local a, b = ... return a + b end return f(1, 2)", 3),
        ("local t = {f = function(self, x) return x + 1 end} return t:f(1) + #t", 2),
        ("local t = {} function t.a(x) return x + 1 end return t.a(1)", 2),
        ("local t = {u = {}} function t.u:m(x) return x + 1 end return t.u:m(1)", 2),
        ("local s = [==[\n]]]==] return s .. '' == ']]'", true),
        ("#[[a]] + ~1 + 7 // 2 + (7 & 3 | 1 ~ 2)", 5),
        ("-- a\r1 + 1", 2), ("1 + --[==[ \r\n ]==] 1", 2), ("'a\\z  \n  b' .. 'c'", "abc"),
        ("'a\\\r\nb' .. ''", "a\nb"),
        ("0x10 + 0xA.8p0 + .5 + 5. + 3e0 + 0x.1p4", 36), ("2^-1 + - - 1", .number("1.5")),
        ("(1 << 4) >> 2", 4),
        ("({1, 2; 3, [4] = 4, n = 5}).n + select('#', ('x'):byte(1, -1))", 6),
        ("local a = {b = {c = function(t) return t[1] end}} return a.b.c{7} + 1", 8),
        ("local f = function(s) return #s end return f'abc' + f[[de]] + f\"f\"", 6),
        ("repeat local done = 1 + 1 == 2 until done return 1 + 1", 2),
        ("local i = 0 while i < 3 do i = i + 1 if i == 2 then break end end return i + 0", 2),
        ("if false then return 1 elseif 1 + 1 == 2 then return 2 + 2 else return 3 end", 4),
        ("local a, b = 1, 2 a, b = b + 0, a return a - b", 1), ("(function(...) return ... end)(1 + 1)", 2),
        ("function() end ~= nil and 1 + 1", 2),
    ]

    @Test("understands every form of Lua", arguments: hard)
    func understands(source: String, expected: Value) throws {
        #expect(try Bench.evaluate(source, MapScope()) == expected)
    }

    @Test("makes the sum of an overflow an error behind every form of Lua", arguments: hard)
    func staysExact(source: String, expected: Value) throws {
        let isChunk = source.contains("return") && !source.hasPrefix("(function")
        let value = isChunk ? "(function() \(source)\n end)()" : "(\(source)\n)"
        let message = try Bench.raised("local v = \(value) return math.maxinteger + 1", MapScope())
        #expect(message.contains("overflow"), "\(message)")
    }

    // MARK: - Generated sources

    private struct Sources {
        var random: SeededRandom

        private mutating func name() -> String { random.pick(["a", "b", "c", "t", "trigger", "null"]) }

        private mutating func assigned() -> String { random.pick(["a", "b", "c", "t"]) }

        private mutating func blank() -> String {
            random.pick([
                " ", " ", " ", "\n", "\t", "\r\n", " --c\n", " --[[x]] ", " --[==[ ]] \n ]==] ", "--c\r",
                " \u{0C}",
            ])
        }

        private mutating func literal() -> String {
            random.pick([
                "1", "0", "0x1F", "0Xa.8P-1", "1e5", "1E+5", "3.", ".5", "0x.8", "1e-3",
                "9223372036854775807",
                "9223372036854775808", "12345678901234567890123", "1e400", "0xffffffffffffffffff", "'s'",
                "\"d\"",
                "'\\n\\x41\\65\\u{48}\\'\\\\'", "'a\\z \n b'", "'a\\\nb'", "[[l]]", "[==[\nx]]]==]", "nil",
                "true",
                "false", "...", "{}",
            ])
        }

        mutating func expression(_ depth: Int) -> String {
            guard depth > 0 else { return random.happens(50) ? literal() : name() }
            let operation = [
                "+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "!=", "<", "<=", ">", ">=", "&", "|",
                "~", "<<",
                ">>", "and", "or",
            ]
            switch random.number(0...11) {
            case 0, 1, 2, 3:
                let (left, right) = (expression(depth - 1), expression(depth - 1))
                return left + blank() + random.pick(operation) + blank() + right
            case 4: return random.pick(["- ", "not ", "#", "~"]) + expression(depth - 1)
            case 5: return "(\(expression(depth - 1)))"
            case 6: return suffixed(depth)
            case 7:
                return "function(\(random.pick(["", "a", "a, b", "...", "a, ..."])))\(block(depth - 1)) end"
            case 8: return table(depth)
            case 9: return "((\(expression(depth - 1))) in [\(expression(depth - 1)), 1])"
            default: return literal()
            }
        }

        private mutating func table(_ depth: Int) -> String {
            let fields = (0..<random.number(0...3)).map { _ in
                switch random.number(0...2) {
                case 0: return "[\(expression(depth - 1))] = \(expression(depth - 1))"
                case 1: return "\(assigned()) = \(expression(depth - 1))"
                default: return expression(depth - 1)
                }
            }
            return
                "{\(fields.joined(separator: random.pick([",", "; "])))\(fields.isEmpty ? "" : random.pick(["", ","]))}"
        }

        private mutating func suffixed(_ depth: Int) -> String {
            var text = random.happens(80) ? assigned() : "(\(expression(depth - 1)))"
            for _ in 0..<random.number(1...3) { text += suffix(depth) }
            return text
        }

        private mutating func suffix(_ depth: Int) -> String {
            switch random.number(0...6) {
            case 0: return ".\(assigned())"
            case 1: return "[\(expression(depth - 1))]"
            case 2: return "['k']"
            case 3: return ":m\(call(depth))"
            default: return call(depth)
            }
        }

        private mutating func call(_ depth: Int) -> String {
            random.pick([
                "()", "(\(expression(depth - 1)))", "(\(expression(depth - 1)), ...)", "'s'", "[[s]]",
                table(depth),
            ])
        }

        mutating func block(_ depth: Int) -> String {
            var text = ""
            for _ in 0..<random.number(0...3) { text += blank() + statement(depth) }
            if random.happens(20) {
                text += " return " + expression(max(0, depth - 1)) + random.pick(["", ";"])
            }
            return text + " "
        }

        mutating func statement(_ depth: Int) -> String {
            guard depth > 0 else { return "local \(assigned()) = \(literal())" }
            let e = expression(depth - 1)
            switch random.number(0...15) {
            case 0: return "local \(assigned()) = \(e)"
            case 1: return "local a <const>, b, c <close> = \(e), nil"
            case 2: return "do\(block(depth - 1))end"
            case 3: return "while \(e) do\(block(depth - 1))end"
            case 4: return "repeat\(block(depth - 1))until \(e)"
            case 5:
                return "if \(e) then\(block(depth - 1))elseif \(e) then\(block(depth - 1))else\(block(0))end"
            case 6: return "for a = \(e), \(expression(depth - 1)), 1 do\(block(depth - 1))end"
            case 7: return "for a, b in \(suffixed(depth)) do\(block(depth - 1))end"
            case 8: return "local function a(\(random.pick(["", "b", "b, ..."])))\(block(depth - 1))end"
            case 9:
                return
                    "local t = {} function t.a.b\(random.pick(["", ":c"]))(\(assigned()))\(block(depth - 1))end"
            case 10: return "local a, t = 1, {} a, t.x, t[\(e)] = \(e), \(expression(depth - 1))"
            case 11: return "do goto l1 local x ::l1:: end"
            case 12: return "while true do break end"
            case 13: return ";"
            case 14: return "local t = {} t:m\(call(depth))"
            default: return "local function f() end f\(call(depth))"
            }
        }
    }

    @Test("understands every source that Lua compiles, and what it makes of it compiles as well")
    func understandsWhatLuaTakes() {
        var sources = Sources(random: SeededRandom(seed: 54))
        var compiledCount = 0
        for turn in 0..<4000 {
            let source =
                turn % 2 == 0
                ? sources.expression(4)
                : (0..<3).map { _ in sources.statement(3) }.joined(separator: "\n") + "\nreturn "
                    + sources.expression(2)
            guard let problem = Bench.problem(source) else {
                compiledCount += 1
                continue
            }
            #expect(!problem.message.contains("Millrace cannot make"), "\(source)")
            #expect(!problem.message.contains("too large"), "\(source)")
        }
        // Labels, attributes and `...` in wrong places are refused by Lua; most must not be.
        #expect(compiledCount > 1500, "\(compiledCount)")
    }

    @Test("a source that this reader does not understand gives nothing")
    func givesNothing() throws {
        for source in [
            "(a", "a.", "local = 1", "if a then", "for in x do end", "{1 2}", "f(", "::a", "a +",
        ] {
            let tokens = try SourceLexer.tokens(of: source)
            #expect(SourceReader.read(tokens, isExpression: true) == nil, "\(source)")
            #expect(SourceReader.read(tokens, isExpression: false) == nil, "\(source)")
        }
    }
}
