import Foundation
import Testing
import Values

/// Compares the keys that the page, the reader and the editors' schema know, and the names that expressions have.
enum FormatKeys {
    /// A map of the format, with the reader's own words about it.
    private struct Place {
        /// Above the page's table.
        var heading: String
        /// Keys of a workflow whose only fault is `zzzzzzzz` in that map.
        private var lines: String
        /// Where the schema has its properties.
        var schema: [String]
        /// Keys that stand in a cell instead of having a row.
        var isInText = false

        init(_ heading: String, _ lines: String, _ schema: String, isInText: Bool = false) {
            self.heading = heading
            self.lines = lines
            self.schema = schema.split(separator: "/").map(String.init)
            self.isInText = isInText
        }

        /// The workflow, with another key in place of the one that is not.
        func probe(_ member: String = "zzzzzzzz: 1") -> String {
            let type = member.hasPrefix("size:") ? "type: batch" : "type: race"
            return PageRun.workflow(
                lines.replacing("type: race", with: type).replacing("zzzzzzzz: 1", with: member))
        }
    }

    private static let places: [Place] = [
        Place("Document keys", "zzzzzzzz: 1", "properties"),
        Place(
            "schedule", "triggers: [{type: schedule, cron: '@daily', zzzzzzzz: 1}]",
            "$defs/trigger/allOf/2/then/properties"),
        Place(
            "run", "triggers: [{type: run, on: failed, zzzzzzzz: 1}]",
            "$defs/trigger/allOf/4/then/properties"),
        Place("concurrency", "concurrency: {key: 1, zzzzzzzz: 1}", "properties/concurrency/properties"),
        Place("Steps", "steps: [{lua: '1', zzzzzzzz: 1}]", "$defs/step/properties"),
        Place(
            "strategy", "steps: [{lua: '1', strategy: {type: race, over: 2, zzzzzzzz: 1}}]",
            "$defs/strategy/properties"),
        Place(
            "request", "steps: [{request: {url: 'https://x', zzzzzzzz: 1}}]", "$defs/request/properties"),
        Place(
            "request", "steps: [{request: {url: 'https://x', auth: {bearer: a, zzzzzzzz: 1}}}]",
            "$defs/request/properties/auth/properties", isInText: true),
        Place(
            "request",
            "steps: [{request: {url: 'https://x', auth: {basic: {username: a, zzzzzzzz: 1}}}}]",
            "$defs/request/properties/auth/properties/basic/properties", isInText: true),
        Place(
            "call", "steps: [{call: {workflow: a, zzzzzzzz: 1}}]", "$defs/call/anyOf/1/properties",
            isInText: true),
        Place("sleep", "steps: [{sleep: {until: 3d, zzzzzzzz: 1}}]", "$defs/sleep/anyOf/3/properties"),
        Place("wait", "steps: [{wait: {signal: a, zzzzzzzz: 1}}]", "$defs/wait/anyOf/1/properties"),
        Place("signal", "steps: [{signal: {run: a, name: b, zzzzzzzz: 1}}]", "$defs/signal/properties"),
        Place(
            "reply", "triggers: [{type: http, reply: result}]\nsteps: [{reply: {zzzzzzzz: 1}}]",
            "$defs/reply/properties"),
        Place(
            "response", "steps: [{request: {url: 'https://x'}, response: {zzzzzzzz: 1}}]",
            "$defs/response/properties"),
        Place(
            "retry", "steps: [{request: {url: 'https://x'}, retry: {zzzzzzzz: 1}}]",
            "$defs/retry/properties"),
        Place(
            "compensate",
            "steps: [{request: {url: 'https://x'}, compensate: {request: {url: 'https://x'}, zzzzzzzz: 1}}]",
            "$defs/step/properties/compensate/properties"),
    ]

    private static let schema: Value = {
        let path = Repository.path("docs/workflow.schema.json")
        return (try? String(contentsOfFile: path, encoding: .utf8)).flatMap { try? JSON.parse($0) } ?? .null
    }()

    private static func schema(at path: [String]) -> Object {
        path.reduce(schema) { value, name in
            (Int(name).flatMap { value.array?.indices.contains($0) ?? false ? value[$0] : nil } ?? value[name])
                ?? .null
        }.object ?? Object()
    }

