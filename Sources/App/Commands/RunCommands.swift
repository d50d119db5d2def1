import Clocks
import Glibc
import Values
import Workflow

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
                Option("failed", .flag, "the same as --status failed"),
                Option(
                    "from", placeholder: "TIME",
                    "only started at or after this: 10m, 2h or 7d ago, 2026-01-31 or RFC 3339"),
                Option("to", placeholder: "TIME", "only started before this"),
                Option("limit", .integer(1...10_000), placeholder: "COUNT", "at most this many (default 50)"),
                Times.option,
            ] + APIClient.options,
            details: """
                If there are more, says so on standard error; with --json, `more` is then true.

                    millrace runs --failed --from 1h
                """, run: list),
        Command(
            "run", "show one run, follow it, or cancel it", operands: [Operand("ID")],
            options: [
                Option("sent", .flag, "show the request and the answer of each attempt"),
                Option(
                    "step", placeholder: "PATH",
                    "show only this step, with its requests; such as each/3/charge"),
                Option("events", .flag, "show the journal as well"),
                Option("follow", .flag, "show the journal as it grows, until the run is over"),
                Option("cancel", .flag, "end the run: nothing new starts, requests in flight finish"),
                Option("reason", placeholder: "TEXT", "reason for --cancel"),
                Times.option,
            ] + APIClient.options,
            details: """
                Requests are rebuilt from the journal: secrets and credentials are masked, and a value that an expression
                computed from a secret differs from the value that was sent.
                With --follow, exits with 1 if the run does not succeed. --follow --json prints JSON lines: one event
                an object and a line, and the run itself as the last one.
                """, run: one),
    ]

    // MARK: - The list

    @Sendable private static func list(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let list = try APIClient(invocation).list(
            .runs, query: try filters(invocation),
            limit: Int(clamping: invocation.arguments.integer("limit") ?? 50))
        if invocation.isJSON {
            invocation.console.print(list.value)
            return .ok
        }
        let times = Times(invocation)
        var table = TextTable(
            ["RUN", "WORKFLOW", "TRIGGER", "STATUS", "STARTED", "TOOK", "CHARGED MS"], rightAligned: [6])
        for item in list.items {
            table.add([
                item["run_id"]?.text ?? "", item["workflow"]?.text ?? "", item["trigger"]?.text ?? "",
                item["status"]?.text ?? "", times.text(item["started_at"]), RunText.took(item),
                item["charged_ms"]?.text ?? "",
            ])
        }
        invocation.console.print(table.isEmpty ? "no runs" : table.text)
        if list.hasMore {
            invocation.console.complain(
                "the newest \(counted(list.items.count, "run")); more with --limit, or before one with --to")
        }
        return .ok
    }

    private static func filters(_ invocation: Invocation) throws(CommandFailure) -> [(String, String?)] {
        let arguments = invocation.arguments
        if arguments.has("failed"), arguments.has("status") {
            throw .usage("`--failed` and `--status` say the same: give one of them")
        }
        let clock = SystemClock()
        defer { clock.shutDown() }
        let now = clock.now()
        return [
            ("workflow", arguments.text("workflow")),
            ("status", arguments.has("failed") ? "failed" : arguments.text("status")),
            ("from", try Times.instant("from", invocation, now: now)),
            ("to", try Times.instant("to", invocation, now: now)),
        ]
    }

    // MARK: - One run

    @Sendable private static func one(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (arguments, client) = (invocation.arguments, try APIClient(invocation))
        let run = arguments.operands[0]
        try checkOptions(arguments)
        if arguments.has("cancel") {
            let body: Value = arguments.text("reason").map { ["reason": .string($0)] } ?? [:]
            _ = try client.call(.cancel, [run], json: body)
        }
        if arguments.has("follow") { return try follow(run, with: client, invocation) }
        var record = try client.call(.run, [run]).value
        let step = arguments.text("step")
        if let step, !isStep(step, of: record) { throw unknownStep(step, of: record) }
        if arguments.has("sent") || step != nil {
            let attempts = try client.list(.attempts, [run], query: [("step", step)], limit: 10_000)
            record = record.setting("attempts", .array(attempts.items))
        }
        if arguments.has("events") {
            record = record.setting(
                "events", .array(try client.list(.events, [run], limit: .max).items))
        }
        if let step { record = record.keepingStep(step) }
        if invocation.isJSON {
            invocation.console.print(record)
        } else {
            invocation.console.print(RunText(record, Times(invocation)).text)
        }
        return .ok
    }

    private static func checkOptions(_ arguments: ParsedArguments) throws(CommandFailure) {
        if arguments.has("reason"), !arguments.has("cancel") {
            throw .usage("`--reason` goes with `--cancel`")
        }
        if arguments.has("follow"), let other = ["sent", "step", "events"].first(where: arguments.has) {
            throw .usage(
                "`--\(other)` does not go with `--follow`", hint: "run it again once the run is over")
        }
    }

    /// Of a run with very many steps not all are listed.
    private static func isStep(_ path: String, of record: Value) -> Bool {
        record["steps_left_out"] != nil
            || (record["steps"]?.array ?? []).contains { $0["id"]?.string == path }
    }

    private static func unknownStep(_ path: String, of record: Value) -> CommandFailure {
        let known = (record["steps"]?.array ?? []).compactMap { $0["id"]?.string }
        return CommandFailure(
            .usage, "step_unknown", "the run has no step `\(path)`", place: record["run_id"]?.text,
            hint: Suggestion.hint(for: path, among: known)
                ?? "its steps are \(known.prefix(20).joined(separator: ", "))")
    }

    static func path(_ run: String) -> String { Operation.run.path(with: [run]) }

    static func isOver(_ record: Value) -> Bool {
        ["succeeded", "failed", "cancelled"].contains(record["status"]?.string ?? "")
    }

    /// Waits for a run's end, asking ever less often.
    static func awaitEnd(of run: String, with client: APIClient) throws(CommandFailure) -> Value {
        var pause: UInt32 = 20_000
        while true {
            let record = try client.call(.run, [run]).value
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
        let times = Times(invocation)
        while true {
            // Asked before the journal is read, so that the last entries are not missed.
            let record = try client.call(.run, [run]).value
            let news = try client.list(.events, [run], after: String(last), limit: 100_000).items
            for event in news {
                last = max(last, event["sequence"]?.int ?? 0)
                if invocation.isJSON {
                    invocation.console.print(event)
                } else {
                    invocation.console.print(RunText.line(for: event, times))
                }
            }
            if isOver(record) { return RunText.show(record, invocation) }
            if invocation.console.isReaderGone { return .ok }
            usleep(pause)
            pause = news.isEmpty ? min(500_000, pause * 2) : 20_000
        }
    }
}

extension Value {
    /// An object with one member more.
    func setting(_ name: String, _ value: Value) -> Value {
        guard var object else { return self }
        object[name] = value
        return .object(object)
    }

    /// A run's record with that step alone.
    func keepingStep(_ path: String) -> Value {
        setting("steps", .array((self["steps"]?.array ?? []).filter { $0["id"]?.string == path }))
    }
}
