import Ports
import Values

/// `signal` and `explain`: runs that wait.
enum SignalCommands {
    static let all = [
        Command(
            "signal", "send a signal to a run", operands: [Operand("RUN"), Operand("NAME")],
            options: [
                Option("data", placeholder: "JSON|@FILE|-", "what the waiting step reads as signal.body"),
                Option(
                    "idempotency-key", placeholder: "KEY", "a repeat with the same key is the same signal"),
            ] + APIClient.options,
            details: "The run keeps a signal that comes early until a step waits for it.", run: signal),
        Command(
            "explain", "say what a run waits for", operands: [Operand("RUN")], options: APIClient.options,
            details: "One line for each step that is not over; nothing is changed.", run: explain),
    ]

    @Sendable private static func signal(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (arguments, client) = (invocation.arguments, try APIClient(invocation))
        let (run, name) = (arguments.operands[0], arguments.operands[1])
        let body = try WorkflowCommands.data(arguments.text("data"), of: "--data", invocation)
        let answer = try client.call(
            "POST", "\(RunCommands.path(run))/signals/\(Percent.encode(name))", body: body,
            headers: try invocation.idempotencyHeaders())
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            let isRepeat = answer.value["duplicate"]?.bool == true
            invocation.console.print(isRepeat ? "\(name) had come before under this key" : "\(name) is kept")
        }
        return .ok
    }

    @Sendable private static func explain(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let record = try APIClient(invocation).call("GET", RunCommands.path(invocation.arguments.operands[0]))
            .value
        let waiting = (record["steps"]?.array ?? []).filter {
            $0["waits_for"].map { !$0.isNull } ?? false
        }
        let pauses = record["paused_by"]?.array ?? []
        if invocation.isJSON {
            let steps = waiting.map { step -> Value in
                [
                    "id": step["id"] ?? .null, "state": step["state"] ?? .null,
                    "waits_for": step["waits_for"] ?? .null,
                ]
            }
            invocation.console.print([
                "run_id": record["run_id"] ?? .null, "status": record["status"] ?? .null,
                "paused_by": .array(pauses), "steps": .array(steps),
            ])
            return .ok
        }
        invocation.console.print("\(record["run_id"]?.text ?? "") is \(record["status"]?.text ?? "")")
        for pause in pauses { invocation.console.print("paused by " + text(ofPause: pause)) }
        var table = TextTable(["STEP", "STATE", "WAITS FOR"])
        if !RunCommands.isOver(record) {
            for step in waiting {
                table.add([
                    step["id"]?.text ?? "", step["state"]?.text ?? "", text(of: step["waits_for"] ?? .null),
                ])
            }
        }
        if !table.isEmpty { invocation.console.print("\n" + table.text) }
        return .ok
    }

    /// What a step waits for, in words.
    private static func text(of reason: Value) -> String {
        let kind = reason["kind"]?.text ?? ""
        var text =
            switch kind {
            case "steps": "steps " + list(reason["steps"])
            case "balance": "a balance above zero"
            case "operator": "`millrace resume`"
            case "end": "nothing: what it is part of is ending"
            case "items":
                "its items: \(reason["settled"]?.text ?? "") of \(reason["count"]?.text ?? "") settled"
            case "turn": "its turn"
            case "answer": "an answer"
            case "retry": "attempt \(reason["attempt"]?.text ?? "")"
            case "time": "the time"
            case "run": reason["run"]?.text ?? ""
            case "limit": "its turn under the concurrency limit"
            case "signal": "signal " + list(reason["signals"], word: " or ")
            default: kind
            }
        if let since = reason["since"], !since.isNull { text += ", since \(since.text)" }
        if let until = reason["until"], !until.isNull { text += ", until \(until.text)" }
        return text
    }

    private static func text(ofPause pause: Value) -> String {
        var text = pause["by"] == "balance" ? "the balance" : "hand"
        if let since = pause["since"], !since.isNull { text += ", since \(since.text)" }
        if let reason = pause["reason"], !reason.isNull { text += ": \(reason.text)" }
        return text
    }

    private static func list(_ names: Value?, word: String = ", ") -> String {
        (names?.array ?? []).map(\.text).joined(separator: word)
    }
}
