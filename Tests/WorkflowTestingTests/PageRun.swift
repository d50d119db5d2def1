import Values

/// Small workflows around what a page shows as a part of one.
enum PageRun {
    /// A workflow of those lines; what a workflow needs beside them stands before them.
    static func workflow(_ lines: String) -> String {
        var keys = [
            "name: row", "version: 1", "triggers: [{type: http}]", "steps: {done: {lua: 'return 1'}}",
        ]
        keys.removeAll { key in
            let name = key.prefix { $0 != " " }
            return lines.hasPrefix(name) || lines.contains("\n\(name)")
        }
        return (keys + [lines]).joined(separator: "\n") + "\n"
    }

    /// What a run of the workflow comes to, as `millrace simulate --json` tells it: `body` is JSON, what it reads as
    /// `trigger.body`, and `answers` is more of what a case gives.
    static func simulate(_ text: String, body: String = "{}", answers: String = "mocks: []") throws -> Value {
        let scratch = try Scratch()
        let path = try scratch.write("row.yaml", text)
        let given = try scratch.write("answers.yaml", answers)
        let run = CommandLineRun(["simulate", path, "--data", body, "--answers", given, "--json"])
        return run.value["outcome"] == nil ? .string(run.output + run.error) : run.value
    }

    /// What `millrace test` says of one case; empty where it passes.
    static func differences(_ text: String, _ one: String) throws -> String {
        let scratch = try Scratch()
        _ = try scratch.write("row.yaml", text)
        let test = try scratch.write("row.test.yaml", "cases:\n  - name: row\n" + one)
        let run = CommandLineRun(["test", test])
        return run.code == 0 ? "" : run.output + run.error
    }

    /// A problem as `millrace validate --json` tells it.
    struct Problem {
        var code: String
        var message: String
        var hint: String
    }

    static func problems(_ text: String) throws -> [Problem] { try problems(Array(text.utf8)) }

    static func problems(_ bytes: [UInt8]) throws -> [Problem] {
        let scratch = try Scratch()
        let run = CommandLineRun(["validate", try scratch.write("row.yaml", bytes), "--json"])
        return (run.value["files"]?[0]?["problems"]?.array ?? []).map {
            Problem(
                code: $0["code"]?.text ?? "", message: $0["message"]?.text ?? "",
                hint: $0["hint"]?.text ?? "")
        }
    }

    static func codes(_ text: String) throws -> [String] { try problems(text).map(\.code) }
}

/// Workflows as large as somebody says, for what is bounded.
enum SizedWorkflow {
    /// A whole file of so many bytes.
    static func ofBytes(_ count: Int) -> String {
        let text = String(PageRun.workflow("# ").dropLast())
        return text + String(repeating: "x", count: count - text.utf8.count)
    }

    /// Lists and maps so many deep, the file's own two counted.
    static func ofDepth(_ depth: Int) -> String {
        let inner = depth - 2
        return PageRun.workflow(
            "vars: {a: \(String(repeating: "[", count: inner))\(String(repeating: "]", count: inner))}")
    }

    /// So many values and names, half of them by an alias.
    static func ofValues(_ count: Int) -> String {
        let text = PageRun.workflow("vars: {a: &a [], b: *a, c: []}")
        // The file without the elements; each of the first list counts twice.
        let left = count - 24
        return text.replacing(
            "&a []", with: "&a [\(Array(repeating: "1", count: left / 2).joined(separator: ","))]"
        ).replacing("c: []", with: "c: [\(Array(repeating: "1", count: left % 2).joined(separator: ","))]")
    }

    static func ofText(_ bytes: Int) -> String {
        PageRun.workflow("vars: {a: \(String(repeating: "x", count: bytes))}")
    }

    static func ofAliases(_ count: Int) -> String {
        PageRun.workflow(
            "vars: {a: &a 1, b: [\(Array(repeating: "*a", count: count).joined(separator: ", "))]}")
    }

    /// One of them inside a group.
    static func ofSteps(_ count: Int) -> String {
        let steps = (1...(count - 2)).map { "  - {id: s\($0), lua: '1'}" }
        return PageRun.workflow(
            "steps:\n  - {id: g, steps: [{lua: '1'}]}\n" + steps.joined(separator: "\n"))
    }

    static func ofGroups(_ depth: Int) -> String {
        var step = "{lua: '1'}"
        for number in 1...depth { step = "{steps: {g\(number): \(step)}}" }
        return PageRun.workflow("steps: {g: \(step)}")
    }
}
