package import Values

/// Compiles expressions for repeated evaluation.
///
/// `docs/workflow-format.md` defines the language: Lua 5.4, one expression or a chunk that returns a value,
/// without clock, randomness or I/O.
package protocol ExpressionCompiler: Sendable {
    /// Compiles `source` without running anything, and sets `reads` to the names that it reads from outside itself.
    ///
    /// The names are in the order of the source. A local variable that stands for a path counts as that path.
    ///
    /// - Throws: ``ExpressionProblem`` with the position and the message.
    func compile(
        _ source: String, noting reads: inout [NameRead]
    ) throws(ExpressionProblem) -> any CompiledExpression

    /// The globals of every expression beside its scope: functions with no members, libraries with the names
    /// of theirs.
    var library: [String: Set<String>] { get }
}

extension ExpressionCompiler {
    /// Compiles `source` without running anything.
    ///
    /// - Throws: ``ExpressionProblem`` with the position and the message.
    package func compile(_ source: String) throws(ExpressionProblem) -> any CompiledExpression {
        var reads: [NameRead] = []
        return try compile(source, noting: &reads)
    }
}

/// A compiled expression, which may be evaluated from any thread, any number of times.
package protocol CompiledExpression: Sendable {
    /// The author's text, for people.
    var text: String { get }
    /// The secrets that the source names as `secrets.X` or `secrets['X']`.
    ///
    /// Contains `*` if the source uses `secrets` in any other way, so that it may read every one.
    var secretNames: [String] { get }
    /// The steps that the source names as `steps.x` or `steps['x']`; `*` as for ``secretNames``.
    var stepNames: [String] { get }

    /// What it composes its value from, for keys.
    var composition: ExpressionComposition { get }

    /// The value in `scope`; the same scope always gives the same value.
    ///
    /// - Throws: ``ExpressionFailure`` if the script raises an error, reads a missing secret, exceeds its
    ///   budget of work or memory, or returns something that is no value.
    func evaluate(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value
}

/// The outer paths from which an expression composes its value.
package struct ExpressionComposition: Sendable, Hashable {
    /// Names and members, such as `["trigger", "body", "id"]`; a computed member ends a path.
    package var paths: [[String]]
    package var rule: Rule

    package enum Rule: Sendable, Hashable {
        /// The expression is a path and nothing else.
        case isPath
        /// It uses all of them, as `a .. b` does.
        case usesAll
        /// It may choose between them, as `a or b` does.
        case mayChoose
    }

    package init(paths: [[String]], rule: Rule) {
        self.paths = paths
        self.rule = rule
    }
}

/// Why a source does not compile.
package struct ExpressionProblem: Error, Hashable, Sendable {
    /// The line in the expression's own source, counted from 1.
    package let line: Int
    /// The message, as a sentence without a full stop.
    package let message: String
    /// What to do about it, if known.
    package let hint: String?

    package init(line: Int, message: String, hint: String? = nil) {
        self.line = line
        self.message = message
        self.hint = hint
    }
}

/// Why an evaluation gave no value.
///
/// A script's error message is the script's own text and may contain a secret in any encoding. Whoever
/// records or shows it must redact the whole text first and cut it afterwards.
package enum ExpressionFailure: Error, Hashable, Sendable {
    /// The script raised an error; the message is at most 64 KiB, may contain any characters, and has no
    /// addresses.
    case raised(message: String)
    /// The tenant has no secret with that name.
    case secretMissing(name: String)
    /// The expression exceeded its bound on work or time.
    case budgetExceeded
    /// The expression exceeded its bound on memory.
    case memoryExceeded
    /// The result cannot be a value: a function, a cycle, mixed keys, NaN, or nested too deep.
    case notAValue(reason: String)

    /// A short label without dynamic parts, for metrics.
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

/// A node that an expression can read; only the parts that it reads are computed.
///
/// A branch computes its members on demand, so that a guard that reads one field of a large body pays for
/// that field only.
package enum ScopeNode: Sendable {
    case value(Value)
    case branch(any ScopeBranch)
}

/// An inner node of a scope, such as `steps`, `steps.pay`, `trigger` or `secrets`.
package protocol ScopeBranch: Sendable {
    /// The member with that name; nil if there is none, which an expression reads as null.
    ///
    /// - Throws: ``ExpressionFailure/secretMissing(name:)`` for a missing secret.
    func member(_ name: String) throws(ExpressionFailure) -> ScopeNode?
    /// The names of the members, for iteration; empty for secrets.
    var memberNames: [String] { get }
}

/// The root of a scope, with `trigger`, `steps`, `secrets`, `vars`, `run`, `tenant` and so on.
package protocol ExpressionScope: ScopeBranch {
    /// The result of `time.now()`; nil if it must not be called.
    var now: Instant? { get }
    /// The part of `random.id(label)` after its label; nil if there is no run.
    ///
    /// 26 letters and digits that nobody can guess; the same place of a run always gets the same ones.
    func identifier(_ label: String) -> String?
    /// Measures the time of evaluations in this scope; nil if it is not measured.
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

    /// The member with that name of a branch or an object; nil for anything else.
    package func member(_ name: String) throws(ExpressionFailure) -> ScopeNode? {
        switch self {
        case .value(let value): return value[name].map { .value($0) }
        case .branch(let branch): return try branch.member(name)
        }
    }
}
