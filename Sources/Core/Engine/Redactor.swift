import Glibc
package import Values

/// Takes secret values out of what is about to be stored or shown (I9).
///
/// It looks for each value as it is and as base64, percent-encoding and JSON would write it. A value
/// that a step has transformed otherwise (a hash, a part) is not recognised; the docs say so.
package struct Redactor: Sendable {
    /// Secrets shorter than this cannot be told from chance and are refused when they are set.
    package static let secretByteCountMin = 6
    private static let mask = Array("[secret]".utf8)

    private let needles: [[UInt8]]

    /// - Parameter secrets: Values to look for; shorter ones than ``secretByteCountMin`` are ignored.
    package init(secrets: some Sequence<String>) {
        var needles: Set<[UInt8]> = []
        for secret in secrets where secret.utf8.count >= Self.secretByteCountMin {
            needles.formUnion(Self.forms(of: secret).filter { $0.count >= Self.secretByteCountMin })
        }
        // The longest first, so that an encoded form goes before a part of it that is also a secret.
        self.needles = needles.sorted { $0.count > $1.count }
    }

    /// The secret as it is and as the usual encodings write it.
    private static func forms(of secret: String) -> [[UInt8]] {
        let bytes = Array(secret.utf8)
        let percent = Percent.encode(secret)
        let json = Array(JSON.bytes(.string(secret)).dropFirst().dropLast())
        let texts = [percent, lowerEscapes(percent), percent.replacing("%20", with: "+")]
        // Some writers of JSON escape the slash as well.
        let slashed = json.flatMap { $0 == UInt8(ascii: "/") ? [UInt8(ascii: "\\"), $0] : [$0] }
        return [bytes, json, slashed, asciiJSON(secret)] + texts.map { Array($0.utf8) }
            + (0..<3).flatMap { base64(bytes, behind: $0) }
    }

    /// What base64 makes of the bytes behind `count` others (as a password behind `user:`), without the
    /// digits at either end that the neighbours have a part in; in both alphabets.
    private static func base64(_ bytes: [UInt8], behind count: Int) -> [[UInt8]] {
        var digits = Array(Base64.encode([UInt8](repeating: 0, count: count) + bytes).utf8)
        while digits.last == UInt8(ascii: "=") { digits.removeLast() }
        digits.removeFirst(count == 0 ? 0 : count + 1)
        if !(count + bytes.count).isMultiple(of: 3) { digits.removeLast() }
        let urlSafe = digits.map { digit -> UInt8 in
            switch digit {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            default: digit
            }
        }
        return [digits, urlSafe]
    }

    /// `%2F` as `%2f`.
    private static func lowerEscapes(_ text: String) -> String {
        var isEscape = 0
        return String(
            decoding: text.utf8.map { byte -> UInt8 in
                if byte == UInt8(ascii: "%") { isEscape = 3 }
                isEscape -= 1
                return isEscape >= 0 && (0x41...0x46).contains(byte) ? byte | 0x20 : byte
            }, as: UTF8.self)
    }

    /// JSON with every character past ASCII as `\u` escapes.
    private static func asciiJSON(_ text: String) -> [UInt8] {
        var out: [UInt8] = []
        for unit in text.utf16 {
            if unit < 0x80, let scalar = Unicode.Scalar(unit) {
                out += JSON.bytes(.string(String(scalar))).dropFirst().dropLast()
            } else {
                out += "\\u".utf8
                out += Hex.encode([UInt8(unit >> 8), UInt8(unit & 0xFF)]).utf8
            }
        }
        return out
    }

    package var isEmpty: Bool { needles.isEmpty }

    package func redact(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for needle in needles { if let replaced = replace(needle, in: result) { result = replaced } }
        return result
    }

    package func redact(_ text: String) -> String {
        // The shortest is last; most texts are shorter than any.
        guard let shortest = needles.last, text.utf8.count >= shortest.count else { return text }
        return String(decoding: redact(Array(text.utf8)), as: UTF8.self)
    }

    package func redact(_ value: Value) -> Value {
        guard !needles.isEmpty else { return value }
        switch value {
        case .string(let text): return .string(redact(text))
        case .bytes(let bytes): return Value(bytes: redact(bytes))
        case .array(let items): return .array(items.map { redact($0) })
        case .object(let object):
            let names = object.members.map { redact($0.name) }
            let isRenamed = zip(names, object.members).contains { !$0.hasSameBytes(as: $1.name) }
            var redacted = Object()
            for (name, member) in zip(names, object.members) {
                // Names that were secrets may be one now, and the journal takes no name twice.
                if isRenamed {
                    redacted[name] = redact(member.value)
                } else {
                    redacted.append(name, redact(member.value))
                }
            }
            return .object(redacted)
        default: return value
        }
    }

    /// Nil where the needle does not occur; each byte is copied once at most, however often it does.
    private func replace(_ needle: [UInt8], in bytes: [UInt8]) -> [UInt8]? {
        bytes.withUnsafeBytes { haystack in
            var work = Self.workFactor * haystack.count
            guard let base = haystack.baseAddress,
                var found = Self.find(needle, in: haystack, at: base, from: 0, &work)
            else { return nil }
            var out: [UInt8] = []
            out.reserveCapacity(bytes.count)
            var start = 0
            while true {
                out.append(contentsOf: haystack[start..<found])
                out.append(contentsOf: Self.mask)
                start = found + needle.count
                guard let next = Self.find(needle, in: haystack, at: base, from: start, &work) else { break }
                found = next
            }
            out.append(contentsOf: haystack[start...])
            return out
        }
    }

    /// Bytes compared for each byte of a text before the search takes the way whose time is bounded.
    private static let workFactor = 32

    /// Where the needle next begins; the C library's `memmem` is not in Swift's module of it.
    ///
    /// `work` is how many more bytes may be compared: where nearly every place begins like a long needle,
    /// comparing at each would take the product of both lengths.
    private static func find(
        _ needle: [UInt8], in haystack: UnsafeRawBufferPointer, at base: UnsafeRawPointer, from start: Int,
        _ work: inout Int
    ) -> Int? {
        var position = start
        while position + needle.count <= haystack.count,
            let first = memchr(
                base + position, Int32(needle[0]), haystack.count - needle.count + 1 - position)
        {
            position = UnsafeRawPointer(first) - base
            guard work > 0 else { return findByHash(needle, in: haystack, at: base, from: position) }
            work -= needle.count
            if memcmp(base + position, needle, needle.count) == 0 { return position }
            position += 1
        }
        return nil
    }

    /// As ``find(_:in:at:from:_:)``, with a hash that moves along the text and compares only where it is the needle's.
    private static func findByHash(
        _ needle: [UInt8], in haystack: UnsafeRawBufferPointer, at base: UnsafeRawPointer, from start: Int
    ) -> Int? {
        guard start + needle.count <= haystack.count else { return nil }
        let factor: UInt64 = 0x100_0000_01B3
        var (wanted, hash, leaving): (UInt64, UInt64, UInt64) = (0, 0, 1)
        for offset in needle.indices {
            wanted = wanted &* factor &+ UInt64(needle[offset])
            hash = hash &* factor &+ UInt64(haystack[start + offset])
            if offset > 0 { leaving = leaving &* factor }
        }
        var position = start
        while true {
            if hash == wanted, memcmp(base + position, needle, needle.count) == 0 { return position }
            guard position + needle.count < haystack.count else { return nil }
            hash = hash &- UInt64(haystack[position]) &* leaving
            hash = hash &* factor &+ UInt64(haystack[position + needle.count])
            position += 1
        }
    }
}
