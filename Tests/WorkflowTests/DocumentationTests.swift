import Foundation
import Testing
import Values
import Workflow
import WorkflowYAML

@Suite("Documentation of the format")
struct DocumentationTests {
    @Test("every example of the format's page is a workflow without problems")
    func examplesAreRead() throws {
        let examples = try Reading.examples()
        #expect(examples.count >= 5)
        for example in examples {
            let (definition, problems) = Reading.workflow(example)
            #expect(definition != nil && problems == [], "\(example.prefix(60))")
        }
    }

    @Test("the page of problems lists exactly the codes of the program")
    func problemsAreListed() throws {
        let rows = try Reading.file("docs/problems.md").split(separator: "\n").filter { $0.hasPrefix("| MR") }
        let listed = rows.map { String($0.dropFirst(2).prefix(6)) }
        #expect(listed == ProblemCode.allCases.map(\.rawValue).sorted())
        for row in rows { #expect(row.matches(of: #/ \|/#).count == 4, "\(row)") }
    }

    private static func editorSchema() throws -> JSONSchema {
        try JSONSchema.compile(try JSON.parse(try Reading.file("docs/workflow.schema.json"))).get()
    }

    /// Examples of the page, and every workflow under `workflows` and `examples`.
    private static func workflows() throws -> [String] {
        var found = try Reading.examples() + [WorkflowReaderTests.ordinary]
        for folder in ["workflows", "examples"] {
            let root = Reading.repository.appendingPathComponent(folder)
            let paths = FileManager.default.enumerator(atPath: root.path)?.allObjects as? [String] ?? []
            for path in paths where path.hasSuffix(".yaml") && !path.hasSuffix(".test.yaml") {
                found.append(try Reading.file("\(folder)/\(path)"))
            }
        }
        return found
    }

    @Test("every workflow of the repository is read without errors")
    func workflowsAreRead() throws {
        for text in try Self.workflows() {
            let problems = Reading.workflow(text).problems.filter { $0.severity == .error }
            #expect(problems == [], "\(text.prefix(40))")
        }
    }

    @Test("the editors' schema accepts every workflow of the repository")
    func schemaAccepts() throws {
        let schema = try Self.editorSchema()
        for text in try Self.workflows() {
            #expect(schema.validate(try Reading.node(text).value) == [], "\(text.prefix(40))")
        }
    }

    @Test("the editors' schema refuses them with any key misspelt")
    func schemaRefuses() throws {
        let schema = try Self.editorSchema()
        let free: Set<String> = [
            "vars", "body", "output", "schemas", "headers", "query", "schema", "finish", "steps", "input",
            "finally",
        ]
        for text in try Self.workflows() {
            let value = try Reading.node(text).value
            for mutated in Self.misspelt(value, free: free) { #expect(!schema.validate(mutated).isEmpty) }
        }
    }

    @Test(
        "the editors' schema refuses what the program refuses",
        arguments: [
            "sleep: soon", "sleep: 30", "sleep: {until: tomorrow}", "sleep: {}", "wait: Paid", "wait: {}",
            "wait: {signal: a, any: [b]}", "wait: {any: []}", "wait: {any: [a, a]}", "wait: [a]",
            "wait: {signal: a, on_timeout: skip}", "signal: {run: r}", "signal: {run: r, name: Paid}",
            "reply: {status: 199}", "reply: {status: '200'}", "reply: 200", "sleep: 3d\nwait: a",
            "call: Child", "call: 7", "call: {}", "call: [child]", "call: child\ndetach: yes",
            "lua: '1'\ninput: 3", "lua: '1'\ndetach: true", "call: {workflow: child, input: 1}",
            "sleep: 3d\nresponse: {timeout: 1s}", "wait: a\nstrategy: {}",
            "steps: {}", "steps: []", "steps: [{lua: '1'}]\nretry: {max: 1}", "lua: '1'\noutput: 1",
            "steps: [{lua: '1'}]\ncompensate: {request: {url: 'https://x'}}", "steps: [{lua: '1', after: x}]",
            "finish: 1\nstrategy: {type: fan_out, over: 2}", "lua: '1'\nstrategy: {type: batch, over: 2}",
            "lua: '1'\nstrategy: {type: fan_out, over: 2, size: 2}",
            "lua: '1'\nstrategy: {type: loop, over: 2}",
            "lua: '1'\nstrategy: {type: race, over: 2, until: 'true'}", "lua: '1'\nstrategy: {over: 2}",
            "lua: '1'\nstrategy: {type: fan_out, over: 2, until: 'true', concurrency: 2}",
            "lua: '1'\nstrategy: {type: fan_out, over: 2, as: last}",
            "lua: '1'\nstrategy: {type: fan_out, over: -1}",
            "lua: '1'\nstrategy: {type: fan_out, over: 2, concurrency: 1001}",
            "steps: {compensate: {lua: '1'}}",
            "request: {url: 'https://x'}\nretry: {schedule: [5m], max: 3}",
            "request: {url: 'https://x'}\nretry: {schedule: []}",
        ])
    func schemaAgrees(lines: String) throws {
        let text = Reading.step(lines)
        #expect(Reading.workflow(text).problems.hasErrors)
        #expect(try !Self.editorSchema().validate(try Reading.node(text).value).isEmpty)
    }

    /// `value` once for each key of the format, with that key misspelt.
    private static func misspelt(_ value: Value, free: Set<String>) -> [Value] {
        switch value {
        case .array(let items):
            return items.indices.flatMap { index in
                misspelt(items[index], free: free).map { changed in
                    var copy = items
                    copy[index] = changed
                    return .array(copy)
                }
            }
        case .object(let object):
            var out: [Value] = []
            for index in object.members.indices {
                let member = object.members[index]
                func with(_ name: String, _ value: Value) -> Value {
                    var members = object.members
                    members[index] = Object.Member(name: name, value: value)
                    return .object(Object(members))
                }
                out.append(with(member.name + "x", member.value))
                if member.name == "steps", let steps = member.value.object {
                    for (position, step) in steps.members.enumerated() {
                        for changed in misspelt(step.value, free: free) {
                            var members = steps.members
                            members[position].value = changed
                            out.append(with("steps", .object(Object(members))))
                        }
                    }
                } else if member.name == "steps" || !free.contains(member.name) {
                    for changed in misspelt(member.value, free: free) {
                        out.append(with(member.name, changed))
                    }
                }
            }
            return out
        default: return []
        }
    }
}
