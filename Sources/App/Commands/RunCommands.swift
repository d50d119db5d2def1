import Glibc
import Values

/// `runs` and `run`.
enum RunCommands {
    static let all = [
        Command(
            "runs", "list runs, the newest first",
            options: [
                Option("workflow", placeholder: "NAME", "only of this workflow"),
                Option(
                    "status",
                    .choice(["running", "queued", "waiting", "paused", "succeeded", "failed", "cancelled"]),
                    "only with this status"),
                Option("from", placeholder: "TIME", "only started at or after this, RFC 3339 in UTC"),
                Option("to", placeholder: "TIME", "only started before this"),
                Option("limit", .integer(1...10_000), placeholder: "COUNT", "at most this many (default 50)"),
            ] + APIClient.options, run: list),
        Command(
            "run", "show one run, follow it, or cancel it", operands: [Operand("ID")],
            options: [
                Option("events", .flag, "its journal as well"),
                Option("follow", .flag, "show the journal as it grows, until the run is over"),
                Option("cancel", .flag, "end it: nothing new starts, what is in flight is let finish"),
                Option("reason", placeholder: "TEXT", "why, with --cancel"),
            ] + APIClient.options,
            details: "With --follow, exits with 1 where the run does not succeed.", run: one),
    ]

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let arguments = invocation.arguments
        let filters = ["workflow", "status", "from", "to"].map { ($0, arguments.text($0)) }
        let limit = Int(clamping: arguments.integer("limit") ?? 50)
        let items = try APIClient(invocation).items("/api/runs", query: filters, limit: limit)
        if invocation.isJSON {
            invocation.console.print(["items": .array(items)])
            return .ok
        }
        var table = TextTable(
            ["RUN", "WORKFLOW", "TRIGGER", "STATUS", "STARTED", "CHARGED MS"], rightAligned: [5])
        for item in items {
            table.add(
                ["run_id", "workflow", "trigger", "status", "started_at", "charged_ms"].map {
                    item[$0]?.text ?? ""
                })
        }
        invocation.console.print(table.isEmpty ? "no runs" : table.text)
        return .ok
    }

    @Sendable private static func one(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (arguments, client) = (invocation.arguments, try APIClient(invocation))
        let run = arguments.operands[0]
        if arguments.has("reason"), !arguments.has("cancel") {
            throw .usage("`--reason` goes with `--cancel`")
        }
        if arguments.has("cancel") {
            let body: Value = arguments.text("reason").map { ["reason": .string($0)] } ?? [:]
            _ = try client.call("POST", "\(path(run))/cancel", body: JSON.bytes(body))
        }
        if arguments.has("follow") { return try follow(run, with: client, invocation) }
        var record = try client.call("GET", path(run)).value
        let events = arguments.has("events") ? try client.items("\(path(run))/events", limit: .max) : []
        if invocation.isJSON, arguments.has("events"), var object = record.object {
            object["events"] = .array(events)
            record = .object(object)
        }
        _ = show(record, invocation)
        if !invocation.isJSON { for event in events { invocation.console.print(line(for: event)) } }
        return .ok
    }

    static func path(_ run: String) -> String { "/api/runs/\(Percent.encode(run))" }

    static func isOver(_ record: Value) -> Bool {
        ["succeeded", "failed", "cancelled"].contains(record["status"]?.string ?? "")
    }

    /// Waits for a run's end, asking ever less often.
    static func awaitEnd(of run: String, with client: APIClient) throws(CommandFailure) -> Value {
        var pause: UInt32 = 20_000
        while true {
            let record = try client.call("GET", path(run)).value
            if isOver(record) { return record }
            usleep(pause)
            pause = min(500_000, pause * 2)
        }
    }

    private static func follow(
        _ run: String, with client: APIClient, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        var last: Int64 = 0
        var pause: UInt32 = 20_000
        while true {
            // Asked before the journal is read, so that the last entries are not missed.
            let record = try client.call("GET", path(run)).value
            let news = try client.items("\(path(run))/events", after: String(last), limit: 100_000)
            for event in news {
                last = max(last, event["sequence"]?.int ?? 0)
                if invocation.isJSON {
                    invocation.console.print(event)
                } else {
                    invocation.console.print(line(for: event))
                }
            }
            if isOver(record) { return show(record, invocation) }
            usleep(pause)
            pause = news.isEmpty ? min(500_000, pause * 2) : 20_000
        }
    }

    /// Prints a run; the exit code says whether it succeeded.
    static func show(_ record: Value, _ invocation: Invocation) -> ExitCode {
        let code: ExitCode = record["status"]?.string == "succeeded" ? .ok : .notOK
        if invocation.isJSON {
            invocation.console.print(record)
            return code
        }
        let facts = ["run_id", "workflow", "trigger", "status", "started_at", "finished_at", "charged_ms"]
        var lines = facts.compactMap { name in
            record[name].flatMap { $0.isNull ? nil : "\(label(name))\($0.text)" }
        }
        if let origin = record["origin"], !origin.isNull {
            let step = origin["step"].flatMap { $0.isNull ? nil : " from step \($0.text)" } ?? ""
            lines.append(
                label("origin") + "\(origin["kind"]?.text ?? "") of \(origin["run"]?.text ?? "")\(step)")
        }
        if let output = record["output"], !output.isNull { lines.append(label("output") + JSON.text(output)) }
        if let error = record["error"], !error.isNull {
            let step = error["step"].flatMap { $0.isNull ? nil : " in step \($0.text)" } ?? ""
            lines.append(
                label("error") + "\(error["code"]?.text ?? "")\(step): \(error["message"]?.text ?? "")")
        }
        invocation.console.print(lines.joined(separator: "\n"))
        var table = TextTable(["STEP", "STATE", "ATTEMPTS", "ERROR"], rightAligned: [2])
        for step in record["steps"]?.array ?? [] {
            let error = step["error"]?["message"] ?? step["error"]
            let state = (step["state"]?.text ?? "") + (step["copied"]?.bool == true ? " (copied)" : "")
            table.add([
                step["id"]?.text ?? "", state, step["attempts"]?.text ?? "",
                error?.text ?? "",
            ])
        }
        if !table.isEmpty { invocation.console.print("\n" + table.text) }
        return code
    }

    private static func label(_ name: String) -> String {
        let words = [
            "run_id": "run", "started_at": "started", "finished_at": "finished", "charged_ms": "charged ms",
        ]
        return ((words[name] ?? name) + ":").padded(to: 12)
    }

    private static func line(for event: Value) -> String {
        let facts = event["facts"].map { JSON.text($0) } ?? ""
        return "\((event["sequence"]?.text ?? "").padded(to: 4)) \(event["at"]?.text ?? "") "
            + "\((event["kind"]?.text ?? "").padded(to: 22)) \(facts)"
    }
}
