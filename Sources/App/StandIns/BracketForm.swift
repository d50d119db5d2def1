import Values

/// A form whose names carry brackets, read back into the nested value that it was made of.
///
/// `a[b][0]=c` is `{a: {b: ["c"]}}`; `a[]=c` appends. Brackets may be percent-encoded, spaces are
/// `+` or `%20`, and every leaf is text. A map with the names 0, 1, 2, … is a list.
enum BracketForm {
    /// Levels of brackets that are read.
    static let depthMax = 16

    /// The nested value; nil where an escape, the UTF-8 or the brackets are broken.
    static func decode(_ bytes: [UInt8]) -> Value? {
        guard let pairs = FormEncoding.pairs(bytes) else { return nil }
        let root = Node()
        for pair in pairs {
            guard let path = path(pair.name), path.count <= depthMax, root.set(path[...], to: pair.value)
            else {
                return nil
            }
        }
        return root.mapValue
    }

    /// `a[b][]` as `a`, `b` and an empty text; nil for unbalanced brackets or no name.
    ///
    /// By bytes: a combining character behind a bracket makes one grapheme of both.
    private static func path(_ name: String) -> [String]? {
        let bytes = Array(name.utf8)
        guard let open = bytes.firstIndex(of: UInt8(ascii: "[")) else {
            return bytes.isEmpty || bytes.contains(UInt8(ascii: "]")) ? nil : [name]
        }
        var path = [text(bytes[..<open])]
        var rest = bytes[open...]
        while !rest.isEmpty {
            guard rest.first == UInt8(ascii: "["), let close = rest.firstIndex(of: UInt8(ascii: "]")) else {
                return nil
            }
            let inner = rest[(rest.startIndex + 1)..<close]
            if inner.contains(UInt8(ascii: "[")) { return nil }
            path.append(text(inner))
            rest = rest[(close + 1)...]
        }
        return path[0].isEmpty ? nil : path
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private final class Node {
        private var text: String?
        private var children: [(name: String, node: Node)] = []

        /// Whether the path fits what is there: a name is either a text or a map, never both.
        func set(_ path: ArraySlice<String>, to value: String) -> Bool {
            guard let first = path.first else {
                if !children.isEmpty { return false }
                text = value
                return true
            }
            if text != nil { return false }
            let name = first.isEmpty ? String(children.count) : first
            if let known = children.first(where: { $0.name.hasSameBytes(as: name) }) {
                return known.node.set(path.dropFirst(), to: value)
            }
            let node = Node()
            children.append((name, node))
            return node.set(path.dropFirst(), to: value)
        }

        var mapValue: Value {
            .object(Object(children.map { Object.Member(name: $0.name, value: $0.node.value) }))
        }

        private var value: Value {
            if let text { return .string(text) }
            let isList = children.enumerated().allSatisfy { $1.name.hasSameBytes(as: String($0)) }
            return isList ? .array(children.map(\.node.value)) : mapValue
        }
    }
}

extension Value {
    /// A map of text as metadata is: a list, which brackets with numbers make, counts as a map by position.
    var textMap: Object? {
        switch self {
        case .object(let object): return object
        case .array(let items):
            return Object(items.enumerated().map { Object.Member(name: String($0), value: $1) })
        case .string(""): return Object()
        default: return nil
        }
    }
}
