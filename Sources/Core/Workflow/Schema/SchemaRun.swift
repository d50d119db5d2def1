import Values

/// One validation, which counts its work and collects violations.
struct SchemaRun {
    static let violationCountMax = 20
    static let workMax = 1_000_000
    private static let depthMax = 400

    /// The parts of a value that a schema has evaluated, for the `unevaluated` keywords.
    struct Evaluated {
        var members: Set<Int> = []
        var items: Set<Int> = []

        mutating func formUnion(_ other: Evaluated) {
            members.formUnion(other.members)
            items.formUnion(other.items)
        }
    }

    private let nodes: [SchemaTableEntry]
    private let tracksEvaluated: Bool
    private var found: [SchemaViolation] = []
    private let workMax: Int
    private var work = 0
    private var depth = 0
    /// Above 0 while an alternative is only tried.
    private var trial = 0
    private var hasFailed = false

    init(nodes: [SchemaTableEntry], workMax: Int) {
        self.workMax = workMax
        self.nodes = nodes
        tracksEvaluated = nodes.contains {
            $0.node.single[.unevaluatedProperties] != nil || $0.node.single[.unevaluatedItems] != nil
        }
    }

    mutating func violations(of value: Value) -> [SchemaViolation] {
        _ = apply(0, to: value, at: "")
        return found
    }

    private mutating func fail(_ path: String, _ message: String) {
        hasFailed = true
        guard trial == 0, found.count < Self.violationCountMax else { return }
        found.append(SchemaViolation(path: path, message: message))
    }

    /// Tries a schema without reporting violations; returns the evaluated parts if it accepts the value.
    private mutating func fits(_ index: Int, _ value: Value, _ path: String) -> Evaluated? {
        let failedBefore = hasFailed
        hasFailed = false
        trial += 1
        let evaluated = apply(index, to: value, at: path)
        trial -= 1
        defer { hasFailed = failedBefore }
        return hasFailed ? nil : evaluated
    }

    // MARK: - One schema on one value

    private mutating func apply(_ index: Int, to value: Value, at path: String) -> Evaluated {
        work += 1
        guard work < workMax, depth < Self.depthMax, nodes.indices.contains(index) else {
            if found.count < Self.violationCountMax, trial == 0 {
                found.append(SchemaViolation(path: path, message: "takes more work than a validation may"))
            }
            hasFailed = true
            return Evaluated()
        }
        depth += 1
        defer { depth -= 1 }
        let node = nodes[index].node
        if node.refusesAll {
            fail(path, "is not allowed")
            return Evaluated()
        }
        checkType(node, value, path)
        if let allowed = node.allowed {
            let bytes = value.canonicalBytes
            work += bytes.count / 16
            if !allowed.contains(bytes) { fail(path, "is none of the allowed values") }
        }
        var evaluated = Evaluated()
        switch value {
        case .int, .number: checkNumber(node, value, path)
        case .string(let text): checkText(node, text, path)
        case .array(let items): checkItems(node, items, path, &evaluated)
        case .object(let object): checkMembers(node, object, path, &evaluated)
        default: break
        }
        applyInPlace(node, value, path, &evaluated)
        if tracksEvaluated { checkUnevaluated(node, value, path, &evaluated) }
        return evaluated
    }

    private mutating func checkType(_ node: SchemaNode, _ value: Value, _ path: String) {
        guard let types = node.types else { return }
        let actual: SchemaNode.Types =
            switch value {
            case .null: .null
            case .bool: .boolean
            case .int, .number: DecimalNumber(value)?.isInteger == true ? [.integer, .number] : .number
            case .string, .bytes: .string
            case .array: .array
            case .object: .object
            }
        guard types.isDisjoint(with: actual) else { return }
        let names = SchemaNode.Types.names.filter { types.contains($0.type) }.map(\.name)
        let own = SchemaNode.Types.names.first { actual.contains($0.type) }?.name ?? ""
        fail(path, "is \(own), not \(names.joined(separator: " or "))")
    }

    private mutating func checkNumber(_ node: SchemaNode, _ value: Value, _ path: String) {
        guard let number = DecimalNumber(value) else { return }
        work += number.digits.count / 16
        if let bound = node.minimum, number < bound { fail(path, "is below the minimum") }
        if let bound = node.maximum, bound < number { fail(path, "is above the maximum") }
        if let bound = node.exclusiveMinimum, !(bound < number) {
            fail(path, "is not above the exclusive minimum")
        }
        if let bound = node.exclusiveMaximum, !(number < bound) {
            fail(path, "is not below the exclusive maximum")
        }
        if let divisor = node.multipleOf, !number.isMultiple(of: divisor) {
            fail(path, "is not a multiple as required")
        }
    }

    private mutating func checkCount(
        _ node: SchemaNode, _ count: Int, _ name: String, _ unit: String, _ path: String
    ) {
        if let least = node.counts["min\(name)"], count < least {
            fail(path, "has \(count) \(unit), fewer than \(least)")
        }
        if let most = node.counts["max\(name)"], count > most {
            fail(path, "has \(count) \(unit), more than \(most)")
        }
    }

    private mutating func checkText(_ node: SchemaNode, _ text: String, _ path: String) {
        if !node.counts.isEmpty { checkCount(node, text.unicodeScalars.count, "Length", "characters", path) }
        if let pattern = node.pattern, !matches(pattern, text) {
            fail(path, "does not match the pattern \(pattern.source.prefix(80))")
        }
    }

    private mutating func matches(_ pattern: LinearPattern, _ text: String) -> Bool {
        work += text.utf8.count * pattern.size / 8
        return work < workMax && pattern.matches(text)
    }

    // MARK: - Lists

