import Ports

/// Parses a source by Lua's grammar and finds the outer names that it reads and the operators that must be
/// exact.
///
/// The source is expected to compile, so an unknown form only ends the search.
struct SourceReader {
    /// The meaning of a local variable.
    private enum Local {
        /// Assigned once, from a path of outer names.
        case path(NameRead)
        case unknown
    }

    private let tokens: [SourceToken]
    private var position = 0
    private var depth = 0
    private var scopes: [[String: Local]] = [[:]]
    private var reads: [NameRead] = []
    private var edits = SourceEdits()
    private let assignedNames: Set<String>

    private init(tokens: [SourceToken]) {
        self.tokens = tokens
        assignedNames = Self.assignedNames(in: tokens)
    }

    /// The names a source reads, and the edits that make its operators exact; both empty if it is not
    /// understood.
    static func read(_ tokens: [SourceToken]) -> (reads: [NameRead], edits: SourceEdits) {
        var expression = SourceReader(tokens: tokens)
        expression.expression()
        if expression.position == tokens.count { return (expression.reads, expression.edits) }
        var chunk = SourceReader(tokens: tokens)
        chunk.block()
        return chunk.position == tokens.count ? (chunk.reads, chunk.edits) : ([], SourceEdits())
    }

    /// Variables that are assigned after their declaration, so that their meaning may change.
    private static func assignedNames(in tokens: [SourceToken]) -> Set<String> {
        var names: Set<String> = []
        for (index, token) in tokens.enumerated() where token.kind == .name {
            let isSet = tokens.after(index).map { $0.isSymbol("=") || $0.isSymbol(",") } ?? false
            if isSet, !(tokens.before(index)?.isKeyword("local") ?? false) { names.insert(token.spelling) }
        }
        return names
    }

    // MARK: - Tokens

    private var next: SourceToken? { position < tokens.count ? tokens[position] : nil }

    private func isNext(_ symbol: String) -> Bool { next?.isSymbol(symbol) ?? false }

    private mutating func take(_ symbol: String) -> Bool {
        guard isNext(symbol) else { return false }
        position += 1
        return true
    }

    private mutating func takeKeyword(_ word: String) -> Bool {
        guard let next, next.isKeyword(word) else { return false }
        position += 1
        return true
    }

    private mutating func takeName() -> NameRead.Part? {
        guard let next, next.kind == .name else { return nil }
        position += 1
        return NameRead.Part(name: next.spelling, offset: next.range.lowerBound)
    }

    private mutating func inScope(_ body: (inout Self) -> Void) {
        scopes.append([:])
        body(&self)
        scopes.removeLast()
    }

    private mutating func declare(_ name: String, _ local: Local = .unknown) {
        scopes[scopes.count - 1][name] = local
    }

    private func local(_ name: String) -> Local? {
        for scope in scopes.reversed() { if let local = scope[name] { return local } }
        return nil
    }

    // MARK: - Statements

    private static let blockEnds: Set<String> = ["end", "else", "elseif", "until"]

    private mutating func block() {
        while let token = next {
            if token.kind == .keyword, Self.blockEnds.contains(token.spelling) { return }
            let before = position
            statement(token)
            if position == before { return }
        }
    }

    private mutating func statement(_ token: SourceToken) {
        guard token.kind == .keyword else {
            if take(";") { return }
            if take("::") {
                position += 1
                _ = take("::")
                return
            }
            return assignmentOrCall()
        }
        switch token.spelling {
        case "local": localDeclaration()
        case "if": conditional()
        case "for": loop()
        case "while":
            position += 1
            expression()
            scopedBlock(after: "do")
        case "do": scopedBlock(after: "do")
        case "repeat": repetition()
        case "function": namedFunction()
        case "return": result()
        case "break": position += 1
        case "goto": position += 2
        default: break
        }
    }

    private mutating func scopedBlock(after word: String) {
        _ = takeKeyword(word)
        inScope { $0.block() }
        _ = takeKeyword("end")
    }

    private mutating func repetition() {
        position += 1
        inScope {
            $0.block()
            if $0.takeKeyword("until") { $0.expression() }
        }
    }

    private mutating func conditional() {
        repeat {
            position += 1
            expression()
            _ = takeKeyword("then")
            inScope { $0.block() }
        } while next?.isKeyword("elseif") ?? false
        if takeKeyword("else") { inScope { $0.block() } }
        _ = takeKeyword("end")
    }

    private mutating func loop() {
        position += 1
        var names: [NameRead.Part] = []
        repeat { if let name = takeName() { names.append(name) } } while take(",")
        if take("=") {
            bounds()
        } else {
            _ = takeKeyword("in")
            expressions()
        }
        _ = takeKeyword("do")
        inScope {
            for name in names { $0.declare(name.name) }
            $0.block()
        }
        _ = takeKeyword("end")
    }

