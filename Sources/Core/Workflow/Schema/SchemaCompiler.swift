import Values

/// Compiles a schema to a table of nodes, or lists its faults.
struct SchemaCompiler {
    private static let counts: Set<String> = [
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
        "maxContains",
    ]
    private static let annotations: Set<String> = [
        "$schema", "$id", "$comment", "$anchor", "title", "description", "default", "examples", "example",
        "deprecated", "readOnly", "writeOnly", "format", "contentEncoding", "contentMediaType", "nullable",
    ]
    private static let other: Set<String> = [
        "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "pattern",
        "required", "properties", "patternProperties", "dependentRequired", "dependentSchemas", "prefixItems",
        "uniqueItems", "allOf", "anyOf", "oneOf", "$ref", "$defs", "definitions",
    ]
    private static let unsupported: [String: String] = [
        "$dynamicRef": "use `$ref`", "$dynamicAnchor": "use `$anchor`", "$recursiveRef": "use `$ref`",
        "$vocabulary": "remove it", "additionalItems": "use `items` beside `prefixItems`",
        "dependencies": "use `dependentRequired` or `dependentSchemas`",
    ]
    private static let nodeCountMax = 5000
    private static let depthMax = 64

    private let source: Value
    private(set) var nodes: [SchemaNode] = []
    private(set) var faults: [SchemaFaults.Fault] = []
    // Names as bytes, because canonically equivalent names differ.
    private var positions: [[[UInt8]]: Int] = [:]
    private var anchors: [[UInt8]: Int] = [:]
    private var references: [(node: Int, target: String, path: [String])] = []

    init(source: Value) { self.source = source }

    mutating func run() {
        _ = schema(source, at: [])
        while let reference = references.popLast(), faults.count < 20 {
            nodes[reference.node].single[.ref] = resolve(reference.target, path: reference.path)
        }
        if faults.isEmpty { refuseLoops() }
    }

    private mutating func fault(_ path: [String], _ message: String, hint: String? = nil) {
        faults.append(SchemaFaults.Fault(path: path, message: message, hint: hint))
    }

    // MARK: - One schema

    private mutating func schema(_ value: Value, at path: [String]) -> Int {
        let place = path.map { Array($0.utf8) }
        if let known = positions[place] { return known }
        let index = nodes.count
        nodes.append(SchemaNode())
        positions[place] = index
        guard nodes.count <= Self.nodeCountMax, path.count <= Self.depthMax else {
            if faults.isEmpty { fault(path, "the schema is too large") }
            return index
        }
        switch value {
        case .bool(let accepts): nodes[index].refusesAll = !accepts
        case .object(let object):
            for member in object.members {
                keyword(member.name, member.value, of: index, at: path + [member.name])
            }
        default: fault(path, "a schema is a map, true or false, not a \(value.kindName)")
        }
        return index
    }

    private mutating func keyword(_ name: String, _ value: Value, of node: Int, at path: [String]) {
        if let keyword = SchemaKeyword.byName[name] {
            if name == "items", value.array != nil {
                return fault(path, "`items` is one schema", hint: "use `prefixItems` for a list of them")
            }
            let inner = schema(value, at: path)
            nodes[node].single[keyword] = inner
        } else if Self.counts.contains(name) {
            nodes[node].counts[name] = count(value, at: path)
        } else if Self.other.contains(name) {
            assertion(name, value, of: node, at: path)
        } else if let hint = Self.unsupported[name] {
            fault(path, "`\(name)` is not supported", hint: hint)
        } else if Self.annotations.contains(name) {
            annotation(name, value, of: node, at: path)
        } else {
            let known = Set(SchemaKeyword.byName.keys).union(Self.counts).union(Self.other).sorted()
            if !name.hasPrefix("x-"), let hint = Suggestion.hint(for: name, among: known) {
                fault(path, "JSON Schema has no keyword `\(name)`", hint: hint)
            }
        }
    }

