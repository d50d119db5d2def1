import Ports
import Testing
import Values

@testable import LuaExpressions

@Suite("The dialect")
struct DialectTests {
    static let rewritten: [(String, String)] = [
        ("a != b", "a ~= b"), ("'!=' != \"null\"", "'!=' ~= \"null\""), ("x == null", "x == nil"),
        ("json.null", "json.null"), ("a:null()", "a:null()"), ("{null = null}", "{null = nil}"),
        ("{null == 1}", "{nil == 1}"), ("x in [1, 2]", "x < __in( 1, 2)"),
        ("-- null != x\n1", "-- null != x\n1"),
        ("[[null]] .. [==[ != ]] ]==]", "[[null]] .. [==[ != ]] ]==]"),
        ("--[[ null ]] null", "--[[ null ]] nil"),
        ("nullable", "nullable"), ("'\\'null' == null", "'\\'null' == nil"),
        ("x in [t[1], [2]]", "x < __in(t[1], [2])"), ("for k in pairs(t) do end", "for k in pairs(t) do end"),
    ]

    @Test("only tokens are rewritten", arguments: rewritten)
    func rewrites(source: String, expected: String) throws {
        let plain = try Dialect(source, limits: .standard).plainLua()
        #expect(plain.filter { $0 != " " } == expected.filter { $0 != " " })
    }

    static let problems: [(String, ExpressionProblem)] = [
        ("a && b", ExpressionProblem(line: 1, message: "unexpected '&&'", hint: "write and")),
        ("a\n|| b", ExpressionProblem(line: 2, message: "unexpected '||'", hint: "write or")),
        ("!a", ExpressionProblem(line: 1, message: "unexpected '!'", hint: "write not, or != to compare")),
        ("(1", ExpressionProblem(line: 1, message: "'(' is not closed")),
        ("1)", ExpressionProblem(line: 1, message: "')' closes nothing")),
        ("", ExpressionProblem(line: 1, message: "the expression is empty")),
        (
            "a = 1",
            ExpressionProblem(
                line: 1, message: "the expression returns nothing",
                hint: "write == to compare, or return a value")
        ),
        ("1, 2", ExpressionProblem(line: 1, message: "one value is expected, not several")),
        ("a b", ExpressionProblem(line: 1, message: "unexpected 'b'")),
        ("1 +", ExpressionProblem(line: 1, message: "unexpected symbol at the end")),
        (
            "local x = 1\nlocal y = = 2\nreturn x",
            ExpressionProblem(line: 2, message: "unexpected symbol near '='")
        ),
        (
            "not x in [1]",
            ExpressionProblem(
                line: 1, message: "'not' before 'in' would negate the left side only",
                hint: "write not (x in [...])")
        ),
        ("'abc", ExpressionProblem(line: 1, message: "a text is not closed")),
        ("_ENV.x", ExpressionProblem(line: 1, message: "the name '_ENV' cannot be used")),
    ]

    @Test("a problem names the author's own line and says what to write", arguments: problems)
    func namesProblems(source: String, expected: ExpressionProblem) {
        #expect(Bench.problem(source) == expected)
    }

    @Test("the names of secrets and steps are found in tokens, each once")
    func findsNames() throws {
        let source = """
            -- secrets.COMMENT
            local s = 'secrets.TEXT' .. secrets.A .. secrets['B c'] .. secrets.A
            return s == steps.pay.output and steps["refund"] and x.steps.other and steps[name]
            """
        let compiled = try Bench.compiler.compile(source)
        #expect(compiled.secretNames == ["A", "B c"])
        #expect(compiled.stepNames == ["pay", "refund", "*"])
    }

    @Test(
        "a root used in any other way than by a literal name may read every member",
        arguments: ["secrets", "secrets['A' .. x]", "(secrets).A", "secrets[trigger.body.name]"])
    func findsUnnamedUse(use: String) throws {
        #expect(try Bench.compiler.compile("local all = \(use) return 1").secretNames == ["*"])
    }
}
