import LuaExpressions
import OpenSSLCrypto
import Ports
import Values
import Workflow
import WorkflowYAML
import ZoneFiles

/// `validate`, `deploy`, `workflows` and `trigger`.
enum WorkflowCommands {
    static let all = [
        Command(
            "validate", "check workflow files without a server",
            operands: [Operand("FILE", isRepeated: true)],
            details: """
                Reports every problem with its file, line, column, source line, a caret and a hint.
                A folder stands for the *.yaml, *.yml and *.json files in it.
                Exits with 1 where any file has an error.
                """, run: validate),
        Command(
            "deploy", "put workflow files into service", operands: [Operand("PATH", isRepeated: true)],
            options: [
                Option(
                    "var", placeholder: "NAME=VALUE", isRepeated: true,
                    "replaces a constant of `vars:`, as text; a list or a map by YAML: turns=[3d, 7d]")
            ] + APIClient.options,
            details: """
                A folder stands for the *.yaml, *.yml and *.json files in it, without *.test.yaml.
                All files are checked first; nothing is deployed where one of them has an error.
                """, run: deploy),
        Command("workflows", "list the workflows in service", options: APIClient.options, run: list),
        Command(
            "trigger", "start a run of a workflow",
            operands: [Operand("WORKFLOW"), Operand("DATA", isOptional: true)],
            options: [
                Option("data", placeholder: "JSON|@FILE|-", "the same as DATA"),
                Option("idempotency-key", placeholder: "KEY", "a repeat with the same key starts nothing"),
                Option("wait", .flag, "wait until the run is over; exits with 1 where it does not succeed"),
            ] + APIClient.options,
            details: """
                DATA is what the run sees as trigger.body: JSON, @FILE for a file of it, or - for standard input;
                {} where it is not given.
                """, run: trigger),
    ]

    // MARK: - Checking

    /// A workflow file, read and checked.
    struct Source {
        var path: String
        var bytes: [UInt8]
        var definition: WorkflowDefinition?
        var report: ProblemReport
    }

