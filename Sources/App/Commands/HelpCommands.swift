import Values

/// `help` and `version`.
enum HelpCommands {
    static let all = [
        Command("version", "print the version") { invocation throws(CommandFailure) in
            if invocation.isJSON {
                invocation.console.print(["version": .string(Program.version)])
            } else {
                invocation.console.print("millrace \(Program.version)")
            }
            return .ok
        },
        Command(
            "help", "explain millrace or one of its commands",
            operands: [Operand("COMMAND", isOptional: true, isRepeated: true)], run: help),
    ]

    @Sendable private static func help(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let words = invocation.arguments.operands
        let commands = Program.commands
        if invocation.isJSON {
            invocation.console.print(try description(of: words, commands))
        } else if words.isEmpty {
            invocation.console.print(HelpText.overview(of: commands))
        } else if words.count == 1, !commands.contains(where: { $0.path == words }),
            commands.contains(where: { $0.path.first == words[0] })
        {
            invocation.console.print(HelpText.family(words[0], of: commands))
        } else {
            invocation.console.print(HelpText.text(for: try command(named: words, commands)))
        }
        return .ok
    }

    /// - Throws: ``CommandFailure`` where a word belongs to no command.
    private static func command(
        named words: [String], _ commands: [Command]
    ) throws(CommandFailure) -> Command {
        let (command, count) = try ArgumentParser(commands: commands).command(in: words)
        guard count < words.count else { return command }
        let name = words.joined(separator: " ")
        throw .usage("there is no command `\(name)`", hint: "see `millrace help \(command.name)`")
    }

    /// All commands, or those that the words name.
    private static func description(
        of words: [String], _ commands: [Command]
    ) throws(CommandFailure) -> Value {
        let listed = commands.filter { !$0.isHidden && $0.path.starts(with: words) }
        if !listed.isEmpty { return .array(listed.map(describe)) }
        return .array([describe(try command(named: words, commands))])
    }

    private static func describe(_ command: Command) -> Value {
        [
            "name": .string(command.name), "summary": .string(command.summary),
            "operands": .array(command.operands.map { .string($0.usage) }),
            "options": .array(
                (command.options + Command.commonOptions).map {
                    [
                        "name": .string("--" + $0.name), "usage": .string($0.usage),
                        "summary": .string($0.summary),
                    ]
                }),
        ]
    }
}
