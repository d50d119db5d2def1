import Glibc
import Processes
import Values

/// `demo`: the whole story, told and checked.
enum DemoCommand {
    static let all = [
        Command(
            "demo", "run a complete demonstration on this machine and check every step",
            options: [
                Option(
                    "repository", placeholder: "FOLDER",
                    "folder that contains workflows/ and examples/ (default .)")
            ],
            details: """
                Starts the stand-in providers and real servers on loopback, in a temporary folder: billing with
                Stripe and with Mollie, a tenant's orders, an empty balance, and a SIGKILL in the middle of a payment.
                Exits with 1 if anything is not as expected.
                """, run: run)
    ]

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        TerminationSignals.block()
        let repository = invocation.arguments.text("repository") ?? "."
        guard Files.isFolder("\(repository)/workflows/operator/stripe") else {
            throw CommandFailure(
                .usage, "no_repository", "the workflows are not here",
                place: "\(repository)/workflows/operator/stripe",
                hint: "run it in the repository, or name that with --repository")
        }
        let begun = ContinuousClock.now
        let transcript = Transcript(console: invocation.isJSON ? .silent : invocation.console)
        let stage = try DemoStage(transcript: transcript, repository: repository)
        _ = WorkerThread(name: "signals") {
            TerminationSignals.wait()
            stage.strike()
            _exit(130)
        }
        defer { stage.strike() }
        try Story(stage: stage).tell()
        let seconds = (ContinuousClock.now - begun).milliseconds / 1000
        return report(transcript, seconds: seconds, invocation)
    }

    private static func report(_ transcript: Transcript, seconds: Int64, _ invocation: Invocation) -> ExitCode
    {
        let failures = transcript.failures
        if invocation.isJSON {
            invocation.console.print([
                "checks": .int(Int64(transcript.checkCount)), "failures": .array(failures.map(Value.string)),
                "seconds": .int(seconds),
            ])
        } else if failures.isEmpty {
            invocation.console.print("\nAll \(transcript.checkCount) checks hold, in \(seconds) s.")
        } else {
            invocation.console.print("\n\(failures.count) of \(transcript.checkCount) checks do not hold:")
            for failure in failures { invocation.console.print("  \(failure)") }
        }
        return failures.isEmpty ? .ok : .notOK
    }
}

extension Console {
    /// Writes nothing.
    fileprivate static let silent = Console(writeOutput: { _ in }, writeError: { _ in }, readInput: { [] })
}
