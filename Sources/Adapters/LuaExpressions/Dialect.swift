import Ports

/// Translates the dialect's additions to Lua (`!=`, `null`, `x in [a, b]`) into plain Lua.
///
/// Only tokens change and line breaks stay, so that an error reports the author's line.
struct Dialect {
    /// The function that `in` is translated to; a source may not use this name.
    static let membershipFunction = "__in"

    let source: String
    let tokens: [SourceToken]

    init(_ source: String, limits: LuaLimits) throws(ExpressionProblem) {
        guard source.utf8.count <= limits.sourceBytesMax else {
            throw ExpressionProblem(
                line: 1, message: "the expression is longer than \(limits.sourceBytesMax) bytes")
        }
        self.source = source
        tokens = try SourceLexer.tokens(of: source)
        if tokens.isEmpty { throw ExpressionProblem(line: 1, message: "the expression is empty") }
        try Self.refuseForeignWords(tokens)
        try Self.checkNesting(tokens, depthMax: limits.sourceDepthMax)
    }

    /// The source as Lua runs it: an expression yields its value, a chunk what it returns.
    static func chunk(_ source: String, _ isExpression: Bool) -> String {
        isExpression ? "return (\(source)\n)" : source
    }

    /// The source as plain Lua, with further edits applied.
    func plainLua(with edits: SourceEdits = SourceEdits()) throws(ExpressionProblem) -> String {
        var replacements: [Int: String] = [:]
        for (index, token) in tokens.enumerated() {
            if token.isSymbol("!=") { replacements[index] = "~=" }
            if token.isName("null"), !isMemberName(index) { replacements[index] = "nil" }
            if token.isKeyword("in"), tokens.after(index)?.isSymbol("[") ?? false {
                try refuseNegatedMembership(index)
                replacements[index] = "<"
                replacements[index + 1] = "\(Self.membershipFunction)("
                if let end = closing(of: index + 1) { replacements[end] = ")" }
            }
        }
        let all = edits.merged(with: replacements)
        return all.isEmpty ? source : all.applied(to: source, tokens)
    }

    /// Whether a name is a member (`json.null`, `{null = 1}`) and no value.
    private func isMemberName(_ index: Int) -> Bool {
        if let before = tokens.before(index), before.isSymbol(".") || before.isSymbol(":") { return true }
        return tokens.after(index)?.isSymbol("=") ?? false
    }

    private func closing(of open: Int) -> Int? {
        var depth = 0
        for index in open..<tokens.count {
            if tokens[index].isSymbol("[") { depth += 1 }
            if tokens[index].isSymbol("]") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }

    // MARK: - Refusals

    private static let hints: [String: String] = [
        "&&": "write and", "||": "write or", "!": "write not, or != to compare", "?": "write a and b or c",
    ]

    private static func refuseForeignWords(_ tokens: [SourceToken]) throws(ExpressionProblem) {
        for token in tokens {
            if token.kind == .symbol, let hint = hints[token.spelling] {
                throw ExpressionProblem(
                    line: token.line, message: "unexpected '\(token.spelling)'", hint: hint)
            }
            if token.kind == .name,
                token.spelling == "_ENV" || token.spelling == membershipFunction
                    || token.spelling.hasPrefix(ExactOperators.prefix)
            {
                throw ExpressionProblem(
                    line: token.line, message: "the name '\(token.spelling)' cannot be used")
            }
        }
    }

    private static let partner = [")": "(", "]": "[", "}": "{"]

    private static func checkNesting(_ tokens: [SourceToken], depthMax: Int) throws(ExpressionProblem) {
        var open: [SourceToken] = []
        for token in tokens where token.kind == .symbol {
            switch token.spelling {
            case "(", "[", "{":
                open.append(token)
                if open.count > depthMax {
                    throw ExpressionProblem(
                        line: token.line, message: "nested deeper than \(depthMax) levels")
                }
            case ")", "]", "}":
                guard let last = open.popLast(), last.spelling == partner[token.spelling] else {
                    throw ExpressionProblem(line: token.line, message: "'\(token.spelling)' closes nothing")
                }
            default: break
            }
        }
        if let last = open.last {
            throw ExpressionProblem(line: last.line, message: "'\(last.spelling)' is not closed")
        }
    }

    /// Refuses `not x in [a]`, which would mean `(not x) in [a]`.
    private func refuseNegatedMembership(_ index: Int) throws(ExpressionProblem) {
        var place = index - 1
        var depth = 0
        while place >= 0 {
            let token = tokens[place]
            if token.kind == .symbol, [")", "]", "}"].contains(token.spelling) { depth += 1 }
            if token.kind == .symbol, ["(", "[", "{"].contains(token.spelling) { depth -= 1 }
            if depth < 0 { return }
            if depth == 0, token.isKeyword("not") {
                throw ExpressionProblem(
                    line: token.line, message: "'not' before 'in' would negate the left side only",
                    hint: "write not (x in [...])")
            }
            let belongs =
                depth > 0 || token.kind == .name || token.isSymbol(".") || token.isSymbol(":")
                || [")", "]", "}", "(", "[", "{"].contains(token.spelling) || token.plainText != nil
                || token.kind == .number
            if !belongs { return }
            place -= 1
        }
    }
}

// MARK: - Names the source mentions

extension Dialect {
    /// The names read as `root.name` or `root['name']`, each once and in order.
    ///
    /// Contains `*` if the root is used in any other way, because then any member may be read.
    func members(of root: String) -> [String] {
        var names: [String] = []
        for (index, token) in tokens.enumerated() where token.isName(root) {
            if let before = tokens.before(index), before.isSymbol(".") || before.isSymbol(":") { continue }
            let name = member(after: index) ?? "*"
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    private func member(after index: Int) -> String? {
        guard let opening = tokens.after(index), let next = tokens.after(index + 1) else { return nil }
        if opening.isSymbol("."), next.kind == .name || next.kind == .keyword { return next.spelling }
        guard opening.isSymbol("["), tokens.after(index + 2)?.isSymbol("]") == true else { return nil }
        return next.plainText
    }
}

extension [SourceToken] {
    func after(_ index: Int) -> SourceToken? { index + 1 < count ? self[index + 1] : nil }
    func before(_ index: Int) -> SourceToken? { index > 0 ? self[index - 1] : nil }
}
