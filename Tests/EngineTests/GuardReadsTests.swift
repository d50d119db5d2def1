import Ports
import Testing
import Values

@testable import Engine

@Suite("What a guard has read")
struct GuardReadsTests {
    @Test(
        "paths are found as they are written, outside of quotes",
        arguments: [
            ("steps.a.response.status == 200", ["steps.a.response.status"]),
            (
                "trigger.body.n > vars.limit and steps.a.outcome != 'x.y'",
                ["trigger.body.n", "vars.limit", "steps.a.outcome"]
            ),
            ("trigger.body['odd name'] == \"steps.b.output\"", ["trigger.body.odd name"]),
            ("item.a.b == item.a.b", ["item.a.b"]), ("x.steps.a == 1", []),
            ("secrets.KEY == trigger.headers.key", ["trigger.headers.key"]),
            ("#trigger.query > 0", ["trigger.query"]), ("trigger.body[1] == 2", ["trigger.body"]),
            ("run.token ~= nil", []),
            ("", []), ("'unended", []), ("trigger.", []), ("trigger.body.", ["trigger.body"]),
            ("steps['a", []),
        ] as [(String, [String])])
    func pathsAreFound(text: String, paths: [String]) {
        #expect(GuardReads.paths(in: text).map { $0.joined(separator: ".") } == paths)
    }

    @Test("a long text names many paths, of which some are shown, and a long value is not shown")
    func manyPathsAreBounded() {
        let text = (1...100).map { "vars.a\($0)" }.joined(separator: " + ")
        #expect(GuardReads.paths(in: text).count == 12)
        let values = GuardReads.values(in: "vars.long == vars.short and vars.none", Vars())
        #expect(values == ["vars.long": "a long text", "vars.short": 1, "vars.none": .null])
    }

    private struct Vars: ScopeBranch {
        func member(_ name: String) -> ScopeNode? {
            name == "vars" ? .value(["long": .string(String(repeating: "x", count: 400)), "short": 1]) : nil
        }

        var memberNames: [String] { ["vars"] }
    }
}
