/// The help texts, made from the table of commands.
package enum HelpText {
    private static let width = 100

    package static func overview(of commands: [Command]) -> String {
        let listed = commands.filter { !$0.isHidden }
        let names = listed.map { command in
            ([command.name] + command.operands.map(\.usage)).joined(separator: " ")
        }
        let codes = ExitCode.allCases.map { ("\($0.rawValue)", $0.meaning) }
        return """
            millrace runs YAML workflows durably and meters them.

            usage: millrace COMMAND [ARGUMENT…] [--json]

            commands:
            \(columns(Array(zip(names, listed.map(\.summary)))))

            `millrace help COMMAND` and `millrace COMMAND --help` show the details.

            exit codes:
            \(columns(codes))
            """
    }

    package static func text(for command: Command) -> String {
        let usage = (["millrace", command.name] + command.operands.map(\.usage)).joined(separator: " ")
        let options = command.options + Command.commonOptions
        var sections = [
            command.summary.prefix(1).uppercased() + command.summary.dropFirst() + ".",
            "usage: \(usage) [OPTION…]",
            "options:\n"
                + columns(options.map { ($0.usage, $0.summary + ($0.isRepeated ? " (repeatable)" : "")) }),
        ]
        if !command.details.isEmpty { sections.append(command.details) }
        return sections.joined(separator: "\n\n")
    }

    /// For the first word of a family, such as `secrets`.
    package static func family(_ word: String, of commands: [Command]) -> String {
        let members = commands.filter { $0.path.first == word && !$0.isHidden }
        let rows = members.map { member in
            (([member.name] + member.operands.map(\.usage)).joined(separator: " "), member.summary)
        }
        return "commands:\n" + columns(rows)
    }

    /// Two columns, the second broken into lines; a wide first one stands on a line of its own.
    private static func columns(_ rows: [(String, String)]) -> String {
        let first = min(30, rows.map { $0.0.count }.max() ?? 0)
        let indent = String(repeating: " ", count: first + 4)
        return rows.map { name, text in
            let lines = wrapped(text, to: width - first - 4)
            let start = name.count > first ? "  \(name)\n\(indent)" : "  " + name.padded(to: first) + "  "
            return start + lines.joined(separator: "\n" + indent)
        }.joined(separator: "\n")
    }

    private static func wrapped(_ text: String, to width: Int) -> [String] {
        var lines: [String] = [""]
        for word in text.split(separator: " ") {
            if lines[lines.count - 1].isEmpty {
                lines[lines.count - 1] = String(word)
            } else if lines[lines.count - 1].count + 1 + word.count <= width {
                lines[lines.count - 1] += " \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
