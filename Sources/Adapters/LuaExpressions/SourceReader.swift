import Ports

/// Parses a source by Lua's grammar and finds the outer names that it reads and the operators that must be
/// exact.
///
/// This file reads statements and scopes; expressions and exact operators have files of their own. The source is
/// expected to compile. If the reader does not understand it nevertheless, its compilation fails.
struct SourceReader {
    /// The meaning of a local variable.
    enum Local {
        /// Assigned once, from a path of outer names.
        case path(NameRead)
        case unknown
    }

    /// What was found in a source.
    struct Reading {
        var reads: [NameRead] = []
        /// Whether the source is a path and nothing else.
        var isPath = false
        /// The reads, by index, that only give a local variable its meaning.
        var aliases: Set<Int> = []
        var edits = SourceEdits()

        private static let choices: Set<String> = ["or", "and", "if", "for", "while", "repeat", "goto"]

        /// What the value is composed from.
        func composition(_ tokens: [SourceToken]) -> ExpressionComposition {
            var paths: [[String]] = []
            for (index, read) in reads.enumerated() where !aliases.contains(index) {
                let path = [read.root.name] + read.members.map(\.name)
                switch read.use {
                case .read, .method: if path.count > 1, !paths.contains(path) { paths.append(path) }
                case .called, .assigned: break
                }
                guard paths.count < Self.pathCountMax else { break }
            }
            if isPath { return ExpressionComposition(paths: paths, rule: .isPath) }
            let mayChoose = tokens.contains { $0.kind == .keyword && Self.choices.contains($0.spelling) }
            return ExpressionComposition(paths: paths, rule: mayChoose ? .mayChoose : .usesAll)
        }

        /// Further paths of one expression are not looked at.
        private static let pathCountMax = 32
    }

    let tokens: [SourceToken]
    var position = 0
    var depth = 0
    /// The path that the last call was given, if that was all.
    var soleArgument: NameRead?
    var reading = Reading()
    private var isUnderstood = true
    private var scopes: [[String: Local]] = [[:]]
    private let assignedNames: Set<String>

    private init(tokens: [SourceToken]) {
        self.tokens = tokens
        assignedNames = Self.assignedNames(in: tokens)
    }

    /// The names a source reads, and the edits that make its operators exact; nil if it is not understood.
    static func read(_ tokens: [SourceToken], isExpression: Bool) -> Reading? {
        var reader = SourceReader(tokens: tokens)
        if isExpression {
            reader.reading.isPath = reader.expression()?.path != nil
        } else {
            reader.block()
        }
        return reader.isUnderstood && reader.position == tokens.count ? reader.reading : nil
    }

    /// Variables that are assigned after their declaration, so that their meaning may change.
    private static func assignedNames(in tokens: [SourceToken]) -> Set<String> {
        var names: Set<String> = []
        for (index, token) in tokens.enumerated() where token.kind == .name {
            let isSet = tokens.after(index).map { $0.isSymbol("=") || $0.isSymbol(",") } ?? false
            if isSet, !(tokens.before(index)?.isKeyword("local") ?? false) {
                names.insert(token.spelling)
            }
        }
        return names
    }

    // MARK: - Tokens

    var next: SourceToken? { position < tokens.count ? tokens[position] : nil }

    func isNext(_ symbol: String) -> Bool { next?.isSymbol(symbol) ?? false }

    mutating func take(_ symbol: String) -> Bool {
        guard isNext(symbol) else { return false }
        position += 1
        return true
    }

    mutating func takeKeyword(_ word: String) -> Bool {
        guard let next, next.isKeyword(word) else { return false }
        position += 1
        return true
    }

    /// The next name; nil, with the source marked as not understood, if there is none.
    mutating func takeName() -> NameRead.Part? {
        guard let next, next.kind == .name else {
            giveUp()
            return nil
        }
        position += 1
        return NameRead.Part(name: next.spelling, offset: next.range.lowerBound)
    }

    mutating func expect(_ symbol: String) { if !take(symbol) { giveUp() } }

    private mutating func expectKeyword(_ word: String) { if !takeKeyword(word) { giveUp() } }

    /// Marks the source as not understood by this reader.
    mutating func giveUp() { isUnderstood = false }

    // MARK: - Scopes

