import Values

/// The types of unquoted scalars: those of YAML 1.2's core schema that JSON has too.
///
/// Numbers with leading zeros are texts (`012` is a code), and so are `.inf` and `.nan`, which JSON cannot
/// represent.
enum CoreSchema {
    static func value(ofPlain text: String) -> Value {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return number(text) ?? .string(text)
        }
    }

    private static func number(_ text: String) -> Value? {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, first < 0x3A, bytes.count <= 512 else { return nil }
        if bytes.starts(with: "0o".utf8) { return integer(text.dropFirst(2), radix: 8) }
        if bytes.starts(with: "0x".utf8) { return integer(text.dropFirst(2), radix: 16) }
        return decimal(bytes)
    }

    private static func integer(_ digits: Substring, radix: Int) -> Value? {
        guard let first = digits.utf8.first, Hex.digit(first) != nil else { return nil }
        return Int64(digits, radix: radix).map { .int($0) }
    }

    /// Rewrites YAML's forms (`+1`, `.5`, `1.`) and parses the result as JSON.
    private static func decimal(_ bytes: [UInt8]) -> Value? {
        var rest = bytes[...]
        var out: [UInt8] = []
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
            if rest.removeFirst() == UInt8(ascii: "-") { out.append(UInt8(ascii: "-")) }
        }
        let whole = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(whole.count)
        var fraction: ArraySlice<UInt8> = []
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
            rest = rest.dropFirst(1 + fraction.count)
            if whole.isEmpty && fraction.isEmpty { return nil }
            out += (whole.isEmpty ? [UInt8(ascii: "0")] : Array(whole)) + [UInt8(ascii: ".")]
            out += fraction.isEmpty ? [UInt8(ascii: "0")] : Array(fraction)
        } else {
            out += whole
        }
        return try? JSON.parse(out + rest)
    }
}
