import Foundation
import Ports
import TestSupport
import Testing
import Values

@testable import LuaExpressions

/// Generated calls of Lua's functions, here and in the interpreter `lua5.4` that `make setup` installs.
@Suite("Comparison with lua5.4")
struct LuaComparisonTests {
    /// Writes all values of a call as one text: no function of ours shows a float or a byte in another way than Lua.
    static let prelude = """
        local function show(...) local out = select('#', ...) .. ':' for i = 1, select('#', ...) do \
        local v = (select(i, ...)) local k = type(v) \
        if k == 'number' then k = math.type(v) or 'decimal' end \
        if k == 'integer' then v = string.format('%d', v) \
        elseif k == 'float' then v = string.format('%.17g', v) \
        elseif k == 'table' then local s = '' for j = 1, #v do s = s .. tostring(v[j]) .. ',' end v = s \
        else v = tostring(v) end out = out .. k .. ' ' .. v .. ';' end return out end return show
        """

    /// What is meant to differ: see `docs/lua-differences.md`.
    static let differences: [(source: String, lua: String, ours: String)] = [
        ("math.maxinteger + 1", "1:integer -9223372036854775808;", "error"),
        ("math.mininteger // -1", "1:integer -9223372036854775808;", "error"),
        ("-math.mininteger", "1:integer -9223372036854775808;", "error"),
        ("0.1 + 0.2 .. ''", "1:string 0.3;", "1:string 0.30000000000000004;"),
        ("tostring(2^53)", "1:string 9.007199254741e+15;", "1:string 9007199254740992.0;"),
        ("9223372036854775808", "1:float 9.2233720368547758e+18;", "1:decimal 9223372036854775808;"),
        (
            "string.format('%d', '9223372036854775808')", "error",
            "1:string 9223372036854775808;"
        ),
        ("tonumber('7fffffffffffffffffff', 16)", "1:integer -1;", "error"),
        ("0xfffffffffffffffff", "1:integer -1;", "error"),
        ("(nil).x", "error", "1:nil nil;"), ("string.format('%q', 1)", "1:string 1;", "error"),
        ("#string.rep('x', 3000000)", "1:integer 3000000;", "error"),
        (
            "(function() local t = {1, 2, 3, 4} table.sort(t, function() return true end) return #t end)()",
            "error",
            "1:integer 4;"
        ),
        ("select('#', table.unpack({}, 1, 2000))", "1:integer 2000;", "error"),
        ("9007199254740993 / 1 == 9007199254740992", "1:boolean true;", "error"),
        ("9007199254740993 + 0.5 > 0", "1:boolean true;", "error"),
        ("string.format('%.2f', 2.675)", "1:string 2.67;", "1:string 2.68;"),
        ("string.find('x', '(a')", "1:nil nil;", "error"), ("math.max('7', 2)", "error", "1:integer 7;"),
        ("type(utf8)", "1:string table;", "error"), ("type(math.sin)", "1:string function;", "1:string nil;"),
    ]

    // MARK: - The two sides

    private static func here(_ snippet: String) -> String {
        let source = prelude.replacingOccurrences(of: " return show", with: "") + " return show(\(snippet)\n)"
        guard let value = try? Bench.evaluate(source, MapScope()), let bytes = value.content else {
            return "error"
        }
        return bytes.map { String(format: "%02x", $0) }.joined()
    }

    private static func literal(_ text: String) -> String {
        "\"" + text.utf8.map { String(format: "\\x%02x", $0) }.joined() + "\""
    }

    /// What the interpreter gives for each snippet, in hexadecimal digits, or `error`.
    private static func there(_ snippets: [String]) throws -> [String] {
        var script =
            "local prelude = \(literal(prelude.replacingOccurrences(of: " return show", with: "")))\n"
        script +=
            "local function run(s) local ok, r = pcall(load(prelude .. ' return show(' .. s .. '\\n)')) "
        script +=
            "print(ok and (r:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) or 'error') end\n"
        for snippet in snippets { script += "run(\(literal(snippet)))\n" }
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).lua")
        try script.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/lua5.4")
        process.arguments = [file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return output.split(separator: "\n").map(String.init)
    }

