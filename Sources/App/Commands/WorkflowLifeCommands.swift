import Ports
import Values
import Workflow
import WorkflowYAML

/// `workflows` and what belongs to it: a workflow's versions, and its end.
enum WorkflowLifeCommands {
    static let all = [
        Command(
            "workflows", "list the workflows in service, or show one",
            operands: [Operand("NAME", isOptional: true)], options: [Times.option] + APIClient.options,
            details: """
                With NAME, shows the address of its webhook, when its schedules are due next, what its triggers have
                refused, and its newest versions. A workflow called `delete`, `diff`, `rollback` or `versions` is shown
                by `millrace workflows -- NAME`.
                """, run: list),
        Command(
            "workflows versions", "list the versions of a workflow, the newest first",
            operands: [Operand("NAME")],
            options: [
                Option("limit", .integer(1...10_000), placeholder: "COUNT", "at most this many (default 50)"),
                Times.option,
            ] + APIClient.options, details: "Versions of a deleted workflow are kept.", run: versions),
        Command(
            "workflows diff", "show how two versions of a workflow differ",
            operands: [Operand("NAME"), Operand("A"), Operand("B", isOptional: true)],
            options: APIClient.options,
            details: """
                A and B are the number of a version, `live` for the one in service, or a file; without B, A is compared
                with the one in service. Exits with 1 if they differ.
                """, run: diff),
        Command(
            "workflows rollback", "put an earlier version of a workflow back into service",
            operands: [Operand("NAME")],
            options: [
                Option(
                    "to", .integer(1...Int64.max), placeholder: "NUMBER", "the version to restore"),
                DeployCommand.digest,
            ] + APIClient.options,
            details: """
                --to NUMBER is needed. Its source becomes the newest version, with the next number; also for a
                workflow that was deleted. Open runs keep the version with which they started.
                """, run: rollBack),
        Command(
            "workflows delete", "take a workflow out of service", operands: [Operand("NAME")],
            options: [DeployCommand.digest] + APIClient.options,
            details: """
                Nothing starts it any more; open runs continue. `millrace workflows rollback NAME --to NUMBER` brings
                it back.
                """, run: delete),
    ]

    // MARK: - Looking

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        if let name = invocation.arguments.operands.first { return try show(name, invocation) }
        let list = try APIClient(invocation).list(.workflows, limit: 10_000)
        if invocation.isJSON {
            invocation.console.print(["items": .array(list.items)])
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(
            ["WORKFLOW", "NUMBER", "DEPLOYED", "TRIGGERS", "DESCRIPTION"], rightAligned: [1])
        for item in list.items {
            table.add([
                item["name"]?.text ?? "", item["number"]?.text ?? "", times.text(item["deployed_at"]),
                texts(item["triggers"]), item["description"].flatMap { $0.isNull ? nil : $0.text } ?? "",
            ])
        }
        invocation.console.print(
            table.isEmpty ? "no workflows: `millrace deploy PATH` puts some into service" : table.text)
        return .ok
    }

    private static func texts(_ list: Value?) -> String {
        (list?.array ?? []).map(\.text).joined(separator: ", ")
    }

    private static func show(_ name: String, _ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let record = try APIClient(invocation).call(.workflow, [name]).value
        if invocation.isJSON {
            invocation.console.print(record)
            return .ok
        }
        invocation.console.print(WorkflowText(record, Times(invocation)).text)
        return .ok
    }

    @Sendable private static func versions(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        let limit = Int(clamping: invocation.arguments.integer("limit") ?? 50)
        let list = try APIClient(invocation).list(.versions, [name], limit: limit)
        if invocation.isJSON {
            invocation.console.print(list.value)
            return .ok
        }
        invocation.console.print(WorkflowText.table(ofVersions: list.items, Times(invocation)).text)
        if list.hasMore {
            invocation.console.complain(
                "the newest \(counted(list.items.count, "version")); more with --limit")
        }
        return .ok
    }

    // MARK: - Comparing

    @Sendable private static func diff(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (operands, client) = (invocation.arguments.operands, try APIClient(invocation))
        let name = operands[0]
        var before = try side(operands[1], of: name, with: client)
        var after = try side(operands.count > 2 ? operands[2] : "live", of: name, with: client)
        // A deployment that replaced constants is one line of JSON, which has no lines to compare.
        if before.lines.count == 1 || after.lines.count == 1 {
            before = before.spreadOut
            after = after.spreadOut
        }
        let diff = LineDiff(before.lines, after.lines)
        if invocation.isJSON {
            invocation.console.print([
                "name": .string(name), "from": .string(before.title), "to": .string(after.title),
                "differs": .bool(diff.differs),
                "diff": .string(diff.text(from: before.title, to: after.title)),
            ])
        } else if diff.differs {
            invocation.console.print(diff.text(from: before.title, to: after.title))
        } else {
            invocation.console.print("\(before.title) and \(after.title) are the same")
        }
        return diff.differs ? .notOK : .ok
    }

    private struct Side {
        var title: String
        var lines: [String]

        init(title: String, source: String) {
            self.title = title
            lines = source.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            if lines.last == "" { lines.removeLast() }
        }

        /// The document with a line for each value; as it is if it cannot be read.
        var spreadOut: Side {
            let source = lines.joined(separator: "\n")
            guard case .success(let node) = DocumentReader.read(Array(source.utf8)) else { return self }
            return Side(title: "\(title), as JSON", source: JSON.prettyText(node.value))
        }
    }

    private static func side(
        _ text: String, of name: String, with client: APIClient
    ) throws(CommandFailure) -> Side {
        if text == "live" {
            let record = try client.call(.workflow, [name]).value
            return Side(
                title: "\(name) \(record["number"]?.text ?? "") (live)",
                source: record["source"]?.string ?? "")
        }
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            let record = try client.call(.version, [name, text]).value
            return Side(title: "\(name) \(text)", source: record["source"]?.string ?? "")
        }
        do throws(Files.Problem) {
            return Side(title: text, source: String(decoding: try Files.read(text), as: UTF8.self))
        } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: text,
                hint: "A and B are the number of a version, `live` or a file")
        }
    }

    // MARK: - Changing

    @Sendable private static func rollBack(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        guard let number = invocation.arguments.integer("to") else {
            throw .usage(
                "`workflows rollback` needs `--to NUMBER`",
                hint: "`millrace workflows versions \(name)` lists the versions")
        }
        let answer = try APIClient(invocation).call(
            .rollBack, [name], query: [("if_digest", try DeployCommand.expectedDigest(invocation))],
            json: ["to": .int(number)])
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            let current = answer.value["number"]?.text ?? "?"
            invocation.console.print(
                answer.status == 201
                    ? "\(name) \(number) is back in service, as number \(current)"
                    : "\(name) \(current) is in service and the same: nothing was changed")
        }
        return .ok
    }

    @Sendable private static func delete(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let name = invocation.arguments.operands[0]
        _ = try APIClient(invocation).call(
            .deleteWorkflow, [name], query: [("if_digest", try DeployCommand.expectedDigest(invocation))])
        if invocation.isJSON {
            invocation.console.print(["deleted": .string(name)])
        } else {
            invocation.console.print("deleted \(name); open runs continue")
        }
        return .ok
    }
}
