import Values
import WorkflowTesting

/// A test case made from a run of the server's.
enum RecordedRun {
    static func print(_ run: String, _ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let client = try APIClient(invocation)
        let record = try client.call(.run, [run]).value
        let status = record["status"]?.string
        guard let status, ["succeeded", "failed", "cancelled"].contains(status) else {
            throw CommandFailure(
                .notOK, "run_open", "the run is not over: its test would not know what is still to come",
                place: run, hint: "`millrace explain \(run)` says what it waits for")
        }
        let events = try client.list(.events, [run], limit: .max).items
        let recording = RunRecording(record: record, events: events)
        if invocation.isJSON {
            invocation.console.print(recording.document)
        } else {
            invocation.console.print(recording.text)
        }
        return .ok
    }
}
