import Values

/// The statically known members of a value: those that an expression may read.
indirect enum NameShape: Sendable {
    /// It may have any members.
    case open
    /// A text, number or boolean, named with its article; it has no members.
    case leaf(String)
    /// It has these members and no others.
    case closed([String: NameShape])
    /// A schema declares these members; others cause a warning.
    case declared([String: NameShape])
    /// A list, whose items all have that shape.
    case list(NameShape)
    /// Headers of a message, with any names in lower case.
    case headers

    /// The shape of a constant.
    init(of value: Value) {
        switch value {
        case .object(let object):
            self = .closed(
                Dictionary(
                    object.members.map { ($0.name, NameShape(of: $0.value)) }, uniquingKeysWith: { $1 }))
        case .array(let items):
            var item: NameShape?
            for one in items {
                let shape = NameShape(of: one)
                if item == nil { item = shape } else { item?.merge(shape) }
            }
            self = .list(item ?? .open)
        case .null: self = .open
        default: self = .leaf("a \(value.kindName)")
        }
    }

    /// The union of both shapes' members.
    func merged(with other: NameShape) -> NameShape {
        var shape = self
        shape.merge(other)
        return shape
    }

    /// Adds the members of another shape, in time that grows with those alone.
    mutating func merge(_ other: NameShape) {
        switch (self, other) {
        case (.declared(var members), .declared(let more)):
            // With two references to them, adding to the members would copy them all.
            self = .open
            members.merge(more) { $0.merged(with: $1) }
            self = .declared(members)
        case (.closed(var members), .closed(let more)):
            self = .open
            members.merge(more) { $0.merged(with: $1) }
            self = .closed(members)
        case (.list(let item), .list(let other)): self = .list(item.merged(with: other))
        case (.leaf(let left), .leaf(let right)) where left == right: break
        default: self = .open
        }
    }

    /// The shape of a member whose name is computed.
    var computedMember: NameShape {
        if case .list(let item) = self { return item }
        return .open
    }
}

// MARK: - Schemas

extension NameShape {
    /// The members that a JSON Schema declares for a valid value.
    ///
    /// A schema may refer to itself in several places, so what it declares grows with each level by that factor. Levels
    /// are left out, as open, until the rest is small.
    init(declaredBy schema: Value) {
        for depthMax in [16, 8, 4, 2, 1] {
            var reader = SchemaShapes(root: schema, depthMax: depthMax)
            let shape = reader.shape(of: schema, depth: 0) ?? .open
            guard reader.isSmall else { continue }
            self = shape
            return
        }
        self = .open
    }
}

/// Reads what a schema declares, down to a depth.
private struct SchemaShapes {
    /// Schemas that are looked at, of one schema.
    private static let visitCountMax = 5_000

    let root: Value
    let depthMax: Int
    private var visitCount = 0

    init(root: Value, depthMax: Int) {
        self.root = root
        self.depthMax = depthMax
    }

    /// Whether all was read.
    var isSmall: Bool { visitCount <= Self.visitCountMax }

    /// Nil if the schema declares no members.
    mutating func shape(of schema: Value, depth: Int) -> NameShape? {
        guard let object = schema.object else { return nil }
        visitCount += 1
        guard depth < depthMax, isSmall else { return .open }
        if Self.isOpen(object) { return .open }
        if object["type"] == "array" {
            return .list(object["items"].flatMap { shape(of: $0, depth: depth + 1) } ?? .open)
        }
        var names: [String: NameShape] = [:]
        for member in object["properties"]?.object?.members ?? [] {
            names[member.name] = shape(of: member.value, depth: depth + 1) ?? .open
        }
        for part in Self.parts(of: object, root: root) {
            switch shape(of: part, depth: depth + 1) {
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
