package import Ports
package import Values

/// A value with `<< >>` expressions, compiled once and evaluated in one pass.
///
/// The result of an expression is data and is never read as a template again.
package indirect enum Template: Sendable {
    case constant(Value)
    /// A value that is exactly one expression; it keeps the type of the result.
    case expression(any CompiledExpression)
    /// A text with expressions; each result becomes text.
    case text([Part])
    case list([Template])
    case map([Member])

    package enum Part: Sendable {
        case literal(String)
        case expression(any CompiledExpression)
    }

    package struct Member: Sendable {
        package var name: String
        package var value: Template

        package init(name: String, value: Template) {
            self.name = name
            self.value = value
        }
    }

    /// The value in `scope`; nothing bounds its size.
    package func value(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value {
        switch self {
        case .constant(let value): return value
        case .expression(let expression): return try expression.evaluate(in: scope)
        case .text(let parts):
            return try Self.joined(parts, in: scope)
        case .list(let items):
            var values: [Value] = []
            values.reserveCapacity(items.count)
            for item in items { values.append(try item.value(in: scope)) }
            return .array(values)
        case .map(let members):
            var object = Object()
            for member in members { object.append(member.name, try member.value.value(in: scope)) }
            return .object(object)
        }
    }

    /// The joined text, or the joined bytes if any part is bytes.
    private static func joined(
        _ parts: [Part], in scope: any ExpressionScope
    ) throws(ExpressionFailure) -> Value {
        var text = ""
        // From the first part that is bytes; rare.
        var joined: [UInt8]?
        for part in parts {
            let added: Value
            switch part {
            case .literal(let literal): added = .string(literal)
            case .expression(let expression): added = try expression.evaluate(in: scope)
            }
            if case .bytes(let bytes) = added {
                if joined == nil { joined = Array(text.utf8) }
                joined?.append(contentsOf: bytes)
            } else if joined != nil {
                joined?.append(contentsOf: added.text.utf8)
            } else {
                text += added.text
            }
        }
        return joined.map { Value(bytes: $0) } ?? .string(text)
    }

    /// All its expressions, in file order.
    package var expressions: [any CompiledExpression] {
        switch self {
        case .constant: []
        case .expression(let expression): [expression]
        case .text(let parts):
            parts.compactMap { part in
                if case .expression(let expression) = part { return expression }
                return nil
            }
        case .list(let items): items.flatMap(\.expressions)
        case .map(let members): members.flatMap(\.value.expressions)
        }
    }
}
