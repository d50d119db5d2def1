import Values

/// The statically known members of a value: those that an expression may read.
indirect enum NameShape {
    /// It may have any members.
    case open
    /// A text, number or boolean, named with its article; it has no members.
    case leaf(String)
    /// It has these members and no others.
    case closed([String: NameShape])
    /// A schema declares these members; others cause a warning.
    case declared([String: NameShape])
    /// Headers of a message, with any names in lower case.
    case headers

    /// The shape of a constant.
    init(of value: Value) {
        switch value {
        case .object(let object):
            self = .closed(
                Dictionary(
                    object.members.map { ($0.name, NameShape(of: $0.value)) }, uniquingKeysWith: { $1 }))
        case .array, .null: self = .open
        default: self = .leaf("a \(value.kindName)")
        }
    }

    /// The union of both shapes' members.
    func merged(with other: NameShape) -> NameShape {
        switch (self, other) {
        case (.declared(let left), .declared(let right)):
            return .declared(left.merging(right) { $0.merged(with: $1) })
        case (.closed(let left), .closed(let right)):
            return .closed(left.merging(right) { $0.merged(with: $1) })
        case (.leaf(let left), .leaf(let right)) where left == right: return self
        default: return .open
        }
    }
}

// MARK: - Schemas

extension NameShape {
    private static let depthMax = 16

    /// The members that a JSON Schema declares for a valid value.
    init(declaredBy schema: Value) { self = Self.shape(of: schema, root: schema, depth: 0) ?? .open }

    /// Nil if the schema declares no members.
    private static func shape(of schema: Value, root: Value, depth: Int) -> NameShape? {
        guard let object = schema.object, depth < depthMax else { return nil }
        if isOpen(object) { return .open }
        var names: [String: NameShape] = [:]
        for member in object["properties"]?.object?.members ?? [] {
            names[member.name] = shape(of: member.value, root: root, depth: depth + 1) ?? .open
        }
        for part in parts(of: object, root: root) {
            switch shape(of: part, root: root, depth: depth + 1) {
            case .declared(let more)?: names.merge(more) { $0.merged(with: $1) }
            case nil: continue
            default: return .open
            }
        }
        if names.isEmpty { return nil }
        for name in object["required"]?.array ?? [] {
            if let name = name.string, names[name] == nil { names[name] = .open }
        }
        return .declared(names)
    }

    /// Whether the schema allows members that it does not name.
    private static func isOpen(_ object: Object) -> Bool {
        if object["patternProperties"] != nil || object["$dynamicRef"] != nil { return true }
        return ["additionalProperties", "unevaluatedProperties"].contains { key in
            object[key].map { $0.bool != false } ?? false
        }
    }

    /// The subschemas that apply to the same value, all or some of them.
    private static func parts(of object: Object, root: Value) -> [Value] {
        var parts: [Value] = []
        for key in ["allOf", "anyOf", "oneOf"] { parts += object[key]?.array ?? [] }
        for key in ["if", "then", "else"] { if let part = object[key] { parts.append(part) } }
        parts += object["dependentSchemas"]?.object?.members.map(\.value) ?? []
        if let reference = object["$ref"]?.string { parts.append(target(of: reference, in: root)) }
        return parts
    }

    /// The target of a reference; an open schema for an anchor or an unknown target.
    private static func target(of reference: String, in root: Value) -> Value {
        guard reference.hasPrefix("#/") else {
            return reference == "#" ? root : ["additionalProperties": true]
        }
        var found = root
        for part in reference.dropFirst(2).split(separator: "/") {
            guard let next = found[String(part)] else { return ["additionalProperties": true] }
            found = next
        }
        return found
    }
}
