import Ports
import TestSupport
import Testing
import Values

@testable import LuaExpressions

@Suite("XML in expressions")
struct XMLTests {
    private static let order = """
        <?xml version="1.0" encoding="utf-8"?>
        <s:Envelope xmlns:s="urn:s">
          <s:Body>
            <Order xmlns="urn:o" id="7" x:kind="b2b" xmlns:x="urn:x">
              <Item sku="a">Cup &amp; <![CDATA[<saucer>]]></Item>
              <Item sku="b">&#x1F375;&#233;</Item>
              <Note/>
            </Order>
          </s:Body>
        </s:Envelope>
        """

    private func value(_ source: String, _ xml: String = order) throws -> Value {
        try Bench.evaluate(source, MapScope(["t": .string(xml)]))
    }

    static let table: [(String, Value)] = [
        ("xml.get(t, 'Envelope/Body/Order/@id')", "7"), ("xml.get(t, 's:Envelope/s:Body/o:Order/@id')", "7"),
        ("xml.get(t, 'Envelope/Body/Order/@x:kind')", "b2b"),
        ("xml.get(t, 'Envelope/Body/Order/@kind')", nil),
        ("xml.get(t, 'Envelope/Body/Order/Item')", "Cup & <saucer>"),
        ("xml.get(t, 'Envelope/Body/Order/Item[2]')", "🍵é"),
        ("xml.get(t, 'Envelope/Body/Order/Item[3]')", nil),
        ("xml.get(t, 'Envelope/Body/Order/Item[2]/@sku')", "b"), ("xml.get(t, 'Order/@id')", nil),
        ("xml.get(t, 'Envelope/Body/Order/Note')", ""), ("xml.get(t, 'Envelope/Body')", ""),
        ("xml.get(t, 'Envelope/Body/Order/@xmlns')", nil), ("xml.get(t, '@id')", nil),
        ("xml.all(t, 'Envelope/Body/Order/Item/@sku')", ["a", "b"]), ("xml.all(t, 'Envelope/None')", []),
        (
            "xml.all(t, 'Envelope/Body/Order/Note')",
            [["name": "Note", "attributes": [:], "text": "", "children": []]]
        ),
        ("xml.decode('<a b=\"1\">x<c/>y</a>').root.text", "xy"),
        (
            "xml.decode('<p:a p:b=\"1\" b=\"2\">x</p:a>')",
            ["root": ["name": "a", "attributes": ["p:b": "1", "b": "2"], "text": "x", "children": []]]
        ),
        ("xml.decode('<a> <b> </b> </a>').root.children[1].text", " "),
        (
            "local s = '' for _, i in ipairs(xml.all(t, 'Envelope/Body/Order/Item')) do "
                + "s = s .. xml.get(i, '@sku') .. ':' .. i.text .. ' ' end return s", "a:Cup & <saucer> b:🍵é "
        ),
        ("xml.get(xml.decode(t).root, 'Body/Order/@id')", "7"),
        ("xml.get({root = xml.decode(t).root}, 'Envelope/Body/Order/@id')", "7"),
        (#"xml.get('\u{FEFF}<a>x</a>', 'a')"#, "x"), ("xml.get('<a>&lt;&#10;</a>', 'a')", "<\n"),
        ("xml.get('<!-- c --><a><?p i?>x<!-- c -->y</a>', 'a')", "xy"),
        ("xml.get('<a x=\"1\" y=\"2\"/>', 'a/@y')", "2"),
    ]

    @Test("gives elements and attributes by their path", arguments: table)
    func gives(source: String, expected: Value) throws { #expect(try value(source) == expected) }

    static let refused: [(String, String)] = [
        ("''", "no element found, in line 1"), ("'<a>'", "no element found"), ("'<a'", "unclosed token"),
        (#"'<a>\n<b></a></b>'"#, "mismatched tag, in line 2"), ("'<a/><b/>'", "junk after document element"),
        ("'<a b=\"1\" b=\"2\"/>'", "duplicate attribute"), ("'<a b=1/>'", "not well-formed"),
        ("'<a>&x;</a>'", "undefined entity"), ("'<a>&#0;</a>'", "invalid character number"),
        ("'<a>&#xD800;</a>'", "invalid character number"),
        ("'<a>&#x110000;</a>'", "invalid character number"),
        (#"'<a>\0</a>'"#, "not well-formed"), (#"'<a>\xFF</a>'"#, "not well-formed"),
        (#"'<a>\xED\xA0\x80</a>'"#, "not well-formed"),
        (#"'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xE9</a>'"#, "the encoding is ISO-8859-1"),
        (#"'<?xml version="1.0" encoding="UTF-16"?><a/>'"#, "the encoding is UTF-16"),
        (#"'\xFF\xFE<\0a\0/\0>\0'"#, "the encoding is UTF-16"),
        ("'<!DOCTYPE a><a/>'", "a document type declaration is not allowed"),
        (#"'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'"#, "a document type declaration is not allowed"),
        (#"'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'"#, "a document type declaration is not allowed"),
        (
            #"'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]><a/>'"#,
            "a document type declaration is not allowed"
        ),
        ("('<a>'):rep(100000)", "nested deeper than 60 levels, in line 1"),
        ("('<a>'):rep(61) .. ('</a>'):rep(61)", "nested deeper than 60 levels"),
    ]

    @Test("refuses what is not well-formed XML in UTF-8, whatever is asked of it", arguments: refused)
    func refuses(source: String, expected: String) throws {
        for call in ["xml.decode(\(source))", "xml.get(\(source), 'a')", "xml.all(\(source), 'q/@r')"] {
            let message = try Bench.raised(call, MapScope())
            #expect(message.contains(expected), "\(call): \(message)")
        }
    }

    @Test(
        "refuses what is no path",
        arguments: [
            "", "/", "/a", "a/", "a//b", ".", "a/..", "a[0]", "a[x]", "a[1", "a[]", "@", "@a/b", "a[@b='1']",
            "*", "text()", "a|b", "a[1][2]", "a/@b[1]", "a[99999999999999999999]", ":",
        ])
    func refusesPaths(path: String) throws {
        let scope = MapScope(["p": .string(path)])
        #expect(try Bench.raised("xml.get('<a/>', p)", scope).contains("argument 2 must be a path"))
    }

    @Test(
        "refuses what is no XML and was not decoded from any",
        arguments: ["null", "1", "{}", "{a = 1}", "steps", "trigger.body", "json.null"])
    func refusesOthers(value: String) throws {
        #expect(try Bench.raised("xml.get(\(value), 'a')").contains("argument 1 must be XML"))
    }

    @Test("the deepest document can be decoded, kept and read again")
    func deepestIsAValue() throws {
        let depth = XMLReader.depthMax
        let value = try value("xml.decode(('<a>'):rep(\(depth)) .. ('</a>'):rep(\(depth)))")
        #expect(try JSON.parse(JSON.bytes(value)) == value)
    }

    @Test("what is kept of a large document is held against the bound of memory, and the rest is not")
    func memoryIsBounded() throws {
        let long = "<a b='\(String(repeating: "x", count: 1_000_000))'/>"
        #expect(try value("xml.get(t, 'a/@c')", long) == nil)
        #expect(throws: ExpressionFailure.memoryExceeded) { try value("xml.get(t, 'a/@b')", long) }
        let many = "<a>\(String(repeating: "<b/>", count: 20_000))<c>x</c></a>"
        #expect(try value("xml.get(t, 'a/c')", many) == "x")
        #expect(throws: ExpressionFailure.memoryExceeded) { try value("xml.decode(t)", many) }
    }

    @Test(
        "work without end stops within the budget",
        arguments: [
            "while true do xml.get(t, 'a') end return 1", "while true do xml.all('<a/>', 'b') end return 1",
            "local d = xml.decode('<a>' .. ('<b/>'):rep(500) .. '</a>') while true do xml.all(d, 'a/b') end return 1",
        ])
    func workIsBounded(source: String) throws {
        let lines = "<a>\(String(repeating: "\n", count: 500_000))</a>"
        #expect(throws: ExpressionFailure.budgetExceeded) { try value(source, lines) }
    }

    @Test("a path leads to the same in a text and in what was decoded from it")
    func textAndTreeAgree() throws {
        var random = SeededRandom(seed: 7)
        func element(_ depth: Int) -> String {
            let name = ["a", "b", "p:a"].randomElement(using: &random) ?? "a"
            let attribute = Bool.random(using: &random) ? " a='\(Int.random(in: 0...9, using: &random))'" : ""
            let count = depth > 3 ? 0 : Int.random(in: 0...3, using: &random)
            let content = (0..<count).map { _ in
                element(depth + 1) + (Bool.random(using: &random) ? " " : "x")
            }
            return "<\(name)\(attribute)>\(content.joined())</\(name)>"
        }
        func path() -> String {
            let steps = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                ["a", "b", "a[1]", "a[2]", "b[2]"].randomElement(using: &random) ?? "a"
            }
            return steps.joined(separator: "/") + (Bool.random(using: &random) ? "/@a" : "")
        }
        for _ in 0..<300 {
            let scope = MapScope(["t": .string(element(0)), "p": .string(path())])
            for function in ["get", "all"] {
                let streamed = try Bench.evaluate("xml.\(function)(t, p)", scope)
                #expect(try Bench.evaluate("xml.\(function)(xml.decode(t), p)", scope) == streamed)
            }
        }
    }
}
