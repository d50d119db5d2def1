import Ports
import Testing
import Values

@testable import LuaExpressions

/// Expected results are those of Lua 5.4's own library.
@Suite("Patterns")
struct PatternTests {
    static let table: [(String, Value)] = [
        ("{('hello world'):find('o w')}", [5, 7]), ("{('hello'):find('l+')}", [3, 4]),
        ("('hello'):find('x')", nil),
        ("{('hello'):find('l', 1, true)}", [3, 3]), ("{('a.b'):find('.', 1, true)}", [2, 2]),
        ("{('hello'):find('')}", [1, 0]), ("{('hello'):find('', 10)}", [:]),
        ("{('hello'):find('', 6)}", [6, 5]),
        ("{('hello'):find('(l)(l)')}", [3, 4, "l", "l"]),
        ("{('key = value'):match('(%w+)%s*=%s*(%w+)')}", ["key", "value"]),
        ("('2026-01-31'):match('^(%d+)-(%d+)')", "2026"), ("{('abc'):match('()b()')}", [2, 3]),
        ("('  trim  '):match('^%s*(.-)%s*$')", "trim"), ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%((%a+)%)')", 5), ("('hello'):match('.-(l+)')", "ll"),
        ("('THE (quick) fox'):gsub('%f[%a]%a+', 'X')", "X (X) X"), ("('abc'):gsub('', '-')", "-a-b-c-"),
        ("('hello world'):gsub('o', '0', 1)", "hell0 world"), ("('hello'):gsub('l', {l = 'L'})", "heLLo"),
        ("('abc'):gsub('%w', '%0%0')", "aabbcc"), ("('abc'):gsub('(a)(b)', '%2%1')", "bac"),
        ("('abc'):gsub('b', '%%')", "a%c"),
        ("('abc'):gsub('.', function(c) if c == 'b' then return 'X' end end)", "aXc"),
        ("({('abc'):gsub('.', 'x')})[2]", 3), ("('x^y'):match('[%^x]+')", "x^"),
        ("('a]b'):match('[]]')", "]"),
        ("('a-b'):match('[a-]+')", "a-"), ("('abcABC'):match('[^%l]+')", "ABC"), ("('aXb'):match('%u')", "X"),
        ("#('\\0a'):match('%z*a')", 2), ("('$100'):match('%$(%d+)')", "100"), ("('a$'):match('a$')", nil),
        ("('a$b'):match('a$b')", "a$b"), ("('aaa'):match('a-b')", nil), ("('aab'):match('a-b')", "aab"),
        ("('abab'):match('(ab)%1')", "ab"), ("('x = \"it\"'):match('([\"\\'])(.-)%1')", "\""),
        (
            "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end return t",
            ["a": "1", "b": "2"]
        ),
        ("local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t", ["one", "two"]),
        ("local t = {} for p in ('ab'):gmatch('()') do t[#t + 1] = p end return t", [1, 2, 3]),
        ("local n = 0 for _ in ('aXbX'):gmatch('^a') do n = n + 1 end return n", 0),
        ("('hello'):gsub('^h', 'J')", "Jello"), ("('t=1,v1=ab,v1=cd'):match('v1=(%x+)$')", "cd"),
        ("trigger.body.text:gsub('p', trigger.body.map)", "pay"), ("('a'):gsub('a', trigger.body.map)", "2"),
    ]

    @Test("each gives what Lua's own library gives", arguments: table)
    func matches(source: String, expected: Value) throws {
        let wrapped = source.hasPrefix("local") || source.hasPrefix("{") ? source : "(\(source))"
        #expect(try Bench.evaluate(wrapped) == expected)
    }

    static let malformed = [
        "%", "[", "[a", "[^", "(", "(()", ")", "%b", "%bx", "%f", "%fa", "%1", "(%1)", "[%", "[a-",
    ]

    @Test("a malformed pattern is an error", arguments: malformed)
    func refusesMalformed(pattern: String) throws {
        for call in ["find", "match", "gsub"] {
            let message = try Bench.raised("(string.\(call)('abc', '\(pattern)', 1))")
            #expect(message.contains("pattern") || message.contains("capture"), "\(message)")
        }
    }

    @Test("a malformed replacement is an error")
    func refusesReplacements() throws {
        #expect(try Bench.raised("('a'):gsub('a', '%2')").contains("invalid capture index"))
        #expect(try Bench.raised("('a'):gsub('a', '%x')").contains("invalid use of '%'"))
        #expect(
            try Bench.raised("('a'):gsub('a', function() return {} end)").contains(
                "invalid replacement value"))
    }
}