    /// What the reader says that there is in place of the key that there is not.
    private static func known(_ probe: String) throws -> Set<String> {
        let problems = try PageRun.problems(probe)
        #expect(problems.map(\.code) == ["MR1101"], "\(probe)")
        let list = problems.first?.hint.wholeMatch(of: #/known are: (.+)/#)?.1 ?? ""
        return Set(list.components(separatedBy: ", "))
    }

    /// A table of keys: the reader and the schema know the same, no more and no less.
    @Sendable static func keys(_ table: FormatPage.Table) throws {
        let line = "docs/workflow-format.md:\(table.line)"
        let found = places.filter { $0.heading == table.heading }
        #expect(!found.isEmpty, "\(line): which map's keys does the table show?")
        for place in found {
            let known = try known(place.probe())
            var declared = schema(at: place.schema)
            if place.heading == "Steps" {
                for form in ["namedStep", "listedStep"] {
                    for member in schema(at: ["$defs", form, "properties"]).members {
                        declared[member.name] = member.value
                    }
                }
            }
            // Every branch for a trigger leaves its type to the schema around.
            let names = Set(declared.members.map(\.name)).union(known.intersection(["type"]))
            #expect(names == known, "\(line): docs/workflow.schema.json")
            if place.isInText {
                let text = table.rows.flatMap(\.cells).joined(separator: " ")
                for name in known { #expect(text.contains(name), "\(line): \(name)") }
            } else {
                let shown = Set(table.rows.flatMap { $0.code(0) })
                let beside: Set = ["schedule", "run"].contains(place.heading) ? ["type"] : []
                #expect(shown == known.subtracting(beside), "\(line)")
                checkValues(declared, in: table)
                try checkBounds(place, in: table)
            }
        }
    }

    /// Words and defaults that the schema names stand in the key's row.
    private static func checkValues(_ declared: Object, in table: FormatPage.Table) {
        for row in table.rows {
            for name in row.code(0) {
                let text = row.cells.dropFirst().joined(separator: " ").replacing(",", with: "")
                for word in declared[name]?["enum"]?.array ?? [] {
                    #expect(text.contains(word.text), "docs/workflow-format.md:\(row.line): \(word)")
                }
                if let standard = declared[name]?["default"], row.cells.count > 2, row.cells[2] != "below" {
                    let said = standard == false ? "false" : standard.text
                    #expect(
                        row.cells[2].contains(said),
                        "docs/workflow-format.md:\(row.line): default \(standard)")
                }
            }
        }
    }

    /// Each `1s to 400d` of a row is what the reader says of a value beyond it.
    private static func checkBounds(_ place: Place, in table: FormatPage.Table) throws {
        let many = (1...101).map { "a\($0)" }.joined(separator: ", ")
        let waits = Array(repeating: "1s", count: 101).joined(separator: ", ")
        let beyond = ["999999999999", "999999d", "[999999999999]", "[999999d]", "[\(many)]", "[\(waits)]"]
        for row in table.rows {
            let bounds = row.cells[1].replacing(",", with: "").matches(of: #/\b(\d+[a-z]*) to (\d+[a-z]*)/#)
            guard let key = row.code(0).first, !bounds.isEmpty else { continue }
            let messages = try beyond.flatMap { value in
                try PageRun.problems(place.probe("\(key): \(value)")).map(\.message)
            }
            for bound in bounds {
                #expect(
                    messages.contains { $0.contains("from \(bound.1) to \(bound.2)") },
                    "docs/workflow-format.md:\(row.line): \(bound.0)")
            }
        }
    }

    /// The table of triggers: of each type, the keys that the reader takes.
    @Sendable static func triggers(_ table: FormatPage.Table) throws {
        let needed = [
            "hook": "event: on_balance_depleted, ", "schedule": "cron: '@daily', ",
            "webhook": "when: 'true', ", "run": "on: failed, ",
        ]
        let types = table.rows.compactMap { $0.code(0).first }
        let problem = try PageRun.problems(PageRun.workflow("triggers: [{type: zzzzzzzz}]")).first
        #expect(problem?.hint == "one of: \(types.joined(separator: ", "))")
        for (row, type) in zip(table.rows, types) {
            let known = try known(
                PageRun.workflow("triggers: [{type: \(type), \(needed[type] ?? "")zzzzzzzz: 1}]"))
            #expect(Set(row.code(2) + ["type"]) == known, "docs/workflow-format.md:\(row.line)")
            let branch = (0...4).map { schema(at: ["$defs", "trigger", "allOf", "\($0)"]) }.first { branch in
                let condition = branch["if"]?["properties"]?["type"]
                return condition?["const"]?.text == type
                    || condition?["enum"]?.array?.contains(.string(type)) ?? false
            }
            let declared = branch?["then"]?["properties"]?.object?.members.map(\.name) ?? []
            #expect(Set(declared + ["type"]) == known, "docs/workflow.schema.json: \(type)")
        }
    }

    // MARK: - Names

    /// The names under `root`, as an expression of a run walks through them.
    private static func members(of root: String, _ extra: String = "") throws -> [String] {
        let run = try PageRun.simulate(
            PageRun.workflow(
                """
                steps:
                  ask: {request: {url: https://a.example}\(extra)}
                  row:
                    after: ask
                    lua: local l = list() for k in pairs(\(root)) do l[#l + 1] = k end return l
                output: << steps.row.output >>
                """))
        return run["output"]?.array?.map(\.text) ?? ["\(run)"]
    }

    /// The names that are everywhere, and what they hold.
    @Sendable static func names(_ table: FormatPage.Table) throws {
        let shown = table.rows.flatMap { $0.code(0) }
        let line = "docs/workflow-format.md:\(table.line)"
        for root in ["trigger", "run", "tenant"] {
            for name in try members(of: root) { #expect(shown.contains("\(root).\(name)"), "\(line)") }
        }
        for name in try members(of: "steps.ask.response") {
            #expect(
                table.rows.contains { $0.code(0) == ["response"] && $0.code(1).contains(name) },
                "\(line): \(name)")
        }
        // What has a meaning already cannot be the name of an item; what has none can.
        for root in Set(shown.map { $0.prefix { $0 != "." } }) where root != "item" {
            let codes = try PageRun.codes(
                PageRun.workflow("steps: [{lua: '1', strategy: {type: race, over: 2, as: \(root)}}]"))
            #expect(codes == ["MR1107"], "\(line): \(root)")
        }
    }

    /// What `steps.<id>` holds.
    @Sendable static func stepNames(_ table: FormatPage.Table) throws {
        let shown = table.rows.flatMap { $0.code(0) }
        #expect(
            shown.sorted() == (try members(of: "steps.ask")).sorted(), "docs/workflow-format.md:\(table.line)"
        )
    }
}
