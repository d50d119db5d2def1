import Testing
import Values

@testable import Workflow

@Suite("JSON Schema")
struct JSONSchemaTests {
    /// Schema, values that fit, values that do not.
    static let cases: [(String, [String], [String])] = [
        ("true", ["1", "null"], []), ("false", [], ["1", "null"]), ("{}", ["1", "[]"], []),
        (
            ##"{"type":"integer"}"##, ["1", "1.0", "1e2", "-0", "12345678901234567890"],
            ["1.5", "\"1\"", "null"]
        ),
        (##"{"type":["string","null"]}"##, ["\"\"", "null"], ["1", "false"]),
        (
            ##"{"enum":[1,"a",{"b":[1,2]}]}"##, ["1.0", "\"a\"", ##"{"b":[1,2.0]}"##],
            ["\"1\"", ##"{"b":[2,1]}"##]
        ),
        (##"{"const":{"a":1,"b":2}}"##, [##"{"b":2,"a":1}"##], [##"{"a":1}"##]),
        (
            ##"{"minimum":1.1,"exclusiveMaximum":3}"##, ["1.1", "2.999999999999999999999", "\"x\""],
            ["1.09", "3", "3.0", "-5"]
        ),
        (##"{"multipleOf":0.1}"##, ["0.3", "1.1", "0", "1e400", "-7"], ["0.35", "0.05"]),
        (##"{"multipleOf":7}"##, ["14", "700000000000000000000"], ["1e20", "8"]),
        (##"{"minLength":2,"maxLength":3}"##, ["\"ab\"", "\"😀é\"", "12"], ["\"a\"", "\"abcd\""]),
        (##"{"pattern":"^a+b?$"}"##, ["\"aab\"", "\"a\""], ["\"b\"", "\"aabb\""]),
        (
            ##"{"properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"##,
            [##"{"a":"x"}"##], ["{}", ##"{"a":1}"##, ##"{"a":"x","b":1}"##]
        ),
        (
            ##"{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":{"type":"string"}}"##,
            [##"{"x1":1,"y":"s"}"##], [##"{"x1":"s"}"##, ##"{"y":1}"##]
        ),
        (
            ##"{"propertyNames":{"maxLength":2},"minProperties":1,"maxProperties":2}"##, [##"{"ab":1}"##],
            ["{}", ##"{"abc":1}"##, ##"{"a":1,"b":1,"c":1}"##]
        ),
        (
            ##"{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"required":["d"]}}}"##,
            [##"{"a":1,"b":1}"##, "{}"], [##"{"a":1}"##, ##"{"c":1}"##]
        ),
        (
            ##"{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}"##, [##"["a",1,2]"##, "[]"],
            ["[1]", ##"["a","b"]"##]
        ),
        (
            ##"{"contains":{"const":1},"minContains":2,"maxContains":3}"##, ["[1,1]", "[1,2,1,1]"],
            ["[1]", "[1,1,1,1]"]
        ),
        (##"{"contains":{"const":1},"minContains":0}"##, ["[]"], []),
        (
            ##"{"uniqueItems":true,"minItems":1,"maxItems":3}"##, ["[1,\"1\",[1]]"],
            ["[1,1.0]", "[]", "[1,2,3,4]", ##"[{"a":1,"b":2},{"b":2,"a":1}]"##]
        ),
        (##"{"allOf":[{"minimum":1},{"maximum":3}]}"##, ["2"], ["0", "4"]),
        (##"{"anyOf":[{"type":"string"},{"minimum":5}]}"##, ["\"x\"", "6"], ["4"]),
        (##"{"oneOf":[{"multipleOf":2},{"multipleOf":3}]}"##, ["2", "3"], ["6", "5"]),
        (##"{"not":{"type":"string"}}"##, ["1"], ["\"x\""]),
        (
            ##"{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}"##,
            [##"{"a":1,"b":1}"##, ##"{"c":1}"##], [##"{"a":1}"##, "{}"]
        ),
        (
            ##"{"$ref":"#/$defs/t","$defs":{"t":{"properties":{"kids":{"items":{"$ref":"#/$defs/t"}},"v":{"type":"integer"}}}}}"##,
            [##"{"kids":[{"v":1,"kids":[]}]}"##], [##"{"kids":[{"kids":[{"v":"x"}]}]}"##]
        ),
        (##"{"$ref":"#here","$defs":{"a":{"$anchor":"here","type":"null"}}}"##, ["null"], ["1"]),
        (##"{"$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{"type":"null"}}}"##, ["null"], ["1"]),
        (
            ##"{"allOf":[{"properties":{"a":true}}],"properties":{"b":true},"unevaluatedProperties":false}"##,
            [##"{"a":1,"b":1}"##], [##"{"c":1}"##]
        ),
        (
            ##"{"anyOf":[{"properties":{"a":{"const":1}},"required":["a"]},{"properties":{"b":true},"required":["b"]}],"unevaluatedProperties":false}"##,
            [##"{"a":1}"##, ##"{"a":1,"b":2}"##], [##"{"a":2,"b":2}"##]
        ),
        (
            ##"{"prefixItems":[true],"contains":{"const":9},"unevaluatedItems":false}"##, ["[1,9]"],
            ["[1,9,2]"]
        ),
        (##"{"format":"email"}"##, ["\"no\""], []),
    ]

    @Test("each keyword accepts and refuses what it should", arguments: cases)
    func keywords(schema: String, fitting: [String], unfit: [String]) throws {
        let compiled = try JSONSchema.compile(try JSON.parse(schema)).get()
        for text in fitting { #expect(compiled.validate(try JSON.parse(text)) == [], "\(text)") }
        for text in unfit { #expect(!compiled.validate(try JSON.parse(text)).isEmpty, "\(text)") }
    }

    @Test(
        "what cannot be checked is refused when compiled",
        arguments: [
            ##"{"type":"objekt"}"##, ##"{"pattern":"(?=a)"}"##, ##"{"pattern":"(a)\\1"}"##,
            ##"{"pattern":"("}"##, ##"{"minimum":"1"}"##,
            ##"{"minLength":-1}"##, ##"{"required":[1]}"##, ##"{"items":[{}]}"##, ##"{"$ref":"other.json"}"##,
            ##"{"$ref":"#/$defs/none"}"##,
            ##"{"$ref":"#"}"##, ##"{"allOf":[{"$ref":"#"}]}"##, ##"{"$dynamicRef":"#a"}"##,
            ##"{"anyOf":[]}"##, ##"{"reqired":["a"]}"##,
            ##"{"multipleOf":0}"##, "3", ##"{"properties":{"a":3}}"##,
            ##"{"$schema":"http://json-schema.org/draft-07/schema#"}"##,
            ##"{"pattern":"a{1001}"}"##, ##"{"pattern":"((((){1000}){1000}){1000}){1000}"}"##,
            ##"{"pattern":"((a{100}){100}){100}"}"##,
        ])
    func refusedSchemas(schema: String) throws {
        guard case .failure(let faults) = JSONSchema.compile(try JSON.parse(schema)) else {
            Issue.record("it compiled")
            return
        }
        #expect(!faults.list.isEmpty)
    }

    @Test("violations name the place as a JSON pointer")
    func violationPaths() throws {
        let schema = try JSONSchema.compile(
            try JSON.parse(##"{"properties":{"a/b":{"items":{"type":"string"}}},"required":["c"]}"##)
        ).get()
        let violations = schema.validate(["a/b": ["x", 1]])
        #expect(violations.map(\.path) == ["", "/a~1b/1"])
        #expect(violations.map(\.message) == ["has no `c`", "is integer, not string"])
    }

    @Test("hostile schemas and patterns end soon")
    func boundedWork() throws {
        let pattern = try JSONSchema.compile(["pattern": "^(a+)+$|(a|a)*b|(.*)*x"]).get()
        let doubling = Value.object(
            Object(
                [Object.Member(name: "$ref", value: "#/$defs/d0")] + [
                    Object.Member(
                        name: "$defs",
                        value: .object(
                            Object(
                                (0..<40).map { level in
                                    let next: Value = ["$ref": .string("#/$defs/d\(level + 1)")]
                                    return Object.Member(name: "d\(level)", value: ["allOf": [next, next]])
                                } + [Object.Member(name: "d40", value: ["type": "null"])])))
                ]))
        let clock = ContinuousClock()
        let time = clock.measure {
            #expect(!pattern.validate(.string(String(repeating: "a", count: 5000) + "!")).isEmpty)
            if case .success(let schema) = JSONSchema.compile(doubling) {
                #expect(!schema.validate(1, workMax: 50_000).isEmpty)
            }
        }
        #expect(time < .seconds(15))
    }

    @Test(
        "patterns match as in ECMA-262",
        arguments: [
            ("^\\d{2,3}$", "12", true), ("^\\d{2,3}$", "1234", false), ("a|b|", "zzz", true),
            ("^(?:ab)*$", "abab", true),
            ("[^a-c]", "abc", false), ("[\\w.-]+@[a-z]+\\.com", "me.x@host.com", true),
            ("\\bcat\\b", "a cat!", true),
            ("\\bcat\\b", "concat", false), ("^.$", "\n", false), ("^\\p{Lu}\\p{Ll}+$", "Ärger", true),
            ("^\\p{Letter}+$", "Ärger", true), ("^\\p{Uppercase_Letter}$", "a", false),
            ("^\\p{gc=Nd}\\p{General_Category=Currency_Symbol}$", "5€", true), ("^\\p{Sc}$", "+", false),
            ("^\\p{LC}\\P{Letter}$", "a1", true), ("^[\\p{Dash_Punctuation}_]+$", "-_", true),
            ("^\\u0041\\x42$", "AB", true),
            ("^a??b$", "b", true), ("^(?<year>\\d{4})$", "2024", true), ("[]", "a", false),
            ("[^]", "a", true), ("^[a-]$", "-", true),
            ("^\\u{1F600}$", "😀", true), ("^\\/$", "/", true), ("a{0}", "", true), ("^(a|b){2}$", "ba", true),
            ("", "x", true),
        ])
    func patterns(pattern: String, text: String, expected: Bool) throws {
        #expect(try LinearPattern(pattern).matches(text) == expected)
    }

    @Test("names in a `$ref` and anchors are compared by their bytes")
    func referencesAreBytes() throws {
        let schema: Value = [
            "$defs": [
                "\u{E9}": ["type": "string"], "e\u{301}": ["type": "integer"],
                "\u{301}x": ["type": "boolean"],
            ],
            "properties": [
                "a": ["$ref": "#/$defs/%C3%A9"], "b": ["$ref": "#/$defs/e%CC%81"],
                "c": ["$ref": "#/$defs/%CC%81x"],
                "d": ["$ref": "#/$defs/\u{301}x"],
            ],
        ]
        guard case .success(let compiled) = JSONSchema.compile(schema) else {
            Issue.record("does not compile")
            return
        }
        #expect(compiled.validate(["a": "x", "b": 1, "c": true, "d": false]).isEmpty)
        #expect(compiled.validate(["a": 1, "b": "x", "c": 1, "d": 1]).count == 4)
        let anchored: Value = [
            "$defs": [
                "one": ["$anchor": "\u{E9}", "type": "string"],
                "two": ["$anchor": "e\u{301}", "type": "integer"],
            ], "properties": ["a": ["$ref": "#%C3%A9"], "b": ["$ref": "#e%CC%81"]],
        ]
        guard case .success(let second) = JSONSchema.compile(anchored) else {
            Issue.record("does not compile")
            return
        }
        #expect(
            second.validate(["a": "x", "b": 1]).isEmpty && second.validate(["a": 1, "b": "x"]).count == 2)
    }
}
