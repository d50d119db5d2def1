/// One option of a command, as the parser checks it and the help shows it.
package struct Option: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// Takes no value.
        case flag
        case text
        case integer(ClosedRange<Int64>)
        case choice([String])
    }

    /// Without the dashes: `server`.
    package var name: String
    package var kind: Kind
    /// What stands for the value in the help: `URL`; empty for a flag.
    package var placeholder: String
    /// May be given more than once.
    package var isRepeated: Bool
    /// One sentence without a full stop.
    package var summary: String

    package init(
        _ name: String, _ kind: Kind = .text, placeholder: String = "", isRepeated: Bool = false,
        _ summary: String
    ) {
        self.name = name
        self.kind = kind
        self.placeholder = placeholder
        self.isRepeated = isRepeated
        self.summary = summary
    }

    /// `--server URL`, as the help shows it.
    package var usage: String {
        switch kind {
        case .flag: "--\(name)"
        case .choice(let words): "--\(name) \(words.joined(separator: "|"))"
        default: "--\(name) \(placeholder)"
        }
    }

    /// What is wrong with a value as a clause; nil where it is right.
    func complaint(about value: String) -> String? {
        switch kind {
        case .flag, .text: nil
        case .integer(let range):
            Int64(value).map(range.contains) ?? false
                ? nil : "must be a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .choice(let words):
            words.contains { $0.utf8.elementsEqual(value.utf8) }
                ? nil : "must be one of \(words.joined(separator: ", "))"
        }
    }
}

/// What a command takes without a name in front.
package struct Operand: Sendable, Hashable {
    /// As the help shows it: `FILE`.
    package var name: String
    package var isOptional: Bool
    /// The last one only: any further ones belong to it.
    package var isRepeated: Bool

    package init(_ name: String, isOptional: Bool = false, isRepeated: Bool = false) {
        self.name = name
        self.isOptional = isOptional
        self.isRepeated = isRepeated
    }

    /// `FILE…`, `[ID]`.
    package var usage: String {
        let repeated = isRepeated ? "\(name)…" : name
        return isOptional ? "[\(repeated)]" : repeated
    }
}
