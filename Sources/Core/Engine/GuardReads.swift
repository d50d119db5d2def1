import Ports
import Values

/// The paths that a condition reads, such as `steps.check.response.status`, with their values, for people.
///
/// They are found in the text, so computed names are missed. Secrets and tokens are never shown.
struct GuardReads {
    /// The names with which a path may begin.
    private static let roots: Set<String> = ["trigger", "steps", "vars", "tenant", "item", "response"]
    private static let countMax = 12
    private static let byteCountMax = 300

    /// Each path once, in text order; at most 12.
    static func paths(in text: String) -> [[String]] {
        var reader = Reader(bytes: Array(text.utf8))
        var paths: [[String]] = []
        while let path = reader.next(), paths.count < countMax {
            if roots.contains(path[0]), path.count > 1, !paths.contains(path) { paths.append(path) }
        }
        return paths
    }

    /// The values of the paths in `scope`; null for a missing one.
    static func values(in text: String, _ scope: some ScopeBranch) -> Value {
        var object = Object()
        for path in paths(in: text) { object[path.joined(separator: ".")] = value(of: path, scope) }
        return .object(object)
    }

    private static func value(of path: [String], _ scope: some ScopeBranch) -> Value {
        // An unreadable value counts as missing, because nothing is decided by it.
        var node: ScopeNode? = .branch(scope)
        for name in path { node = node.flatMap { try? $0.member(name) } }
        guard let value = try? node?.materialised() else { return .null }
        return JSON.bytes(value).count <= byteCountMax ? value : .string("a long \(value.kindName)")
    }

    /// Finds names joined by dots or by `['…']`, outside of quotes.
    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func next() -> [String]? {
            while position < bytes.count {
                let byte = bytes[position]
                if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                    _ = quoted()
                } else if let name = name() {
                    return path(from: name)
                } else {
                    // A name after a dot or a digit does not begin a path.
                    position += 1
                    if byte == UInt8(ascii: ".") || Self.isDigit(byte) { _ = name() }
                }
            }
            return nil
        }

        private mutating func path(from first: String) -> [String] {
            var path = [first]
            while position < bytes.count {
                let start = position
                if bytes[position] == UInt8(ascii: ".") {
                    position += 1
                    guard let name = name() else { return path }
                    path.append(name)
                } else if bytes[position] == UInt8(ascii: "[") {
                    position += 1
                    guard let name = quoted(), position < bytes.count, bytes[position] == UInt8(ascii: "]")
                    else {
                        position = start + 1
                        return path
                    }
                    position += 1
                    path.append(name)
                } else {
                    break
                }
            }
            return path
        }

        private mutating func name() -> String? {
            guard position < bytes.count, Self.isLetter(bytes[position]) else { return nil }
            let start = position
            while position < bytes.count, Self.isLetter(bytes[position]) || Self.isDigit(bytes[position]) {
                position += 1
            }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }

        private mutating func quoted() -> String? {
            guard position < bytes.count else { return nil }
            let quote = bytes[position]
            guard quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
            let start = position + 1
            position = start
            while position < bytes.count, bytes[position] != quote {
                position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
            }
            let end = min(position, bytes.count)
            position = end + 1
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }

        private static func isLetter(_ byte: UInt8) -> Bool {
            (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "_")
        }

        private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    }
}
