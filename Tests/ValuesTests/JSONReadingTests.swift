import Testing
import Values

@Suite("JSON: reading")
struct JSONReadingTests {
    @Test(
        "Valid texts are read",
        arguments: [
            "null", " true ", "false", "0", "-0", "-1", "0.0", "1e0", "1E+5", "1e-5", "-0.5e3", "1e400",
            "123456789",
            "9223372036854775807", "-9223372036854775808", "9223372036854775808", "12345678901234567890",
            #""""#, #""a""#, #""\"\\\/\b\f\n\r\t""#, #""\u0041""#, #""\u00e9""#, #""\uD83D\uDE00""#,
            #""\u0000""#,
            #""é😀""#, "\"\u{7F}\"", "\"\u{2028}\"", "[]", "[ ]", "[1]", "[1,2]", "[ 1 , 2 ]", "[[[]]]", "{}",
            "{ }",
            #"{"a":1}"#, #"{"a":{"b":[]}}"#, #"{"":0}"#, #"{"a":1,"A":2}"#, "\t\n\r [null]\n",
            #"{"\u0000":1}"#, #"{"\u00e9":1,"e\u0301":2}"#,
        ])
    func accepted(text: String) throws {
        let value = try JSON.parse(text)
        try #expect(JSON.parse(JSON.bytes(value)) == value)
        try #expect(JSON.parse(JSON.prettyText(value)) == value)
    }

