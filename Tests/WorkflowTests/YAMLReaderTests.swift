import Testing
import Values
import Workflow
import WorkflowYAML

@Suite("YAML reader")
struct YAMLReaderTests {
    static let scalars: [(String, Value)] = [
        ("true", true), ("True", true), ("TRUE", true), ("false", false), ("False", false), ("FALSE", false),
        ("tRue", "tRue"), ("yes", "yes"), ("Yes", "Yes"), ("no", "no"), ("NO", "NO"), ("on", "on"),
        ("off", "off"),
        ("y", "y"), ("n", "n"), ("null", .null), ("Null", .null), ("NULL", .null), ("~", .null), ("", .null),
        ("nULL", "nULL"), ("nil", "nil"), ("0", 0), ("12", 12), ("-3", -3), ("+5", 5), ("012", "012"),
        ("00", "00"),
        ("-07", "-07"), ("0o14", 12), ("0o8", "0o8"), ("0x1F", 31), ("0xfg", "0xfg"), ("0b11", "0b11"),
        ("0o", "0o"),
        ("0x-1", "0x-1"), ("1_000", "1_000"), ("1,000", "1,000"), ("1:30", "1:30"), ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("1.5", .number("1.5")),
        ("2.50", .number("2.50")), (".5", .number("0.5")), ("1.", .number("1.0")), ("+1.5", .number("1.5")),
        ("-.5", .number("-0.5")), ("01.5", "01.5"), ("1e3", .number("1e3")), ("1E-3", .number("1E-3")),
        ("1e", "1e"),
        (".", "."), ("-", "-"), ("+", "+"), (".inf", ".inf"), ("-.inf", "-.inf"), (".nan", ".nan"),
        ("9223372036854775807", .int(.max)), ("9223372036854775808", .number("9223372036854775808")),
        ("'12'", "12"), ("\"true\"", "true"), ("'null'", "null"), ("''", ""), ("1.2.3", "1.2.3"), ("=", "="),
        ("hello world", "hello world"), ("\"\\u00e9\"", "é"),
    ]

    @Test("each scalar has the type of the 1.2 core schema", arguments: scalars)
    func scalarTypes(text: String, expected: Value) throws {
        // A lone hyphen begins a list in YAML; inside a flow list neither notation is wanted.
        if text == "-" { return }
        #expect(try Reading.node("k: \(text)\n")["k"]?.value == expected)
    }