    /// Reads the bounds of a numeric `for`, which accepts only Lua's own numbers.
    private mutating func bounds() {
        repeat {
            guard let bound = expression() else { return }
            if bound.first == bound.last, tokens[bound.first].kind == .number { continue }
            edits.use(ExactOperators.bound)
            edits.open(bound.first, with: "\(ExactOperators.bound)(")
            edits.close(bound.last, with: ")")
        } while take(",")
    }

    private mutating func result() {
        position += 1
        if let next, !next.isSymbol(";"), next.kind != .keyword || !Self.blockEnds.contains(next.spelling) {
            expressions()
        }
        _ = take(";")
    }

    private mutating func localDeclaration() {
        position += 1
        if takeKeyword("function") {
            if let name = takeName() { declare(name.name) }
            return functionBody()
        }
        var names: [NameRead.Part] = []
        repeat {
            if let name = takeName() { names.append(name) }
            if take("<") {
                position += 1
                _ = take(">")
            }
        } while take(",")
        let paths = take("=") ? expressions() : []
        for (index, name) in names.enumerated() {
            guard names.count == 1, paths.count == 1, let path = paths[index],
                !assignedNames.contains(name.name)
            else {
                declare(name.name)
                continue
            }
            declare(name.name, .path(path))
        }
    }

    private mutating func namedFunction() {
        position += 1
        guard let name = takeName() else { return }
        note(NameRead(root: name, use: isNext("(") ? .assigned : .read))
        var hasSelf = false
        while isNext(".") || isNext(":") {
            hasSelf = isNext(":")
            position += 2
        }
        inScope {
            if hasSelf { $0.declare("self") }
            $0.functionBody()
        }
    }

    private mutating func functionBody() {
        guard take("(") else { return }
        inScope {
            while let token = $0.next, !token.isSymbol(")") {
                if let name = $0.takeName() { $0.declare(name.name) } else { $0.position += 1 }
            }
            _ = $0.take(")")
            $0.block()
        }
        _ = takeKeyword("end")
    }

    private mutating func assignmentOrCall() {
        suffixed(mayBeAssigned: true)
        while take(",") { suffixed(mayBeAssigned: true) }
        if take("=") { expressions() }
    }

    // MARK: - Expressions

    /// Reads a list of expressions and returns the path of each one that is a path and nothing else.
    @discardableResult
    private mutating func expressions() -> [NameRead?] {
        var paths = [expression()?.path]
        while take(",") { paths.append(expression()?.path) }
        return paths
    }

    /// The tokens of one operand.
    private struct Span {
        var first: Int
        var last: Int
        /// Set if the operand is a path and nothing else.
        var path: NameRead?
    }

    /// The binary operators, loosest first; unary operators and `^` bind tighter.
    private static let levels: [Set<String>] = [
        ["or"], ["and"], ["<", ">", "<=", ">=", "~=", "!=", "==", "in"], ["|"], ["~"], ["&"], ["<<", ">>"],
        [".."], ["+", "-"], ["*", "/", "//", "%"],
    ]

    @discardableResult
    private mutating func expression(_ level: Int = 0) -> Span? {
        guard level < Self.levels.count else { return unary() }
        depth += 1
        defer { depth -= 1 }
        guard depth < 2000, let first = expression(level + 1) else { return nil }
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
        return Span(first: first.first, last: operands[operators.count].last)
    }

    /// Whether a token is a binary operator; `in` is one only before a list (`x in [a, b]`), unlike that of a
    /// loop.
    private func isOperator(_ token: SourceToken) -> Bool {
        guard token.kind == .keyword else { return token.kind == .symbol }
        return token.spelling != "in" || tokens.after(position)?.isSymbol("[") ?? false
    }

    private mutating func unary() -> Span? {
        guard let token = next else { return nil }
        guard token.isKeyword("not") || ["-", "#", "~"].contains(where: token.isSymbol) else {
            return power()
        }
        let start = position
        position += 1
        guard let operand = unary() else { return nil }
        if token.isSymbol("-") { makeExactNegation(start, operand) }
        return Span(first: start, last: operand.last)
    }

    private mutating func power() -> Span? {
        let start = position
        let path = operand()
        guard position > start else { return nil }
        guard take("^") else { return Span(first: start, last: position - 1, path: path) }
        return unary().map { Span(first: start, last: $0.last) }
    }

