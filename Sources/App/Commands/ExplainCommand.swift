import Values

/// `explain`: why a run stands where it stands.
enum ExplainCommand {
    static let all = [
        Command(
            "explain", "show what a run waits for, or why it failed", operands: [Operand("RUN")],
            options: [Times.option] + APIClient.options,
            details: """
                For an open run: one line for each step that waits. For a run that failed or was cancelled: the step,
                its request and answer, the values that guards of skipped steps read, the compensations, and the
                commands that continue from there. Nothing is changed.
                """, run: explain)
    ]

    @Sendable private static func explain(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (run, client) = (invocation.arguments.operands[0], try APIClient(invocation))
        let record = try client.call(.run, [run]).value
        if RunCommands.isOver(record), record["status"] != "succeeded" {
            let failure = FailureExplanation(
                record, attempt: try lastAttempt(of: record, run, with: client), Times(invocation))
            if invocation.isJSON {
                invocation.console.print(failure.value)
            } else {
                invocation.console.print(failure.text)
            }
        } else if invocation.isJSON {
            invocation.console.print(value(of: record))
        } else {
            invocation.console.print(text(of: record, Times(invocation)))
        }
        return .ok
    }

    /// The last attempt of the step that failed the run; nil for a step that has sent nothing.
    private static func lastAttempt(
        of record: Value, _ run: String, with client: APIClient
    ) throws(CommandFailure) -> Value? {
        guard let step = record["error"]?["step"]?.string else { return nil }
        return try client.list(.attempts, [run], query: [("step", step)], limit: 10_000).items.last
    }

    private static func waiting(_ record: Value) -> [Value] {
        (record["steps"]?.array ?? []).filter { $0["waits_for"].map { !$0.isNull } ?? false }
    }

    private static func value(of record: Value) -> Value {
        let steps = waiting(record).map { step -> Value in
            [
                "id": step["id"] ?? .null, "state": step["state"] ?? .null,
                "waits_for": step["waits_for"] ?? .null,
            ]
        }
        return [
            "run_id": record["run_id"] ?? .null, "status": record["status"] ?? .null,
            "paused_by": record["paused_by"] ?? [], "steps": .array(steps),
        ]
    }

    private static func text(of record: Value, _ times: Times) -> String {
        let run = record["run_id"]?.text ?? ""
        if RunCommands.isOver(record) {
            let status = record["status"]?.text ?? ""
            guard record["finally"]?.string != "failed" else {
                return
                    "\(run) has \(status), but its `finally` steps failed or were cut: see `millrace run \(run)`"
            }
            return "\(run) has \(status): nothing is wrong, nothing is waited for"
        }
        var lines = ["\(run) is \(record["status"]?.text ?? "")"]
        lines += (record["paused_by"]?.array ?? []).map { "paused by " + text(ofPause: $0, times) }
        var table = TextTable(["STEP", "STATE", "WAITS FOR"])
        for step in waiting(record) {
            table.add([
                step["id"]?.text ?? "", step["state"]?.text ?? "",
                reason(step["waits_for"] ?? .null, times),
            ])
        }
        if !table.isEmpty { lines.append("\n" + table.text) }
        return lines.joined(separator: "\n")
    }

    /// What a step waits for, in words.
    private static func reason(_ reason: Value, _ times: Times) -> String {
        let kind = reason["kind"]?.text ?? ""
        var text =
            switch kind {
            case "steps": "steps " + list(reason["steps"])
            case "balance": "a balance above zero"
            case "suspension": "the end of the tenant's suspension"
            case "operator": "`millrace resume`"
            case "end": "nothing: what it is part of is ending"
            case "items":
                "\(reason["settled"]?.text ?? "") of \(counted(Int(reason["count"]?.int ?? 0), "item")) settled"
            case "turn": "its turn"
            case "answer": "an answer"
            case "place": place(reason)
            case "retry": "attempt \(reason["attempt"]?.text ?? "")"
            case "time": "the time"
            case "run": reason["run"]?.text ?? ""
            case "limit": "its turn under the concurrency limit"
            case "signal": "signal " + list(reason["signals"], word: " or ")
            default: kind
            }
        if let since = reason["since"], !since.isNull { text += ", since \(times.text(since))" }
        if let until = reason["until"], !until.isNull { text += ", until \(times.text(until))" }
        return text
    }

    /// Which places a request waits for that has not left yet.
    private static func place(_ reason: Value) -> String {
        let (count, host) = (reason["places"]?.text ?? "", reason["host"]?.text ?? "")
        return switch reason["of"]?.text {
        case "host": "one of \(count) places to \(host)"
        case "share_of_host": "one of the tenant's share of \(count) places to \(host)"
        case "share_of_all": "one of the tenant's share of \(count) places for requests"
        default: "one of \(count) places for requests"
        }
    }

    private static func text(ofPause pause: Value, _ times: Times) -> String {
        var text =
            switch pause["by"]?.text {
            case "balance": "the balance"
            case "suspension": "the tenant's suspension"
            default: "hand"
            }
        if let since = pause["since"], !since.isNull { text += ", since \(times.text(since))" }
        if let reason = pause["reason"], !reason.isNull { text += ": \(reason.text)" }
        return text
    }

    private static func list(_ names: Value?, word: String = ", ") -> String {
        (names?.array ?? []).map(\.text).joined(separator: word)
    }
}
