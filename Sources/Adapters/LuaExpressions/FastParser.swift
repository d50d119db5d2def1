import Ports
import Values

/// Parses the part of the language that ``FastExpression`` covers; nil for anything else.
struct FastParser {
    private static let depthMax = 20

    private let tokens: [SourceToken]
    private var position = 0
    private var depth = 0

    static func parse(_ tokens: [SourceToken]) -> FastExpression? {
        // Long expressions are rare; Lua evaluates them.
        guard tokens.count <= 200 else { return nil }
        var parser = FastParser(tokens: tokens)
        guard let expression = parser.alternation(), parser.position == tokens.count else { return nil }
        return expression
    }

    private init(tokens: [SourceToken]) { self.tokens = tokens }

    private var next: SourceToken? { position < tokens.count ? tokens[position] : nil }

    private mutating func takeKeyword(_ word: String) -> Bool {
        guard let next, next.isKeyword(word) else { return false }
        position += 1
        return true
    }

    private mutating func takeSymbol(_ text: String) -> Bool {
        guard let next, next.isSymbol(text) else { return false }
        position += 1
        return true
    }

    private mutating func alternation() -> FastExpression? {
        guard var left = conjunction() else { return nil }
        while takeKeyword("or") {
            guard let right = conjunction() else { return nil }
            left = .or(left, right)
        }
        return left
    }

    private mutating func conjunction() -> FastExpression? {
        guard var left = comparison() else { return nil }
        while takeKeyword("and") {
            guard let right = comparison() else { return nil }
            left = .and(left, right)
        }
        return left
    }

    private static let comparisons: [String: FastExpression.Comparison] = [
        "==": .equal, "~=": .unequal, "!=": .unequal, "<": .less, "<=": .lessOrEqual, ">": .greater,
        ">=": .greaterOrEqual,
    ]

    private mutating func comparison() -> FastExpression? {
        guard var left = unary() else { return nil }
        while let next, next.kind == .symbol, let comparison = Self.comparisons[next.spelling] {
            position += 1
            guard let right = unary() else { return nil }
            left = .compare(comparison, left, right)
        }
        return left
    }

    private mutating func unary() -> FastExpression? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { return nil }
        if takeKeyword("not") { return unary().map { .not($0) } }
        if takeSymbol("(") {
            guard let inner = alternation(), takeSymbol(")") else { return nil }
            // A path or a call may follow a parenthesis; Lua evaluates those.
            if let next, [".", "[", "(", ":"].contains(next.spelling) { return nil }
            return inner
        }
        return primary()
    }

    private mutating func primary() -> FastExpression? {
        guard let token = next else { return nil }
        position += 1
        switch token.kind {
        case .text(let text?): return followedByCall ? nil : .literal(.string(text))
        case .number: return Self.number(token.spelling).map { .literal($0) }
        case .keyword:
            switch token.spelling {
            case "true": return .literal(true)
            case "false": return .literal(false)
            case "nil": return .literal(nil)
            default: return nil
            }
        case .name where token.spelling == "null": return followedByCall ? nil : .literal(nil)
        case .name: return path(from: token.spelling)
        default: return nil
        }
    }

    private var followedByCall: Bool {
        guard let next else { return false }
        if case .text = next.kind { return true }
        return [".", "[", "(", ":", "{"].contains(next.spelling)
    }

    private mutating func path(from root: String) -> FastExpression? {
        guard !SandboxLibrary.names.contains(root) else { return nil }
        var steps: [FastExpression.Step] = []
        while let next, next.kind == .symbol {
            if takeSymbol(".") {
                guard let name = self.next, name.kind == .name else { return nil }
                position += 1
                steps.append(.name(name.spelling))
            } else if takeSymbol("[") {
                guard let step = bracketed() else { return nil }
                steps.append(step)
            } else {
                break
            }
        }
        return followedByCall ? nil : .path(root: root, steps)
    }

    private mutating func bracketed() -> FastExpression.Step? {
        guard let token = next else { return nil }
        position += 1
        guard takeSymbol("]") else { return nil }
        if let text = token.plainText { return .name(text) }
        guard token.kind == .number, case .int(let index)? = Self.number(token.spelling) else { return nil }
        return .index(index)
    }

    /// A plain decimal number; nil for all others, which Lua reads.
    private static func number(_ spelling: String) -> Value? {
        let bytes = Array(spelling.utf8)
        guard bytes.count <= 16, let first = bytes.first, SourceLexer.isDigit(first) else { return nil }
        if bytes.allSatisfy(SourceLexer.isDigit) { return Int64(spelling).map { .int($0) } }
        guard bytes.filter({ $0 == UInt8(ascii: ".") }).count == 1, let last = bytes.last,
            SourceLexer.isDigit(last),
            bytes.allSatisfy({ SourceLexer.isDigit($0) || $0 == UInt8(ascii: ".") })
        else { return nil }
        return Double(spelling).flatMap { Value(double: $0) }
    }
}
