/// Any JSON value or bytes, kept exact from a webhook through expressions to a request.
///
/// Integers that fit are `int`; every other number keeps its source text, so that `12.50` and a 20-digit id
/// survive unchanged. Content that is not UTF-8 stays bytes.
package enum Value: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    /// A JSON number that is not an exact `Int64`, as its source text.
    case number(String)
    case string(String)
    /// Content that is not UTF-8; made by ``init(bytes:)`` only, so that equal content has one
    /// representation.
    case bytes([UInt8])
    case array([Value])
    case object(Object)

    /// Whether both are the same content: texts are compared by their bytes, and numbers by their digits.
    ///
    /// Swift's own comparison takes canonically equivalent texts as equal; a body, a key or a hash does not.
    package static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let one), .bool(let other)): one == other
        case (.int(let one), .int(let other)): one == other
        case (.number(let one), .number(let other)): one == other
        case (.string(let one), .string(let other)): one.hasSameBytes(as: other)
        case (.bytes(let one), .bytes(let other)): one == other
        case (.array(let one), .array(let other)): one == other
        case (.object(let one), .object(let other)): one == other
        default: false
        }
    }

    /// Content as a value: a text if it is valid UTF-8, otherwise bytes.
    package init(bytes: [UInt8]) {
        if let text = String(validating: bytes, as: UTF8.self) {
            self = .string(text)
        } else {
            self = .bytes(bytes)
        }
    }

    /// Like ``init(bytes:)``, from borrowed memory.
    package init(utf8 bytes: some Collection<UInt8>) {
        if let text = String(validating: bytes, as: UTF8.self) {
            self = .string(text)
        } else {
            self = .bytes(Array(bytes))
        }
    }

    /// A double as a value; an integral one within ±2^53 becomes `int`, and NaN and infinities give nil.
    package init?(double: Double) {
        guard double.isFinite else { return nil }
        if let exact = Int64(exactly: double), exact.magnitude <= 1 << 53 {
            self = .int(exact)
        } else {
            self = .number(double.description)
        }
    }
}

// MARK: - Reading

extension Value {
    package var isNull: Bool {
        if case .null = self { return true }
        return false
    }

    package var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// The bytes of a text or of other content; nil for anything else.
    package var content: [UInt8]? {
        switch self {
        case .string(let text): Array(text.utf8)
        case .bytes(let bytes): bytes
        default: nil
        }
    }

    package var int: Int64? {
        if case .int(let number) = self { return number }
        return nil
    }

    package var bool: Bool? {
        if case .bool(let flag) = self { return flag }
        return nil
    }

    package var array: [Value]? {
        if case .array(let items) = self { return items }
        return nil
    }

    package var object: Object? {
        if case .object(let object) = self { return object }
        return nil
    }

    package var double: Double? {
        switch self {
        case .int(let number): return Double(number)
        case .number(let text): return Double(text)
        default: return nil
        }
    }

    /// The member with this name; nil if this is no object or has no such member.
    package subscript(_ name: String) -> Value? { object?[name] }

    /// The item at an index from 0; nil if this is no array or is shorter.
    package subscript(_ index: Int) -> Value? {
        guard case .array(let items) = self, items.indices.contains(index) else { return nil }
        return items[index]
    }

    /// The form of this value inside a text: a text as it is, null as nothing, everything else as JSON.
    ///
    /// Content that is not UTF-8 has its JSON form here; to send it, use ``content``.
    package var text: String {
        switch self {
        case .string(let text): return text
        case .null: return ""
        default: return JSON.text(self)
        }
    }

    /// Whether lists and maps are nested at most `levels` deep.
    package func isNested(atMost levels: Int) -> Bool {
        switch self {
        case .array(let items): levels > 0 && items.allSatisfy { $0.isNested(atMost: levels - 1) }
        case .object(let object):
            levels > 0 && object.members.allSatisfy { $0.value.isNested(atMost: levels - 1) }
        default: true
        }
    }

    /// Whether it contains bytes, for which JSON has no value.
    package var holdsBytes: Bool {
        switch self {
        case .bytes: true
        case .array(let items): items.contains { $0.holdsBytes }
        case .object(let object): object.members.contains { $0.value.holdsBytes }
        default: false
        }
    }

    /// The kind as error messages name it.
    package var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .int, .number: "number"
        case .string: "text"
        case .bytes: "byte string"
        case .array: "list"
        case .object: "map"
        }
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: Value...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(Object(elements.map { Object.Member(name: $0.0, value: $0.1) }))
    }
    package init(nilLiteral: ()) { self = .null }
}
