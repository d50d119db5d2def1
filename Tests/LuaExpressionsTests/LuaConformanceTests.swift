import Ports
import Testing
import Values

@testable import LuaExpressions

/// What Lua 5.4 itself gives, for the corners of its libraries.
@Suite("The libraries of Lua")
struct LuaConformanceTests {
    static let table: [(String, Value)] = [
        ("{tonumber('+7', 10), tonumber('-zz', 36), tonumber(' 11 ', 2)}", [7, -1295, 3]),
        ("tonumber('9', 8) == nil and tonumber('+', 10) == nil and tonumber('--1', 10) == nil", true),
        (
            "{tonumber('-9223372036854775808', 10), tonumber('7fffffffffffffff', 16)}",
            [.int(.min), .int(.max)]
        ),
        ("select('#', ('abc'):byte(0))", 0), ("select('#', ('abc'):byte(-4))", 0),
        (
            "{('abc'):byte(-1), select('#', ('abc'):byte(-10, -1)), select('#', ('abc'):byte(10))}",
            [99, 3, 0]
        ),
        ("{('abc'):byte(0, 2)}", [97, 98]), ("{('abc'):byte(2, 1)}", [:]),
        ("string.format('%3c|%-3c|%c', 65, 66, 67)", "  A|B  |C"),
        ("string.format('%16c', 65)", "               A"),
        ("string.format('%5s|%-5s|%.2s|%5.1s', 'ab', 'ab', 'abc', 'xy')", "   ab|ab   |ab|    x"),
        ("string.format('%+d|% d|%05d|%-5d|%10.3d', 7, 7, 7, 7, 65)", "+7| 7|00007|7    |       065"),
        ("string.format('%#x|%05x|%a|%+.1e', 65, 65, 65, 65)", "0x41|00041|0x1.04p+6|+6.5e+01"),
    ]

    @Test("give what they give in Lua", arguments: table)
    func gives(source: String, expected: Value) throws { #expect(try Bench.evaluate(source) == expected) }

    static let refusedDirectives = [
        "%05c", "%.3c", "%+c", "%F", "%#d", "%05s", "%+s", "%100d", "%.100f", "%+x", "%q", "%5%", "%", "%ld",
        "%-+ #05d",
    ]

    @Test("refuse a directive of string.format that Lua refuses", arguments: refusedDirectives)
    func refusesDirective(directive: String) throws {
        #expect(try Bench.raised("string.format('\(directive)', 65)").contains("format"))
    }

    @Test(
        "refuse a number in a base that does not fit 64 bits",
        arguments: ["zzzzzzzzzzzzzz", "-zzzzzzzzzzzzzz"])
    func refusesOverflow(digits: String) throws {
        #expect(try Bench.raised("tonumber('\(digits)', 36)").contains("does not fit 64 bits"))
    }
}
