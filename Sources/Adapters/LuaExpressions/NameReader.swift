import Ports

/// Finds the names that a source reads from outside itself, by Lua's own rules of scope.
///
/// The source is known to compile, so a form that is not understood only ends the search.
struct NameReader {
    /// What a local variable stands for.
    private enum Local {
        /// Set once, to a path from the outside.
        case path(NameRead)
        case unknown
    }

    private let tokens: [SourceToken]
    private var position = 0
    private var depth = 0
    private var scopes: [[String: Local]] = [[:]]
    private var reads: [NameRead] = []
    private let assignedNames: Set<String>

    private init(tokens: [SourceToken]) {
        self.tokens = tokens
        assignedNames = Self.assignedNames(in: tokens)
    }

    static func reads(in tokens: [SourceToken]) -> [NameRead] {
        var expression = NameReader(tokens: tokens)
        expression.expression()
        if expression.position == tokens.count { return expression.reads }
        var chunk = NameReader(tokens: tokens)
        chunk.block()
        return chunk.position == tokens.count ? chunk.reads : []
    }

    /// Variables that are set after their declaration: what they stand for may change.
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
        if !take("=") { _ = takeKeyword("in") }
        expressions()
        _ = takeKeyword("do")
        inScope {
            for name in names { $0.declare(name.name) }
            $0.block()
        }
        _ = takeKeyword("end")
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

    private static let operators: Set<String> = [
        "+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "!=", "<", "<=", ">", ">=", "&", "|", "~",
        "<<", ">>",
    ]

    /// The path of each expression that is nothing else.
    @discardableResult
    private mutating func expressions() -> [NameRead?] {
        var paths = [expression()]
        while take(",") { paths.append(expression()) }
        return paths
    }

    @discardableResult
    private mutating func expression() -> NameRead? {
        depth += 1
        defer { depth -= 1 }
        guard depth < 200 else { return nil }
        var isPath = true
        var path: NameRead?
        while true {
            while takeKeyword("not") || take("-") || take("#") || take("~") { isPath = false }
            path = operand()
            guard takeOperator() else { break }
            isPath = false
        }
        return isPath ? path : nil
    }

    private mutating func takeOperator() -> Bool {
        guard let next else { return false }
        let isOperator =
            next.kind == .symbol
            ? Self.operators.contains(next.spelling)
            : next.isKeyword("and") || next.isKeyword("or") || isMembership
        if isOperator { position += 1 }
        return isOperator
    }

    /// `x in [a, b]`; the `in` of a loop is followed by something else.
    private var isMembership: Bool {
        (next?.isKeyword("in") ?? false) && (tokens.after(position)?.isSymbol("[") ?? false)
    }

    private mutating func operand() -> NameRead? {
        guard let token = next else { return nil }
        switch token.kind {
        case .number, .text:
            position += 1
        case .keyword:
            if takeKeyword("function") {
                functionBody()
            } else if ["nil", "true", "false"].contains(token.spelling) {
                position += 1
            }
        case .symbol where token.spelling == "{": table()
        case .symbol where token.spelling == "[":
            // The list of `x in [a, b]`.
            position += 1
            if !isNext("]") { expressions() }
            _ = take("]")
        case .symbol where token.spelling == "...": position += 1
        case .symbol, .name: return suffixed(mayBeAssigned: false)
        }
        return nil
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

    /// A name or a parenthesis and what follows it; the path, where it is nothing else.
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

    /// The path that a name begins; nil for a local variable that may hold anything.
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
    /// Whether this is a quoted text, with escapes or without.
    fileprivate var plainTextOrEscaped: Bool {
        if case .text = kind { return true }
        return false
    }
}
