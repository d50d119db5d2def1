/// Something wrong in a workflow file, with its place and what to do about it.
package struct Problem: Error, Sendable, Hashable {
    package enum Severity: String, Sendable { case error, warning }

    package var severity: Severity
    /// `MR` and four digits; stable for ever, listed in `docs/problems.md`.
    package var code: String
    package var mark: Mark
    /// What is wrong, as a sentence without a full stop.
    package var message: String
    /// What to do, where that is known.
    package var hint: String?

    package init(severity: Severity = .error, code: String, mark: Mark, message: String, hint: String? = nil) {
        self.severity = severity
        self.code = code
        self.mark = mark
        self.message = message
        self.hint = hint
    }
}
