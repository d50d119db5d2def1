package import Values

/// Turns the text of an expression into something that can be evaluated again and again.
///
/// The language is that of `docs/workflow-format.md`: Lua 5.4, one expression or a chunk that
/// returns a value, without clock, randomness or I/O.
package protocol ExpressionCompiler: Sendable {
    /// Compiles `source`, or says what is wrong with it and where; nothing is run.
    func compile(_ source: String) throws(ExpressionProblem) -> any CompiledExpression

    /// The names that a source which compiles reads from outside itself, in their order.
    ///
    /// A local variable that stands for a path counts as that path. Empty if the source cannot be taken apart.
    func reads(of source: String) -> [NameRead]

    /// What every expression has beside its scope: each global function, with no members, and each
    /// library with the names of what it holds.
    var library: [String: Set<String>] { get }
}

/// An expression ready to run, from any thread, any number of times.
package protocol CompiledExpression: Sendable {
    /// The text as the author wrote it, for people.
    var text: String { get }
    /// Names of secrets that the source mentions as `secrets.X` or `secrets['X']`; empty for none, and
    /// with `*` where it uses `secrets` in any other way and may read every one.
    var secretNames: [String] { get }
    /// Steps that the source mentions as `steps.x` or `steps['x']`; `*` as above.
    var stepNames: [String] { get }

    /// The value in `scope`. The same scope always gives the same value.
    ///
    /// - Throws: ``ExpressionFailure`` where the script raises an error, reads a secret that does
    ///   not exist, exceeds its budget of work or memory, or returns what is no value.
    func evaluate(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value
}

/// A text that does not compile.
package struct ExpressionProblem: Error, Hashable, Sendable {
    /// Line within the expression's own source, from 1.
    package let line: Int
    /// What is wrong, as a sentence without a full stop.
    package let message: String
    /// What to do about it, where that is known.
    package let hint: String?

    package init(line: Int, message: String, hint: String? = nil) {
        self.line = line
        self.message = message
        self.hint = hint
    }
}

/// Why an evaluation gave no value.
///
/// The text of a script's error is the script's own and may hold a secret, in any encoding: whoever records or shows
/// it redacts it whole, and cuts it after that.
package enum ExpressionFailure: Error, Hashable, Sendable {
    /// The script raised an error; the message is the script's own, at most 64 KiB, of any
    /// characters, and without addresses.
    case raised(message: String)
    /// The tenant has no secret of that name.
    case secretMissing(name: String)
    /// More work or time than an expression may use.
    case budgetExceeded
    /// More memory than an expression may use.
    case memoryExceeded
    /// What came back cannot be a value: a function, a cycle, mixed keys, NaN, too deep.
    case notAValue(reason: String)

    /// A short label without moving parts, for metrics.
    package var label: String {
        switch self {
        case .raised: "raised"
        case .secretMissing: "secret_missing"
        case .budgetExceeded: "budget_exceeded"
        case .memoryExceeded: "memory_exceeded"
        case .notAValue: "not_a_value"
        }
    }

    /// The failure as a sentence.
    package var message: String {
        switch self {
        case .raised(let message): message
        case .secretMissing(let name):
            "the secret \(name) does not exist: set it with `millrace secrets set \(name)`"
        case .budgetExceeded: "the expression used more work than an expression may"
        case .memoryExceeded: "the expression used more memory than an expression may"
        case .notAValue(let reason): "the expression returned what is no value: \(reason)"
        }
    }
}

/// What an expression can see: a tree that is read only where the expression looks.
///
/// A branch computes its members when asked, so that a guard that reads one field of a large body
/// pays for that field.
package enum ScopeNode: Sendable {
    case value(Value)
    case branch(any ScopeBranch)
}

/// An inner node of a scope: `steps`, `steps.pay`, `trigger`, `secrets`.
package protocol ScopeBranch: Sendable {
    /// The member of that name, or nil where there is none (which an expression reads as null).
    ///
    /// - Throws: ``ExpressionFailure/secretMissing(name:)`` for an absent secret.
    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode?
    /// Names of the members, for iteration; secrets give none.
    var memberNames: [String] { get }
}

/// The outermost names of an expression (`trigger`, `steps`, `secrets`, `vars`, `run`, `tenant`, …).
package protocol ExpressionScope: ScopeBranch {
    /// What `time.now()` returns; nil if it cannot be called there.
    var now: Instant? { get }
    /// What `random.id(label)` returns behind its label: 26 letters and digits that nobody can guess, the same each
    /// time that this place of the run asks; nil if there is no run.
    func identifier(_ label: String) -> String?
    /// Counts the time of evaluations in it; nil where nobody counts.
    var meter: EvaluationMeter? { get }
}

extension ExpressionScope {
    package var meter: EvaluationMeter? { nil }
    package func identifier(_ label: String) -> String? { nil }
}

extension ScopeNode {
    /// The whole node as one value, read member by member.
    package func materialised() throws(ExpressionFailure) -> Value {
        switch self {
        case .value(let value): return value
        case .branch(let branch):
            var object = Object()
            for name in branch.memberNames {
                if let member = try branch.member(name) { object[name] = try member.materialised() }
            }
            return .object(object)
        }
    }

    /// The member of that name of a branch or an object; nil for anything else.
    package func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        switch self {
        case .value(let value): return value[name].map { .value($0) }
        case .branch(let branch): return try branch.member(name)
        }
    }
}
