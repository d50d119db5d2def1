import Ports

/// Splits an expression into tokens, so that the contents of texts and comments are never rewritten.
struct SourceLexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var tokens: [SourceToken] = []

    private init(_ source: String) { bytes = Array(source.utf8) }

    /// The tokens of a source.
    ///
    /// - Throws: ``ExpressionProblem`` if a text, comment or bracket is not closed, or a character is
    ///   unknown.
    static func tokens(of source: String) throws(ExpressionProblem) -> [SourceToken] {
        var lexer = SourceLexer(source)
        while try lexer.step() {}
        return lexer.tokens
    }

    private func byte(_ offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private func spelling(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    private mutating func add(_ kind: SourceToken.Kind, from start: Int, line: Int) {
        let range = start..<position
        tokens.append(SourceToken(kind: kind, range: range, line: line, spelling: spelling(range)))
    }

    private mutating func step() throws(ExpressionProblem) -> Bool {
        guard let first = byte() else { return false }
        switch first {
        case 0x0A, 0x0D: lineEnd()
        case UInt8(ascii: " "), 0x09, 0x0B, 0x0C: position += 1
        case UInt8(ascii: "-") where byte(1) == UInt8(ascii: "-"): try comment()
        case UInt8(ascii: "\""), UInt8(ascii: "'"): try quoted(by: first)
        case UInt8(ascii: "[") where longBracketLevel(at: position) != nil: try longText()
        case _ where Self.startsName(first): word()
        case _ where Self.isDigit(first): number()
        case UInt8(ascii: ".") where byte(1).map(Self.isDigit) ?? false: number()
        default: try symbol(first)
        }
        return true
    }

    // MARK: - Words and numbers

    static func startsName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func word() {
        let start = position
        while let next = byte(), Self.startsName(next) || Self.isDigit(next) { position += 1 }
        let isKeyword = SourceToken.keywords.contains(spelling(start..<position))
        add(isKeyword ? .keyword : .name, from: start, line: line)
    }

    /// Takes whatever Lua would try to read as one number; Lua decides whether it is one.
    private mutating func number() {
        let start = position
        while let next = byte() {
            let isSign = next == UInt8(ascii: "+") || next == UInt8(ascii: "-")
            let follows = position > start ? bytes[position - 1] | 0x20 : 0
            let isHex = position - start >= 2 && bytes[start + 1] | 0x20 == UInt8(ascii: "x")
            let isExponent = follows == UInt8(ascii: isHex ? "p" : "e")
            guard
                Self.startsName(next) || Self.isDigit(next) || next == UInt8(ascii: ".")
                    || (isSign && isExponent)
            else { break }
            // `1..x` joins texts; the number ends before the dots.
            if next == UInt8(ascii: "."), byte(1) == UInt8(ascii: ".") { break }
            position += 1
        }
        add(.number, from: start, line: line)
    }

    // MARK: - Texts and comments

    private mutating func quoted(by quote: UInt8) throws(ExpressionProblem) {
        let start = position
        let startLine = line
        var isPlain = true
        position += 1
        while let next = byte(), next != quote {
            if next == UInt8(ascii: "\\") {
                isPlain = false
                escape()
                continue
            }
            if next == 0x0A || next == 0x0D {
                throw ExpressionProblem(line: startLine, message: "a text is not closed on its line")
            }
            position += 1
        }
        guard byte() == quote else {
            throw ExpressionProblem(line: startLine, message: "a text is not closed")
        }
        position += 1
        add(.text(isPlain ? spelling(start + 1..<position - 1) : nil), from: start, line: startLine)
    }

    /// Skips a backslash and the escaped character or line end; after `\z`, skips all blanks.
    private mutating func escape() {
        position += 1
        let skipsBlanks = byte() == UInt8(ascii: "z")
        if byte() == 0x0A || byte() == 0x0D { lineEnd() } else if byte() != nil { position += 1 }
        while skipsBlanks, let next = byte(), next == UInt8(ascii: " ") || (0x09...0x0D).contains(next) {
            if next == 0x0A || next == 0x0D { lineEnd() } else { position += 1 }
        }
    }

    /// Skips one line end: LF, CR, or both in either order.
    private mutating func lineEnd() {
        let first = byte()
        position += 1
        line += 1
        if let second = byte(), second == 0x0A || second == 0x0D, second != first { position += 1 }
    }

    /// The number of equals signs of a `[==[` at a position; nil if there is none.
    private func longBracketLevel(at start: Int) -> Int? {
        var end = start + 1
        while end < bytes.count, bytes[end] == UInt8(ascii: "=") { end += 1 }
        return end < bytes.count && bytes[end] == UInt8(ascii: "[") ? end - start - 1 : nil
    }

    private mutating func longText() throws(ExpressionProblem) {
        let start = position
        let startLine = line
        try skipLongBracket()
        add(.text(nil), from: start, line: startLine)
    }

    private mutating func skipLongBracket() throws(ExpressionProblem) {
        let startLine = line
        let level = longBracketLevel(at: position) ?? 0
        position += level + 2
        while let next = byte() {
            if next == 0x0A || next == 0x0D {
                lineEnd()
                continue
            }
            position += 1
            guard next == UInt8(ascii: "]") else { continue }
            var end = position
            while end < bytes.count, bytes[end] == UInt8(ascii: "=") { end += 1 }
            if end - position == level, end < bytes.count, bytes[end] == UInt8(ascii: "]") {
                position = end + 1
                return
            }
        }
        throw ExpressionProblem(line: startLine, message: "a long bracket is not closed")
    }

    private mutating func comment() throws(ExpressionProblem) {
        position += 2
        if byte() == UInt8(ascii: "["), longBracketLevel(at: position) != nil {
            try skipLongBracket()
            return
        }
        while let next = byte(), next != 0x0A, next != 0x0D { position += 1 }
    }

    // MARK: - Symbols

    private static let longSymbols = [
        "...", "..", "==", "~=", "!=", "<=", ">=", "//", "::", "<<", ">>", "&&", "||",
    ].map { Array($0.utf8) }

    private mutating func symbol(_ first: UInt8) throws(ExpressionProblem) {
        let start = position
        if let long = Self.longSymbols.first(where: { bytes[position...].starts(with: $0) }) {
            position += long.count
        } else {
            guard (0x21..<0x7F).contains(first) else {
                let shown = first < 0x20 ? "a control character" : "a character outside of texts"
                throw ExpressionProblem(line: line, message: "\(shown) that Lua does not know")
            }
            position += 1
        }
        add(.symbol, from: start, line: line)
    }
}
