import Values

/// A place in a response whose value can be used but is never shown.
///
/// For example `body.access_token`, `body.keys[*].secret` or `headers.x-token`.
package enum SensitivePath: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case name(String)
        /// Every item of a list, or every member of a map.
        case each
    }

    /// A part of the body; the whole body if empty.
    case body([Part])
    /// A header, with its name in lower case.
    case header(String)

    /// Parses a path of a workflow file; nil if it is invalid.
    package init?(_ text: String) {
        var reader = PathReader(text)
        switch reader.word() {
        case "body":
            guard let parts = reader.parts() else { return nil }
            self = .body(parts)
        case "headers":
            guard let parts = reader.parts(), parts.count == 1, case .name(let name) = parts[0] else {
                return nil
            }
            self = .header(name.lowercased())
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .body(let parts): parts.reduce("body") { $0 + $1.text }
        case .header(let name): "headers" + Part.name(name).text
        }
    }
}

extension SensitivePath.Part {
    fileprivate static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): true
        default: false
        }
    }

    fileprivate var text: String {
        switch self {
        case .each: "[*]"
        case .name(let name):
            !name.isEmpty && name.utf8.allSatisfy(Self.isPlain)
                ? "." + name : "[" + JSON.text(.string(name)) + "]"
        }
    }
}

private struct PathReader {
    private var rest: ArraySlice<UInt8>

    init(_ text: String) { rest = Array(text.utf8)[...] }

    /// Reads letters, digits, `_` and `-`; empty if there are none.
    mutating func word() -> String {
        let word = rest.prefix(while: SensitivePath.Part.isPlain)
        rest = rest.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self)
    }

    /// Reads all parts up to the end; nil if anything else follows.
    mutating func parts() -> [SensitivePath.Part]? {
        var parts: [SensitivePath.Part] = []
        while let byte = rest.popFirst() {
            guard
                let part = byte == UInt8(ascii: ".") ? plain() : byte == UInt8(ascii: "[") ? bracketed() : nil
            else {
                return nil
            }
            parts.append(part)
        }
        return parts
    }

    private mutating func plain() -> SensitivePath.Part? {
        let name = word()
        return name.isEmpty ? nil : .name(name)
    }

    /// Reads `[*]`, or a name in single or double quotes.
    private mutating func bracketed() -> SensitivePath.Part? {
        guard let quote = rest.popFirst() else { return nil }
        if quote == UInt8(ascii: "*") { return rest.popFirst() == UInt8(ascii: "]") ? .each : nil }
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'"), let end = rest.firstIndex(of: quote),
            let name = String(validating: rest[rest.startIndex..<end], as: UTF8.self)
        else { return nil }
        rest = rest[(end + 1)...]
        return rest.popFirst() == UInt8(ascii: "]") ? .name(name) : nil
    }
}
