/// A token of an expression's source; comments and blanks are not tokens.
struct SourceToken: Hashable {
    enum Kind: Hashable {
        case name
        case keyword
        /// A quoted text; its value is nil if it contains escapes.
        case text(String?)
        case number
        case symbol
    }

    let kind: Kind
    /// Its range in the source's UTF-8 bytes.
    let range: Range<Int>
    /// Its line, counted from 1.
    let line: Int
    let spelling: String

    func isSymbol(_ text: String) -> Bool { kind == .symbol && spelling == text }
    func isKeyword(_ text: String) -> Bool { kind == .keyword && spelling == text }
    func isName(_ text: String) -> Bool { kind == .name && spelling == text }

    /// The value of a quoted text without escapes.
    var plainText: String? {
        if case .text(let value) = kind { return value }
        return nil
    }

    static let keywords: Set<String> = [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
        "local",
        "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ]
}
