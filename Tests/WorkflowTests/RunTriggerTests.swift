import Testing
import Values
import Workflow

@Suite("Triggers that hear of the ends of runs")
struct RunTriggerTests {
    private static func file(_ trigger: String, _ rest: String = "steps: [{lua: '1'}]") -> String {
        "name: a\nversion: 1\ntriggers:\n  - {type: run, \(trigger)}\n\(rest)\n"
    }

    @Test(
        "each fault has its code and place",
        arguments: [
            ("workflows: b", ["MR1102 4:5"]), ("on: []", ["MR1112 4:21"]), ("on: broken", ["MR1108 4:21"]),
            ("on: [failed, skipped]", ["MR1108 4:30"]), ("on: failed, workflows: []", ["MR1112 4:40"]),
            ("on: failed, workflows: [Order]", ["MR1105 4:41"]), ("on: failed, dedupe: x", ["MR1101 4:29"]),
            ("on: {failed: true}", ["MR1103 4:21"]), ("on: failed, when: (", ["MR1303 4:35"]),
            ("on: failed", []), ("on: [failed, cancelled, succeeded], workflows: [b, c]", []),
            ("on: failed, when: trigger.body.error.code == 'status'", []),
            ("on: failed, when: trigger.body.eror == null", ["MR1906 4:48"]),
            ("on: failed, when: trigger.body.error.kode == null", ["MR1308 4:54"]),
        ])
    func faults(trigger: String, expected: [String]) {
        #expect(Reading.marks(Self.file(trigger)) == expected)
    }

    @Test("more names than may be are refused")
    func tooManyNames() {
        func names(_ count: Int) -> String { (1...count).map { "w\($0)" }.joined(separator: ", ") }
        #expect(Reading.marks(Self.file("on: failed, workflows: [\(names(100))]")).isEmpty)
        #expect(Reading.marks(Self.file("on: failed, workflows: [\(names(101))]")) == ["MR1109 4:40"])
    }

    @Test("a rule admits what it names, and every workflow if it names none")
    func rules() {
        let named = RunTriggerRule(outcomes: ["failed"], workflows: ["order"])
        #expect(named.admits(workflow: "order", outcome: "failed"))
        #expect(!named.admits(workflow: "order", outcome: "succeeded"))
        #expect(!named.admits(workflow: "other", outcome: "failed"))
        #expect(RunTriggerRule(outcomes: ["failed"]).admits(workflow: "other", outcome: "failed"))
    }
}
