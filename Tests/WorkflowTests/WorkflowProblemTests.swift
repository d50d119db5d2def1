import Testing
import Values
import Workflow

@Suite("Problems of workflows")
struct WorkflowProblemTests {
    @Test(
        "each fault of a step has its code and place",
        arguments: [
            ("request: {url: 'https://x.y', methud: GET}", ["MR1101 6:35"]),
            ("lua: '1'\nfail: x", ["MR1202 7:5"]),
            ("when: 'true'", ["MR1202 6:5"]),
            ("lua: '1'\nafter: [twoo]", ["MR1203 7:13"]),
            ("lua: steps.other.output", ["MR1203 6:10"]),
            ("lua: steps.one.output", ["MR1205 6:10"]),
            ("lua: '1'\nafter: [one]", ["MR1204 5:3"]),
            ("lua: '1'\nresponse: {timeout: 3s}", ["MR1209 7:5"]),
            ("lua: '1'\nretry: {max: 1}", ["MR1903 7:5"]),
            ("fail: a << b", ["MR1301 6:13"]),
            ("fail: a >> b", ["MR1301 6:13"]),
            ("finish: << #steps >>", ["MR1301 6:13"]),
            ("finish: << >>", ["MR1302 6:16"]),
            ("finish: {'<< 1 >>': 2}", ["MR1305 6:14"]),
            ("lua: |\n  local a = 1\n  return a +\n", ["MR1303"]),
            ("lua: '1'\nwhen: #x", ["MR1304 7:10"]),
            ("lua: '1'\nwhen: [a]", ["MR1103 7:11"]),
            ("lua: '1'\nwhen: {lang: lua, exp: x}", ["MR1103 7:11"]),
            ("lua: '1'\non_error: carry_on", ["MR1108 7:15"]),
            ("request: {method: GET}", ["MR1102 6:14"]),
            ("request: {url: /orders}", ["MR1501 6:20"]),
            ("request: {url: 'ftp://x'}", ["MR1501 6:20"]),
            ("request: {url: 'https://x y'}", ["MR1501 6:20"]),
            ("request: {url: 'https://x', method: FETCH}", ["MR1108 6:41"]),
            ("request: {url: 'https://x', headers: {Host: x}}", ["MR1502 6:43"]),
            ("request: {url: 'https://x', headers: {'a b': x}}", ["MR1502 6:43"]),
            ("request: {url: 'https://x', headers: {a: \"x\\ny\"}}", ["MR1504 6:46"]),
            ("request: {url: 'https://x', headers: {a: [1]}}", ["MR1103 6:46"]),
            ("request: {url: 'https://x', headers: {Authorization: x}, auth: {bearer: y}}", ["MR1503 6:62"]),
            ("request: {url: 'https://x', method: POST, idempotency_key: k}", ["MR1902 6:47"]),
            ("request: {url: 'https://x', idempotency_key: k}", []),
            ("request: {url: 'https://x'}\nresponse: {timeout: 30}", ["MR1110 7:25"]),
            ("request: {url: 'https://x'}\nresponse: {timeout: 2h}", ["MR1109 7:25"]),
            ("request: {url: 'https://x'}\nresponse: {accept: [402, 999]}", ["MR1109 7:30"]),
            ("request: {url: 'https://x'}\nresponse: {schema: order}", ["MR1402 7:24"]),
            ("request: {url: 'https://x'}\nresponse: {schema: {type: objekt}}", ["MR1401 7:31"]),
            ("request: {url: 'https://x'}\nretry: {max: 101}", ["MR1109 7:18"]),
            ("request: {url: 'https://x'}\nretry: {on: [timeuot]}", ["MR1108 7:18"]),
            ("request: {url: 'https://x'}\nretry: {delay: 10s, max_delay: 5s}", ["MR1109 7:36"]),
        ])
    func stepFaults(lines: String, expected: [String]) {
        let marks = Reading.marks(Reading.step(lines))
        #expect(marks.count == expected.count)
        for (mark, wanted) in zip(marks, expected) {
            #expect(mark.hasPrefix(wanted), "\(mark) is not \(wanted)")
        }
    }

    static func document(_ changes: [String: String?]) -> String {
        let keys = [
            "name", "version", "description", "triggers", "vars", "schemas", "steps", "output", "extra",
        ]
        let usual = [
            "name": "a", "version": "1", "triggers": "[{type: manual}]", "steps": "{one: {lua: '1'}}",
        ]
        return keys.compactMap { key -> String? in
            let value = changes.keys.contains(key) ? changes[key] ?? nil : usual[key]
            return value.map { "\(key): \($0)" }
        }.joined(separator: "\n")
    }

