import Ports
import Values

/// `pause`, `resume`, `retry` and `fork`: what people do to runs.
enum OrderCommands {
    private static let key = Option(
        "idempotency-key", placeholder: "KEY", "a repeated call with the same key starts nothing")
    private static let wait = Option(
        "wait", .flag, "wait until the new run is over; exits with 1 if it does not succeed")

    static let all = [
        Command(
            "pause", "pause a run", operands: [Operand("RUN")],
            options: [Option("reason", placeholder: "TEXT", "reason, for people")] + APIClient.options,
            details: """
                Nothing new starts; requests in flight finish, and sleeps and waits continue. This holds across
                restarts, until `millrace resume`.
                """, run: pause),
        Command(
            "resume", "resume a paused run", operands: [Operand("RUN")], options: APIClient.options,
            details: "A run without balance stays paused.", run: resume),
        Command(
            "retry", "continue a failed run in a new run", operands: [Operand("RUN")],
            options: [key, wait, Times.option] + APIClient.options,
            details: """
                The new run keeps the outcomes of the steps from which the failed run continued. It repeats the failed
                step, steps that were undone, and all steps after them.
                """, run: retry),
        Command(
            "fork", "continue from a step of a run in a new run", operands: [Operand("RUN")],
            options: [
                Option("from", placeholder: "STEP", "the top-level step to begin with"),
                Option("input", placeholder: "JSON|@FILE|-", "replaces trigger.body"),
                Option("version", .choice(["same", "current"]), "version of the workflow (default same)"),
                key, wait, Times.option,
            ] + APIClient.options,
            details:
                "--from STEP is needed. Steps that do not come after STEP keep the outcomes of the first run.",
            run: fork),
    ]

    @Sendable private static func pause(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let body: Value = invocation.arguments.text("reason").map { ["reason": .string($0)] } ?? [:]
        return try order(.pause, body, invocation)
    }

    @Sendable private static func resume(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        try order(.resume, [:], invocation)
    }

    private static func order(
        _ operation: Operation, _ body: Value, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        let run = invocation.arguments.operands[0]
        let answer = try APIClient(invocation).call(operation, [run], json: body)
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            let status = answer.value["status"]?.text ?? ""
            let isShort = operation == .resume && status == "paused"
            invocation.console.print("\(run) is \(status)" + (isShort ? ": the balance is used up" : ""))
        }
        return .ok
    }

    @Sendable private static func retry(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        try start(.retry, [:], invocation)
    }

    @Sendable private static func fork(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let arguments = invocation.arguments
        guard let step = arguments.text("from") else {
            throw .usage(
                "`fork` needs `--from STEP`", hint: "`millrace run \(arguments.operands[0])` lists the steps")
        }
        var body = Object()
        body["step"] = .string(step)
        if let input = try WorkflowCommands.data(arguments.text("input"), of: "--input", invocation) {
            body["input"] = (try? JSON.parse(input)) ?? .null
        }
        if let version = arguments.text("version") { body["version"] = .string(version) }
        return try start(.fork, .object(body), invocation)
    }

    /// Prints the new run's id, or, with `--wait`, the run once it is over.
    private static func start(
        _ operation: Operation, _ body: Value, _ invocation: Invocation
    ) throws(CommandFailure) -> ExitCode {
        let (arguments, client) = (invocation.arguments, try APIClient(invocation))
        let answer = try client.call(
            operation, [arguments.operands[0]], json: body, headers: try invocation.idempotencyHeaders())
        let run = answer.value["run_id"]?.text ?? ""
        if arguments.has("wait") {
            return RunText.show(try RunCommands.awaitEnd(of: run, with: client), invocation)
        }
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            let isRepeat = answer.value["duplicate"]?.bool == true
            let isSkipped = answer.value["skipped"]?.bool == true
            let note =
                isRepeat
                ? " (the first run of this key)" : isSkipped ? " (under way: nothing was started)" : ""
            invocation.console.print(run + note)
        }
        return .ok
    }
}
