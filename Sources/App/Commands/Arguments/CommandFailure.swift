package import Values

/// Why a command did not do its work: what, where, and what to do about it.
package struct CommandFailure: Error, Sendable, Hashable {
    package var exitCode: ExitCode
    /// A stable token: `unknown_option`.
    package var code: String
    /// What is wrong, as a sentence without a full stop.
    package var message: String
    /// The file, address or argument that it is about.
    package var place: String?
    /// What to do.
    package var hint: String?
    /// Facts that a server sent with its refusal; null without any.
    package var details: Value = .null

    package init(
        _ exitCode: ExitCode, _ code: String, _ message: String, place: String? = nil, hint: String? = nil
    ) {
        self.exitCode = exitCode
        self.code = code
        self.message = message
        self.place = place
        self.hint = hint
    }

    static func usage(_ message: String, hint: String? = nil) -> CommandFailure {
        CommandFailure(.usage, "usage", message, hint: hint)
    }

    /// As a person reads it.
    package var text: String {
        var lines = ["millrace: \(message)"]
        if let place { lines.append("  where: \(place)") }
        lines += detailTexts.map { "  detail: \($0)" }
        if let hint { lines.append("  what to do: \(hint)") }
        return lines.joined(separator: "\n")
    }

    /// A line for each violation, problem or fact.
    private var detailTexts: [String] {
        if let facts = details.object { return facts.members.map { "\($0.name) \($0.value.text)" } }
        return (details.array ?? []).map { detail in
            guard let message = detail["message"]?.string else { return detail.text }
            return "line \(detail["line"]?.text ?? "?"): \(message)"
        }
    }

    /// As a program reads it.
    package var value: Value {
        [
            "error": [
                "code": .string(code), "message": .string(message), "where": place.map(Value.string) ?? .null,
                "hint": hint.map(Value.string) ?? .null, "details": details,
                "exit_code": .int(Int64(exitCode.rawValue)),
            ]
        ]
    }
}
