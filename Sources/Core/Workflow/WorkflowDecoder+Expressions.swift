import Ports
package import Values

extension WorkflowDecoder {
    /// Compiles an expression in `node`'s text at a byte offset; nil after reporting a problem.
    mutating func compile(_ source: String, of node: Node, offset: Int) -> (any CompiledExpression)? {
        let lead = source.utf8.prefix { $0 == 0x20 || $0 == 0x0A || $0 == 0x09 || $0 == 0x0D }.count
        let mark = node.mark(ofByte: offset + lead)
        guard lead < source.utf8.count else {
            note(.emptyExpression, at: mark, "the expression is empty", hint: "write it, or remove the key")
            return nil
        }
        do throws(ExpressionProblem) {
            var reads: [NameRead] = []
            let expression = try compiler.compile(source, noting: &reads)
            uses.append(
                Use(
                    expression: expression, mark: mark, owner: owner, node: node, offset: offset,
                    source: source,
                    reads: checksNames ? reads : [], view: view))
            return expression
        } catch {
            let start = Self.offset(ofLine: error.line, in: source)
            note(
                .expressionDoesNotCompile, at: node.mark(ofByte: offset + start), error.message,
                hint: Self.hint(forFilterIn: source) ?? error.hint)
            return nil
        }
    }

    /// A hint for a filter with arguments, as in `x | default: 1`; nil if there is none.
    private static func hint(forFilterIn source: String) -> String? {
        guard let bar = source.utf8.firstIndex(of: UInt8(ascii: "|")) else { return nil }
        let rest = source[source.utf8.index(after: bar)...].drop { $0 == " " }
        let name = String(rest.prefix { $0.isASCII && $0.isLetter || $0 == "_" })
        return name.isEmpty ? nil : filterHint(name)
    }

    static func filterHint(_ name: String) -> String {
        ScopeNames.foreignFilters[name].map { "there are no filters: \($0)" }
            ?? "there are no filters: call a function, as in `x:upper()` or `json.encode(x)`"
    }

    /// The byte offset of the first non-blank character on a line.
    private static func offset(ofLine line: Int, in source: String) -> Int {
        var (current, offset, lineStart) = (1, 0, 0)
        for byte in source.utf8 {
            if current == line, byte != 0x20, byte != 0x09, byte != 0x0A, byte != 0x0D { return offset }
            offset += 1
            if byte == 0x0A {
                if current >= line { break }
                current += 1
                lineStart = offset
            }
        }
        return lineStart
    }

    /// Splits a text into pieces; nil after reporting an unmatched bracket.
    private mutating func pieces(of text: String, in node: Node) -> [ExpressionFinder.Piece]? {
        do throws(ExpressionFinder.Unbalanced) {
            return try ExpressionFinder.pieces(of: text)
        } catch {
            let mark = node.mark(ofByte: error.offset)
            switch error.bracket {
            case ">>":
                note(
                    .unbalanced, at: mark, "this >> has no << before it",
                    hint: "a literal >> is written << '>>' >>")
            default:
                let closer = error.bracket == "<<" ? ">>" : "}}"
                let isCut = { if case .scalar(_, .plain) = node.content { true } else { false } }()
                note(
                    .unbalanced, at: mark, "this \(error.bracket) has no \(closer) after it",
                    hint: isCut
                        ? "a ` #` ends a value without quotes: put the value in quotes"
                        : "a literal \(error.bracket) is written << '\(error.bracket)' >>")
            }
            return nil
        }
    }

    // MARK: - Values with expressions

    /// Decodes a value with expressions; null replaces a part that is invalid.
    mutating func template(_ node: Node) -> Template {
        switch node.content {
        case .scalar(let text, _): return scalarTemplate(text, node)
        case .list(let items): return .list(items.map { template($0) }).folded
        case .map(let members):
            if let block = blockForm(node) {
                return expression(ofBlock: block).map { .expression($0) } ?? .constant(.null)
            }
            var out: [Template.Member] = []
            for member in members {
                refuseExpression(inName: member)
                out.append(Template.Member(name: member.name, value: template(member.value)))
            }
            return Template.map(out).folded
        }
    }

    /// Reports expressions in the brackets of other systems, which would stay in the text, and returns whether there
    /// were any.
    private mutating func noteForeignBraces(_ text: String, _ node: Node) -> Bool {
        guard text.utf8.contains(UInt8(ascii: "$")) || text.utf8.contains(UInt8(ascii: "%")),
            let (brackets, offset) = Self.foreignBraces(in: Array(text.utf8)),
            checksNames || brackets == "${{ }}"
        else { return false }
        note(
            .foreignSyntax, at: node.mark(ofByte: offset),
            "`\(brackets)` is how other systems write an expression",
            hint: brackets == "{% %}"
                ? "write << >>, with Lua in it; a step is left out by `when`"
                : "write << >>; for a dollar sign before a value write $<< >>")
        return true
    }

