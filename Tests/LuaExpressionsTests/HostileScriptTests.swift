import OpenSSLCrypto
import Ports
import Testing
import Values

@testable import LuaExpressions

/// Scripts that try to use more than they may, by ways that a plain instruction hook does not see.
@Suite("Hostile scripts")
struct HostileScriptTests {
    static let overBudget: [String] = [
        "while true do end return 1", "for i = 1, math.maxinteger do end return 1",
        "repeat until false return 1",
        "do ::again:: goto again end return 1", "local function f() return f() end return f()",
        "local t = {} while true do t[1] = 1 end return 1", "for i = 1.0, math.huge do end return 1",
        // Patterns.
        "('a'):rep(40):find(('a*'):rep(20) .. 'b')", "('a'):rep(50000):find('.-.-.-.-b')",
        "('a'):rep(30000):match('(.-)(.-)(.-)b$')", "('a'):rep(100000):find('a-a-a-$b')",
        "('a'):rep(30):match(('a?'):rep(30) .. ('a'):rep(31))", "(('('):rep(60000)):find('%b()')",
        "('x'):rep(1000000):gsub('x*y', '')", "('a'):rep(60000):gsub('a-b', 'x')",
        "('ab'):rep(20000):find('(a.-)%1.-%1.-c')", "for w in ('a'):rep(60000):gmatch('a*b') do end return 1",
        "('a'):rep(60000):match('^(a*)a*a*a*a*b')", "('a'):rep(60000):find('[^b]*[^b]*[^b]*[^b]*b')",
        "('a'):rep(5000):gsub('.', function() return ('a'):rep(3000):match('a*a*b') end)",
        "('a'):rep(60000):find('%f[a]a*a*a*b')", "('a'):rep(60000):gsub('()a*a*b', '%1')",
        "('a '):rep(60000):find('%s*%s*%w*%w*!', 1)",
        // Work inside functions of ours.
        "while true do ('x'):rep(100000) end return 1",
        "while true do ('x'):rep(100000):upper() end return 1",
        "local s = ('x'):rep(100000) while true do s:reverse() end return 1",
        "local s = ('x,'):rep(50000) while true do s:split(',') end return 1",
        "local s = ('x'):rep(500000) while true do s:contains('y') end return 1",
        "local s = ('x'):rep(500000) while true do crypto.sha256(s) end return 1",
        "local s = ('x'):rep(500000) while true do crypto.hmac('sha512', 'k', s) end return 1",
        "local s = ('x'):rep(300000) while true do base64.encode(s) end return 1",
        "local s = ('ff'):rep(100000) while true do hex.decode(s) end return 1",
        "local s = '[' .. ('1,'):rep(20000) .. '1]' for i = 1, 1000 do json.encode(s) end return 1",
        "local t = {} for i = 1, 5000 do t[i] = i end while true do json.encode(t) end return 1",
        "while true do string.format('%99.99f', 1e308) end return 1",
        "local s = ('x'):rep(100000) while true do string.format('%s%s', s, s) end return 1",
        "local t = {} for i = 1, 900 do t[i] = ('x'):rep(99) end while true do table.concat(t) end return 1",
        "local t = {} for i = 1, 20000 do t[i] = -i end while true do table.sort(t) end return 1",
        "local t = {} for i = 1, 2000 do t[i] = i end while true do table.sort(t, rawequal) end return 1",
        "local t = {1, 2} table.sort(t, function() while true do end end) return 1",
        "local t = {} for i = 1, 5000 do t[i] = i end while 1 do table.insert(t, 1, 0) table.remove(t) end return 1",
        "local t = {} for i = 1, 900 do t[i] = i end while true do table.unpack(t) end return 1",
        "local t = {} for i = 1, 5000 do t['k' .. i] = i end while true do pairs(t) end return 1",
        "local t = {} for i = 1, 5000 do t['k' .. i] = i end while true do next(t, 'k9') end return 1",
        "local t = {} for i = 1, 5000 do t['k' .. i] = i end while true do len(t) end return 1",
        "while true do tostring(1e15) end return 1", "while true do tonumber('123456') end return 1",
        "while true do select('#', 1, 2, 3) end return 1", "while true do math.max(1, 2) end return 1",
        "while true do local x = trigger.body.map.a end return 1",
        "while true do for k in pairs(trigger) do end end return 1",
        "while true do local x = trigger.body == trigger.body end return 1",
        "while true do len(trigger.body.items) end return 1",
        "while true do local x = trigger.body.n in [1, 2, 3, 4, 5] end return 1",
        "while true do time.parse('2026-01-01T00:00:00Z') end return 1",
        "while true do money.to_minor('1.00') end return 1",
        "while true do ('a'):byte(1, -1) end return 1", "while true do string.char(1, 2, 3) end return 1",
        "local s = '' while true do s = (s .. 'x'):sub(1, 1000) end return 1",
        "local a = {} for i = 1, 100 do a[i] = function() while true do end end end return a[1]()",
        "return (function(...) while true do end end)(1, 2, 3)",
        "while true do url.encode(('x'):rep(10000)) end return 1",
    ]