    private mutating func inScope(_ body: (inout Self) -> Void) {
        scopes.append([:])
        body(&self)
        scopes.removeLast()
    }

    private mutating func declare(_ name: String, _ local: Local = .unknown) {
        scopes[scopes.count - 1][name] = local
    }

    func local(_ name: String) -> Local? {
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
            if position == before { return giveUp() }
        }
    }

    private mutating func statement(_ token: SourceToken) {
        guard token.kind == .keyword else {
            if take(";") { return }
            return take("::") ? label() : assignmentOrCall()
        }
        switch token.spelling {
        case "local": localDeclaration()
        case "if": conditional()
        case "for": loop()
        case "while":
            position += 1
            expression()
            scopedBlock()
        case "do": scopedBlock()
        case "repeat": repetition()
        case "function": namedFunction()
        case "return": result()
        case "break": position += 1
        case "goto":
            position += 1
            _ = takeName()
        default: giveUp()
        }
    }

    private mutating func label() {
        _ = takeName()
        expect("::")
    }

    private mutating func scopedBlock() {
        expectKeyword("do")
        inScope { $0.block() }
        expectKeyword("end")
    }

    private mutating func repetition() {
        position += 1
        inScope {
            $0.block()
            $0.expectKeyword("until")
            $0.expression()
        }
    }

    private mutating func conditional() {
        repeat {
            position += 1
            expression()
            expectKeyword("then")
            inScope { $0.block() }
        } while next?.isKeyword("elseif") ?? false
        if takeKeyword("else") { inScope { $0.block() } }
        expectKeyword("end")
    }

    private mutating func loop() {
        position += 1
        let names = self.names()
        var items: NameRead?
        if take("=") {
            bounds()
        } else {
            expectKeyword("in")
            let isOverItems = next.map { ["ipairs", "pairs"].contains($0.spelling) } ?? false
            let isCall = tokens.after(position)?.isSymbol("(") ?? false
            soleArgument = nil
            expressions()
            if isOverItems, isCall { items = soleArgument }
        }
        expectKeyword("do")
        inScope {
            for name in names { $0.declare(name.name) }
            if let item = names.last, names.count == 2, var path = items,
                !$0.assignedNames.contains(item.name)
            {
                path.append(NameRead.Part(name: "", offset: item.offset, isComputed: true))
                $0.declare(item.name, .path(path))
            }
            $0.block()
        }
        expectKeyword("end")
    }

    /// Names between commas, each with the attribute that a local variable may have.
    private mutating func names() -> [NameRead.Part] {
        var names: [NameRead.Part] = []
        repeat {
            if let name = takeName() { names.append(name) }
            if take("<") {
                _ = takeName()
                expect(">")
            }
        } while take(",")
        return names
    }

    private mutating func result() {
        position += 1
        if let next, !next.isSymbol(";"),
            next.kind != .keyword || !Self.blockEnds.contains(next.spelling)
        {
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
        let names = self.names()
        let paths = take("=") ? expressions() : []
        for (index, name) in names.enumerated() {
            guard names.count == 1, paths.count == 1, let path = paths[index],
                !assignedNames.contains(name.name)
            else {
                declare(name.name)
                continue
            }
            declare(name.name, .path(path))
            if !reading.reads.isEmpty { reading.aliases.insert(reading.reads.count - 1) }
        }
    }

    private mutating func namedFunction() {
        position += 1
        guard let name = takeName() else { return }
        note(NameRead(root: name, use: isNext("(") ? .assigned : .read))
        var hasSelf = false
        while !hasSelf, isNext(".") || isNext(":") {
            hasSelf = isNext(":")
            position += 1
            _ = takeName()
        }
        inScope {
            if hasSelf { $0.declare("self") }
            $0.functionBody()
        }
    }

    mutating func functionBody() {
        expect("(")
        inScope {
            if !$0.take(")") {
                repeat {
                    if $0.take("...") { break }
                    if let name = $0.takeName() { $0.declare(name.name) }
                } while $0.take(",")
                $0.expect(")")
            }
            $0.block()
        }
        expectKeyword("end")
    }

    private mutating func assignmentOrCall() {
        suffixed(mayBeAssigned: true)
        while take(",") { suffixed(mayBeAssigned: true) }
        if take("=") { expressions() }
    }

    mutating func note(_ read: NameRead) { reading.reads.append(read) }
}
