/// An error or warning about a workflow file, with its position and remedy.
package struct Problem: Error, Sendable, Hashable {
    package enum Severity: String, Sendable { case error, warning }

    package var severity: Severity
    /// `MR` and four digits; stable for ever, listed in `docs/problems.md`.
    package var code: String
    package var mark: Mark
    /// The message, as a sentence without a full stop.
    package var message: String
    /// What to do about it, if known.
    package var hint: String?

    package init(severity: Severity = .error, code: String, mark: Mark, message: String, hint: String? = nil)
    {
        self.severity = severity
        self.code = code
        self.mark = mark
        self.message = message
        self.hint = hint
    }

    /// A problem of a listed kind, with that kind's severity.
    package init(_ code: ProblemCode, at mark: Mark, _ message: String, hint: String? = nil) {
        self.init(severity: code.severity, code: code.rawValue, mark: mark, message: message, hint: hint)
    }
}

extension [Problem] {
    /// In file order, without duplicates.
    package var inFileOrder: [Problem] {
        var seen: Set<Problem> = []
        return filter { seen.insert($0).inserted }.enumerated()
            .sorted { ($0.element.mark, $0.offset) < ($1.element.mark, $1.offset) }
            .map(\.element)
    }

    /// Whether any of them makes the file unusable.
    package var hasErrors: Bool { contains { $0.severity == .error } }
}
