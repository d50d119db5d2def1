import Ports
import Values

/// A compiled expression, evaluated without Lua if it is simple enough.
final class LuaExpression: CompiledExpression {
    let text: String
    let secretNames: [String]
    let stepNames: [String]
    let composition: ExpressionComposition

    /// The key of its chunk in every sandbox; unique within the process.
    private let number: UInt64
    private let exactLua: String
    private let isExpression: Bool
    private let lineCount: Int
    private let fast: FastExpression?
    private let pool: SandboxPool
    private let cryptography: any Cryptography
    private let timeZones: (any TimeZones)?

    init(
        number: UInt64, exactLua: String, isExpression: Bool, dialect: Dialect, fast: FastExpression?,
        composition: ExpressionComposition, pool: SandboxPool, cryptography: any Cryptography,
        timeZones: (any TimeZones)?
    ) {
        self.number = number
        self.composition = composition
        self.exactLua = exactLua
        self.isExpression = isExpression
        text = dialect.source
        lineCount = dialect.source.utf8.count { $0 == UInt8(ascii: "\n") } + 1
        secretNames = dialect.members(of: "secrets")
        stepNames = dialect.members(of: "steps")
        self.fast = fast
        self.pool = pool
        self.cryptography = cryptography
        self.timeZones = timeZones
    }

    func evaluate(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value {
        if let node = fast?.evaluate(in: scope) { return try node.materialised() }
        return try evaluateInLua(in: scope)
    }

    /// Like ``evaluate(in:)``, but always in Lua.
    func evaluateInLua(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value {
        guard let meter = scope.meter else { return try evaluateUncounted(in: scope) }
        if meter.isExhausted { throw .budgetExceeded }
        return try meter.measure { () throws(ExpressionFailure) in try evaluateUncounted(in: scope) }
    }

    private func evaluateUncounted(in scope: any ExpressionScope) throws(ExpressionFailure) -> Value {
        let evaluation = Evaluation(scope: scope, cryptography: cryptography, timeZones: timeZones)
        do throws(ExpressionFailure) {
            return try pool.withSandbox { (sandbox) throws(ExpressionFailure) in
                guard let value = try sandbox.evaluate(exactLua, number: number, evaluation) else {
                    return try evaluatePlainly(in: sandbox, scope)
                }
                return value
            }
        } catch {
            guard case .raised(let message) = error else { throw error }
            throw .raised(message: ErrorText.raised(message, sourceLines: lineCount))
        }
    }

    /// The source with Lua's own operators, whose errors name the operands; made on demand, because errors are rare.
    private var plainLua: String? {
        let dialect = try? Dialect(text, limits: .standard)
        return (try? dialect?.plainLua()).map { Dialect.chunk($0, isExpression) }
    }

    /// Evaluates with Lua's own operators after an exact one refused its operands; only to obtain Lua's error
    /// message.
    private func evaluatePlainly(
        in sandbox: Sandbox, _ scope: any ExpressionScope
    ) throws(ExpressionFailure) -> Value {
        let evaluation = Evaluation(scope: scope, cryptography: cryptography, timeZones: timeZones)
        if let plainLua { _ = try sandbox.evaluate(plainLua, number: number | 1 << 63, evaluation) }
        throw .raised(message: "an operator was given what is no number")
    }
}