    private mutating func annotation(_ name: String, _ value: Value, of node: Int, at path: [String]) {
        switch name {
        case "$anchor":
            guard let anchor = value.string else { return fault(path, "`$anchor` is a text") }
            anchors[Array(anchor.utf8)] = node
        case "$id" where path.count > 1:
            fault(
                path, "an inner `$id` is not supported", hint: "use `$anchor` or a pointer such as #/$defs/x")
        case "$schema":
            let known = [
                "https://json-schema.org/draft/2020-12/schema",
                "https://json-schema.org/draft/2020-12/schema#",
            ]
            if !known.contains(where: { .string($0) == value }) {
                fault(path, "only JSON Schema 2020-12 is read", hint: "remove `$schema`, or name \(known[0])")
            }
        default: break
        }
    }

    private mutating func assertion(_ name: String, _ value: Value, of node: Int, at path: [String]) {
        switch name {
        case "type": nodes[node].types = types(value, at: path)
        case "enum":
            guard let values = value.array else { return fault(path, "`enum` is a list") }
            restrict(node, to: values)
        case "const": restrict(node, to: [value])
        case "minimum": nodes[node].minimum = number(value, at: path)
        case "maximum": nodes[node].maximum = number(value, at: path)
        case "exclusiveMinimum": nodes[node].exclusiveMinimum = number(value, at: path)
        case "exclusiveMaximum": nodes[node].exclusiveMaximum = number(value, at: path)
        case "multipleOf":
            guard let number = number(value, at: path) else { return }
            if !number.isPositive || number.digits.count > 17 {
                return fault(path, "`multipleOf` is above 0 and has at most 17 digits")
            }
            nodes[node].multipleOf = number
        case "pattern":
            nodes[node].pattern =
                value.string.flatMap { pattern($0, at: path) } ?? missing("a text", value, path)
        case "required": nodes[node].required = texts(value, at: path)
        case "uniqueItems":
            guard let flag = value.bool else { return fault(path, "`uniqueItems` is true or false") }
            nodes[node].hasUniqueItems = flag
        case "$ref":
            guard let target = value.string else { return fault(path, "`$ref` is a text") }
            references.append((node, target, path))
        case "allOf": nodes[node].allOf = list(value, at: path)
        case "anyOf": nodes[node].anyOf = list(value, at: path)
        case "oneOf": nodes[node].oneOf = list(value, at: path)
        case "prefixItems": nodes[node].prefixItems = list(value, at: path)
        default: mapped(name, value, of: node, at: path)
        }
    }

    /// Reads keywords whose value is a map of names.
    private mutating func mapped(_ name: String, _ value: Value, of node: Int, at path: [String]) {
        guard let members = value.object?.members else {
            return fault(path, "`\(name)` is a map, not a \(value.kindName)")
        }
        for member in members {
            let inner = path + [member.name]
            if name == "dependentRequired" {
                nodes[node].dependentRequired.append((member.name, texts(member.value, at: inner)))
                continue
            }
            let schema = schema(member.value, at: inner)
            switch name {
            case "properties": nodes[node].properties.append((member.name, schema))
            case "dependentSchemas": nodes[node].dependentSchemas.append((member.name, schema))
            case "patternProperties":
                if let pattern = pattern(member.name, at: inner) {
                    nodes[node].patternProperties.append((pattern, schema))
                }
            default: break
            }
        }
    }

    // MARK: - Values of keywords

    private mutating func missing<Result>(_ kind: String, _ value: Value, _ path: [String]) -> Result? {
        if value.string == nil { fault(path, "this is \(kind), not a \(value.kindName)") }
        return nil
    }

    private mutating func restrict(_ node: Int, to values: [Value]) {
        let allowed = Set(values.map(\.canonicalBytes))
        nodes[node].allowed = nodes[node].allowed.map { $0.intersection(allowed) } ?? allowed
    }

    private mutating func types(_ value: Value, at path: [String]) -> SchemaNode.Types {
        var types: SchemaNode.Types = []
        for item in value.array ?? [value] {
            guard let known = SchemaNode.Types.names.first(where: { .string($0.name) == item }) else {
                let names = SchemaNode.Types.names.map(\.name)
                fault(
                    path, "`\(item.text.prefix(60))` is not a type of JSON",
                    hint: Suggestion.hint(for: item.text, among: names)
                        ?? "one of: \(names.joined(separator: ", "))")
                continue
            }
            types.insert(known.type)
        }
        return types
    }

