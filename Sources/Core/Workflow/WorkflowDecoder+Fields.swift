import Values

/// The members of a map with checked names.
struct Fields {
    let members: [Node.Member]

    subscript(_ name: String) -> Node? { members.first { $0.name == name }?.value }
    func member(_ name: String) -> Node.Member? { members.first { $0.name == name } }
}

// MARK: - Maps and scalars

extension WorkflowDecoder {
    /// The members of a map; nil, with a problem, if `node` is none.
    ///
    /// Reports names that are not `known`. `kind` names the map with its article, such as `a step`.
    mutating func fields(of node: Node, as kind: String, known: [String]) -> Fields? {
        guard let members = node.members else {
            note(
                .wrongType, at: node.mark, "\(kind) is a map, not \(node.kindPhrase)",
                hint: ForeignKeys.form(kind))
            return nil
        }
        for member in members where !known.contains(where: { $0 == member.name }) {
            note(
                .unknownKey, at: member.nameMark, "\(kind) has no key \(quote(member.name))",
                hint: ForeignKeys.hint(for: member.name, in: kind)
                    ?? Suggestion.hint(for: member.name, among: known)
                    ?? "known are: \(known.joined(separator: ", "))")
        }
        return Fields(members: members)
    }

    mutating func required(_ name: String, in fields: Fields, at node: Node) -> Node? {
        if let value = fields[name] { return value }
        note(.missingKey, at: node.mark, "`\(name)` is missing")
        return nil
    }

    /// A text; a plain number or boolean is reported with a hint to quote it.
    mutating func text(_ node: Node, as kind: String) -> String? {
        guard let text = node.text else {
            note(.wrongType, at: node.mark, "\(kind) is a text, not \(node.kindPhrase)")
            return nil
        }
        if case .string = node.value { return text }
        note(
            .wrongType, at: node.mark, "\(kind) is a text, not \(node.kindPhrase)",
            hint: text.isEmpty ? nil : "put it in quotes: \"\(text.prefix(60))\"")
        return nil
    }

    mutating func noteChoice(_ name: String, at mark: Mark, _ kind: String, _ names: [String]) {
        let list = "one of: \(names.joined(separator: ", "))"
        note(
            .badChoice, at: mark, "\(quote(name)) is not \(kind)",
            hint: ForeignKeys.choice(name, as: kind) ?? Suggestion.hint(for: name, among: names) ?? list)
    }

    /// Reports two keys that exclude each other.
    mutating func noteConflict(_ member: Node.Member, with other: String, of kind: String, hint: String) {
        note(
            .conflictingKeys, at: member.nameMark,
            "\(kind) has both `\(other)` and `\(member.name)`", hint: hint)
    }

    mutating func wholeNumber(_ node: Node, as kind: String, in range: ClosedRange<Int>) -> Int? {
        guard case .int(let number) = node.value else {
            note(.wrongType, at: node.mark, "\(kind) is a whole number, not \(node.kindPhrase)")
            return nil
        }
        guard let exact = Int(exactly: number), range.contains(exact) else {
            note(
                .outOfRange, at: node.mark,
                "\(kind) is from \(range.lowerBound) to \(range.upperBound), not \(number)")
            return nil
        }
        return exact
    }

    mutating func duration(_ node: Node, as kind: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let text = node.text else {
            note(.badDuration, at: node.mark, "\(kind) is a duration, not \(node.kindPhrase)")
            return nil
        }
        guard let duration = DurationText.read(text) else {
            let isNumber =
                !text.isEmpty && text.utf8.count < 10 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
            note(
                .badDuration, at: node.mark, "\(quote(text)) is not a duration",
                hint: isNumber ? "add a unit: \(text)s" : "write 250ms, 30s, 15m, 4h, 7d or 1h30m")
            return nil
        }
        guard range.contains(duration) else {
            let bounds = "\(DurationText.write(range.lowerBound)) to \(DurationText.write(range.upperBound))"
            note(.outOfRange, at: node.mark, "\(kind) is from \(bounds), not \(DurationText.write(duration))")
            return nil
        }
        return duration
    }

    func quote(_ name: String) -> String {
        let scalars = name.unicodeScalars
        let safe = scalars.prefix(60).map { $0.properties.generalCategory == .control ? " " : String($0) }
        return "`\(safe.joined())\(scalars.count > 60 ? "…" : "")`"
    }
}

// MARK: - Schemas

extension WorkflowDecoder {
    mutating func decodeSchemas(_ node: Node) {
        guard let members = node.members else {
            note(.wrongType, at: node.mark, "schemas is a map of names to schemas, not \(node.kindPhrase)")
            return
        }
        for member in members {
            schemaNames.append(member.name)
            if let schema = compileSchema(member.value) { schemas[member.name] = schema }
        }
    }

    /// A schema in place, or the name of one under `schemas`.
    mutating func schema(_ node: Node) -> JSONSchema? {
        guard let name = node.text, case .string = node.value else { return compileSchema(node) }
        if let schema = schemas[name] { return schema }
        if !schemaNames.contains(where: { $0 == name }) {
            note(
                .unknownSchema, at: node.mark, "no schema is called \(quote(name))",
                hint: Suggestion.hint(for: name, among: schemaNames)
                    ?? "add it under `schemas`, or write it in place")
        }
        return nil
    }

    private mutating func compileSchema(_ node: Node) -> JSONSchema? {
        switch JSONSchema.compile(node.value) {
        case .success(let schema): return schema
        case .failure(let faults):
            for fault in faults.list {
                note(.badSchema, at: node.descendant(at: fault.path).mark, fault.message, hint: fault.hint)
            }
            return nil
        }
    }
}

extension Node {
    /// The node at a path of names and indexes, or the last node on the path that exists.
    func descendant(at path: [String]) -> Node {
        var node = self
        for part in path {
            if let items = node.items, let index = Int(part), items.indices.contains(index) {
                node = items[index]
            } else if let member = node[part] {
                node = member
            } else {
                break
            }
        }
        return node
    }
}
