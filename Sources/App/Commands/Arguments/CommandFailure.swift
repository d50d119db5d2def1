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
        if let hint { lines.append("  what to do: \(hint)") }
        return lines.joined(separator: "\n")
    }

    /// As a program reads it.
    package var value: Value {
        [
            "error": [
                "code": .string(code), "message": .string(message), "where": place.map(Value.string) ?? .null,
                "hint": hint.map(Value.string) ?? .null, "exit_code": .int(Int64(exitCode.rawValue)),
            ]
        ]
    }
}
