import Values
import Workflow
import WorkflowTesting

/// `simulate`.
enum SimulateCommand {
    static let all = [
        Command(
            "simulate", "show what a run would do and send, without sending it",
            operands: [Operand("FILE")],
            options: [
                Option("data", placeholder: "JSON|@FILE|-", "what the run sees as trigger.body (default {})"),
                Option(
                    "answers", placeholder: "FILE",
                    "mocks, signals, secrets, vars and trigger, written as in a case of `millrace test`; or a test file, for its defaults"
                ),
                Option(
                    "case", placeholder: "TEXT",
                    "use the first case of the test file whose name contains this text"
                ),
            ],
            details: """
                Waits are skipped and no request leaves the machine: each is shown and answered 200 {}, or as
                --answers says. Triggers are not checked. A secret that is not given is shown as its name in brackets.
                Exits with 1 if the run would not succeed.
                """, run: run)
    ]

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let path = invocation.arguments.operands[0]
        let source = try WorkflowCommands.read(path, with: WorkflowCommands.reader())
        guard let definition = source.definition else {
            if !invocation.isJSON { invocation.console.complain(source.report.text) }
            throw CommandFailure(.notOK, "invalid_workflow", "the workflow has errors", place: path)
        }
        var one = try answers(invocation, definition)
        if let data = try WorkflowCommands.data(
            invocation.arguments.text("data"), of: "--data", invocation)
        {
            one.trigger.raw = data
        } else if one.trigger.body == nil, one.trigger.raw == nil {
            one.trigger.raw = Array("{}".utf8)
        }
        for name in definition.secretNames where one.secrets[name] == nil { one.secrets[name] = "[\(name)]" }
        let rehearsal = CaseRunner(definition).rehearse(one)
        if invocation.isJSON {
            invocation.console.print(rehearsal.value)
        } else {
            invocation.console.print(rehearsal.text)
        }
        return rehearsal.hasSucceeded ? .ok : .notOK
    }

    private static func answers(
        _ invocation: Invocation, _ definition: WorkflowDefinition
    ) throws(CommandFailure) -> TestCase {
        guard let path = invocation.arguments.text("answers") else {
            guard invocation.arguments.text("case") == nil else {
                throw CommandFailure(
                    .usage, "no_answers", "`--case` needs the test file that holds it: --answers FILE")
            }
            return TestCase.empty
        }
        let bytes: [UInt8]
        do throws(Files.Problem) { bytes = try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: path)
        }
        let (one, problems) = TestFileReader.answers(
            bytes, case: invocation.arguments.text("case"), for: definition)
        if let one { return one }
        let report = ProblemReport(file: path, source: bytes, problems: problems)
        if !invocation.isJSON { invocation.console.complain(report.text) }
        throw CommandFailure(
            .usage, "invalid_answers", problems.first?.message ?? "the file has errors", place: path)
    }
}