    private static func shown(_ hex: String) -> String {
        guard hex != "error" else { return hex }
        return Hex.decode(hex).map { String(decoding: $0, as: UTF8.self) } ?? hex
    }

    // MARK: - Snippets

    private struct Snippets {
        var random: SeededRandom

        private static let texts = [
            "", "abc", "a,b", " 12 ", "0x1F", "1e2", "héllo", "\0a\0", "THE (quick) fox", "%d", "-7", "  ",
            "aXbXc", "((a)b)", "f%o", "0.5", "a1b22", "]^-", "10", "0x.8p1", "1 2", "1e", "abcabc",
        ]
        private static let integers = [
            "-3", "-1", "0", "1", "2", "3", "5", "10", "36", "255", "256", "2147483648", "-10",
            "math.maxinteger", "math.mininteger",
        ]
        private static let others = [
            "0.5", "2.0", "-1.5", "1e15", "1e100", "3.7", "-0.0", "'7'", "' 0x10 '", "'x'", "nil", "true",
        ]
        private static let patterns = [
            "%a+", ".", ".-b", "(%w)(%d*)", "%f[%w]%w+", "%b()", "^a", "b$", "[a-c]", "[^%s]+", "[%]]", "()",
            "(a)%1", "%d*", "x?", "%", "[a", "(", "%f", "%b(", "[]]", "[%a-]", "%g+", "%p", ".*", "a-", "%1",
            "[a-]", "^", "$", "(()a)", "%f[%z]", "[%d%-]", "%S", "%x%x", "a*$", "(a", "a)", "[^]", "%u%l?",
            "\0",
            "[\0-\u{1F}]", "(.)(.)(.)", "^(.-)%s*$",
        ]
        private static let replacements = [
            "'%0'", "'%1'", "'<%1>'", "'%%'", "'%'", "'x'", "'%9'", "{a = 1, b = true}", "''", "{}",
            "string.upper",
            "function(a, b) return b end", "function() return {} end", "nil", "7",
        ]

        mutating func text() -> String { LuaComparisonTests.literal(random.pick(Self.texts)) }
        mutating func pattern() -> String { LuaComparisonTests.literal(random.pick(Self.patterns)) }
        mutating func integer() -> String { random.pick(Self.integers) }
        mutating func small() -> String { "\(random.number(-6...8))" }
        mutating func any() -> String {
            random.pick([text(), integer(), small(), random.pick(Self.others)])
        }
        mutating func list() -> String {
            let count = random.number(0...5)
            return
                "{\((0..<count).map { _ in random.happens(80) ? small() : text() }.joined(separator: ", "))}"
        }
        mutating func position() -> String { random.happens(90) ? small() : any() }

        mutating func format() -> String {
            let flags = ["", "-", "+", " ", "#", "0", "-0", "+0"]
            let conversion = random.pick("diuoxXceEfgGaAsdfszF5".map { String($0) })
            let width = random.pick(["", "", "3", "12", "16", "100"])
            let precision = random.pick(["", "", ".0", ".2", ".12", ".", ".100"])
            let directive = "%" + random.pick(flags) + width + precision + conversion
            return LuaComparisonTests.literal(random.pick(["", "a%%"]) + directive + random.pick(["", "%"]))
        }

