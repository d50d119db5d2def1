package import Ports
import Synchronization
import Values

/// Compiles expressions in Lua 5.4 for sealed sandboxes with bounds on work, memory and time.
///
/// The compiler and its expressions may be used from any thread. When a Lua table leaves an expression, keys
/// 1 to n become a list; text keys become a map, sorted by their bytes. An empty table is a map unless
/// `list{}` made it. `json.null` stands for a null inside a table. `pairs` iterates in a fixed order:
/// numbers, then texts.
package final class LuaExpressionCompiler: ExpressionCompiler {
    private let limits: LuaLimits
    private let pool: SandboxPool
    private let cryptography: any Cryptography
    private let timeZones: (any TimeZones)?
    private let compiledCount = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - cryptography: The implementation of `crypto.*`.
    ///   - timeZones: The zones of `time.format` and `time.add`; nil for UTC only.
    ///   - limits: The limits of each expression.
    package init(
        cryptography: any Cryptography, timeZones: (any TimeZones)? = nil, limits: LuaLimits = .standard
    ) {
        self.cryptography = cryptography
        self.timeZones = timeZones
        self.limits = limits
        pool = SandboxPool(limits: limits)
    }

    package func compile(
        _ source: String, noting reads: inout [NameRead]
    ) throws(ExpressionProblem) -> any CompiledExpression {
        let (expression, reading) = try compileAndRead(source, isFast: true)
        reads = reading.reads
        return expression
    }

    package var library: [String: Set<String>] { SandboxLibrary.contents }

    /// Like ``compile(_:)``; the path without Lua is used only if `isFast`.
    func compileForLua(_ source: String, isFast: Bool) throws(ExpressionProblem) -> LuaExpression {
        try compileAndRead(source, isFast: isFast).expression
    }

    private func compileAndRead(
        _ source: String, isFast: Bool
    ) throws(ExpressionProblem) -> (expression: LuaExpression, reading: SourceReader.Reading) {
        let dialect = try Dialect(source, limits: limits)
        let plain = try dialect.plainLua()
        let isExpression = try checkCompiles(plain, dialect)
        guard let reading = SourceReader.read(dialect.tokens, isExpression: isExpression) else {
            throw ExpressionProblem(line: 1, message: Self.notUnderstood, hint: "write it in a simpler way")
        }
        var exact = Dialect.chunk(plain, isExpression)
        if !reading.edits.isEmpty {
            let edited = try dialect.plainLua(with: reading.edits)
            exact = reading.edits.prelude + Dialect.chunk(edited, isExpression)
            if try error(exact) != nil {
                throw ExpressionProblem(line: 1, message: "the expression is too large to compile")
            }
        }
        let fast = isFast ? FastParser.parse(dialect.tokens) : nil
        let expression = LuaExpression(
            number: compiledCount.add(1, ordering: .relaxed).newValue, exactLua: exact,
            isExpression: isExpression, dialect: dialect, fast: fast,
            composition: reading.composition(dialect.tokens), pool: pool, cryptography: cryptography,
            timeZones: timeZones)
        return (expression, reading)
    }

    /// With Lua's own operators it would compute other numbers, so it must not run.
    private static let notUnderstood =
        "Lua takes this expression, and Millrace cannot make its operators exact"

    /// Whether the source is a single expression; otherwise it is a chunk with a `return`.
    ///
    /// - Throws: ``ExpressionProblem`` if it is neither.
    private func checkCompiles(_ source: String, _ dialect: Dialect) throws(ExpressionProblem) -> Bool {
        let isStatement = Self.statementWords.contains(dialect.tokens[0].spelling)
        if !isStatement, try error(Dialect.chunk(source, true)) == nil { return true }
        let chunkMessage = try error(source)
        let returns = dialect.tokens.contains { $0.isKeyword("return") }
        if let chunkMessage {
            let isChunk = returns || isStatement || dialect.tokens[0].isKeyword("function")
            // Without the parentheses, Lua's message quotes only the author's source.
            let message = isChunk ? chunkMessage : try error("return \(source)") ?? Self.several
            throw Self.problem(message, dialect)
        }
        guard returns else {
            let assigns = dialect.tokens.contains { $0.isSymbol("=") }
            throw ExpressionProblem(
                line: 1, message: "the expression returns nothing",
                hint: assigns ? "write == to compare, or return a value" : "write return before the value")
        }
        return false
    }

    private static let several = "e:1: one value is expected, not several"

    private static let statementWords: Set<String> = [
        "local", "if", "for", "while", "repeat", "do", "goto", "return", ";", "::",
    ]

    private func error(_ source: String) throws(ExpressionProblem) -> String? {
        do throws(ExpressionFailure) {
            return try pool.withSandbox { (sandbox) throws(ExpressionFailure) in
                try sandbox.compileError(source)
            }
        } catch {
            throw ExpressionProblem(line: 1, message: "the expression is too large to compile")
        }
    }

    private static func problem(_ message: String, _ dialect: Dialect) -> ExpressionProblem {
        var (line, text) = ErrorText.split(message)
        var hint: String?
        let expectsEnd = "<eof> expected near "
        if text.hasPrefix(expectsEnd) { text = "unexpected \(text.dropFirst(expectsEnd.count))" }
        if text == "unexpected '='" { hint = "write == to compare" }
        if text.hasSuffix("near <eof>") { text = "\(text.dropLast("near <eof>".utf8.count))at the end" }
        return ExpressionProblem(line: line, message: ErrorText.bounded(text), hint: hint)
    }
}
