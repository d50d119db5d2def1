/// Texts from outside as people are shown them: on one line, and no longer than is useful.
///
/// Secrets are taken out before: a text that was changed or cut could hide one from the search.
package enum ShownText {
    /// What a message may take, in bytes.
    package static let messageByteCountMax = 1024

    /// The text without control characters, each of which becomes a blank, and cut after `byteCountMax` bytes.
    ///
    /// What was cut ends in `…`, which counts.
    package static func line(_ text: String, byteCountMax: Int = messageByteCountMax) -> String {
        var out = ""
        var count = 0
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
            let shown = isControl ? " " : scalar
            count += UTF8.width(shown)
            if count > byteCountMax { return cut(out, to: byteCountMax - 3) + "…" }
            out.unicodeScalars.append(shown)
        }
        return out
    }

    private static func cut(_ text: String, to byteCount: Int) -> String {
        var kept = text.unicodeScalars
        var count = text.utf8.count
        while count > byteCount, let last = kept.popLast() { count -= UTF8.width(last) }
        return String(kept)
    }
}