    private mutating func count(_ value: Value, at path: [String]) -> Int? {
        if let number = DecimalNumber(value), number.isInteger, !number.isNegative, let double = value.double
        {
            return Int(exactly: min(double, 1e9))
        }
        fault(
            path,
            "this is a whole number from 0, not \(value.kindName == "number" ? JSON.text(value) : "a \(value.kindName)")"
        )
        return nil
    }

    private mutating func number(_ value: Value, at path: [String]) -> DecimalNumber? {
        if let number = DecimalNumber(value) { return number }
        fault(path, "this is a number, not a \(value.kindName)")
        return nil
    }

    private mutating func texts(_ value: Value, at path: [String]) -> [String] {
        let texts = value.array?.compactMap(\.string) ?? []
        if texts.count != value.array?.count { fault(path, "this is a list of names") }
        return texts
    }

    private mutating func list(_ value: Value, at path: [String]) -> [Int] {
        guard let items = value.array, !items.isEmpty else {
            fault(path, "this is a list of at least one schema")
            return []
        }
        return items.enumerated().map { schema($0.element, at: path + [String($0.offset)]) }
    }

    private mutating func pattern(_ text: String, at path: [String]) -> LinearPattern? {
        do throws(PatternFault) { return try LinearPattern(text) } catch {
            fault(path, "the pattern cannot be used: \(error.reason)")
            return nil
        }
    }

    // MARK: - References

    private mutating func resolve(_ target: String, path: [String]) -> Int? {
        let bytes = Array(target.utf8)
        let root = Array((source["$id"]?.string ?? "").utf8)
        let local = !root.isEmpty && bytes.starts(with: root) ? bytes[root.count...] : bytes[...]
        guard local.isEmpty || local.first == UInt8(ascii: "#"),
            let fragment = Percent.decode(local.dropFirst(), plusIsSpace: false),
            let text = String(validating: fragment, as: UTF8.self)
        else {
            fault(
                path, "a `$ref` reaches the same schema only",
                hint: "copy it under `$defs` and write #/$defs/<name>")
            return nil
        }
        if fragment.isEmpty { return schema(source, at: []) }
        guard fragment.first == UInt8(ascii: "/") else {
            if anchors[fragment] == nil { fault(path, "no `$anchor` is called `\(text.prefix(60))`") }
            return anchors[fragment]
        }
        var value = source
        var names: [String] = []
        for part in fragment.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
        {
            let name = Self.unescaped(part)
            guard let next = value[name] ?? Int(name).flatMap({ value[$0] }) else {
                fault(path, "`$ref` names nothing in this schema")
                return nil
            }
            names.append(name)
            value = next
        }
        return schema(value, at: names)
    }

    /// Decodes `~1` to a slash and `~0` to a tilde, in one pass.
    private static func unescaped(_ part: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        for byte in part {
            if out.last == UInt8(ascii: "~"), byte == UInt8(ascii: "1") {
                out[out.count - 1] = UInt8(ascii: "/")
            } else if out.last == UInt8(ascii: "~"), byte == UInt8(ascii: "0") {
                // Marked with a byte that never occurs in UTF-8, so that `~01` stays `~1`.
                out[out.count - 1] = 0xFF
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out.map { $0 == 0xFF ? UInt8(ascii: "~") : $0 }, as: UTF8.self)
    }

    /// Refuses a schema that applies itself to the same value, because its validation would not end.
    private mutating func refuseLoops() {
        var waitCounts = Array(repeating: 0, count: nodes.count)
        for node in nodes { for inner in node.inPlace { waitCounts[inner] += 1 } }
        var free = nodes.indices.filter { waitCounts[$0] == 0 }
        var settled = 0
        while let index = free.popLast() {
            settled += 1
            for inner in nodes[index].inPlace {
                waitCounts[inner] -= 1
                if waitCounts[inner] == 0 { free.append(inner) }
            }
        }
        if settled < nodes.count {
            fault(
                [], "the schema refers to itself without going into the value",
                hint: "remove the circle of `$ref`s")
        }
    }
}
