/// One command of the command line: the table entry from which parsing and help come.
package struct Command: Sendable {
    /// The words that name it: `["secrets", "set"]`.
    package var path: [String]
    /// One sentence without a full stop.
    package var summary: String
    package var operands: [Operand]
    package var options: [Option]
    /// Paragraphs and examples below the options, as they are shown.
    package var details: String
    /// Left out of the list of commands.
    package var isHidden: Bool
    package var run: @Sendable (Invocation) throws(CommandFailure) -> ExitCode

    package init(
        _ path: String, _ summary: String, operands: [Operand] = [], options: [Option] = [],
        details: String = "",
        isHidden: Bool = false, run: @escaping @Sendable (Invocation) throws(CommandFailure) -> ExitCode
    ) {
        self.path = path.split(separator: " ").map(String.init)
        self.summary = summary
        self.operands = operands
        self.options = options
        self.details = details
        self.isHidden = isHidden
        self.run = run
    }

    /// `secrets set`.
    package var name: String { path.joined(separator: " ") }

    /// Options that every command takes.
    package static let commonOptions = [
        Option("json", .flag, "machine-readable output, errors included"),
        Option("help", .flag, "print this text"),
    ]
}

/// One call of a command, with everything that it may look at.
package struct Invocation: Sendable {
    package var command: Command
    package var arguments: ParsedArguments
    package var environment: [String: String]
    package var console: Console

    package var isJSON: Bool { arguments.has("json") }
}
