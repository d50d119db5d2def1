import Values

/// The names of the functions that replace operators whose own results would lose digits or wrap
/// (`numbers.c`).
enum ExactOperators {
    static let join = "__exact_join"
    static let chain = "__exact_chain"
    static let negation = "__exact_neg"
    static let bound = "__exact_for"
    static let literal = "__exact_numeral"
    /// Operators whose result may not fit in 64 bits, or that would make a whole number a float that it is not.
    static let arithmetic = [
        "+": "__exact_add", "-": "__exact_sub", "*": "__exact_mul", "//": "__exact_idiv", "/": "__exact_div",
        "%": "__exact_mod",
    ]
    static let power = "__exact_pow"
    static let comparisons = ["==": "__exact_eq", "~=": "__exact_ne", "!=": "__exact_ne"]
    /// Operators that Lua carries out on texts of any length as one instruction, without a charge.
    static let orders = ["<": "__exact_lt", "<=": "__exact_le", ">": "__exact_gt", ">=": "__exact_ge"]
    /// The prefix of all these names; a source may not use such a name.
    static let prefix = "__exact"

    /// Whether Lua's own numbers may not represent a numeral digit by digit.
    static func needsExactText(_ numeral: String) -> Bool {
        let lower = numeral.lowercased()
        if lower.hasPrefix("0x") {
            return lower.utf8.allSatisfy { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "p") }
                && lower.dropFirst(2).drop { $0 == "0" }.utf8.count > 16
        }
        if Int64(numeral) != nil { return false }
        let mantissa = lower.prefix { $0 != "e" }
        let power = lower.dropFirst(mantissa.utf8.count + 1)
        let digits = mantissa.utf8.count { SourceLexer.isDigit($0) }
        return digits > 15 || power.drop { $0 == "+" || $0 == "-" }.utf8.count > 2
    }

    static func numeral(_ text: String) -> String { "\(literal)('\(text)')" }
}
