import Values

/// Rewrites Lua's messages to refer to the author's source: no chunk names, and the author's line numbers.
///
/// The message of a failed script stays whole, up to 64 KiB. Whoever shows it removes the secrets first: in a
/// cut or changed text a secret could not be found.
enum ErrorText {
    /// Most bytes of a message about a source.
    private static let bytesMax = 512

    /// Splits `e:3: text` into line and text; the line is 1 if the message has none.
    static func split(_ message: String) -> (line: Int, text: String) {
        guard message.hasPrefix("e:") else { return (1, message) }
        let rest = message.dropFirst(2)
        guard let colon = rest.firstIndex(of: ":"), let line = Int(rest[..<colon]) else {
            return (1, message)
        }
        let text = rest[rest.index(after: colon)...]
        return (line, String(text.first == " " ? text.dropFirst() : text))
    }

    /// The message of a failed script, unchanged; prefixed with its line if the source has several lines.
    static func raised(_ message: String, sourceLines: Int) -> String {
        let (line, text) = split(message)
        return message.hasPrefix("e:") && sourceLines > 1 ? "line \(line): \(text)" : text
    }

    /// A bounded message about a source; sources hold no secrets.
    static func bounded(_ text: String) -> String { ShownText.line(text, byteCountMax: bytesMax) }
}
