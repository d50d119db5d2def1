import Values

/// One schema of a document; refers to others by their index in the table.
struct SchemaNode: Sendable {
    struct Types: OptionSet, Sendable {
        let rawValue: UInt8

        static let null = Types(rawValue: 1)
        static let boolean = Types(rawValue: 2)
        static let integer = Types(rawValue: 4)
        static let number = Types(rawValue: 8)
        static let string = Types(rawValue: 16)
        static let array = Types(rawValue: 32)
        static let object = Types(rawValue: 64)

        static let names: [(name: String, type: Types)] = [
            ("null", .null), ("boolean", .boolean), ("integer", .integer), ("number", .number),
            ("string", .string), ("array", .array), ("object", .object),
        ]
    }

    /// The schema `false`, which accepts nothing.
    var refusesAll = false
    var types: Types?
    /// Canonical bytes of the allowed values.
    var allowed: Set<[UInt8]>?
    var minimum: DecimalNumber?
    var maximum: DecimalNumber?
    var exclusiveMinimum: DecimalNumber?
    var exclusiveMaximum: DecimalNumber?
    var multipleOf: DecimalNumber?
    /// Bounds by keyword, such as `minLength`.
    var counts: [String: Int] = [:]
    var pattern: LinearPattern?

    var required: [String] = []
    var properties: [(name: String, schema: Int)] = []
    var patternProperties: [(pattern: LinearPattern, schema: Int)] = []
    var dependentRequired: [(name: String, needs: [String])] = []
    var dependentSchemas: [(name: String, schema: Int)] = []

    var prefixItems: [Int] = []
    var hasUniqueItems = false

    var allOf: [Int] = []
    var anyOf: [Int] = []
    var oneOf: [Int] = []
    /// Single subschemas by keyword.
    var single = SchemaTable()

    /// Subschemas that apply to the same value.
    var inPlace: [Int] {
        allOf + anyOf + oneOf + dependentSchemas.map(\.schema)
            + [SchemaKeyword.not, .if, .then, .else, .ref].compactMap { single[$0] }
    }
}

/// Keywords whose value is one schema.
enum SchemaKeyword: Int, CaseIterable {
    case items, contains, additionalProperties, propertyNames, not, `if`, then, `else`, unevaluatedProperties
    case unevaluatedItems, contentSchema, ref

    static let byName: [String: SchemaKeyword] = [
        "items": .items, "contains": .contains, "additionalProperties": .additionalProperties,
        "propertyNames": .propertyNames, "not": .not, "if": .if, "then": .then, "else": .else,
        "unevaluatedProperties": .unevaluatedProperties, "unevaluatedItems": .unevaluatedItems,
        "contentSchema": .contentSchema,
    ]
}

/// Indexes of schemas by keyword; an array, because it is read for every value.
struct SchemaTable: Sendable {
    private var positions: [Int?] = []

    subscript(_ keyword: SchemaKeyword) -> Int? {
        get { positions.isEmpty ? nil : positions[keyword.rawValue] }
        set {
            if positions.isEmpty { positions = Array(repeating: nil, count: SchemaKeyword.allCases.count) }
            positions[keyword.rawValue] = newValue
        }
    }
}

/// A finished node; a class, because copying a node copies each of its many parts.
final class SchemaTableEntry: Sendable {
    let node: SchemaNode

    init(_ node: SchemaNode) { self.node = node }
}
