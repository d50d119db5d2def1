import LuaExpressions
import OpenSSLCrypto
import Ports
import Values
import Workflow
import WorkflowYAML
import ZoneFiles

/// `validate` and `trigger`.
enum WorkflowCommands {
    static let checking = [
        Command(
            "validate", "check workflow files without a server",
            operands: [Operand("FILE", isRepeated: true)],
            details: """
                Reports every problem with its file, line, column, source line, a caret and a hint.
                A folder means all *.yaml, *.yml and *.json files in it.
                Exits with 1 if any file has an error.
                """, run: validate)
    ]

    static let starting = [
        Command(
            "trigger", "start a run of a workflow",
            operands: [Operand("WORKFLOW"), Operand("DATA", isOptional: true)],
            options: [
                Option("data", placeholder: "JSON|@FILE|-", "the same as DATA"),
                Option(
                    "idempotency-key", placeholder: "KEY", "a repeated call with the same key starts nothing"),
                Option("wait", .flag, "wait until the run is over; exits with 1 if it does not succeed"),
                Times.option,
            ] + APIClient.options,
            details: """
                DATA is what the run sees as trigger.body: JSON, @FILE for a file of it, or - for standard input;
                {} if it is not given.
                Prints the run's id. For a workflow with `reply: result`, prints how the run ended, and exits with 1 if it
                did not succeed; for one with a `reply` step, prints that answer.
                """, run: trigger)
    ]

    // MARK: - Checking

    /// A workflow file, read and checked.
    struct Source {
        var path: String
        var bytes: [UInt8]
        var definition: WorkflowDefinition?
        var report: ProblemReport
    }

    /// Reads a workflow's file.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - reader: Reads the document.
    ///   - constants: What replaces constants of the file; its expressions are checked against these.
    /// - Returns: The file with all that is wrong with it.
    /// - Throws: Exit code 2 if the file cannot be read, or a constant cannot be replaced.
    static func read(
        _ path: String, with reader: WorkflowReader, replacing constants: Constants? = nil
    ) throws(CommandFailure) -> Source {
        let bytes: [UInt8]
        do throws(Files.Problem) { bytes = try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: path)
        }
        var reader = reader
        if let constants { reader.replacements = try constants.replacements(in: bytes) }
        let (definition, problems) = DocumentReader.workflow(bytes, with: reader)
        return Source(
            path: path, bytes: bytes, definition: definition,
            report: ProblemReport(file: path, source: bytes, problems: problems))
    }

    static func reader() -> WorkflowReader {
        WorkflowReader(
            compiler: LuaExpressionCompiler(
                cryptography: OpenSSLCryptography(), timeZones: ZoneFiles()), timeZones: ZoneFiles())
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

    // MARK: - Triggering

    @Sendable private static func trigger(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let body = try data(invocation)
        let client = try APIClient(invocation)
        // A `reply` step may answer with any status and any type.
        let path = Operation.trigger.path(with: [name])
        let answer = try client.attempt(
            Operation.trigger.method, path, body: body, headers: try invocation.idempotencyHeaders(),
            mayBeText: true)
        if answer.status >= 400, answer.value["error"]?["code"]?.string != nil {
            throw client.refusal(answer, place: "\(Operation.trigger.method) \(client.server)\(path)")
        }
        guard let run = answer.value["run_id"]?.string else { return reply(answer, invocation) }
        if invocation.arguments.has("wait"), answer.value["status"] == nil {
            return RunText.show(try RunCommands.awaitEnd(of: run, with: client), invocation)
        }
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            invocation.console.print(text(of: answer.value, run))
        }
        if answer.value["pending"]?.bool == true {
            invocation.console.complain(
                "the run goes on, and its result was not waited for any longer: `millrace run \(run) --follow`"
            )
        }
        let status = answer.value["status"]?.string
        return status == nil || status == "succeeded" ? .ok : .notOK
    }

    /// What a `reply` step has answered.
    private static func reply(_ answer: APIAnswer, _ invocation: Invocation) -> ExitCode {
        if invocation.isJSON, answer.value.isNull {
            let body = Value.string(String(decoding: answer.body, as: UTF8.self))
            invocation.console.print(["reply": ["status": .int(Int64(answer.status)), "body": body]])
        } else {
            invocation.console.print(String(decoding: answer.body, as: UTF8.self))
        }
        return answer.status < 400 ? .ok : .notOK
    }

    private static func text(of value: Value, _ run: String) -> String {
        if value["skipped"]?.bool == true { return "\(run) goes on (the workflow is at its limit and skips)" }
        if value["duplicate"]?.bool == true { return "\(run) (the first run of this key)" }
        guard let status = value["status"]?.text else { return run }
        guard let error = RunText.error(of: value) else {
            return "\(run) \(status) \(JSON.text(value["output"] ?? .null))"
        }
        return "\(run) \(status)\nerror: \(error)\nwhat to do: `millrace explain \(run)`"
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
