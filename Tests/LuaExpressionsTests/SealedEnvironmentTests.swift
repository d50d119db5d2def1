import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("The sealed environment")
struct SealedEnvironmentTests {
    static let absent = [
        "load", "loadstring", "loadfile", "dofile", "require", "package", "os", "io", "debug", "coroutine",
        "setmetatable", "getmetatable", "rawset", "rawget", "pcall", "xpcall", "collectgarbage", "print",
        "_G",
        "warn", "utf8", "_VERSION", "string.dump", "string.pack", "string.unpack", "string.packsize",
        "table.move",
        "table.pack", "math.random", "math.randomseed", "('').dump", "('').pack", "string.__index",
        "math.__index",
        "crypto.__index", "trigger.__index", "trigger.__name",
    ]

    @Test("nothing outside the list can be reached", arguments: absent)
    func isAbsent(name: String) throws {
        do {
            let value = try Bench.evaluate("type(\(name))")
            #expect(value == "nil")
        } catch ExpressionFailure.raised(let message) {
            #expect(message == "unknown name '\(name)'")
        }
    }

    static let poisonings = [
        "string.upper = function() return 'bad' end return 1", "math.pi = 3 return 1",
        "json.null = 1 return 1",
        "('').upper = 1 return 1", "trigger = 1 return 1", "tostring = 1 return 1", "secrets = {} return 1",
        "local s = string s.upper = nil return 1", "for k in pairs(string) do end return 1", "next(math)",
        "crypto.equals = function() return true end return 1", "local x = nil; x.y = 1 return 1",
        "trigger.body.n = 8 return 1", "trigger.body.items[1] = 'z' return 1",
        "table.sort(trigger.body.items) return 1",
        "table.remove(trigger.body.items) return 1", "function helper() end return 1",
        "rawequal.x = 1 return 1",
        "list(string)", "list(trigger.body)", "(1).x.y = 2 return 1", "(true).x = 2 return 1",
    ]

    @Test("a script cannot change what the next one sees", arguments: poisonings)
    func cannotPoison(source: String) throws {
        _ = try Bench.raised(source)
        let check =
            "(('a'):upper() .. string.upper('b') .. tostring(math.pi > 3) .. type(json.null) .. trigger.body.n)"
        #expect(try Bench.evaluate(check) == "ABtruenull7")
        #expect(try Bench.evaluate("crypto.equals('a', 'b')") == false)
        #expect(try Bench.evaluate("trigger.body.items") == ["a", "b", nil, "d"])
    }

    @Test("locals of one evaluation are not there in the next")
    func keepsNothing() throws {
        let counter = try Bench.compiler.compile("local n = 0; n = n + 1; return n")
        let twice = try (counter.evaluate(in: MapScope()), counter.evaluate(in: MapScope()))
        #expect(twice == (1, 1))
        let table = try Bench.compiler.compile("local t = {}; t.x = (t.x or 0) + 1; return t.x")
        for _ in 0..<3 { #expect(try table.evaluate(in: MapScope()) == 1) }
    }

    @Test("no text that a script can make shows an address")
    func showsNoAddresses() throws {
        let sources = [
            "tostring({})", "tostring(string)", "tostring(math.floor)", "tostring(trigger)",
            "tostring(json.null)",
            "string.format('%s %s', {}, math.floor)", "tostring(function() end)",
            "('x'):gsub('x', tostring({}))",
        ]
        for source in sources {
            let text = try Bench.evaluate("(\(source))").string ?? ""
            #expect(!text.contains("0x") && !text.contains(":"), "\(source) gave \(text)")
        }
        #expect(try Bench.raised("string.format('%p', {})").contains("unknown directive"))
        #expect(try Bench.raised("table.concat({{}})") == "concat: item 1 is a table")
    }
}