    @Test(
        "Texts that are not JSON are refused, with an offset inside the text",
        arguments: [
            "", " ", "nul", "nulL", "True", "tru", "NaN", "Infinity", "-Infinity", "+1", "01", "-01", "00",
            "-", "1.",
            ".5", "-.5", "1.e5", "1e", "1e+", "1e-", "0x1", "1_000", "1 2", "--1", "1e1.5", "\"", "\"a",
            "'a'", "a",
            #""\""#, #""\x41""#, #""\u""#, #""\u12""#, #""\u12G4""#, #""\uD800\u12G4""#, #""\U0041""#,
            "\"\n\"", "\"\t\"",
            "\"\u{0}\"",
            "\"\u{1F}\"", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1,,2]", "[1}", "{", "}",
            #"{"a""#,
            #"{"a":"#, #"{"a":1"#, #"{"a":1,"#, #"{"a":1,}"#, "{,}", #"{"a"}"#, #"{"a",1}"#, "{a:1}", "{1:1}",
            #"{"a":1 "b":2}"#, #"{"a"::1}"#, #"{'a':1}"#, "[] []", "{}x", "// c\n1", "/* c */ 1", "1,",
            "[1]]",
            "1\u{FEFF}", " \u{FEFF}1", "\u{FEFF}\u{FEFF}1", "\u{FEFF}", "\u{A0}1", "\u{0B}1", "1\u{0}",
        ])
    func refused(text: String) {
        let problem = #expect(throws: JSONProblem.self) { try JSON.parse(text) }
        #expect((0...text.utf8.count).contains(problem?.offset ?? -1))
    }

    @Test(
        "Invalid UTF-8 is refused",
        arguments: [
            [0x80], [0xFF], [0xC0, 0xAF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0xF8, 0x88, 0x80, 0x80, 0x80], [0xE0, 0x80, 0xAF],
        ] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) {
        #expect(throws: JSONProblem.self) { try JSON.parse([0x22] + bytes + [0x22]) }
        #expect(throws: JSONProblem.self) {
            try JSON.parse(Array(#"{"\n"#.utf8) + bytes + Array(#"":1}"#.utf8))
        }
        #expect(throws: JSONProblem.self) { try JSON.parse(Array("aaaaaaaaaaaaaaaaaaaa".utf8) + bytes) }
        let long = [UInt8](repeating: 0x61, count: 40)
        #expect(throws: JSONProblem.self) { try JSON.parse([0x22] + long + bytes + long + [0x22]) }
    }

    @Test("Numbers keep their exact meaning")
    func exactNumbers() throws {
        try #expect(JSON.parse("9223372036854775807") == .int(.max))
        try #expect(JSON.parse("-9223372036854775808") == .int(.min))
        try #expect(JSON.parse("9223372036854775808") == .number("9223372036854775808"))
        try #expect(JSON.parse("-9223372036854775809") == .number("-9223372036854775809"))
        try #expect(JSON.parse("9007199254740993") == .int(9_007_199_254_740_993))
        for text in ["-0", "1e400", "12.50", "1.0", "0.1", "1E5", "-0.0", "12345678901234567890", "1e5"] {
            try #expect(JSON.parse(text) == .number(text))
            try #expect(JSON.text(JSON.parse(text)) == text)
        }
    }

    @Test("Escapes become their characters")
    func escapes() throws {
        try #expect(
            JSON.parse(#""a\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\uDE00\u0000z""#).string
                == "a\"\\/\u{8}\u{C}\n\r\tAé😀\u{0}z")
    }

    @Test(
        "Half of a surrogate pair is read as U+FFFD",
        arguments: [
            (#""\uD800""#, "\u{FFFD}"), (#""\uD800a""#, "\u{FFFD}a"), (#""\uD800\n""#, "\u{FFFD}\n"),
            (#""\uD800\uD800""#, "\u{FFFD}\u{FFFD}"), (#""\uDC00""#, "\u{FFFD}"),
            (#""\uDE00\uD83D""#, "\u{FFFD}\u{FFFD}"), (#""caf\ud83d""#, "caf\u{FFFD}"),
            (#""\uD83D\u0041""#, "\u{FFFD}A"), (#""\uD83D\uD83D\uDE00""#, "\u{FFFD}😀"),
        ])
    func loneSurrogates(text: String, expected: String) throws {
        try #expect(JSON.parse(text) == .string(expected))
        try #expect(JSON.parse("{\(text):1}") == .object(Object([.init(name: expected, value: 1)])))
    }

    @Test("A byte order mark at the start is skipped")
    func byteOrderMark() throws {
        try #expect(JSON.parse("\u{FEFF}{\"a\":1}") == ["a": 1])
        try #expect(JSON.parse("\u{FEFF} 1") == 1)
    }

    @Test("Equal names are refused at every level and count", arguments: [2, 5, 15, 16, 17, 18, 40, 200])
    func duplicateNames(count: Int) throws {
        let names = (0..<(count - 1)).map { "\"name \($0)\":0" }
        for repeated in [0, (count - 2) / 2, count - 2] {
            let text = "{\((names + ["\"name \(repeated)\":1"]).joined(separator: ","))}"
            for nested in [text, "[1,\(text)]", "{\"a\":\(text)}"] {
                let problem = #expect(throws: JSONProblem.self) { try JSON.parse(nested) }
                #expect(problem?.reason == "duplicate name")
            }
        }
        try #expect(JSON.parse("{\(names.joined(separator: ","))}").object?.count == count - 1)
        #expect(throws: JSONProblem.self) { try JSON.parse(#"{"a":1,"\u0061":2}"#) }
    }

    @Test("Names that only look alike are different members")
    func canonicallyEquivalentNames() throws {
        let value = try JSON.parse("{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
    }

    @Test("128 levels are read and 129 are not")
    func depth() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            func nested(_ levels: Int) -> String {
                let inner = open == "[" ? "" : "{}"
                let outer = open == "[" ? levels : levels - 1
                return String(repeating: open, count: outer) + inner + String(repeating: close, count: outer)
            }
            _ = try JSON.parse(nested(128))
            #expect(throws: JSONProblem.self) { try JSON.parse(nested(129)) }
            #expect(throws: JSONProblem.self) { try JSON.parse(nested(100_000)) }
        }
        _ = try JSON.parse("[\(Array(repeating: "[[]]", count: 300).joined(separator: ","))]")
    }

    @Test("Members keep their order")
    func order() throws {
        let text = #"{"z":1,"a":2,"m":{"y":null,"b":[true,false]}}"#
        try #expect(JSON.text(JSON.parse(text)) == text)
    }
}
