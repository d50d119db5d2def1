import Ports
import Values

/// `signal`: tells a run something.
enum SignalCommands {
    static let all = [
        Command(
            "signal", "send a signal to a run", operands: [Operand("RUN"), Operand("NAME")],
            options: [
                Option(
                    "data", placeholder: "JSON|@FILE|-",
                    "body of the signal, which the waiting step reads as signal.body"),
                Option(
                    "idempotency-key", placeholder: "KEY",
                    "a repeated call with the same key sends no second signal"),
            ] + APIClient.options,
            details: "The run stores an early signal until a step waits for it.", run: signal)
    ]

    @Sendable private static func signal(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let (arguments, client) = (invocation.arguments, try APIClient(invocation))
        let (run, name) = (arguments.operands[0], arguments.operands[1])
        let body = try WorkflowCommands.data(arguments.text("data"), of: "--data", invocation)
        let answer = try client.call(
            .signal, [run, name], body: body, headers: try invocation.idempotencyHeaders())
        if invocation.isJSON {
            invocation.console.print(answer.value)
        } else {
            let isRepeat = answer.value["duplicate"]?.bool == true
            invocation.console.print(isRepeat ? "\(name) had come before under this key" : "\(name) is kept")
        }
        return .ok
    }
}