    private mutating func operand() -> NameRead? {
        guard let token = next else { return nil }
        switch token.kind {
        case .number:
            if ExactOperators.needsExactText(token.spelling) {
                edits.use(ExactOperators.literal)
                edits.replace(position, by: ExactOperators.numeral(token.spelling))
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
            _ = take("]")
        case .symbol where token.spelling == "...": position += 1
        case .symbol, .name: return suffixed(mayBeAssigned: false)
        }
        return nil
    }

    // MARK: - Exact operators

    private mutating func makeExact(_ operators: [Int], _ operands: [Span]) {
        let words = operators.map { tokens[$0].spelling }
        switch words[0] {
        case "..": call(ExactOperators.join, operators, operands)
        case "+", "-", "*", "/", "//", "%": makeExactArithmetic(words, operators, operands)
        case "==", "~=", "!=", "<", ">", "<=", ">=", "in":
            for (index, word) in words.enumerated() {
                guard let function = ExactOperators.comparisons[word] else { continue }
                let right = operands[index + 1]
                // No number equals a text, null or boolean, so Lua's own operator is right and faster.
                if isPlain(operands[index]) || isPlain(right) { continue }
                call(function, [operators[index]], [Span(first: operands[0].first, last: right.last), right])
            }
        default: break
        }
    }

    private mutating func makeExactArithmetic(_ words: [String], _ operators: [Int], _ operands: [Span]) {
        if words.count == 1 {
            // A quotient is a float, and so is its remainder: neither overflows 64 bits.
            guard let function = ExactOperators.arithmetic[words[0]] else { return }
            return call(function, operators, operands)
        }
        guard words.contains(where: { ExactOperators.arithmetic[$0] != nil }) else { return }
        // Lua allows about 200 arguments in a call.
        for start in stride(from: 0, to: words.count, by: 100) {
            let end = min(start + 100, words.count)
            let letters = words[start..<end].map { $0 == "//" ? "\\\\" : $0 }.joined()
            call(
                ExactOperators.chain, Array(operators[start..<end]),
                [operands[0]] + operands[(start + 1)...end], "'\(letters)', ")
        }
    }

    private mutating func makeExactNegation(_ sign: Int, _ operand: Span) {
        guard operand.first == operand.last, tokens[operand.first].kind == .number else {
            edits.use(ExactOperators.negation)
            edits.replace(sign, by: "\(ExactOperators.negation)(")
            return edits.close(operand.last, with: ")")
        }
        let number = tokens[operand.first].spelling
        guard ExactOperators.needsExactText(number) else { return }
        edits.use(ExactOperators.literal)
        edits.replace(sign, by: " ")
        edits.replace(operand.first, by: ExactOperators.numeral("-" + number))
    }

    /// Rewrites `a op b` as `function(a , b)`.
    private mutating func call(
        _ function: String, _ operators: [Int], _ operands: [Span], _ argument: String = ""
    ) {
        guard let first = operands.first, let last = operands.last else { return }
        for index in operators { edits.replace(index, by: ",") }
        // The parentheses truncate a call with several results to the first one.
        edits.open(last.first, with: "(")
        edits.close(last.last, with: ")")
        edits.use(function)
        edits.open(first.first, with: "\(function)(\(argument)")
        edits.close(last.last, with: ")")
    }

    private func isPlain(_ span: Span) -> Bool {
        guard span.first == span.last else { return false }
        let token = tokens[span.first]
        if case .text = token.kind { return true }
        return token.isName("null") || ["nil", "true", "false"].contains(where: token.isKeyword)
    }

    private mutating func table() {
        guard take("{") else { return }
        while let token = next, !token.isSymbol("}") {
            let before = position
            if take("[") {
                expression()
                _ = take("]")
                if take("=") { expression() }
            } else if token.kind == .name, tokens.after(position)?.isSymbol("=") ?? false {
                position += 2
                expression()
            } else {
                expression()
            }
            if !take(",") { _ = take(";") }
            if position == before { return }
        }
        _ = take("}")
    }

    /// Reads a name or parenthesis with its suffixes; returns the path if it is nothing else.
    @discardableResult
    private mutating func suffixed(mayBeAssigned: Bool) -> NameRead? {
        var path: NameRead?
        if take("(") {
            expression()
            _ = take(")")
        } else {
            let followsBar = tokens.before(position)?.isSymbol("|") ?? false
            guard let name = takeName() else { return nil }
            path = start(at: name, followsBar: followsBar)
        }
        while let token = next {
            if take(".") {
                guard let name = takeName() else { return nil }
                path?.members.append(name)
            } else if isNext("[") {
                bracket(&path)
            } else if take(":") {
                guard let name = takeName() else { return nil }
                end(&path, .method(name))
                arguments()
            } else if token.isSymbol("(") || token.isSymbol("{") || token.plainTextOrEscaped {
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

    private mutating func bracket(_ path: inout NameRead?) {
        position += 1
        if let token = next, let name = token.plainText, tokens.after(position)?.isSymbol("]") ?? false {
            path?.members.append(NameRead.Part(name: name, offset: token.range.lowerBound))
            position += 2
            return
        }
        end(&path, .read)
        expression()
        _ = take("]")
    }

    private mutating func arguments() {
        if take("(") {
            if !isNext(")") { expressions() }
            _ = take(")")
        } else if isNext("{") {
            table()
        } else {
            position += 1
        }
    }

    private mutating func end(_ path: inout NameRead?, _ use: NameRead.Use) {
        guard var read = path else { return }
        read.use = use
        note(read)
        path = nil
    }

    private mutating func note(_ read: NameRead) { reads.append(read) }
}

extension SourceToken {
    /// Whether this is a quoted text, with or without escapes.
    fileprivate var plainTextOrEscaped: Bool {
        if case .text = kind { return true }
        return false
    }
}