    @Test(
        "each fault of the document has its code",
        arguments: [
            (["name": "Order_Processing"], "MR1105"), (["name": "a--b"], "MR1105"),
            (["name": "12"], "MR1103"),
            (["version": "0"], "MR1106"), (["version": "'1'"], "MR1106"), (["version": "1.5"], "MR1106"),
            (["description": "12"], "MR1103"), (["triggers": "[]"], "MR1112"),
            (["triggers": "{type: http}"], "MR1103"),
            (["triggers": "[{typ: http}]"], "MR1102"), (["triggers": "[{type: htp}]"], "MR1108"),
            (["triggers": "[{type: webhook}]"], "MR1901"),
            (["triggers": "[{type: http, dedupe: trigger.body.id}]"], "MR1306"),
            (["triggers": "[{type: http, reply: later}]"], "MR1108"),
            (["triggers": "[{type: hook}]"], "MR1102"),
            (["triggers": "[{type: hook, event: on_purchase}]"], "MR1108"),
            (["triggers": "[{type: http, when: steps.one.output}]"], "MR1207"),
            (["triggers": "[{type: http, when: }]"], "MR1304"),
            (["triggers": "[{type: manual, when: x}]"], "MR1101"),
            (["vars": "{a: << 1 >>}"], "MR1111"), (["vars": "[1]"], "MR1103"), (["steps": "{}"], "MR1112"),
            (["steps": "text"], "MR1103"), (["steps": "{end: {lua: '1'}}"], "MR1107"),
            (["steps": "{One: {lua: '1'}}"], "MR1107"),
            (["steps": "[{id: a, lua: '1'}, {id: a, lua: '2'}]"], "MR1201"),
            (["steps": "[{lua: '1'}, {lua: '1', after: step_1}]"], "MR1206"),
            (["output": "<< steps.on.output >>"], "MR1203"),
            (["extra": "1"], "MR1101"),
            (["steps": "{a: {lua: '1', after: [b]}, b: {lua: '1', after: [a]}}"], "MR1204"),
        ])
    func documentFaults(changes: [String: String], code: String) {
        #expect(Reading.workflow(Self.document(changes)).problems.map(\.code) == [code])
    }

    @Test("a missing required key is named", arguments: ["name", "version", "triggers", "steps"])
    func missingKeys(key: String) {
        let problems = Reading.workflow(Self.document([key: nil])).problems
        #expect(problems.map(\.message) == ["`\(key)` is missing"])
    }

    @Test("every problem of a file is reported, in its order")
    func allAtOnce() {
        let text =
            "name: A\nversion: x\ntriggers: [{type: nope}]\nstepz: 1\nsteps:\n  a: {lua: 'steps.zz', wen: 1}\n  b: {b: 1, b: 2}\n"
        let codes = Reading.workflow(text).problems.map(\.code)
        #expect(
            codes == [
                "MR1105", "MR1106", "MR1108", "MR1101", "MR1203", "MR1101", "MR1202", "MR1101", "MR1007",
            ])
    }

    @Test("a cycle is named step by step, and two cycles are two problems")
    func cyclesAreNamed() {
        let steps =
            "{a: {lua: '1', after: [c]}, b: {lua: '1', after: [a]}, c: {lua: '1', after: [b]}, d: {lua: '1', after: [c]}, e: {lua: '1', after: [e]}}"
        let messages = Reading.workflow(Self.document(["steps": steps])).problems.map(\.message)
        #expect(
            messages == [
                "these steps wait for each other: a → c → b → a", "these steps wait for each other: e → e",
            ])
    }

    @Test("a fault inside a block stands on its own line")
    func faultInBlock() throws {
        let text = Reading.step("lua: |\n  local a = 1\n  local b = = 2\n  return a\n")
        let problem = try #require(Reading.workflow(text).problems.first)
        #expect(problem.code == "MR1303")
        #expect(problem.mark == Mark(line: 8, column: 7))
    }

    @Test("any key misspelt by one letter is refused with the right one suggested")
    func misspeltKeys() {
        let lines = WorkflowReaderTests.ordinary.split(separator: "\n", omittingEmptySubsequences: false).map(
            String.init)
        let keys = [
            "name", "triggers", "schema", "reply", "when", "dedupe", "steps", "after", "request", "url",
            "auth",
            "bearer", "headers", "response", "timeout", "accept", "fail_when", "retry", "max", "delay",
            "backoff",
            "jitter", "on_error", "output",
        ]
        for key in keys {
            let wrong = String(key.dropLast()) + "q"
            guard let index = lines.firstIndex(where: { $0.contains("\(key):") }) else { continue }
            var changed = lines
            changed[index] = lines[index].replacing("\(key):", with: "\(wrong):", maxReplacements: 1)
            let problems = Reading.workflow(changed.joined(separator: "\n")).problems
            let hit = problems.first { $0.code == "MR1101" && $0.message.contains("`\(wrong)`") }
            #expect(hit?.hint == "did you mean `\(key)`?", "\(wrong)")
        }
    }

    @Test("a list of steps is a sequence with ids of its own")
    func sequence() throws {
        let read = Reading.workflow(
            Self.document(["steps": "[{lua: '1'}, {id: mine, lua: 'steps.step_1'}, {finish: 1}]"]))
        let definition = try #require(read.definition)
        #expect(definition.root.steps.map(\.id) == ["step_1", "mine", "step_3"])
        #expect(definition.root.steps.map(\.after) == [[], [0], [1]])
    }

    @Test("a step may read what it comes after through others")
    func transitiveRead() {
        let steps = "{a: {lua: '1'}, b: {lua: '1', after: a}, c: {lua: 'steps.a.output', after: b}}"
        #expect(Reading.workflow(Self.document(["steps": steps])).problems == [])
    }

    @Test("a workflow may be JSON")
    func jsonWorkflow() {
        let text =
            "{\"name\": \"a\", \"version\": 1, \"triggers\": [{\"type\": \"manual\"}], \"steps\": {\"one\": {\"lua\": \"1 +\"}}}"
        #expect(Reading.marks(text).map { $0.prefix(8) } == ["MR1303 1"])
    }
}
