import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("What expressions mean")
struct SemanticsTests {
    static let table: [(String, Value)] = [
        ("1 + 1", 2), ("10 / 2", 5), ("7 // 2", 3), ("7 / 2", .number("3.5")), ("2^10", 1024), ("10 % 3", 1),
        ("'a' .. 1", "a1"), ("'5' + 1", 6), ("#'abc'", 3), ("-'2'", -2),
        ("trigger.body.n", 7), ("trigger.body['n']", 7), ("trigger['body'].text", "pay"),
        ("trigger.body.nothing", nil), ("trigger.body.a.b.c == nil", true), ("trigger.body.a.b.c", nil),
        ("null", nil), ("trigger.body.nothing == null", true), ("trigger.body.n != 8", true),
        ("trigger.body.amount", .number("12.50")),
        ("(function() return trigger.body.amount end)()", .number("12.50")),
        ("trigger.body.amount * 2", 25), ("trigger.body.long", .number("12345678901234567890")),
        ("local x = trigger.body.long; return x", .number("12345678901234567890")),
        ("9007199254740993 + 1", 9_007_199_254_740_994),
        ("#trigger.body.items", 4), ("trigger.body.items[1]", "a"), ("trigger.body.items[4]", "d"),
        ("trigger.body.items[5]", nil), ("trigger.body.items[0]", nil), ("trigger.body.items['1']", nil),
        ("trigger.body.items[2.0]", "b"), ("len(trigger.body.items)", 4), ("len(trigger.body.missing)", 0),
        ("len('abc')", 3), ("len(trigger.body.map)", 3), ("len({1, 2})", 2),
        ("trigger.body.items", ["a", "b", nil, "d"]), ("trigger.body.map", ["z": 1, "a": 2, "m": 3]),
        ("{1, 2, 3}", [1, 2, 3]), ("{b = 1, a = 'x'}", ["a": "x", "b": 1]), ("{}", [:]), ("list{}", []),
        ("list()", []), ("list{1}", [1]), ("{json.null, 2}", [nil, 2]), ("{a = json.null}", ["a": nil]),
        (
            "{x = trigger.body.map, y = steps.a}",
            [
                "x": ["z": 1, "a": 2, "m": 3],
                "y": ["outcome": "succeeded", "response": ["status": 200, "body": ["id": 9]]],
            ]
        ),
        ("steps.a.outcome == 'succeeded' and trigger.body.n > 3", true),
        ("trigger.body.text in ['pay', 'buy']", true), ("trigger.body.text in ['x']", false),
        ("trigger.body.n + 1 in [8]", true), ("trigger.body.missing in [null, 1]", true),
        ("not (trigger.body.text in ['pay'])", false), ("1 in [1, 2] and 2 in [2]", true), ("1 in []", false),
        ("trigger.body.map == trigger.body.map", true), ("trigger.body.map == trigger.body.deep", false),
        ("trigger.body.deep.list[1].k", "v"),
        ("local s = ''; for k, v in pairs(trigger.body.map) do s = s .. k .. v end return s", "z1a2m3"),
        (
            "local s = ''; for i, v in ipairs(trigger.body.items) do s = s .. i .. tostring(v) end return s",
            "1a2b3nil4d"
        ),
        ("local s = ''; for k in pairs({b=1, a=1, 5, 6, c=1}) do s = s .. k end return s", "12abc"),
        ("next(trigger.body.none) == nil", true), ("next(trigger.body.map)", "z"),
        ("(next({b=1, a=1}))", "a"),
        ("type(trigger.body)", "table"), ("type(null)", "nil"), ("type(1)", "number"),
        ("type(json.null)", "null"),
        ("tostring({})", "table"), ("tostring(1.5)", "1.5"),
        ("math.floor(3.7)", 3), ("math.max(1, 5, 3)", 5), ("math.huge > 1", true),
        ("math.type(1.0)", "float"),
        ("tonumber('0x10')", 16), ("tonumber('z', 36)", 35), ("tonumber('x')", nil), ("tonumber(' 12 ')", 12),
        ("select('#', 1, 2)", 2), ("select(-1, 1, 2)", 2), ("trigger.body.text:upper()", "PAY"),
        ("('a,b,,c'):split(',')", ["a", "b", "", "c"]), ("('a,b,c'):split(',', 2)", ["a", "b,c"]),
        ("('  x '):trim()", "x"), ("('abc'):contains('b')", true), ("('abc'):contains('.')", false),
        ("('abc'):starts_with('ab')", true), ("('abc'):ends_with('bc')", true),
        ("('abc'):rep(2, '-')", "abc-abc"),
        ("string.format('%5.2f|%-4d|%s|%x|%%', 3.14159, 7, true, 255)", " 3.14|7   |true|ff|%"),
        ("string.format('%5s|%-5s|%.2s', 'ab', 'ab', 'abcd')", "   ab|ab   |ab"),
        ("table.concat({1, 2, 'x'}, '-')", "1-2-x"),
        ("local t = {3, 1, 2}; table.sort(t); return t", [1, 2, 3]),
        ("local t = {3, 1, 2}; table.sort(t, function(a, b) return a > b end); return t", [3, 2, 1]),
        ("local t = {1, 2}; table.insert(t, 1, 0); table.insert(t, 9); return t", [0, 1, 2, 9]),
        ("local t = {1, 2, 3}; local r = table.remove(t, 1); return {r, #t, t[1]}", [1, 2, 2]),
        ("table.unpack({1, 2})", 1), ("({table.unpack({1, 2})})[2]", 2),
        ("json.encode({a = 1, b = list{}, c = {1, 'x'}})", #"{"a":1,"b":[],"c":[1,"x"]}"#),
        ("json.decode('{\"a\": [1, 2.50]}').a[2]", .number("2.50")), ("json.decode('[]')", []),
        ("base64.encode('hi')", "aGk="), ("base64.decode('aGk=')", "hi"), ("hex.encode('hi')", "6869"),
        ("hex.decode('6869')", "hi"), ("url.encode('a/b c')", "a%2Fb%20c"),
        ("time.parse('2009-02-13T23:31:30Z')", 1_234_567_890),
        ("time.parse('2009-02-14T00:31:30.5+01:00')", 1_234_567_890),
        ("'\\u{E9}' == 'é'", true), ("'null'", "null"), ("'a != b'", "a != b"), ("({null = 1}).null", 1),
        ("json.decode('{\"null\": 3}').null", 3), ("1 -- a != comment", 1), ("[[a && b]]", "a && b"),
        ("if trigger.body.n > 3 then return 'big' end return 'small'", "big"),
        ("local a <const> = 2; return a * 2", 4),
    ]

    @Test("each expression gives its value", arguments: table)
    func givesItsValue(source: String, expected: Value) throws {
        #expect(try Bench.evaluate(source) == expected)
    }

    static let raising: [(String, String)] = [
        ("trigger.body.nope + 1", "arithmetic on a nil value (field 'nope')"),
        ("trigger.body.text + 1", "arithmetic on a string value"),
        ("trigger.body.nope()", "call a nil value (field 'nope')"),
        ("trigger.body.text:nope()", "call a nil value (method 'nope')"),
        ("trigger.body.n < 'x'", "attempt to compare number with string"),
        ("trigger.body .. 'x'", "concatenate a table value (field 'body')"),
        ("nonsense", "unknown name 'nonsense'"), ("nonsense.a == 1", "unknown name 'nonsense'"),
        ("x = 1; return x", "'x' cannot be set: write 'local x = ...'"),
        ("string.upper = nil; return 1", "a library cannot be changed"),
        ("trigger.body.n = 1; return 1", "cannot be changed"),
        ("table.insert(trigger.body.items, 1); return 1", "cannot be changed"),
        ("error('no luck')", "no luck"), ("error({})", "an error that is a table"),
        ("assert(false)", "assertion failed"),
        ("assert(nil, 'gone')", "gone"), ("pairs(nil)", "pairs needs a map or a list, got null"),
        ("time.now()", "the time is not known here"), ("random.id('pay')", "a trigger has no run yet"),
        ("random.id('')", "a label is at most 32"), ("random.id('A')", "a label is at most 32"),
        ("random.id(('a'):rep(33))", "a label is at most 32"), ("random.id()", "argument 1 is missing"),
        ("crypto.hmac('md5', 'k', 'd')", "the algorithm must be sha1"),
        ("json.decode('{')", "expected a name in quotes"),
        ("json.encode({1, a = 2})", "a list and a map at once"),
        ("money.to_minor('10.005')", "more than 2 decimals"),
        ("money.to_minor('10.00', trigger.body.nope)", "the currency is null"),
        ("money.from_minor(1000, trigger.body.nothing)", "the currency is null"),
        (
            "local a = 1\nlocal b = nil\nreturn a + b",
            "line 3: attempt to perform arithmetic on a nil value (local 'b')"
        ),
        ("trigger.body.n.x", "index a number value"), ("('x'):rep(1, 2, 3).y.z()", "call a nil value"),
        ("math.tointeger.x", "index a function value"), ("#trigger.body.n", "get length of a number value"),
        ("1 // 0", "divide by zero"), ("string.find('a', '[')", "malformed pattern (missing ']')"),
    ]

    @Test("what cannot be done is an error that names the place", arguments: raising)
    func raisesReadably(source: String, expected: String) throws {
        let message = try Bench.raised(source)
        #expect(message.contains(expected), "\(message)")
        #expect(!message.contains("0x") && !message.contains("e:1"), "\(message)")
    }

    static let notValues: [(String, String)] = [
        ("math.floor", "a function"), ("0/0", "NaN"), ("1/0", "infinite"),
        ("local t = {}; t.t = t; return t", "contains itself"), ("{1, a = 2}", "a list and a map at once"),
        ("{1, nil, 3}", "gaps"), ("{[true] = 1}", "neither texts nor"), ("{[1.5] = 1}", "neither texts nor"),
        ("local t = {}; for i = 1, 20 do t = {t} end return t", "deeper than 16"),
        ("local t = {}; for i = 1, 10001 do t[i] = i end return t", "too many"),
        ("string", "a library"), ("{['\\255'] = 1}", "a name that is not UTF-8"), ("{math.huge}", "infinite"),
    ]

    @Test("what is no value is refused with the reason", arguments: notValues)
    func refusesNonValues(source: String, reason: String) throws {
        do {
            let value = try Bench.evaluate(source)
            Issue.record("\(source) gave \(value)")
        } catch ExpressionFailure.notAValue(let text) {
            #expect(text.contains(reason), "\(text)")
        }
    }

    @Test("a text that is not UTF-8 is its bytes, alone and inside of a table")
    func bytesAreValues() throws {
        try #expect(Bench.evaluate("'\\255'") == .bytes([0xFF]))
        try #expect(Bench.evaluate("{'a', '\\255'}") == ["a", .bytes([0xFF])])
        try #expect(Bench.evaluate("base64.decode('/9g=')") == .bytes([0xFF, 0xD8]))
        try #expect(Bench.evaluate("'\\195' .. '\\169'") == "é")
        try #expect(Bench.evaluate("json.encode({f = '\\255'})") == #"{"f":{"base64":"/w=="}}"#)
        try #expect(Bench.evaluate("url.encode('\\233a')") == "%E9a")
    }

    @Test("time.now() is the scope's instant in whole seconds")
    func timeComesFromTheScope() throws {
        let scope = MapScope([:], now: Instant(milliseconds: 1_500_999))
        #expect(try Bench.evaluate("time.now()", scope) == 1500)
    }

    @Test("an absent secret is a failure of its own, on both ways, and a present one reads as text")
    func missingSecretsAreTold() throws {
        let scope = MapScope([:], secrets: ["KEY": "k"])
        #expect(try Bench.evaluate("secrets.KEY", scope) == "k")
        for source in ["secrets.GONE", "secrets.GONE == 'x' and true", "('x' .. secrets.GONE)"] {
            #expect(throws: ExpressionFailure.secretMissing(name: "GONE")) {
                try Bench.evaluate(source, scope)
            }
        }
    }
}
