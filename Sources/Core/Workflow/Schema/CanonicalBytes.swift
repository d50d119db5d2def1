import Values

extension Value {
    /// Bytes that are the same for values that JSON Schema calls equal, such as `1` and `1.0`, or reordered
    /// members.
    var canonicalBytes: [UInt8] {
        switch self {
        case .int, .number: return Array((DecimalNumber(self)?.canonical ?? "").utf8)
        case .null, .bool, .string, .bytes: return JSON.bytes(self, form: .kept)
        case .array(let items):
            return Array("[".utf8) + items.flatMap { $0.canonicalBytes + [0x2C] } + Array("]".utf8)
        case .object(let object):
            let members = object.members.map {
                JSON.bytes(.string($0.name)) + [0x3A] + $0.value.canonicalBytes
            }
            let sorted = members.sorted { $0.lexicographicallyPrecedes($1) }
            return Array("{".utf8) + sorted.flatMap { $0 + [0x2C] } + Array("}".utf8)
        }
    }
}