        mutating func next() -> String {
            let (s, p, i, j) = (text(), pattern(), position(), position())
            switch random.number(0...28) {
            case 0: return "string.byte(\(s), \(i), \(j))"
            case 1: return "string.byte(\(s), \(i))"
            case 2: return "string.char(\(integer()), \(small()), 65)"
            case 3: return "string.sub(\(s), \(i), \(j))"
            case 4: return "string.sub(\(s), \(integer()))"
            case 5: return "string.\(random.pick(["lower", "upper", "len", "reverse"]))(\(any()))"
            case 6: return "string.rep(\(s), \(small()), \(text()))"
            case 7: return "string.find(\(s), \(p), \(i))"
            case 8: return "string.find(\(s), \(text()), \(i), true)"
            case 9, 10: return "string.match(\(s), \(p), \(i))"
            case 11, 12: return "string.gsub(\(s), \(p), \(random.pick(Self.replacements)))"
            case 13: return "string.gsub(\(s), \(p), \(random.pick(Self.replacements)), \(small()))"
            case 14:
                return "(function() local r = {} for a, b in string.gmatch(\(s), \(p)) do r[#r + 1] = a "
                    + "r[#r + 1] = b end return r end)()"
            case 15, 16, 17: return "string.format(\(format()), \(any()))"
            case 18: return "tonumber(\(s), \(random.number(1...37)))"
            case 19: return "tonumber(\(any()))"
            case 20:
                return "tonumber('\(random.pick(["+", "-", " -", "- ", ""]))\(random.number(0...99))z', 36)"
            case 21: return "table.concat(\(list()), \(text()), \(small()), \(small()))"
            case 22: return "table.unpack(\(list()), \(small()), \(small()))"
            case 23:
                return "(function() local t = \(list()) table.insert(t, \(small()), 9) return t, "
                    + "table.remove(t, \(small())) end)()"
            case 24: return "(function() local t = \(list()) table.sort(t) return t end)()"
            case 25:
                let function = random.pick(["floor", "ceil", "abs", "tointeger", "type"])
                return "math.\(function)(\(any()))"
            case 26: return "math.\(random.pick(["max", "min", "fmod"]))(\(any()), \(any()))"
            case 27: return "select(\(position()), \(any()), \(any()))"
            default:
                let operation = random.pick([
                    "+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<", "<=", "&", "|", "~", "<<",
                    ">>",
                    "and", "or",
                ])
                return "\(random.pick(["", "-", "not ", "#", "~"])) \(operand()) \(operation) \(operand())"
            }
        }

        /// Such that no result needs more than 64 bits, nor a float more than 14 digits as a text.
        private mutating func operand() -> String {
            random.pick([small(), text(), "0.5", "-1.5", "'7'", "' 0x10 '", "nil", "true", "2.0"])
        }
    }

    /// Whether a snippet meets one of the ``differences`` by chance.
    private static func isMeant(_ snippet: String, _ here: String, _ there: String) -> Bool {
        // Lua compares two texts as texts, and refuses to compare one with a number.
        if snippet.contains("math.max(") || snippet.contains("math.min(") {
            return snippet.contains("\"") || snippet.contains("'")
        }
        guard here == "error", there != "error" else { return false }
        return snippet.contains("math.m") || malformed.contains { snippet.contains($0) }
    }

    /// Patterns that Lua finds malformed only once a match gets so far.
    private static let malformed = ["%", "[a", "(", "%f", "%b(", "%1", "[^]", "(a", "a)"].map { literal($0) }

    @Test("a call gives the same values or the same failure")
    func sameResults() throws {
        var snippets = Snippets(random: SeededRandom(seed: 54))
        let sources = (0..<4000).map { _ in snippets.next() }
        let expected = try Self.there(sources)
        try #require(expected.count == sources.count)
        var errorCount = 0
        for (source, there) in zip(sources, expected) {
            let here = Self.here(source)
            if there == "error" { errorCount += 1 }
            if Self.isMeant(source, here, there) { continue }
            #expect(here == there, "\(source): here \(Self.shown(here)), in Lua \(Self.shown(there))")
        }
        // A generator that made only errors would compare nothing.
        #expect(errorCount < sources.count / 2)
    }

    @Test("what differs on purpose differs as the table says, and stands in the documentation")
    func meantDifferences() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appendingPathComponent("docs/lua-differences.md"), encoding: .utf8)
        #expect(page.split(separator: "\n").count { $0.hasPrefix("| `") } == Self.differences.count)
        let expected = try Self.there(Self.differences.map(\.source))
        for (difference, there) in zip(Self.differences, expected) {
            #expect(Self.shown(there) == difference.lua, "\(difference.source)")
            #expect(Self.shown(Self.here(difference.source)) == difference.ours, "\(difference.source)")
            #expect(page.contains("\n| `\(difference.source)` | "), "\(difference.source)")
        }
    }
}
