import Ports

// Expressions, and the paths that they read.
extension SourceReader {
    /// Reads a list of expressions and returns the path of each one that is a path and nothing else.
    @discardableResult
    mutating func expressions() -> [NameRead?] {
        var paths = [expression()?.value]
        while take(",") { paths.append(expression()?.value) }
        return paths
    }

    /// Deepest nesting of operators; Lua's own limit is reached earlier.
    private static let depthMax = 2000

    /// The tokens of one operand.
    struct Span {
        var first: Int
        var last: Int
        /// Set if the operand is a path and nothing else.
        var path: NameRead?
        /// Set if the value has the members of a path, as that of `path or {}` has.
        var alias: NameRead?

        var value: NameRead? { path ?? alias }
    }

    /// The binary operators, loosest first; unary operators and `^` bind tighter.
    private static let levels: [Set<String>] = [
        ["or"], ["and"], ["<", ">", "<=", ">=", "~=", "!=", "==", "in"], ["|"], ["~"], ["&"],
        ["<<", ">>"],
        [".."], ["+", "-"], ["*", "/", "//", "%"],
    ]

    @discardableResult
    mutating func expression(_ level: Int = 0) -> Span? {
        guard level < Self.levels.count else { return unary() }
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.depthMax else {
            giveUp()
            return nil
        }
        guard let first = expression(level + 1) else { return nil }
        var operands = [first]
        var operators: [Int] = []
        while let next, Self.levels[level].contains(next.spelling), isOperator(next) {
            operators.append(position)
            position += 1
            guard let operand = expression(level + 1) else { return nil }
            operands.append(operand)
        }
        guard !operators.isEmpty else { return first }
        makeExact(operators, operands)
        var span = Span(first: first.first, last: operands[operators.count].last)
        if level == 0, operands.dropFirst().allSatisfy(isEmptyTable) { span.alias = first.value }
        return span
    }

    private func isEmptyTable(_ span: Span) -> Bool {
        span.last == span.first + 1 && tokens[span.first].isSymbol("{") && tokens[span.last].isSymbol("}")
    }

    /// Whether a token is a binary operator; `in` is one only before a list (`x in [a, b]`), unlike that of a
    /// loop.
    private func isOperator(_ token: SourceToken) -> Bool {
        guard token.kind == .keyword else { return token.kind == .symbol }
        return token.spelling != "in" || tokens.after(position)?.isSymbol("[") ?? false
    }

    mutating func unary() -> Span? {
        guard let token = next else {
            giveUp()
            return nil
        }
        guard token.isKeyword("not") || ["-", "#", "~"].contains(where: token.isSymbol) else {
            return power()
        }
        let start = position
        position += 1
        guard let operand = unary() else { return nil }
        if token.isSymbol("-") { makeExactNegation(start, operand) }
        return Span(first: start, last: operand.last)
    }

    mutating func power() -> Span? {
        let start = position
        let path = operand()
        guard position > start else {
            giveUp()
            return nil
        }
        let base = Span(first: start, last: position - 1, path: path)
        guard take("^") else { return base }
        let sign = position - 1
        guard let exponent = unary() else { return nil }
        call(ExactOperators.power, [sign], [base, exponent])
        return Span(first: start, last: exponent.last)
    }

    mutating func operand() -> NameRead? {
        guard let token = next else { return nil }
        switch token.kind {
        case .number:
            if ExactOperators.needsExactText(token.spelling) {
                reading.edits.use(ExactOperators.literal)
                reading.edits.replace(position, by: ExactOperators.numeral(token.spelling))
            }
            position += 1
        case .text:
            position += 1
        case .keyword:
            if takeKeyword("function") {
                functionBody()
            } else if ["nil", "true", "false"].contains(token.spelling) {
                position += 1
            }
        case .symbol where token.spelling == "{": table()
        case .symbol where token.spelling == "[":
            // The list in `x in [a, b]`.
            position += 1
            if !isNext("]") { expressions() }
            expect("]")
        case .symbol where token.spelling == "...": position += 1
        case .symbol, .name: return suffixed(mayBeAssigned: false)
        }
        return nil
    }