    /// The first of `${{`, `{%`, and `${name` with a name of ours.
    private static func foreignBraces(in bytes: [UInt8]) -> (String, Int)? {
        for index in bytes.indices {
            switch bytes[index] {
            case UInt8(ascii: "$"):
                let rest = bytes[(index + 1)...]
                if rest.starts(with: "{{".utf8) { return ("${{ }}", index) }
                guard rest.first == UInt8(ascii: "{") else { continue }
                let name = rest.dropFirst().prefix { (0x61...0x7A).contains($0) }
                let end = rest.dropFirst(1 + name.count).first
                guard end == UInt8(ascii: ".") || end == UInt8(ascii: "["),
                    ["trigger", "steps", "vars", "secrets", "run", "tenant", "item"].contains(
                        String(decoding: name, as: UTF8.self))
                else { continue }
                return ("${ }", index)
            case UInt8(ascii: "{") where bytes[(index + 1)...].starts(with: "% ".utf8):
                return ("{% %}", index)
            default: continue
            }
        }
        return nil
    }

    private mutating func scalarTemplate(_ text: String, _ node: Node) -> Template {
        if noteForeignBraces(text, node) { return .constant(.null) }
        guard let pieces = pieces(of: text, in: node) else { return .constant(.null) }
        let isTemplate = pieces.contains { if case .expression = $0 { true } else { false } }
        guard isTemplate else { return .constant(node.value) }
        if let (source, offset) = Self.soleExpression(pieces) {
            return compile(source, of: node, offset: offset).map { .expression($0) } ?? .constant(.null)
        }
        var parts: [Template.Part] = []
        for piece in pieces {
            switch piece {
            case .literal(let literal): parts.append(.literal(literal))
            case .expression(let source, let offset):
                if let expression = compile(source, of: node, offset: offset) {
                    parts.append(.expression(expression))
                }
            }
        }
        return .text(parts)
    }

    /// The expression of a text that is exactly one, apart from blanks around it.
    private static func soleExpression(_ pieces: [ExpressionFinder.Piece]) -> (source: String, offset: Int)? {
        var found: (String, Int)?
        for piece in pieces {
            switch piece {
            case .expression(let source, let offset):
                if found != nil { return nil }
                found = (source, offset)
            case .literal(let text):
                guard text.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x0A || $0 == 0x09 || $0 == 0x0D }) else {
                    return nil
                }
            }
        }
        return found
    }

    private mutating func refuseExpression(inName member: Node.Member) {
        let pieces = (try? ExpressionFinder.pieces(of: member.name)) ?? []
        let isTemplate = pieces.contains { if case .expression = $0 { true } else { false } }
        guard isTemplate else { return }
        note(
            .expressionInName, at: member.nameMark, "a name cannot hold an expression",
            hint: "build the whole map in an expression: `key: << {[name] = value} >>`")
    }

    // MARK: - Guards and the block form

    /// The `expr` of `{lang: lua, expr: …}`; nil for any other node.
    private func blockForm(_ node: Node) -> Node? {
        node.isBlockForm ? node["expr"] : nil
    }

    private mutating func expression(ofBlock node: Node) -> (any CompiledExpression)? {
        guard let text = node.text else {
            note(.wrongType, at: node.mark, "expr is a text, not \(node.kindPhrase)")
            return nil
        }
        return compile(text, of: node, offset: 0)
    }

    /// Compiles a bare expression, one in `<< >>`, or the block form; `key` is named in messages.
    mutating func bareExpression(_ node: Node, under key: String) -> (any CompiledExpression)? {
        if let block = blockForm(node) { return expression(ofBlock: block) }
        guard let text = node.text else {
            if node.members != nil {
                let known = Suggestion.hint(for: node.members?.first?.name ?? "", among: ["lang", "expr"])
                note(
                    .wrongType, at: node.mark, "`\(key)` is an expression, not a map",
                    hint: known ?? "write {lang: lua, expr: …}")
            } else {
                note(.wrongType, at: node.mark, "`\(key)` is an expression, not a list")
            }
            return nil
        }
        if node.value.isNull {
            note(
                .nullGuard, at: node.mark, "`\(key)` has no value",
                hint: "an expression that starts with # must be in quotes; remove the key if there is none")
            return nil
        }
        if noteForeignBraces(text, node) { return nil }
        if text.contains("<<") || text.contains("{{"), let pieces = try? ExpressionFinder.pieces(of: text),
            let (source, offset) = Self.soleExpression(pieces)
        {
            return compile(source, of: node, offset: offset)
        }
        return compile(text, of: node, offset: 0)
    }
}

extension Node {
    /// Whether this is the block form of an expression, `{lang: lua, expr: …}`.
    var isBlockForm: Bool { members?.count == 2 && self["lang"]?.text == "lua" && self["expr"] != nil }
}

extension Template {
    /// The template with a list or map of constants merged into one constant.
    var folded: Template {
        switch self {
        case .list(let items):
            let values = items.compactMap(\.constant)
            return values.count == items.count ? .constant(.array(values)) : self
        case .map(let members):
            let constants = members.compactMap { member in
                member.value.constant.map { Object.Member(name: member.name, value: $0) }
            }
            return constants.count == members.count ? .constant(.object(Object(constants))) : self
        default: return self
        }
    }

    /// The value, if there is no expression in it.
    package var constant: Value? {
        if case .constant(let value) = self { return value }
        return nil
    }
}