    static let overMemory: [String] = [
        "('x'):rep(1e9)", "('x'):rep(math.maxinteger)", "(''):rep(1e15, 'x')", "('x'):rep(3000000)",
        "local s = 'x' while true do s = s .. s end return s",
        "local t = {} while true do t[#t + 1] = {} end return t",
        "local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end return t",
        "local function f() return 1 + f() end return f()",
        "local s = ('x'):rep(1000) return (s:gsub('x', ('y'):rep(10000)))",
        "local t = {} local s = ('x'):rep(1000) for i = 1, 5000 do t[i] = s end return table.concat(t)",
        "local s = ('x'):rep(500000) local t = {s, s, s, s, s} return t",
    ]

    /// Long ones may meet either bound first.
    static let overEither: [String] = [
        "local t = {} for i = 1, 9000 do t[i] = trigger.big end return t",
        "local s = '' while true do s = s .. 'x' end return s",
        "local t = {} while true do t = {t} end return 1",
        "local f = function() end while true do local g = f f = function() g() end end return 1",
        "local t = {} for i = 1, 1e7 do table.insert(t, i) end return 1",
        "local t = {} for i = 1, 1e7 do table.insert(t, 1, i) end return 1",
        "local s = ('a'):rep(100000) for i = 1, 1e6 do s = s:gsub('a', 'aa') end return 1",
        "local s = ('x'):rep(100000) while true do s = s:reverse() .. s end return 1",
        "local t = {} for i = 1, 200 do t[i] = json.decode('[' .. ('1,'):rep(20000) .. '1]') end return 1",
    ]

    private func outcome(_ source: String) throws -> (ExpressionFailure?, Duration) {
        let compiled = try Bench.compiler.compile(source)
        let start = ContinuousClock.now
        do throws(ExpressionFailure) {
            _ = try compiled.evaluate(in: MapScope(Bench.documentWithBigList))
            return (nil, ContinuousClock.now - start)
        } catch {
            return (error, ContinuousClock.now - start)
        }
    }

    @Test("work without end stops within the budget", arguments: overBudget)
    func stopsWork(source: String) throws {
        let (failure, time) = try outcome(source)
        #expect(failure == .budgetExceeded)
        // Debug builds and a busy machine are slow; without limits these run for ever.
        #expect(time < .seconds(15))
    }

    @Test("memory without end stops at the ceiling", arguments: overMemory)
    func stopsMemory(source: String) throws {
        let (failure, time) = try outcome(source)
        #expect(failure == .memoryExceeded)
        #expect(time < .seconds(15))
    }

    @Test("whichever bound comes first, it stops", arguments: overEither)
    func stopsEitherWay(source: String) throws {
        let (failure, time) = try outcome(source)
        #expect(failure == .memoryExceeded || failure == .budgetExceeded)
        #expect(time < .seconds(15))
    }

    /// Each does much within few instructions: the work must be charged, not only be cut off by the clock.
    static let costly: [String] = [
        "s < t", "s <= t", "s > t", "s >= t", "not (s > t)", "1 < 2 and s < t", "s == t", "s ~= t",
        "s in [t]",
        "math.tointeger(s)", "math.min(#s, 1) < 2 and s < t",
    ]

    @Test("work on long texts is charged whatever the clock says", arguments: costly)
    func chargesLongTexts(expression: String) throws {
        let limits = LuaLimits(
            workUnits: 250_000, memoryBytes: 2 << 20, time: .seconds(60), sourceBytesMax: 64 << 10,
            sourceDepthMax: 100, resultNodesMax: 10_000, resultDepthMax: 16)
        let compiler = LuaExpressionCompiler(cryptography: OpenSSLCryptography(), limits: limits)
        func outcome(times: Int) throws -> ExpressionFailure? {
            let source = """
                local s, t = ('\\0'):rep(300000) .. 'a', ('\\0'):rep(300000) .. 'b'
                local x
                for i = 1, \(times) do x = \(expression) end
                return 1
                """
            let compiled = try compiler.compile(source)
            do throws(ExpressionFailure) {
                _ = try compiled.evaluate(in: MapScope(Bench.document))
                return nil
            } catch { return error }
        }
        #expect(try outcome(times: 1) == nil)
        #expect(try outcome(times: 100) == .budgetExceeded)
    }

