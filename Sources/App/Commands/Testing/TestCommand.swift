import Glibc
import Values
import WorkflowTesting

/// `test`.
enum TestCommand {
    static let all = [
        Command(
            "test", "run the tests of workflows, without network and with a clock of their own",
            operands: [Operand("PATH", isOptional: true, isRepeated: true)],
            options: [
                Option("filter", placeholder: "TEXT", "only cases whose name contains this text"),
                Option("coverage", .flag, "show which steps and branches the cases went through"),
                Option("junit", placeholder: "FILE", "write the results to this file as JUnit XML"),
                Option("watch", .flag, "run again whenever a file changes, until interrupted"),
                Option(
                    "record", placeholder: "RUN", "print a test case made from that run on the server"),
            ] + APIClient.options,
            details: """
                PATH is a *.test.yaml or a folder that is searched to its depth; the current one by default.
                docs/testing-workflows.md explains the format. Exits with 1 if a case fails.
                """, run: run)
    ]

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        if let run = invocation.arguments.text("record") {
            return try RecordedRun.print(run, invocation)
        }
        let operands = invocation.arguments.operands
        let paths = operands.isEmpty ? ["."] : operands
        guard invocation.arguments.has("watch") else {
            return try runOnce(paths, invocation) { try? Files.read($0) }
        }
        watch(paths, invocation)
        return .ok
    }

    private static func runOnce(
        _ paths: [String], _ invocation: Invocation, loading load: TestFileReader.Loader
    ) throws(CommandFailure) -> ExitCode {
        let filter = invocation.arguments.text("filter")
        let reader = WorkflowCommands.reader()
        var results: [FileResult] = []
        for path in try TestFiles.found(under: paths) {
            let source = try bytes(path)
            results.append(
                FileResult(path: path, source: source, filter: filter, reader: reader, loading: load))
        }
        let report = TestReport(results)
        if let filter, report.passedCount + report.failedCount == 0 {
            throw CommandFailure(.usage, "no_cases", "no case's name holds `\(filter)`")
        }
        try show(report, invocation)
        return report.hasPassed ? .ok : .notOK
    }

    private static func show(_ report: TestReport, _ invocation: Invocation) throws(CommandFailure) {
        if let path = invocation.arguments.text("junit") {
            do throws(Files.Problem) { try Files.replace(path, Array(report.junit.utf8)) } catch {
                throw CommandFailure(
                    .usage, "file_unwritable", "the file cannot be written: \(error.reason)", place: path)
            }
        }
        if invocation.isJSON { return invocation.console.print(report.value) }
        let hasColour = isatty(1) == 1 && invocation.environment["NO_COLOR"] == nil
        let text = report.text(hasColour: hasColour, showsCoverage: invocation.arguments.has("coverage"))
        if hasColour {
            // Not through `print`, which takes out what steers a terminal; the report has done so itself.
            invocation.console.writeOutput(Array((text + "\n").utf8))
        } else {
            invocation.console.print(text)
        }
    }

    private static func bytes(_ path: String) throws(CommandFailure) -> [UInt8] {
        do throws(Files.Problem) { return try Files.read(path) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: path)
        }
    }

    private static func watch(_ paths: [String], _ invocation: Invocation) {
        var watched = WatchedFiles(paths)
        while !invocation.console.isReaderGone {
            if watched.haveChanged() {
                do throws(CommandFailure) {
                    _ = try runOnce(paths, invocation) { watched.load($0) }
                } catch {
                    // A file that is being saved is there again at the next look.
                    invocation.console.complain(error.text)
                }
            }
            usleep(300_000)
        }
    }
}
