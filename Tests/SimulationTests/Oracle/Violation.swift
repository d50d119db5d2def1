import Glibc
import TestSupport
import Values

/// The design's promises, as ARCHITECTURE.md numbers them.
enum Invariant: String, Sendable {
    case i1 = "I1"
    case i2 = "I2"
    case i3 = "I3"
    case i4 = "I4"
    case i5 = "I5"
    case i6 = "I6"
    case i7 = "I7"
    case i8 = "I8"
    case i9 = "I9"
    case i10 = "I10"
    case i11 = "I11"
    case i12 = "I12"
    /// A rule of a port that its caller broke.
    case port = "port"
}

/// A promise that was not kept.
struct Violation: Sendable, CustomStringConvertible {
    var invariant: Invariant
    var text: String
    var at: Instant

    var description: String { "\(invariant.rawValue) at \(at.text): \(text)" }
}

enum Bytes {
    /// Whether `needle` occurs in `hay`.
    static func contains(_ hay: [UInt8], _ needle: [UInt8]) -> Bool {
        guard !needle.isEmpty, hay.count >= needle.count else { return false }
        return hay.withUnsafeBytes { hay in
            needle.withUnsafeBytes { needle in
                guard let start = hay.baseAddress, let pattern = needle.baseAddress else { return false }
                let last = hay.count - needle.count
                var position = 0
                while position <= last,
                    let found = memchr(start + position, Int32(needle[0]), last - position + 1)
                {
                    if memcmp(found, pattern, needle.count) == 0 { return true }
                    position = UnsafeRawPointer(found) - start + 1
                }
                return false
            }
        }
    }

    static func contains(_ hay: [UInt8], _ text: String) -> Bool { contains(hay, Array(text.utf8)) }
}
