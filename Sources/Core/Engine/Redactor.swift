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
            let bytes = Array(secret.utf8)
            needles.insert(bytes)
            needles.insert(Array(Base64.encode(bytes).utf8))
            needles.insert(Array(Percent.encode(secret).utf8))
            needles.insert(Array(JSON.bytes(.string(secret)).dropFirst().dropLast()))
        }
        // The longest first, so that an encoded form goes before a part of it that is also a secret.
        self.needles = needles.sorted { $0.count > $1.count }
    }

    package var isEmpty: Bool { needles.isEmpty }

    package func redact(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for needle in needles where result.count >= needle.count { result = replace(needle, in: result) }
        return result
    }

    package func redact(_ text: String) -> String {
        guard !needles.isEmpty else { return text }
        return String(decoding: redact(Array(text.utf8)), as: UTF8.self)
    }

    package func redact(_ value: Value) -> Value {
        guard !needles.isEmpty else { return value }
        switch value {
        case .string(let text): return .string(redact(text))
        case .array(let items): return .array(items.map { redact($0) })
        case .object(let object):
            return .object(Object(object.members.map { Object.Member(name: redact($0.name), value: redact($0.value)) }))
        default: return value
        }
    }

    private func replace(_ needle: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8]?
        var start = 0
        bytes.withUnsafeBytes { haystack in
            guard let base = haystack.baseAddress else { return }
            while start < haystack.count,
                let offset = Self.find(needle, in: haystack, at: base, from: start)
            {
                out = (out ?? []) + haystack[start..<offset] + Self.mask
                start = offset + needle.count
            }
            if out != nil { out?.append(contentsOf: haystack[start...]) }
        }
        return out ?? bytes
    }

    /// Where the needle next begins; the C library's `memmem` is not in Swift's module of it.
    private static func find(
        _ needle: [UInt8], in haystack: UnsafeRawBufferPointer, at base: UnsafeRawPointer, from start: Int
    ) -> Int? {
        var position = start
        while position + needle.count <= haystack.count,
            let first = memchr(base + position, Int32(needle[0]), haystack.count - needle.count + 1 - position)
        {
            position = UnsafeRawPointer(first) - base
            if memcmp(base + position, needle, needle.count) == 0 { return position }
            position += 1
        }
        return nil
    }
}