    static func read(_ path: String, with reader: WorkflowReader) throws(CommandFailure) -> Source {
        let bytes: [UInt8]
        do throws(Files.Problem) { bytes = try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: path)
        }
        let (definition, problems) = DocumentReader.workflow(bytes, with: reader)
        return Source(
            path: path, bytes: bytes, definition: definition,
            report: ProblemReport(file: path, source: bytes, problems: problems))
    }

    static func reader() -> WorkflowReader {
        WorkflowReader(
            compiler: LuaExpressionCompiler(cryptography: OpenSSLCryptography()), timeZones: ZoneFiles())
    }

    /// The files that paths stand for, in order, each once.
    static func files(_ paths: [String]) throws(CommandFailure) -> [String] {
        var files: [String] = []
        for path in paths {
            guard Files.isFolder(path) else {
                files.append(path)
                continue
            }
            let inside: [String]
            do throws(Files.Problem) { inside = try Files.names(in: path).filter(isWorkflow) } catch {
                throw CommandFailure(
                    .usage, "folder_unreadable", "the folder cannot be read: \(error.reason)", place: path)
            }
            if inside.isEmpty {
                throw CommandFailure(
                    .usage, "no_files", "the folder holds no *.yaml, *.yml or *.json file", place: path)
            }
            files += inside.map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
        }
        var seen: Set<String> = []
        return files.filter { seen.insert($0).inserted }
    }

    private static func isWorkflow(_ name: String) -> Bool {
        let isKnown = [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
        return isKnown && ![".test.yaml", ".test.yml"].contains { name.hasSuffix($0) }
    }

    @Sendable private static func validate(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let reader = reader()
        var sources: [Source] = []
        for path in try files(invocation.arguments.operands) { sources.append(try read(path, with: reader)) }
        let isValid = sources.allSatisfy { $0.definition != nil }
        if invocation.isJSON {
            invocation.console.print([
                "valid": .bool(isValid),
                "files": .array(
                    sources.map { source in
                        [
                            "file": .string(source.path), "valid": .bool(source.definition != nil),
                            "problems": source.report.value,
                        ]
                    }),
            ])
            return isValid ? .ok : .notOK
        }
        for source in sources where !source.report.problems.isEmpty {
            invocation.console.writeOutput(Array((source.report.text + "\n").utf8))
        }
        invocation.console.print(summary(sources))
        return isValid ? .ok : .notOK
    }

    private static func summary(_ sources: [Source]) -> String {
        let problems = sources.flatMap(\.report.problems)
        let errors = problems.filter { $0.severity == .error }.count
        return "\(counted(sources.count, "file")), \(counted(errors, "error")), "
            + counted(problems.count - errors, "warning")
    }

    static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    // MARK: - Deploying

    @Sendable private static func deploy(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let constants = try constants(invocation.arguments.all("var"))
        let reader = reader()
        var sources: [Source] = []
        for path in try files(invocation.arguments.operands) { sources.append(try read(path, with: reader)) }
        if let failed = sources.first(where: { $0.definition == nil }) {
            let broken = sources.filter { $0.definition == nil }
            if !invocation.isJSON { for source in broken { invocation.console.complain(source.report.text) } }
            throw CommandFailure(
                .notOK, "invalid_workflow",
                "\(counted(broken.count, "file")) with errors; nothing was deployed",
                place: failed.path, hint: "`millrace validate` shows every problem")
        }
        try checkUse(of: constants, in: sources)
        var bodies: [[UInt8]] = []
        for source in sources { bodies.append(try replaced(constants, in: source)) }
        let client = try APIClient(invocation)
        var answers: [Value] = []
        for (source, body) in zip(sources, bodies) {
            answers.append(try send(source, body, with: client, invocation))
        }
        if invocation.isJSON { invocation.console.print(["deployed": .array(answers)]) }
        return .ok
    }

    private static func send(
        _ source: Source, _ body: [UInt8], with client: APIClient, _ invocation: Invocation
    ) throws(CommandFailure) -> Value {
        let name = source.definition?.name ?? ""
        let isJSON = body != source.bytes || source.path.hasSuffix(".json")
        let answer = try client.call(
            "PUT", "/api/workflows/\(Percent.encode(name))", body: body,
            headers: [HTTPHeader("Content-Type", isJSON ? "application/json" : "application/yaml")])
        if !invocation.isJSON {
            let number = answer.value["number"]?.text ?? "?"
            let news = answer.status == 201 ? "deployed" : "unchanged"
            invocation.console.print("\(news) \(name) number \(number) (\(source.path))")
            for warning in source.report.problems {
                invocation.console.complain(
                    "  \(warning.mark.line):\(warning.mark.column) warning \(warning.code): \(warning.message)"
                )
            }
        }
        return answer.value
    }

    private static func constants(_ texts: [String]) throws(CommandFailure) -> [(name: String, value: String)]
    {
        var constants: [(name: String, value: String)] = []
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw .usage("`--var \(text)` is no NAME=VALUE")
            }
            constants.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
        }
        return constants
    }

    private static func checkUse(
        of constants: [(name: String, value: String)], in sources: [Source]
    ) throws(CommandFailure) {
        let known = Set(sources.flatMap { $0.definition?.vars.object?.members.map(\.name) ?? [] })
        for constant in constants where !known.contains(constant.name) {
            throw .usage(
                "no file has a constant `\(constant.name)` under `vars:`",
                hint: Suggestion.hint(for: constant.name, among: known.sorted()))
        }
    }

    /// The file's own bytes where nothing is replaced, so that the server keeps what was written.
    private static func replaced(
        _ constants: [(name: String, value: String)], in source: Source
    ) throws(CommandFailure) -> [UInt8] {
        guard case .success(let node) = DocumentReader.read(source.bytes), var document = node.value.object,
            var vars = document["vars"]?.object
        else { return source.bytes }
        let wanted = constants.filter { vars[$0.name] != nil }
        if wanted.isEmpty { return source.bytes }
        for constant in wanted {
            vars[constant.name] = try value(of: constant, inPlaceOf: vars[constant.name] ?? .null)
        }
        document["vars"] = .object(vars)
        return JSON.bytes(.object(document))
    }

    /// The text itself, but for what stands in place of a list or a map, which must be one, too.
    private static func value(
        of constant: (name: String, value: String), inPlaceOf old: Value
    ) throws(CommandFailure) -> Value {
        guard old.array != nil || old.object != nil else { return .string(constant.value) }
        guard case .success(let node) = DocumentReader.read(Array(constant.value.utf8)),
            node.value.kindName == old.kindName
        else {
            let example = old.array == nil ? "{first: 1, second: 2}" : "[1, 2]"
            throw .usage(
                "`--var \(constant.name)=…`: the file has a \(old.kindName) there, and this is none",
                hint: "write it as YAML in one line, between quotes of the shell: "
                    + "'\(constant.name)=\(example)'")
        }
        return node.value
    }

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let items = try APIClient(invocation).items("/api/workflows", limit: 10_000)
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        var table = TextTable(
            ["WORKFLOW", "NUMBER", "DEPLOYED", "TRIGGERS", "DESCRIPTION"], rightAligned: [1])
        for item in items {
            table.add([
                item["name"]?.text ?? "", item["number"]?.text ?? "", item["deployed_at"]?.text ?? "",
                (item["triggers"]?.array ?? []).map(\.text).joined(separator: ", "),
                item["description"]?.text ?? "",
            ])
        }
        invocation.console.print(table.isEmpty ? "no workflows" : table.text)
        return .ok
    }

    // MARK: - Triggering

    @Sendable private static func trigger(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let body = try data(invocation)
        let client = try APIClient(invocation)
        let answer = try client.call(
            "POST", "/api/workflows/\(Percent.encode(name))/trigger", body: body,
            headers: try invocation.idempotencyHeaders())
        let run = answer.value["run_id"]?.text ?? ""
        if invocation.arguments.has("wait"), answer.status != 200 {
            let record = try RunCommands.awaitEnd(of: run, with: client)
            return RunCommands.show(record, invocation)
        }
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else if answer.status == 200, let status = answer.value["status"]?.text {
            invocation.console.print("\(run) \(status) \(JSON.text(answer.value["output"] ?? .null))")
        } else if answer.value["skipped"]?.bool == true {
            invocation.console.print("\(run) goes on (the workflow is at its limit and skips)")
        } else {
            invocation.console.print(
                answer.value["duplicate"]?.bool == true ? "\(run) (the first run of this key)" : run)
        }
        let status = answer.value["status"]?.string
        return invocation.arguments.has("wait") && status != "succeeded" ? .notOK : .ok
    }

    private static func data(_ invocation: Invocation) throws(CommandFailure) -> [UInt8] {
        let operands = invocation.arguments.operands
        if operands.count == 2, invocation.arguments.has("data") { throw .usage("DATA is given twice") }
        let text = operands.count == 2 ? operands[1] : invocation.arguments.text("data")
        return try data(text, of: operands.count == 2 ? "DATA" : "--data", invocation) ?? Array("{}".utf8)
    }

    /// The JSON that an argument says or names; nil where there is none.
    ///
    /// - Parameters:
    ///   - text: JSON given as it is, as `@FILE`, or as `-` for standard input.
    ///   - argument: What the argument is called: `--data`.
    ///   - invocation: Whose standard input is read.
    /// - Returns: The bytes as they were given.
    /// - Throws: Exit code 2 for what cannot be read or is no JSON.
    static func data(
        _ text: String?, of argument: String, _ invocation: Invocation
    ) throws(CommandFailure) -> [UInt8]? {
        guard let text else { return nil }
        let console = invocation.console
        let bytes: [UInt8]
        if text == "-" {
            bytes = console.readInput()
        } else if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            do throws(Files.Problem) { bytes = try Files.read(path) } catch {
                throw CommandFailure(
                    .usage, "file_unreadable", "the data cannot be read: \(error.reason)", place: path)
            }
        } else {
            bytes = Array(text.utf8)
        }
        do throws(JSONProblem) { _ = try JSON.parse(bytes) } catch {
            throw CommandFailure(
                .usage, "data_not_json", "the data is no JSON: \(error.reason) at byte \(error.offset)",
                place: argument)
        }
        return bytes
    }
}