    @Test("an order of texts and numbers is that of Lua, with its errors")
    func keepsTheOrder() throws {
        let ordered = [
            "'' < 'a'", "'a' < 'b'", "'a' < 'aa'", "'a\\0a' < 'a\\0b'", "'a' < 'a\\0'", "'\\127' < '\\128'",
            "'b' > 'a'",
            "'a' <= 'a'", "'a' >= 'a'", "not ('a' < 'a')", "not ('a' > 'a')",
            "trigger.body.n < trigger.body.amount",
            "trigger.body.amount >= trigger.body.n",
        ]
        for source in ordered { #expect(try Bench.evaluate(source) == true, "\(source)") }
        for source in ["trigger.body.text < trigger.body.n", "'a' > trigger.body.n"] {
            #expect(try Bench.raised(source).contains("attempt to compare"), "\(source)")
        }
        #expect(try Bench.raised("({}) < {}").contains("attempt to compare two table values"))
        #expect(try Bench.raised("trigger.body.nope <= 'a'").contains("attempt to compare null with string"))
    }

    static let refusedSources: [String] = [
        String(repeating: "(", count: 100_000), String(repeating: "(", count: 30_000) + "1",
        String(repeating: "{", count: 100_000),
        String(repeating: "(", count: 20_000)
            + "1" + String(repeating: ")", count: 20_000),
        String(repeating: "not ", count: 16_000) + "true", String(repeating: "- ", count: 30_000) + "1",
        String(repeating: "a.", count: 40_000), String(repeating: "a", count: 70_000),
        String(repeating: "2^", count: 30_000) + "1", String(repeating: "'x'..", count: 12_000) + "''",
        String(repeating: "function() return ", count: 3_000), String(repeating: "do ", count: 20_000),
        String(repeating: "if true then ", count: 4_000), "\u{1B}Lua", "'\\", "'", "[[", "--[[", "[==[ ]=]",
        "'a\nb'", "", "  ", "-- only a comment", "1 +", "1 2", "a b", "1, 2", "x = 5", ")", "(", "a = = b",
        "_ENV", "_ENV = {}", "__in(1)", "local _ENV = {} return 1", "1 && 2", "a || b", "!a", "not x in [1]",
        "é == 1", "goto nowhere", "break", "0x", "1e", "'\\q'", "\"\\u{110000000}\"", "return return",
    ]

    @Test("a source that is no expression is refused, never run and never a crash", arguments: refusedSources)
    func refusesSources(source: String) {
        #expect(Bench.problem(source) != nil)
    }

    @Test("a pattern that would recurse without end is refused")
    func refusesDeepPatterns() throws {
        let message = try Bench.raised("('a'):rep(500):match(('a?'):rep(500) .. 'b')")
        #expect(message == "pattern too complex")
        #expect(try Bench.raised("('x'):match(('a'):rep(5000))").contains("pattern longer than"))
        #expect(try Bench.raised("('x'):match(('()'):rep(33))").contains("too many captures"))
    }

    @Test("recursion through callbacks of ours ends in an error")
    func endsNestedCallbacks() throws {
        let source = "local function f(s) return (s:gsub('.', f)) end return f('a')"
        let (failure, _) = try outcome(source)
        #expect(failure != nil)
    }

    @Test("an error's text is whole and unchanged, or not there at all")
    func boundsMessages() throws {
        let message = try Bench.raised("error(('x\\n\\0'):rep(10000))")
        #expect(message == String(repeating: "x\n\0", count: 10_000))
        // A secret that was cut off could not be found by whoever takes it out.
        #expect(try Bench.raised("error(('x'):rep(65536))").utf8.count == 65_536)
        #expect(try Bench.raised("error(('x'):rep(65537))").contains("longer than 64 KiB"))
        #expect(try Bench.raised("error('')").contains("empty"))
    }

    @Test("a failure of one evaluation leaves the next ones right")
    func recoversAfterFailures() throws {
        let limits = LuaLimits.standard
        let compiler = LuaExpressionCompiler(cryptography: OpenSSLCryptography(), limits: limits)
        let good = try compiler.compile("(trigger.body.n + 1)")
        for source in ["while true do end return 1", "('x'):rep(1e9)", "error('x')", "nope", "0/0"] {
            let bad = try compiler.compile(source)
            #expect(throws: ExpressionFailure.self) { try bad.evaluate(in: MapScope(Bench.document)) }
            #expect(try good.evaluate(in: MapScope(Bench.document)) == 8)
        }
    }
}
