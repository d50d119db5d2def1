package import Values

/// Writes values as YAML that reads back as the same values.
package enum YAMLText {
    package static func write(_ value: Value) -> String {
        var out = ""
        block(value, indent: 0, into: &out)
        return out
    }

    private static func block(_ value: Value, indent: Int, into out: inout String) {
        let margin = String(repeating: " ", count: indent)
        switch value {
        case .object(let object) where !object.isEmpty:
            for member in object.members {
                out += margin + name(member.name) + ":"
                nested(member.value, indent: indent + 2, into: &out)
            }
        case .array(let items) where !items.isEmpty:
            for item in items {
                var inner = ""
                block(item, indent: indent + 2, into: &inner)
                out += margin + "- " + inner.dropFirst(indent + 2)
            }
        default: out += margin + scalar(value) + "\n"
        }
    }

    private static func nested(_ value: Value, indent: Int, into out: inout String) {
        let isEmpty = value.object?.isEmpty ?? value.array?.isEmpty ?? true
        if isEmpty {
            out += " " + scalar(value) + "\n"
        } else {
            out += "\n"
            block(value, indent: indent, into: &out)
        }
    }

    /// JSON is YAML: texts that might read as something else are quoted.
    private static func scalar(_ value: Value) -> String {
        guard let text = value.string else { return JSON.text(value) }
        return isPlain(text) ? text : JSON.text(value)
    }

    private static func name(_ name: String) -> String { isPlain(name) ? name : JSON.text(.string(name)) }

    private static func isPlain(_ text: String) -> Bool {
        let words: Set<String> = ["true", "false", "null", "yes", "no", "on", "off"]
        guard let first = text.utf8.first, (0x61...0x7A).contains(first) || (0x41...0x5A).contains(first),
            text.utf8.count <= 60, !words.contains(text.lowercased())
        else { return false }
        return text.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0)
                || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
        }
    }
}
