import Ports
import Values
import Workflow
import WorkflowYAML

/// `deploy`.
enum DeployCommand {
    static let digest = Option(
        "if-digest", placeholder: "DIGEST",
        "change nothing unless the version in service has this digest; none: unless there is no such workflow"
    )

    static let all = [
        Command(
            "deploy", "put workflow files into service", operands: [Operand("PATH", isRepeated: true)],
            options: [
                Option(
                    "var", placeholder: "NAME=VALUE", isRepeated: true,
                    "replaces a constant of `vars:`, as text; a list or a map by YAML: turns=[3d, 7d]"),
                Option(
                    "vars-file", placeholder: "FILE", isRepeated: true,
                    "replaces constants of `vars:` by those of this YAML or JSON file; --var comes first"),
                digest,
            ] + APIClient.options,
            details: """
                A folder means all *.yaml, *.yml and *.json files in it, without *.test.yaml.
                All files are checked first; nothing is deployed if one of them has an error.
                Prints the address of a workflow's webhook. --if-digest goes with one file; `millrace workflows NAME`
                shows the digest. If another version is in service, exits with 3 and changes nothing.

                    millrace deploy order.yaml --vars-file production.yaml --if-digest none
                """, run: deploy)
    ]

    private typealias Source = WorkflowCommands.Source

    @Sendable private static func deploy(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let arguments = invocation.arguments
        let constants = try Constants(files: arguments.all("vars-file"), texts: arguments.all("var"))
        let sources = try sources(invocation, constants)
        if arguments.has("if-digest"), sources.count != 1 {
            throw .usage(
                "`--if-digest` goes with one file, not with \(counted(sources.count, "file"))",
                hint: "deploy the files one by one")
        }
        try constants.checkUse(in: sources.compactMap { $0.definition?.vars })
        var bodies: [[UInt8]] = []
        for source in sources { bodies.append(try constants.replaced(in: source.bytes)) }
        let client = try APIClient(invocation)
        var answers: [Value] = []
        for (source, body) in zip(sources, bodies) {
            answers.append(try send(source, body, with: client, invocation))
        }
        if invocation.isJSON { invocation.console.print(["deployed": .array(answers)]) }
        return .ok
    }

    private static func sources(
        _ invocation: Invocation, _ constants: Constants
    ) throws(CommandFailure) -> [Source] {
        let reader = WorkflowCommands.reader()
        var sources: [Source] = []
        for path in try WorkflowCommands.files(invocation.arguments.operands) {
            sources.append(try WorkflowCommands.read(path, with: reader, replacing: constants))
        }
        let broken = sources.filter { $0.definition == nil }
        guard let failed = broken.first else { return sources }
        if !invocation.isJSON { for source in broken { invocation.console.complain(source.report.text) } }
        throw CommandFailure(
            .notOK, "invalid_workflow",
            "\(counted(broken.count, "file")) with errors; nothing was deployed", place: failed.path,
            hint: "`millrace validate` shows every problem")
    }

    private static func send(
        _ source: Source, _ body: [UInt8], with client: APIClient, _ invocation: Invocation
    ) throws(CommandFailure) -> Value {
        let name = source.definition?.name ?? ""
        let isJSON = body != source.bytes || source.path.hasSuffix(".json")
        let answer = try client.call(
            .deploy, [name], query: [("if_digest", try expectedDigest(invocation))], body: body,
            headers: [HTTPHeader("Content-Type", isJSON ? "application/json" : "application/yaml")])
        if invocation.isJSON { return answer.value }
        let number = answer.value["number"]?.text ?? "?"
        let news = answer.status == 201 ? "deployed" : "unchanged"
        invocation.console.print("\(news) \(name) number \(number) (\(source.path))")
        if let url = answer.value["hook_url"]?.string { invocation.console.print("  webhook: \(url)") }
        for warning in source.report.problems {
            invocation.console.complain(
                "  \(warning.mark.line):\(warning.mark.column) warning \(warning.code): \(warning.message)")
        }
        return answer.value
    }

    /// What `--if-digest` says; nil without it.
    ///
    /// - Throws: Exit code 2 for what is no digest, an empty variable of a script among it.
    static func expectedDigest(_ invocation: Invocation) throws(CommandFailure) -> String? {
        guard let text = invocation.arguments.text("if-digest") else { return nil }
        guard text == "none" || text.utf8.count == 64 && Hex.decode(text.lowercased()) != nil else {
            throw .usage(
                "`--if-digest` must be 64 hex digits or none, not `\(text)`",
                hint: "`millrace workflows NAME` shows the digest of the version in service")
        }
        return text.lowercased()
    }
}
