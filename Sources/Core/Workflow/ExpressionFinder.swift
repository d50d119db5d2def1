/// Splits a text into literal parts and the expressions between `<< >>` or `{{ }}`.
///
/// `>>` ends an expression unless it is inside a quoted Lua string, which ends with its line at the latest,
/// or inside a long bracket such as `[[ ]]`. The same holds for `}}`, except where it closes braces that the
/// expression opened. A literal `<<` is written `<< '<<' >>`.
struct ExpressionFinder {
    enum Piece: Equatable {
        case literal(String)
        /// The text between the brackets, and its byte offset in the whole text.
        case expression(source: String, offset: Int)
    }

    struct Unbalanced: Error, Equatable {
        /// The byte offset of the unmatched bracket.
        var offset: Int
        var bracket: String
    }

    private let bytes: [UInt8]
    private var position = 0
    private var literal: [UInt8] = []
    private var pieces: [Piece] = []

    static func pieces(of text: String) throws(Unbalanced) -> [Piece] {
        var finder = ExpressionFinder(bytes: Array(text.utf8))
        return try finder.run()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func run() throws(Unbalanced) -> [Piece] {
        while position < bytes.count {
            if stands("<<") {
                try expression(from: "<<", to: ">>")
            } else if stands("{{") {
                try expression(from: "{{", to: "}}")
            } else if stands(">>") {
                throw Unbalanced(offset: position, bracket: ">>")
            } else {
                literal.append(bytes[position])
                position += 1
            }
        }
        endLiteral()
        return pieces
    }

    private mutating func endLiteral() {
        if !literal.isEmpty { pieces.append(.literal(String(decoding: literal, as: UTF8.self))) }
        literal = []
    }

    private mutating func expression(from opener: StaticString, to closer: StaticString) throws(Unbalanced) {
        let start = position
        position += 2
        var openBraces = 0
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                skipString(endingWith: byte)
            } else if let level = longBracketLevel() {
                skipLongBracket(level: level)
            } else if openBraces == 0, stands(closer) {
                endLiteral()
                let source = String(decoding: bytes[(start + 2)..<position], as: UTF8.self)
                pieces.append(.expression(source: source, offset: start + 2))
                position += 2
                return
            } else {
                if bytes[start] == UInt8(ascii: "{") {
                    if byte == UInt8(ascii: "{") { openBraces += 1 }
                    if byte == UInt8(ascii: "}") { openBraces = max(0, openBraces - 1) }
                }
                position += 1
            }
        }
        throw Unbalanced(offset: start, bracket: "\(opener)")
    }

    private func stands(_ pair: StaticString) -> Bool {
        position + 1 < bytes.count && bytes[position] == pair.utf8Start[0]
            && bytes[position + 1] == pair.utf8Start[1]
    }

    private mutating func skipString(endingWith quote: UInt8) {
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == quote || byte == UInt8(ascii: "\n") { break }
        }
        position = min(position, bytes.count)
    }

    /// The number of `=` if a long bracket opens here; otherwise nil.
    private func longBracketLevel() -> Int? {
        guard bytes[position] == UInt8(ascii: "[") else { return nil }
        let level = bytes[(position + 1)...].prefix { $0 == UInt8(ascii: "=") }.count
        let next = position + 1 + level
        return next < bytes.count && bytes[next] == UInt8(ascii: "[") ? level : nil
    }

    private mutating func skipLongBracket(level: Int) {
        let closer =
            [UInt8(ascii: "]")] + Array(repeating: UInt8(ascii: "="), count: level) + [UInt8(ascii: "]")]
        position += level + 2
        while position < bytes.count {
            if bytes[position...].starts(with: closer) {
                position += closer.count
                return
            }
            position += 1
        }
    }
}
