import Testing
import Values

@testable import Workflow

@Suite("Words of other systems")
struct ForeignKeyTests {
    private static func file(_ more: String, trigger: String = "{type: http}") -> String {
        "name: a\nversion: 1\ntriggers: [\(trigger)]\n\(more)\n"
    }

    private static func step(_ step: String) -> String { file("steps: {one: {\(step)}}") }

    /// A file with the key, for each kind of map.
    private static let files: [String: @Sendable (String) -> String] = [
        "a workflow": { file("steps: [{lua: '1'}]\n\($0): 1") },
        "a step": { step("lua: '1', \($0): 1") },
        "a request": { step("request: {url: https://a.example, \($0): 1}") },
        "a trigger": {
            file("steps: [{lua: '1'}]", trigger: "{type: \($0 == "cron" ? "http" : "manual"), \($0): 1}")
        },
        "retry": { step("request: {url: https://a.example}, retry: {\($0): 1}") },
        "response": { step("request: {url: https://a.example}, response: {\($0): 1}") },
        "a strategy": { step("lua: '1', strategy: {type: fan_out, over: 2, \($0): 1}") },
        "a wait": { step("wait: {signal: a, \($0): 1}") },
        "concurrency": { file("steps: [{lua: '1'}]\nconcurrency: {key: a, \($0): 1}") },
        "auth": { step("request: {url: https://a.example, auth: {\($0): 1}}") },
        "a call": { step("call: {workflow: b, \($0): 1}") },
    ]

    @Test(
        "each word has its hint where it is written, and none of them is a key",
        arguments: ForeignKeys.hints.keys.sorted())
    func keys(kind: String) throws {
        let file = try #require(Self.files[kind], "\(kind)")
        for (word, hint) in ForeignKeys.hints[kind] ?? [:] {
            let problems = Reading.workflow(file(word)).problems.filter { $0.code == "MR1101" }
            #expect(problems.count == 1 && problems.first?.hint == hint, "\(kind), \(word): \(problems)")
        }
    }

    @Test(
        "a word of other systems in place of a choice has its hint",
        arguments: ForeignKeys.choices.keys.sorted())
    func choices(kind: String) throws {
        let request = "request: {url: https://a.example}"
        let files: [String: (String) -> String] = [
            "a type of trigger": { Self.file("steps: [{lua: '1'}]", trigger: "{type: '\($0)'}") },
            "a type of strategy": { Self.step("lua: '1', strategy: {type: '\($0)', over: 2}") },
            "an outcome": { Self.file("steps: [{lua: '1'}]", trigger: "{type: run, on: '\($0)'}") },
            "a value of on_limit": {
                Self.file("steps: [{lua: '1'}]\nconcurrency: {key: a, on_limit: '\($0)'}")
            },
            "a value of on_error": { Self.step("\(request), on_error: '\($0)'") },
            "a value of overlap": {
                Self.file(
                    "steps: [{lua: '1'}]", trigger: "{type: schedule, cron: '@daily', overlap: '\($0)'}")
            },
            "a value of catch_up": {
                Self.file(
                    "steps: [{lua: '1'}]", trigger: "{type: schedule, cron: '@daily', catch_up: '\($0)'}")
            },
            "a reply": { Self.file("steps: [{lua: '1'}]", trigger: "{type: http, reply: '\($0)'}") },
            "a backoff": { Self.step("\(request), retry: {backoff: '\($0)'}") },
        ]
        let file = try #require(files[kind], "\(kind)")
        for (words, hint) in ForeignKeys.choices[kind] ?? [] {
            for word in words.split(separator: " ") {
                let problems = Reading.workflow(file(String(word))).problems
                #expect(problems.contains { $0.hint == hint }, "\(kind), \(word): \(problems)")
            }
        }
    }

    @Test(
        "a value of another form says how it is written",
        arguments: [
            ("request: {url: https://a.example}, retry: 3", "retry: {max: 3}"),
            ("request: https://a.example", "request: {url:"), ("wait: 5s", "sleep: 5s"),
            ("request: {url: https://a.example, auth: abc}", "auth: {bearer:"),
            ("lua: '1', strategy: fan_out", "type: fan_out, over"),
            ("lua: 'trigger.body.x | default: 1'", "there are no filters"),
            ("lua: 'trigger.body.x | upcase'", "x:upper()"),
            ("request: {url: \"https://a.example/${trigger.body.id}\"}", "write << >>"),
            ("request: {url: https://a.example, body: \"{% if x %}\"}", "`when`"),
        ])
    func forms(step: String, hint: String) {
        let problems = Reading.workflow(Self.step(step)).problems
        #expect(problems.count == 1 && problems.first?.hint?.contains(hint) == true, "\(step): \(problems)")
    }

    @Test(
        "text that only looks alike stays text",
        arguments: ["$5 {a}", "${HOME}", "100 {%}", "$.store.book", "a{b}"])
    func literalText(text: String) {
        let problems = Reading.workflow(
            Self.step("request: {url: https://a.example, method: POST, body: '\(text)'}")
        ).problems
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test(
        "a run trigger that can hear nothing, or names a thing twice, is refused",
        arguments: [
            ("on: [failed], workflows: a", "never hears of its own runs"),
            ("on: [failed, failed]", "named twice"),
            ("on: [failed], workflows: [b, b]", "named twice"), ("on: []", "empty"),
            ("on: [failed], workflows: []", "empty"),
        ])
    func runTriggers(trigger: String, message: String) {
        let text = Self.file("steps: [{lua: '1'}]", trigger: "{type: run, \(trigger)}")
        let problems = Reading.workflow(text).problems
        #expect(problems.count == 1 && problems.first?.message.contains(message) == true, "\(problems)")
    }
}
