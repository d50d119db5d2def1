import Workflow

/// What the command line said, checked against the command's table.
package struct ParsedArguments: Sendable, Hashable {
    package var operands: [String] = []
    private var values: [String: [String]] = [:]

    package func has(_ name: String) -> Bool { values[name] != nil }
    /// The last value given.
    package func text(_ name: String) -> String? { values[name]?.last }
    package func all(_ name: String) -> [String] { values[name] ?? [] }
    package func integer(_ name: String) -> Int64? { text(name).flatMap { Int64($0) } }

    mutating func add(_ value: String, to name: String) { values[name, default: []].append(value) }
}

/// Finds the command and reads its options and operands.
package struct ArgumentParser: Sendable {
    let commands: [Command]

    package init(commands: [Command]) { self.commands = commands }

    /// The command that the first words name, the longest first, and how many words that took.
    package func command(in arguments: [String]) throws(CommandFailure) -> (command: Command, wordCount: Int)
    {
        let words = Array(arguments.prefix { !$0.hasPrefix("-") })
        guard let first = words.first else { throw .usage("which command?", hint: "see `millrace help`") }
        let found = commands.filter { words.starts(with: $0.path) }.max { $0.path.count < $1.path.count }
        if let found { return (found, found.path.count) }
        let family = commands.filter { $0.path.first == first }
        if !family.isEmpty {
            var choices: [String] = []
            for word in family.compactMap({ $0.path.dropFirst().first }) where !choices.contains(word) {
                choices.append(word)
            }
            throw .usage(
                "`\(first)` needs one of: \(choices.joined(separator: ", "))",
                hint: "see `millrace help \(first)`")
        }
        let known = Set(commands.filter { !$0.isHidden }.compactMap(\.path.first))
        throw .usage(
            "there is no command `\(first)`",
            hint: Suggestion.hint(for: first, among: known.sorted()) ?? "see `millrace help`")
    }

    /// Reads what follows the command's own words.
    ///
    /// - Throws: ``CommandFailure`` with exit code 2 naming the argument that is wrong.
    package func parse(_ arguments: [String], for command: Command) throws(CommandFailure) -> ParsedArguments
    {
        var parsed = ParsedArguments()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                parsed.operands += rest
                break
            }
            if argument == "-h" {
                parsed.add("", to: "help")
            } else if argument.hasPrefix("--") {
                try option(argument, &rest, command, &parsed)
            } else if argument.hasPrefix("-"), argument.utf8.count > 1 {
                throw .usage(
                    "there is no option `\(argument)`",
                    hint: "options have two dashes; see `\(help(command))`")
            } else {
                parsed.operands.append(argument)
            }
        }
        if !parsed.has("help") { try checkOperands(parsed.operands, command) }
        return parsed
    }

    private func option(
        _ argument: String, _ rest: inout ArraySlice<String>, _ command: Command,
        _ parsed: inout ParsedArguments
    ) throws(CommandFailure) {
        let halves = argument.dropFirst(2).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(halves.first ?? "")
        let known = command.options + Command.commonOptions
        guard let option = known.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
            throw .usage(
                "`millrace \(command.name)` has no option `--\(name)`",
                hint: Suggestion.hint(for: "--\(name)", among: known.map { "--\($0.name)" })
                    ?? "see `\(help(command))`")
        }
        if parsed.has(name), !option.isRepeated { throw .usage("`--\(name)` is given more than once") }
        if option.kind == .flag {
            guard halves.count == 1 else { throw .usage("`--\(name)` takes no value") }
            return parsed.add("", to: name)
        }
        guard let value = halves.count == 2 ? String(halves[1]) : rest.popFirst() else {
            throw .usage("`--\(name)` needs a value", hint: "\(option.usage): \(option.summary)")
        }
        if let complaint = option.complaint(about: value) {
            throw .usage("`--\(name)` \(complaint), not `\(value)`")
        }
        parsed.add(value, to: name)
    }

    private func checkOperands(_ operands: [String], _ command: Command) throws(CommandFailure) {
        let needed = command.operands.filter { !$0.isOptional }
        if operands.count < needed.count {
            throw .usage(
                "`millrace \(command.name)` needs \(needed[operands.count].name)",
                hint: "see `\(help(command))`")
        }
        let isOpen = command.operands.last?.isRepeated ?? false
        if !isOpen, operands.count > command.operands.count {
            throw .usage(
                "`\(operands[command.operands.count])` is one argument too many",
                hint: "see `\(help(command))`")
        }
    }

    private func help(_ command: Command) -> String { "millrace \(command.name) --help" }
}
