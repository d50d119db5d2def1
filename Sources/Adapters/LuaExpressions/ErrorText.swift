import Values

/// Makes Lua's messages speak of the author's source: no chunk names, and lines of the source's own.
///
/// Of a script that failed the text is whole, up to 64 KiB: whoever shows it takes the secrets out first. In a text
/// that was cut or changed a secret could not be found.
enum ErrorText {
    /// Bytes of a message about a source.
    private static let bytesMax = 512

    /// Splits `e:3: text` into line and text; line 1 where there is none.
    static func split(_ message: String) -> (line: Int, text: String) {
        guard message.hasPrefix("e:") else { return (1, message) }
        let rest = message.dropFirst(2)
        guard let colon = rest.firstIndex(of: ":"), let line = Int(rest[..<colon]) else {
            return (1, message)
        }
        let text = rest[rest.index(after: colon)...]
        return (line, String(text.first == " " ? text.dropFirst() : text))
    }

    /// A message of a script that failed, whole and unchanged; the line is named if the source has several.
    static func raised(_ message: String, sourceLines: Int) -> String {
        let (line, text) = split(message)
        return message.hasPrefix("e:") && sourceLines > 1 ? "line \(line): \(text)" : text
    }

    /// A message about a source, which holds no secrets.
    static func bounded(_ text: String) -> String { ShownText.line(text, byteCountMax: bytesMax) }
}