    mutating func table() {
        guard take("{") else { return giveUp() }
        while let token = next, !token.isSymbol("}") {
            let before = position
            if take("[") {
                expression()
                expect("]")
                expect("=")
                expression()
            } else if token.kind == .name, tokens.after(position)?.isSymbol("=") ?? false {
                position += 2
                expression()
            } else {
                expression()
            }
            if !take(","), !take(";"), !isNext("}") { return giveUp() }
            if position == before { return giveUp() }
        }
        expect("}")
    }

    /// Reads a name or parenthesis with its suffixes; returns the path if it is nothing else.
    @discardableResult
    mutating func suffixed(mayBeAssigned: Bool) -> NameRead? {
        var path: NameRead?
        if take("(") {
            path = expression()?.value
            expect(")")
            // A path in brackets was noted already.
            if isSuffixOver { return path }
        } else {
            let followsBar = tokens.before(position)?.isSymbol("|") ?? false
            let minuend = pathBeforeMinus
            guard let name = takeName() else { return nil }
            path = start(at: name, followsBar: followsBar)
            if path?.members.isEmpty ?? false { path?.minuend = minuend }
        }
        while let token = next {
            if take(".") {
                guard let name = takeName() else { return nil }
                path?.append(name)
            } else if isNext("[") {
                bracket(&path)
            } else if take(":") {
                guard let name = takeName() else { return nil }
                end(&path, .method(name))
                arguments()
            } else if token.isSymbol("(") || token.isSymbol("{") || token.isText {
                end(&path, .called)
                arguments()
            } else {
                break
            }
        }
        let isAssigned = mayBeAssigned && (isNext("=") || isNext(","))
        let found = path
        end(&path, isAssigned ? .assigned : .read)
        return found
    }

    /// The path that a name starts; nil for a local variable of unknown content.
    private func start(at name: NameRead.Part, followsBar: Bool) -> NameRead? {
        switch local(name.name) {
        case .path(let path): return path
        case .unknown: return nil
        case nil: return name.name == "null" ? nil : NameRead(root: name, followsBar: followsBar)
        }
    }

    /// Whether no member and no call follows.
    private var isSuffixOver: Bool {
        guard let next else { return true }
        return !next.isText && ![".", "[", ":", "(", "{"].contains(where: next.isSymbol)
    }

    /// The path before a `-` that touches it and the next name; empty if there is none.
    private var pathBeforeMinus: [String] {
        guard position >= 3, tokens[position - 1].isSymbol("-"), let next, next.kind == .name,
            tokens[position - 1].range.upperBound == next.range.lowerBound,
            tokens[position - 2].range.upperBound == tokens[position - 1].range.lowerBound
        else { return [] }
        var names: [String] = []
        var index = position - 2
        while index >= 0, tokens[index].kind == .name {
            names.append(tokens[index].spelling)
            guard index >= 2, tokens[index - 1].isSymbol(".") else { break }
            index -= 2
        }
        return names.count > 1 ? names.reversed() : []
    }

    mutating func bracket(_ path: inout NameRead?) {
        position += 1
        if let token = next, let name = token.plainText, tokens.after(position)?.isSymbol("]") ?? false {
            path?.append(NameRead.Part(name: name, offset: token.range.lowerBound))
            position += 2
            return
        }
        let offset = next?.range.lowerBound ?? 0
        expression()
        expect("]")
        path?.append(NameRead.Part(name: "", offset: offset, isComputed: true))
    }

    mutating func arguments() {
        soleArgument = nil
        if take("(") {
            let paths = isNext(")") ? [] : expressions()
            soleArgument = paths.count == 1 ? paths[0] : nil
            expect(")")
        } else if isNext("{") {
            table()
        } else if next?.isText ?? false {
            position += 1
        } else {
            giveUp()
        }
    }

    mutating func end(_ path: inout NameRead?, _ use: NameRead.Use) {
        guard var read = path else { return }
        read.use = use
        note(read)
        path = nil
    }

}

extension SourceToken {
    /// Whether this is a quoted text, with or without escapes.
    fileprivate var isText: Bool {
        if case .text = kind { return true }
        return false
    }
}
