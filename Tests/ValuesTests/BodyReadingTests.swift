import Testing
import Values

@Suite("Bodies by their content types")
struct BodyReadingTests {
    private static let form = "application/x-www-form-urlencoded"

    private func read(_ text: String, _ type: String?) throws -> Value {
        try BodyReader.read(Array(text.utf8), contentType: type)
    }

    @Test(
        "JSON types are read as JSON, and what is not JSON is a problem",
        arguments: [
            "application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\"",
            "text/json",
            "application/hal+json", "application/vnd.api+json; ext=\"a;b\"", "application/x-amz-json-1.1",
            "json",
            "application/json; charset=us-ascii", "application/json; charset=nobody-knows",
            "application/json ; a",
            "application/problem+json, application/json",
        ])
    func jsonTypes(type: String) throws {
        try #expect(read(#"{"a":[1]}"#, type) == ["a": [1]])
        try #expect(read("\u{FEFF}{}", type) == [:])
        for text in ["<html>", "{", #"{"a":1,"a":2}"#, "NaN", " ", "\u{1F}\u{8B}"] {
            let problem = #expect(throws: BodyProblem.self) { try read(text, type) }
            #expect(problem?.format == .json)
            #expect(problem?.message(about: "the body").hasPrefix("the body is not JSON: ") == true)
            #expect(BodyReader.value(of: Array(text.utf8), contentType: type) == .string(text))
        }
        #expect(throws: BodyProblem.self) {
            try BodyReader.read([0x22, 0xE9, 0x22], contentType: type)
        }
    }

    @Test(
        "Sequences of JSON and other types are text",
        arguments: [
            "text/plain", "application/x-ndjson", "application/json-seq", "application/geo+json-seq",
            "application/jsonlines", "application/json5", "text/html", "application/octet-stream",
            "image/png",
            "multipart/mixed; boundary=x", "nonsense", ";", "text/plain; charset=nobody-knows",
        ])
    func otherTypes(type: String) throws {
        try #expect(read(#"{"a":1}"#, type) == #"{"a":1}"#)
        try #expect(BodyReader.read([0xFF, 0x00], contentType: type) == .bytes([0xFF, 0x00]))
    }

    @Test("Without a type, JSON is read as JSON and all else as it is, unless JSON is what is expected")
    func untyped() throws {
        for type in [nil, ""] {
            try #expect(read("[1]", type) == [1])
            try #expect(read("[1", type) == "[1")
            try #expect(BodyReader.read([0xFF], contentType: type) == .bytes([0xFF]))
            #expect(throws: BodyProblem.self) {
                try BodyReader.read([0xFF], contentType: type, untyped: .json)
            }
        }
        for type in [nil, "application/json", Self.form, "multipart/form-data", "text/plain"] {
            try #expect(BodyReader.read([], contentType: type) == nil)
        }
    }

    @Test(
        "A charset says how a text is read",
        arguments: [
            ("text/plain; charset=iso-8859-1", [0x63, 0xE9, 0x80], "cé\u{80}"),
            ("text/plain; charset=\"Windows-1252\"", [0xE9, 0x80, 0x81], "é€\u{81}"),
            ("text/plain;charset=iso-8859-15", [0xA4, 0xE9], "€é"),
            ("text/plain; charset=utf-16", [0xFF, 0xFE, 0xE9, 0x00], "é"),
            ("text/plain; charset=utf-16", [0x00, 0xE9], "é"),
            ("text/plain; charset=utf-16le", [0x3D, 0xD8, 0x00, 0xDE], "😀"),
            ("text/plain; format=flowed; charset=utf-8", [0xC3, 0xA9], "é"),
            ("text/plain; charset=us-ascii", [0x41], "A"),
        ] as [(String, [UInt8], String)])
    func charsets(type: String, bytes: [UInt8], expected: String) throws {
        try #expect(BodyReader.read(bytes, contentType: type) == .string(expected))
    }

    @Test("Bytes that their charset has no text for, or that has no known name, stay bytes")
    func noCharset() throws {
        for type in [
            "charset=utf-8", "charset=us-ascii", "charset=utf-16", "charset=koi8-r", "charset=", "charset",
        ] {
            try #expect(BodyReader.read([0xE9], contentType: "text/plain; \(type)") == .bytes([0xE9]))
        }
    }

    @Test("JSON in another charset is read in it")
    func jsonCharset() throws {
        let bytes = Array(#"{"n":""#.utf8) + [0xE9] + Array("\"}".utf8)
        let type = "application/json; charset=iso-8859-1"
        try #expect(BodyReader.read(bytes, contentType: type) == ["n": "é"])
        let unknown = #expect(throws: BodyProblem.self) {
            try BodyReader.read(bytes, contentType: "application/json; charset=koi8-r")
        }
        #expect(unknown?.reason.contains("koi8-r") == true)
    }

    @Test(
        "A form keeps all values of a name: one is a text, several are a list, and a name with [] is a list")
    func forms() throws {
        try #expect(
            read("a=1+2&b%5Bc%5D=%26&&d&=e", Self.form) == ["a": "1 2", "b[c]": "&", "d": "", "": "e"])
        try #expect(
            read("a=first&a=last&items[]=1&items[]=2&items[]=3&one[]=x&b=1", Self.form)
                == ["a": ["first", "last"], "items[]": ["1", "2", "3"], "one[]": ["x"], "b": "1"])
        try #expect(
            BodyReader.read(Array("a=%E9&a=%C3%A9".utf8), contentType: Self.form)
                == ["a": [.bytes([0xE9]), "é"]])
        try #expect(read("a=%E9", Self.form + "; charset=iso-8859-1") == ["a": "é"])
    }

    @Test(
        "A form with a broken escape is a problem that says where",
        arguments: ["a=%zz", "b=1&a=%4", "%=1", "a=%"])
    func brokenForms(text: String) {
        let problem = #expect(throws: BodyProblem.self) { try read(text, Self.form) }
        #expect(problem?.format == .form)
        let percent = Array(text.utf8).lastIndex(of: UInt8(ascii: "%")) ?? -1
        #expect(problem?.reason.hasSuffix("at byte \(percent)") == true)
        #expect(throws: BodyProblem.self) { try read("%ff=1", Self.form) }
    }

    @Test("JSON that says that it is a form, as curl sends it, is JSON")
    func jsonAsForm() throws {
        try #expect(read(#"{"a":"b=c&d"}"#, Self.form) == ["a": "b=c&d"])
        try #expect(read("{a=1", Self.form) == ["{a": "1"])
    }

    @Test("A compressed body is not read as what it is not; its bytes are kept where bytes are asked for")
    func compression() throws {
        let bytes: [UInt8] = [0x1F, 0x8B, 0x08, 0x00]
        for type in ["application/json", Self.form, "multipart/form-data; boundary=x"] {
            let problem = #expect(throws: BodyProblem.self) {
                try BodyReader.read(bytes, contentType: type, contentEncoding: "gzip")
            }
            #expect(problem?.format == .compressed)
        }
        for type in [nil, "text/plain", "application/gzip"] {
            try #expect(BodyReader.read(bytes, contentType: type, contentEncoding: "gzip") == .bytes(bytes))
        }
        for encoding in ["", "identity", "Identity", "identity, IDENTITY"] {
            try #expect(
                BodyReader.read([0x31], contentType: "application/json", contentEncoding: encoding) == 1)
        }
    }
}
