import Ports

/// Makes Lua's messages fit to be shown: no chunk names, no control characters, no secrets, bounded.
enum ErrorText {
    /// Bytes of a message.
    static let bytesMax = 512
    /// Bytes that the sandbox keeps of a message.
    private static let keptBytesMax = 4096

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

    /// A message of a script that failed; the line is named where the source has several.
    static func raised(_ message: String, sourceLines: Int, secrets: [String]) -> String {
        var (line, text) = split(message)
        // The longest first: one secret may be part of another.
        let longestFirst = secrets.sorted { $0.utf8.count > $1.utf8.count }
        for secret in longestFirst { text = text.hiding(secret) }
        // A long message was cut by the sandbox, perhaps within a secret.
        if message.utf8.count >= keptBytesMax, let longest = longestFirst.first {
            text = String(decoding: text.utf8.dropLast(longest.utf8.count), as: UTF8.self)
        }
        let isPlaced = message.hasPrefix("e:") && sourceLines > 1
        return bounded(isPlaced ? "line \(line): \(text)" : text)
    }

    static func bounded(_ text: String) -> String {
        var out = ""
        var count = 0
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            let shown = isControl ? " " : scalar
            count += UTF8.width(shown)
            if count > bytesMax { break }
            out.unicodeScalars.append(shown)
        }
        return out
    }
}

extension String {
    /// The text with each occurrence of `secret` replaced, compared byte by byte.
    fileprivate func hiding(_ secret: String) -> String {
        let (bytes, needle) = (Array(utf8), Array(secret.utf8))
        guard !needle.isEmpty, bytes.count >= needle.count else { return self }
        var out: [UInt8] = []
        var position = 0
        while position < bytes.count {
            if bytes[position...].starts(with: needle) {
                out.append(contentsOf: "[secret]".utf8)
                position += needle.count
            } else {
                out.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
