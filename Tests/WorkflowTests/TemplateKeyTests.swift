import Ports
import Testing
import Values
import Workflow

@Suite("Keys made of templates")
struct TemplateKeyTests {
    private struct Scope: ExpressionScope {
        var body: Value
        var now: Instant? { nil }
        var memberNames: [String] { ["trigger"] }

        func member(_ name: String) -> ScopeNode? { name == "trigger" ? .value(["body": body]) : nil }
    }

    private static func key(_ dedupe: String, _ body: Value) throws -> Value {
        let file = """
            name: keys
            version: 1
            triggers: [{type: http, dedupe: "\(dedupe)"}]
            steps: [{lua: "1"}]
            """
        let template = try #require(Reading.workflow(file).definition?.triggers[0].dedupe)
        return try template.key(in: Scope(body: body))
    }

    @Test("a text has all of its parts, and an expression alone may say that there is no key")
    func partsArePresent() throws {
        #expect(try Self.key("a-<< trigger.body.x >>", ["x": 1]) == "a-1")
        #expect(try Self.key("<< trigger.body.x >>", [:]) == nil)
        #expect(throws: KeyFault.missingPart(2)) {
            try Self.key("<< trigger.body.x >>-<< trigger.body.y >>", ["x": 1, "y": ""])
        }
        #expect(throws: KeyFault.missingPart(1)) { try Self.key("a-<< trigger.body.x >>", ["x": nil]) }
        for empty in [[], [:]] as [Value] {
            #expect(throws: KeyFault.missingPart(1)) { try Self.key("a-<< trigger.body.x >>", ["x": empty]) }
        }
        #expect(KeyFault.missingPart(1).message.contains("expression 1"))
    }

    @Test("an expression that fails, and bytes, give no key")
    func faultsAreTold() {
        #expect(throws: KeyFault.self) { try Self.key("a-<< error('no') >>", [:]) }
        #expect(throws: KeyFault.failed(.notAValue(reason: "a key is text, not bytes"))) {
            try Self.key("a-<< trigger.body.x >>", ["x": .bytes([0xFF])])
        }
    }
}
