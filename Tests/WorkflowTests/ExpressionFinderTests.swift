import Testing

@testable import Workflow

@Suite("Expressions in texts")
struct ExpressionFinderTests {
    @Test(
        "an expression ends at its bracket outside Lua strings and long brackets",
        arguments: [
            ("<< a >> b", ["(a)", " b"]), ("<< '>>' >>", ["('>>')"]), ("<<\"a\\\">>\">>", ["(\"a\\\">>\")"]),
            ("<< [==[ >> ]==] >>x", ["([==[ >> ]==])", "x"]), ("{{ {a={b=1}} }}", ["({a={b=1}})"]),
            ("<< it's\n >> y", ["(it's)", " y"]), ("a }} b", ["a }} b"]), ("<<a>><<b>>", ["(a)", "(b)"]),
            ("é<< a[1][2] >>", ["é", "(a[1][2])"]),
        ])
    func ends(text: String, expected: [String]) throws {
        let pieces = try ExpressionFinder.pieces(of: text).map { piece in
            switch piece {
            case .literal(let literal): literal
            case .expression(let source, _):
                "(\(source.split(whereSeparator: \.isWhitespace).joined(separator: " ")))"
            }
        }
        #expect(pieces == expected)
    }

    @Test(
        "a bracket without its partner is found",
        arguments: [
            ("a << b", 2, "<<"), ("a >> b", 2, ">>"), ("{{ x }", 0, "{{"), ("<< 'x >>", 0, "<<"),
            ("<< [[ >>", 0, "<<"),
        ])
    func unbalanced(text: String, offset: Int, bracket: String) {
        #expect(throws: ExpressionFinder.Unbalanced(offset: offset, bracket: bracket)) {
            try ExpressionFinder.pieces(of: text)
        }
    }

    @Test(
        "durations have descending units and nothing else",
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("1h30m", .seconds(5400)), ("7d", .seconds(604_800)),
            ("0s", .zero),
        ])
    func durations(text: String, expected: Duration) {
        #expect(DurationText.read(text) == expected)
        #expect(DurationText.write(expected) == text)
    }

    @Test(
        "other texts are no durations",
        arguments: ["", "30", "s", "1m1h", "1s1s", "-1s", "1.5s", "1 s", "9999999999999d", "999999999999d"])
    func notDurations(text: String) { #expect(DurationText.read(text) == nil) }
}
