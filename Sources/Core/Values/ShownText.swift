/// Texts from outside in the form in which people see them: on one line and bounded.
///
/// Secrets are removed before, because a search could miss one in a changed or cut text.
package enum ShownText {
    /// Most bytes of a message.
    package static let messageByteCountMax = 1024

    /// The text with each control character replaced by a blank, and cut to `byteCountMax` bytes.
    ///
    /// A cut text ends in `…`, which counts towards the bytes.
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
