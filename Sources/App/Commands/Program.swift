import Glibc
import Processes
import Values

/// The command line: finds the command, reads its arguments, runs it, and says how it ended.
package enum Program {
    package static let version = "0.1.0"

    /// Every command, in the order of the help.
    package static let commands: [Command] =
        ServerCommands.all + WorkflowCommands.checking + DeployCommand.all + WorkflowLifeCommands.all
        + WorkflowCommands.starting + TestCommand.all + SimulateCommand.all + RunCommands.all
        + ExplainCommand.all + OrderCommands.all + SignalCommands.all + SecretCommands.all
        + KeyCommands.all + MasterKeyCommands.all + TenantCommands.all + TenantOperationCommands.all
        + BillingCommands.all + StandInCommands.all + DemoCommand.all + CompletionCommands.all
        + HelpCommands.all

    /// Runs one command line, without the program's own name, and returns the exit code.
    package static func run(
        _ arguments: [String], environment: [String: String], console: Console = .standard
    ) -> Int32 {
        let isJSON = arguments.prefix { $0 != "--" }.contains("--json")
        do throws(CommandFailure) {
            let code = try dispatch(arguments, environment, console)
            try checkOutput(console)
            return code.rawValue
        } catch {
            if isJSON { console.complain(JSON.text(error.value)) } else { console.complain(error.text) }
            return error.exitCode.rawValue
        }
    }

    /// A reader that has gone has all that it wanted; anything else has lost what was to be read.
    private static func checkOutput(_ console: Console) throws(CommandFailure) {
        guard let number = console.outputProblem(), number != EPIPE else { return }
        throw CommandFailure(
            .internal, "output_unwritable",
            "standard output cannot be written: \(String(cString: strerror(number)))",
            hint: "the command is done; what it had to show is lost")
    }

    /// Runs the process's own command line.
    package static func main() -> Int32 {
        StandardOutput.openMissing()
        return run(Array(CommandLine.arguments.dropFirst()), environment: ChildProcess.currentEnvironment())
    }

    private static func dispatch(
        _ arguments: [String], _ environment: [String: String], _ console: Console
    ) throws(CommandFailure) -> ExitCode {
        if arguments.isEmpty || arguments == ["--help"] || arguments == ["-h"] {
            console.print(HelpText.overview(of: commands))
            return arguments.isEmpty ? .usage : .ok
        }
        if arguments == ["--version"] {
            console.print("millrace \(version)")
            return .ok
        }
        let parser = ArgumentParser(commands: commands)
        if let family = askedFamily(arguments) {
            console.print(HelpText.family(family, of: commands))
            return .ok
        }
        let (command, wordCount) = try parser.command(in: arguments)
        let parsed = try parser.parse(Array(arguments.dropFirst(wordCount)), for: command)
        if parsed.has("help") {
            console.print(HelpText.text(for: command))
            return .ok
        }
        return try command.run(
            Invocation(command: command, arguments: parsed, environment: environment, console: console))
    }

    /// `secrets` of `millrace secrets --help`, where no command has that name alone.
    private static func askedFamily(_ arguments: [String]) -> String? {
        guard arguments.count == 2, ["--help", "-h"].contains(arguments[1]) else { return nil }
        let word = arguments[0]
        let isFamily = commands.contains { $0.path.count > 1 && $0.path.first == word }
        return isFamily && !commands.contains { $0.path == [word] } ? word : nil
    }
}