    @Test("hostile nesting is refused at once", arguments: ["[", "{a: ", "- ", "? ", "[{a: ", "!!x ["])
    func hostileNesting(part: String) {
        let clock = ContinuousClock()
        for byteCount in [250_000, 1_000_000] {
            let bytes = Array(String(repeating: part, count: byteCount / part.utf8.count).utf8)
            let time = clock.measure { #expect(!Reading.refusals(bytes).isEmpty) }
            #expect(time < .seconds(5))
        }
    }

    @Test("an alias bomb is refused before it grows")
    func aliasBomb() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [\(Array(repeating: alias, count: 9).joined(separator: ", "))]\n"
        }
        #expect(Reading.refusals(text) == ["MR1005"])
    }

    @Test("an alias is its anchor's value, within bounds")
    func aliases() throws {
        #expect(try Reading.node("a: &x [1]\nb: *x\n").value == ["a": [1], "b": [1]])
        #expect(Reading.refusals("a: *none\n") == ["MR1010"])
        #expect(Reading.refusals("a: &x [*x]\n") == ["MR1010"])
        func document(_ count: Int) -> String {
            "a: &x 1\nb: [\(Array(repeating: "*x", count: count).joined(separator: ", "))]\n"
        }
        #expect(Reading.refusals(document(100)) == [])
        #expect(Reading.refusals(document(101)) == ["MR1010"])
    }

    @Test("each limit holds to the unit")
    func limits() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(Reading.refusals(" " + nested(32)) == [])
        #expect(Reading.refusals(" " + nested(33)) == ["MR1004"])
        func list(_ count: Int) -> String {
            "[" + Array(repeating: "1", count: count).joined(separator: ",") + "]"
        }
        #expect(Reading.refusals(list(9999)) == [])
        #expect(Reading.refusals(list(10_000)) == ["MR1005"])
        #expect(Reading.refusals("a: " + String(repeating: "x", count: 65_536)) == [])
        #expect(Reading.refusals("a: " + String(repeating: "x", count: 65_537)) == ["MR1006"])
        let comment = "a: 1\n#"
        #expect(Reading.refusals(comment + String(repeating: "x", count: 262_144 - comment.utf8.count)) == [])
        #expect(
            Reading.refusals(comment + String(repeating: "x", count: 262_145 - comment.utf8.count)) == [
                "MR1002"
            ])
    }

    @Test(
        "what this format leaves out of YAML is refused",
        arguments: [
            ("", "MR1012"), ("# nothing\n", "MR1012"), ("a: 1\n---\nb: 2\n", "MR1011"),
            ("a: 1\na: 2\n", "MR1007"),
            ("a: {b: 1, b: 2}\n", "MR1007"), ("a: !!python/object x\n", "MR1008"),
            ("a: !!binary eA==\n", "MR1008"),
            ("a: !foo 1\n", "MR1008"), ("x: &a {b: 1}\ny:\n  <<: *a\n", "MR1009"), ("a:\n\tb: 1\n", "MR1015"),
            ("a: {f: << g(1, 2) >>, h: 1}\n", "MR1013"), ("a: [<< g(1, 2) >>]\n", "MR1013"),
            ("a: {{ secrets.X }}\n", "MR1014"), ("[1]: 2\n", "MR1016"), ("?\n: 2\n", "MR1016"),
            ("a: b: c\n", "MR1003"),
            ("a: 'open\n", "MR1003"), ("a: \u{2028}\n", "MR1017"), ("a: @x\n", "MR1003"),
            ("a: \u{1}\n", "MR1003"),
            ("{\"a\": 1, \"a\": 2}", "MR1007"), ("a: [1, 2\n", "MR1003"),
            ("%TAG ! tag:x,2000:\n---\na: !y 1\n", "MR1008"),
        ])
    func refusedForms(text: String, code: String) {
        #expect(Reading.refusals(text) == [code])
    }

    @Test("bytes that are not UTF-8 are refused with their place")
    func notUTF8() {
        guard case .failure(let failure) = YAMLReader.read(Array("a: 1\nbé: ".utf8) + [0xFF]) else {
            Issue.record("it was read")
            return
        }
        #expect(failure.problems.map(\.code) == ["MR1001"])
        #expect(failure.problems[0].mark == Mark(line: 2, column: 5))
    }

    @Test("a control character is refused with its place")
    func controlCharacterPlace() {
        guard case .failure(let failure) = YAMLReader.read(Array("a: 1\nb: x\u{0}y\n".utf8)) else {
            Issue.record("it was read")
            return
        }
        #expect(failure.problems.map(\.mark) == [Mark(line: 2, column: 5)])
    }

    @Test("a cut expression is one problem, and a quote never closed is shown where it opens")
    func oneProblemForOneFault() {
        #expect(
            Reading.marks(Reading.step("finish: {a: << f(x, y) >>, b: [<< g(1, 2, 3) >>, 4]}")) == [
                "MR1013 6:17", "MR1013 6:36",
            ])
        #expect(Reading.marks("a: 1\nb: 'x\nc: 2\n").first == "MR1003 2:4")
    }

    @Test("names that differ in their bytes only are two names")
    func canonicalEquivalence() throws {
        #expect(try Reading.node("\u{e9}: 1\ne\u{301}: 2\n").members?.count == 2)
    }

    @Test("a place inside a scalar is found through blocks, folding and quotes")
    func placesInScalars() throws {
        let text =
            "a: |\n    one\n\n      two X\nb: >-\n  three\n  four X\nc: \"five \\\"\n  six X\"\nd: plain\n  more X\ne: 'it''s X'\n"
        let expected = [
            "a": Mark(line: 4, column: 11), "b": Mark(line: 7, column: 8), "c": Mark(line: 9, column: 7),
            "d": Mark(line: 11, column: 8),
        ]
        let node = try Reading.node(text)
        for (name, mark) in expected {
            let scalar = try #require(node[name])
            let offset = try #require(
                scalar.text?.utf8.enumerated().first { $0.element == UInt8(ascii: "X") }?.offset)
            #expect(scalar.mark(ofByte: offset) == mark, "\(name)")
        }
        #expect(node["e"]?.mark(ofByte: 5).line == 12)
    }

    @Test("JSON is read with places and the same limits")
    func json() throws {
        let node = try Reading.node("{\n  \"a\": [1, \"\\ud83d\\ude00\", {\"b\": null}]\n}")
        #expect(node.value == ["a": [1, "😀", ["b": nil]]])
        #expect(node["a"]?.items?[2]["b"]?.mark == Mark(line: 2, column: 34))
        let deep = String(repeating: "[", count: 33) + String(repeating: "]", count: 33)
        guard case .failure(let failure) = DocumentReader.read(Array(deep.utf8)) else {
            Issue.record("it was read")
            return
        }
        #expect(failure.problems.map(\.code) == ["MR1004"])
    }
}
