/// Any JSON value, exact: what a webhook carried is what an expression reads and a request sends.
///
/// Integers that fit are `int`; every other number keeps its source text, so `12.50` and a
/// 20-digit id survive unchanged.
package enum Value: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    /// A JSON number that is not an exact `Int64`, as its source text.
    case number(String)
    case string(String)
    case array([Value])
    case object(Object)

    /// A finite double as a value; an integral one within 2^53 becomes `int`.
    ///
    /// Nil for NaN and infinities.
    package init?(double: Double) {
        guard double.isFinite else { return nil }
        if let exact = Int64(exactly: double), abs(exact) <= 1 << 53 {
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

    /// The member of that name; nil where this is no object or has none.
    package subscript(_ name: String) -> Value? { object?[name] }

    /// The item at that position from 0; nil where this is no array or is shorter.
    package subscript(_ index: Int) -> Value? {
        guard case .array(let items) = self, items.indices.contains(index) else { return nil }
        return items[index]
    }

    /// What this value becomes inside a text: text as it is, null as nothing, the rest as JSON.
    package var text: String {
        switch self {
        case .string(let text): return text
        case .null: return ""
        default: return JSON.text(self)
        }
    }

    /// The kind as an error message names it.
    package var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .int, .number: "number"
        case .string: "text"
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

/// The members of a JSON object, in the order of the source.
///
/// Names are compared as UTF-8 bytes and never by canonical equivalence, as SQLite compares them.
package struct Object: Sendable, Hashable {
    package struct Member: Sendable, Hashable {
        package var name: String
        package var value: Value

        package init(name: String, value: Value) {
            self.name = name
            self.value = value
        }
    }

    package private(set) var members: [Member]

    package init(_ members: [Member] = []) { self.members = members }

    package var isEmpty: Bool { members.isEmpty }
    package var count: Int { members.count }

    /// Reading a missing name gives nil; setting nil removes the member; a new name goes last.
    package subscript(_ name: String) -> Value? {
        get {
            for member in members where member.name.hasSameBytes(as: name) { return member.value }
            return nil
        }
        set {
            let index = members.firstIndex { $0.name.hasSameBytes(as: name) }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(name: name, value: value))
            case (nil, nil): break
            }
        }
    }

    /// Adds a member that the caller knows to be new, without looking for it.
    package mutating func append(_ name: String, _ value: Value) {
        members.append(Member(name: name, value: value))
    }
}

extension String {
    /// Whether both texts are the same bytes; `==` would also merge canonically equivalent ones.
    package func hasSameBytes(as other: String) -> Bool {
        self.utf8.count == other.utf8.count && self == other && self.utf8.elementsEqual(other.utf8)
    }
}