    private mutating func checkItems(
        _ node: SchemaNode, _ items: [Value], _ path: String, _ evaluated: inout Evaluated
    ) {
        if !node.counts.isEmpty { checkCount(node, items.count, "Items", "items", path) }
        for (index, item) in items.enumerated() {
            let schema = index < node.prefixItems.count ? node.prefixItems[index] : node.single[.items]
            guard let schema else { break }
            _ = apply(schema, to: item, at: "\(path)/\(index)")
            if tracksEvaluated { evaluated.items.insert(index) }
        }
        if node.hasUniqueItems {
            var seen: Set<[UInt8]> = []
            for (index, item) in items.enumerated() {
                let bytes = item.canonicalBytes
                work += bytes.count / 16
                if !seen.insert(bytes).inserted { fail("\(path)/\(index)", "stands in the list already") }
            }
        }
        guard let schema = node.single[.contains] else { return }
        var count = 0
        for (index, item) in items.enumerated() where fits(schema, item, "\(path)/\(index)") != nil {
            count += 1
            if tracksEvaluated { evaluated.items.insert(index) }
        }
        let least = node.counts["minContains"] ?? 1
        if count < least {
            fail(path, "has \(count) item\(count == 1 ? "" : "s") of the wanted kind, fewer than \(least)")
        }
        if let most = node.counts["maxContains"], count > most {
            fail(path, "has \(count) item\(count == 1 ? "" : "s") of the wanted kind, more than \(most)")
        }
    }

    // MARK: - Maps

    private mutating func checkMembers(
        _ node: SchemaNode, _ object: Object, _ path: String, _ evaluated: inout Evaluated
    ) {
        if !node.counts.isEmpty { checkCount(node, object.count, "Properties", "members", path) }
        let names = Set(object.members.map { Array($0.name.utf8) })
        func has(_ name: String) -> Bool { names.contains(Array(name.utf8)) }
        for name in node.required where !has(name) { fail(path, "has no `\(name)`") }
        for (name, needs) in node.dependentRequired where has(name) {
            for need in needs where !has(need) { fail(path, "has `\(name)` and therefore needs `\(need)`") }
        }
        for (name, schema) in node.dependentSchemas where has(name) {
            evaluated.formUnion(apply(schema, to: .object(object), at: path))
        }
        work += object.count * (node.properties.count + 1) / 16
        for (index, member) in object.members.enumerated() {
            checkMember(node, member, index, "\(path)/\(Self.escaped(member.name))", &evaluated)
        }
    }

    private mutating func checkMember(
        _ node: SchemaNode, _ member: Object.Member, _ index: Int, _ path: String,
        _ evaluated: inout Evaluated
    ) {
        if let names = node.single[.propertyNames], fits(names, .string(member.name), path) == nil {
            fail(path, "has a name that is not allowed")
        }
        var isKnown = false
        if let property = node.properties.first(where: { $0.name.hasSameBytes(as: member.name) }) {
            isKnown = true
            _ = apply(property.schema, to: member.value, at: path)
        }
        for (pattern, schema) in node.patternProperties where matches(pattern, member.name) {
            isKnown = true
            _ = apply(schema, to: member.value, at: path)
        }
        if !isKnown, let additional = node.single[.additionalProperties] {
            isKnown = true
            _ = apply(additional, to: member.value, at: path)
        }
        if isKnown, tracksEvaluated { evaluated.members.insert(index) }
    }

    static func escaped(_ name: String) -> String {
        var out = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": out += "~0"
            case "/": out += "~1"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    // MARK: - Schemas on the same value

    private mutating func applyInPlace(
        _ node: SchemaNode, _ value: Value, _ path: String, _ evaluated: inout Evaluated
    ) {
        if let target = node.single[.ref] { evaluated.formUnion(apply(target, to: value, at: path)) }
        for schema in node.allOf { evaluated.formUnion(apply(schema, to: value, at: path)) }
        if !node.anyOf.isEmpty {
            var fitting = 0
            for schema in node.anyOf {
                guard let seen = fits(schema, value, path) else { continue }
                fitting += 1
                evaluated.formUnion(seen)
                if !tracksEvaluated { break }
            }
            if fitting == 0 { fail(path, "fits none of \(node.anyOf.count) alternatives") }
        }
        if !node.oneOf.isEmpty {
            let fitting = node.oneOf.compactMap { fits($0, value, path) }
            if fitting.count == 1 { evaluated.formUnion(fitting[0]) }
            if fitting.count != 1 {
                fail(path, "fits \(fitting.count) of \(node.oneOf.count) alternatives, not exactly one")
            }
        }
        if let schema = node.single[.not], fits(schema, value, path) != nil {
            fail(path, "is what is not allowed")
        }
        guard let condition = node.single[.if] else { return }
        if let seen = fits(condition, value, path) {
            evaluated.formUnion(seen)
            if let then = node.single[.then] { evaluated.formUnion(apply(then, to: value, at: path)) }
        } else if let otherwise = node.single[.else] {
            evaluated.formUnion(apply(otherwise, to: value, at: path))
        }
    }

    private mutating func checkUnevaluated(
        _ node: SchemaNode, _ value: Value, _ path: String, _ evaluated: inout Evaluated
    ) {
        if let schema = node.single[.unevaluatedProperties], let object = value.object {
            for (index, member) in object.members.enumerated() where evaluated.members.insert(index).inserted
            {
                _ = apply(schema, to: member.value, at: "\(path)/\(Self.escaped(member.name))")
            }
        }
        if let schema = node.single[.unevaluatedItems], let items = value.array {
            for (index, item) in items.enumerated() where evaluated.items.insert(index).inserted {
                _ = apply(schema, to: item, at: "\(path)/\(index)")
            }
        }
    }
}
