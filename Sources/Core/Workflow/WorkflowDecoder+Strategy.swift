import Ports
import Values

/// Steps that run once for each of several items.
extension WorkflowDecoder {
    private static let strategyKeys = ["type", "over", "as", "concurrency", "size", "until"]
    private static let concurrencyMax = 1000
    private static let sizeMax = 10_000
    /// Names with a fixed meaning, which an item may not have.
    private static let scopeNames: Set<String> = [
        "trigger", "steps", "secrets", "vars", "run", "tenant", "response", "index", "last", "null",
    ]

    /// Decoded before the step's kind, which may refuse a strategy.
    mutating func strategy(_ node: Node, of place: Place) -> Strategy? {
        guard let fields = fields(of: node, as: "a strategy", known: Self.strategyKeys) else { return nil }
        let kind = required("type", in: fields, at: node).flatMap { strategyKind($0) }
        view.isBeforeItems = true
        let over = required("over", in: fields, at: node).map { self.over($0) }
        view.isBeforeItems = false
        var strategy = Strategy(kind: kind ?? .fanOut, over: over ?? .constant(.null))
        if let name = fields["as"] { strategy.itemName = itemName(name) }
        strategy.concurrency = strategy.kind == .batch ? 1 : 16
        if let until = fields.member("until") {
            decodeUntil(until, fields, of: place, into: &strategy)
        } else if let node = fields["concurrency"] {
            strategy.concurrency =
                wholeNumber(node, as: "concurrency", in: 1...Self.concurrencyMax) ?? strategy.concurrency
        }
        decodeSize(fields, at: node, into: &strategy)
        return kind == nil || over == nil ? nil : strategy
    }

    private mutating func strategyKind(_ node: Node) -> Strategy.Kind? {
        guard let name = text(node, as: "a type") else { return nil }
        if let kind = Strategy.Kind(rawValue: name) { return kind }
        noteChoice(name, at: node.mark, "a type of strategy", Strategy.Kind.allCases.map(\.rawValue))
        return nil
    }

    /// An expression with or without brackets, or a constant list, map or number.
    private mutating func over(_ node: Node) -> Template {
        if case .string = node.value {
            return bareExpression(node, under: "over").map { .expression($0) } ?? .constant(.null)
        }
        let template = template(node)
        // A null for a node that is not null replaces an expression that was refused already.
        guard let value = template.constant, !value.isNull || node.value.isNull else { return template }
        switch value {
        case .array, .object: break
        case .int(let number) where (0...Int64(Strategy.elementCountMax)).contains(number): break
        case .int(let number):
            note(
                .outOfRange, at: node.mark,
                "over is from 0 to \(Strategy.elementCountMax) items, not \(number)")
        default:
            note(
                .wrongType, at: node.mark, "over is a list, a map or a whole number, not \(node.kindPhrase)",
                hint: "or an expression that gives one of these")
        }
        return template
    }

    private mutating func itemName(_ node: Node) -> String {
        guard let name = text(node, as: "as") else { return "item" }
        if Self.scopeNames.contains(name) || compiler.library[name] != nil {
            note(
                .badIdentifier, at: node.mark, "\(quote(name)) already has a meaning in expressions",
                hint: "choose another name for an item")
        } else if Naming.isLuaKeyword(name) || !Naming.isStepID(name) {
            note(
                .badIdentifier, at: node.mark, "\(quote(name)) is not a name for an item",
                hint: "use at most 64 of a-z, 0-9 and _, starting with a letter, and no word of Lua")
        } else {
            return name
        }
        return "item"
    }

    private mutating func decodeUntil(
        _ until: Node.Member, _ fields: Fields, of place: Place, into strategy: inout Strategy
    ) {
        strategy.concurrency = 1
        if let node = fields["concurrency"] {
            let asked = wholeNumber(node, as: "concurrency", in: 1...Self.concurrencyMax)
            if let asked, asked > 1 {
                note(
                    .outOfRange, at: node.mark, "with `until` one item runs at a time, not \(asked)",
                    hint: "remove `concurrency` or `until`")
            }
        }
        if strategy.kind == .race {
            noteConflict(
                until, with: "type: race", of: "a strategy", hint: "a race ends with its first success")
        }
        let before = owner
        owner = .until(place)
        strategy.until = bareExpression(until.value, under: "until")
        owner = before
    }

    private mutating func decodeSize(_ fields: Fields, at node: Node, into strategy: inout Strategy) {
        guard let size = fields.member("size") else {
            if strategy.kind == .batch {
                note(
                    .missingKey, at: node.mark, "`size` is missing", hint: "say how many elements an item has"
                )
            }
            return
        }
        guard strategy.kind == .batch else {
            return note(
                .keyNotForKind, at: size.nameMark, "only a batch has a `size`",
                hint: "remove it, or write `type: batch`")
        }
        strategy.size = wholeNumber(size.value, as: "size", in: 1...Self.sizeMax) ?? 1
    }
}
