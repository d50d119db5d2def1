import Testing
import Values
import Workflow

@Suite("Calls and concurrency keys")
struct CallingStepTests {
    @Test(
        "what a call may be",
        arguments: [
            "call: child", "call: << trigger.body.name >>", "call: {workflow: child}",
            "call: {workflow: \"child-<< trigger.body.kind >>\"}",
            "call: {lang: lua, expr: trigger.body.name}",
            "call: child\ninput: {a: << trigger.body >>, b: [1, << tenant.id >>]}", "call: child\ninput:",
            "call: child\ndetach: true", "call: child\ndetach: false\non_error: continue",
        ])
    func calls(lines: String) throws {
        let read = Reading.workflow(Reading.step(lines))
        #expect(read.problems == [])
        guard case .call(let call)? = read.definition?.root.steps.first?.action else {
            Issue.record("no call: \(lines)")
            return
        }
        #expect(call.isDetached == lines.contains("detach: true"))
        #expect((call.input != nil) == lines.contains("input"))
    }

    @Test(
        "each fault of a call has its code and place",
        arguments: [
            ("call: Child", "MR1105 6:11"), ("call: 7", "MR1103 6:11"), ("call:", "MR1103 6:10"),
            ("call: [child]", "MR1103 6:11"), ("call: {name: child}", "MR1101 6:12"),
            ("call: {workflow: child, input: 1}", "MR1101 6:29"), ("call: {workflow: {a: 1}}", "MR1103 6:22"),
            ("call: {}", "MR1102 6:11"), ("call: child\ndetach: yes", "MR1103 7:13"),
            ("call: child\ndetach: << true >>", "MR1103 7:13"), ("lua: '1'\ninput: 3", "MR1209 7:5"),
            ("sleep: 3d\ndetach: true", "MR1209 7:5"), ("call: child\nresponse: {timeout: 1s}", "MR1209 7:5"),
            ("call: child\nlua: '1'", "MR1202 7:5"), ("call: child\nretry: {max: 1}", "MR1903 7:5"),
            ("call: child\ninput: << steps.one.output >>", "MR1205 7:15"),
            ("call: << nothing(", "MR1301 6:11"),
        ])
    func callFaults(lines: String, mark: String) {
        let marks = Reading.marks(Reading.step(lines))
        let isMissing = lines == "call: {name: child}"
        #expect(marks.count == (isMissing ? 2 : 1), "\(marks)")
        #expect(marks.contains { $0.hasPrefix(mark) }, "\(lines): \(marks)")
    }

    @Test(
        "a concurrency rule, its bounds and its faults",
        arguments: [
            ("{key: << trigger.body.id >>}", nil), ("{key: all}", nil), ("{key: 7, limit: 1000}", nil),
            ("{key: \"a-<< trigger.type >>\", limit: 1, on_limit: skip}", nil),
            ("{key: << trigger.body.id >>, on_limit: queue}", nil), ("{limit: 2}", "MR1102"),
            ("{key: a, limit: 0}", "MR1109"), ("{key: a, limit: 1001}", "MR1109"),
            ("{key: a, limit: << 3 >>}", "MR1103"), ("{key: a, on_limit: drop}", "MR1108"),
            ("{key: a, max: 2}", "MR1101"), ("{key: [a]}", "MR1103"), ("{key: {a: 1}}", "MR1103"),
            ("{key: }", "MR1103"), ("{key: ''}", "MR1103"), ("{key: true}", "MR1103"),
            ("{key: [<< trigger.body >>]}", "MR1103"), ("{key: << steps.one.output >>}", "MR1207"),
            ("3", "MR1103"), ("[]", "MR1103"),
        ] as [(String, String?)])
    func concurrency(text: String, code: String?) {
        let read = Reading.workflow("concurrency: \(text)\n" + Reading.step("lua: '1'"))
        #expect(read.problems.map(\.code) == [code].compactMap { $0 }, "\(text)")
        #expect((read.definition?.concurrency != nil) == (code == nil))
    }

    @Test("limit is one and on_limit is queue where nothing is said")
    func defaults() throws {
        let read = Reading.workflow("concurrency: {key: all}\n" + Reading.step("lua: '1'"))
        let rule = try #require(read.definition?.concurrency)
        #expect(rule.limit == 1 && rule.onLimit == .queue)
    }

    @Test("what a call brought is read by the steps after it")
    func names() {
        let steps = """
            {c: {call: child}, \
            d: {after: c, lua: 'return {steps.c.output, steps.c.run_id, run.parent}'}, \
            e: {lua: steps.c.run_id}}
            """
        let text = "name: a\nversion: 1\ntriggers: [{type: manual}]\nsteps: \(steps)\n"
        #expect(Reading.workflow(text).problems.map(\.code) == ["MR1205"])
    }
}
