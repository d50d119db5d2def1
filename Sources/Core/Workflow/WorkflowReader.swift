package import Ports
package import Values

/// Turns a document into a definition, or reports everything that is wrong with it.
package struct WorkflowReader: Sendable {
    private let compiler: any ExpressionCompiler
    private let timeZones: (any TimeZones)?
    private let checksNames: Bool
    /// What a deployment puts in place of constants of `vars`, by name; other names are ignored.
    package var replacements: [String: Value] = [:]

    /// - Parameters:
    ///   - compiler: Compiles the expressions.
    ///   - timeZones: The database in which a schedule's zone must exist; nil accepts any name.
    ///   - checksNames: Whether to check the names that expressions read. A server that loads deployed
    ///     workflows does not: a newer check must not take a workflow out of service.
    package init(
        compiler: any ExpressionCompiler, timeZones: (any TimeZones)? = nil, checksNames: Bool = true
    ) {
        self.compiler = compiler
        self.timeZones = timeZones
        self.checksNames = checksNames
    }

    /// The definition, which is nil if any problem is an error, and all problems in file order.
    package func read(_ document: Node) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        var decoder = WorkflowDecoder(
            compiler: compiler, timeZones: timeZones, checksNames: checksNames)
        decoder.replacements = replacements
        let definition = decoder.workflow(document)
        let problems = decoder.problems.inFileOrder
        return (problems.hasErrors ? nil : definition, problems)
    }
}

/// Decodes one document as far as possible and collects problems.
///
/// A decoding function returns nil or a placeholder only after it has reported a problem.
struct WorkflowDecoder {
    /// The part of the file being decoded, which determines the steps that an expression can see.
    enum Owner: Hashable {
        case trigger
        case step(Place)
        /// The `until` of a step's strategy.
        case until(Place)
        /// The compensation of a step.
        case compensation(Place)
        /// The output of the file or a group, by its scope; it may read all steps of that scope.
        case output(Int)
    }

    /// An expression, kept until all steps are known.
    struct Use {
        var expression: any CompiledExpression
        var mark: Mark
        var owner: Owner
        /// The value that contains it, and its byte offset there.
        var node: Node
        var offset: Int
        /// The text of the expression.
        var source: String
        /// The names that it reads; empty if names are not checked.
        var reads: [NameRead]
        var view: View
    }

    /// What an expression sees in addition to its place's names.
    struct View {
        /// Whether it sees `response`: in `fail_when` and `retry.on`.
        var hasResponse = false
        /// Whether it is evaluated before the items of its own step's strategy: in `when` and `over`.
        var isBeforeItems = false
    }

    let compiler: any ExpressionCompiler
    let timeZones: (any TimeZones)?
    let checksNames: Bool
    var view = View()
    /// The name of the workflow; nil if it has none, or none is decoded yet.
    var workflowName: String?
    /// The triggers and constants decoded so far, for the shapes of their members.
    var triggers: [Trigger] = []
    var vars = Value.object(Object())
    var replacements: [String: Value] = [:]
    var problems: [Problem] = []
    var uses: [Use] = []
    var owner = Owner.trigger
    /// The scopes of the file's own steps and of each group.
    var scopes: [ScopeDraft] = []
    /// The number of steps in all scopes so far.
    var stepCount = 0
    var schemas: [String: JSONSchema] = [:]
    /// Includes invalid schemas, so that a reference to one is not reported too.
    var schemaNames: [String] = []
    /// Whether a trigger holds its request until the run ends.
    var holdsCallers = false
    /// What expressions read that is the same for all of them.
    var shapes = KnownShapes()

    init(compiler: any ExpressionCompiler, timeZones: (any TimeZones)?, checksNames: Bool) {
        self.compiler = compiler
        self.timeZones = timeZones
        self.checksNames = checksNames
    }

    mutating func note(_ code: ProblemCode, at mark: Mark, _ message: String, hint: String? = nil) {
        problems.append(Problem(code, at: mark, message, hint: hint))
    }
}

// MARK: - The document

extension WorkflowDecoder {
    static let documentKeys = [
        "name", "version", "description", "triggers", "schemas", "vars", "timeout", "concurrency", "steps",
        "finally", "output",
    ]

    mutating func workflow(_ document: Node) -> WorkflowDefinition? {
        guard let whole = fields(of: document, as: "a workflow", known: Self.documentKeys) else { return nil }
        let name = self.name(required("name", in: whole, at: document))
        workflowName = name
        let version = self.version(required("version", in: whole, at: document))
        let description = whole["description"].flatMap { text($0, as: "a description") }
        if let node = whole["schemas"] { decodeSchemas(node) }
        vars = whole["vars"].map { constants($0) } ?? .object(Object())
        let timeout = whole["timeout"].flatMap {
            duration($0, as: "timeout", in: .seconds(1)...Self.durationMax)
        }
        owner = .trigger
        triggers = required("triggers", in: whole, at: document).map { self.triggers($0) } ?? []
        let concurrency = whole["concurrency"].flatMap { self.concurrency($0) }
        let scope = required("steps", in: whole, at: document).map { steps($0) } ?? StepScope(steps: [])
        let finally = whole.member("finally").map { self.finally($0) }
        owner = .output(0)
        let output = whole["output"].map { template($0) }
        checkReads()
        checkNames()
        let secretNames = Set(uses.flatMap(\.expression.secretNames)).sorted()
        guard let name, let version else { return nil }
        var definition = WorkflowDefinition(
            name: name, version: version, description: description, triggers: triggers, vars: vars,
            schemas: schemas, root: scope, output: output, secretNames: secretNames,
            timeout: timeout)
        definition.concurrency = concurrency
        definition.finally = finally
        return definition
    }

    private mutating func name(_ node: Node?) -> String? {
        guard let node, let name = text(node, as: "a name") else { return nil }
        guard Naming.isWorkflowName(name) else {
            note(
                .badName, at: node.mark, "\(quote(name)) is not a workflow name",
                hint: "use at most 64 lowercase letters, digits and single hyphens, starting with a letter")
            return nil
        }
        return name
    }

    private mutating func version(_ node: Node?) -> Int? {
        guard let node else { return nil }
        if case .int(let number) = node.value, number >= 1, number <= 1_000_000_000 { return Int(number) }
        note(
            .badVersion, at: node.mark, "a version is a whole number from 1 to 1000000000",
            hint: "write for example `version: 1`, without quotes")
        return nil
    }

    /// A map without expressions.
    private mutating func constants(_ node: Node) -> Value {
        guard node.members != nil else {
            note(.wrongType, at: node.mark, "vars is a map, not \(node.kindPhrase)")
            return .object(Object())
        }
        refuseExpressions(in: node)
        guard !replacements.isEmpty, var object = node.value.object else { return node.value }
        for (name, value) in replacements where object[name] != nil { object[name] = value }
        return .object(object)
    }

    private mutating func refuseExpressions(in node: Node) {
        switch node.content {
        case .scalar(let text, _):
            let pieces = (try? ExpressionFinder.pieces(of: text)) ?? []
            for case .expression(_, let offset) in pieces {
                note(
                    .notConstant, at: node.mark(ofByte: offset - 2),
                    "vars are constants and cannot contain expressions",
                    hint: "compute it in a `lua` step")
            }
        case .list(let items): for item in items { refuseExpressions(in: item) }
        case .map(let members): for member in members { refuseExpressions(in: member.value) }
        }
    }
}

/// The syntax of names.
enum Naming {
    private static let luaKeywords: Set<String> = [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
        "local",
        "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ]

    /// Whether `.name` reads a member of that name.
    static func isLuaName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return !isLuaKeyword(name)
            && name.utf8.allSatisfy {
                $0 == 0x5F || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
            }
    }

    static func isLuaKeyword(_ name: String) -> Bool { luaKeywords.contains(name) }

    /// Lowercase kebab-case: `a-z`, digits and single hyphens, starting with a letter, at most 64.
    static func isWorkflowName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, bytes.count <= 64, isLower(first), bytes.last != UInt8(ascii: "-")
        else {
            return false
        }
        for (index, byte) in bytes.enumerated() {
            let isHyphen = byte == UInt8(ascii: "-")
            guard isLower(byte) || isDigit(byte) || isHyphen else { return false }
            if isHyphen, bytes[index - 1] == UInt8(ascii: "-") { return false }
        }
        return true
    }

    /// `[a-z][a-z0-9_]*`, at most 64.
    static func isStepID(_ id: String) -> Bool {
        guard let first = id.utf8.first, id.utf8.count <= 64, isLower(first) else { return false }
        return id.utf8.allSatisfy { isLower($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    /// `[a-z][a-z0-9_]*`, at most 64.
    static func isSignalName(_ name: String) -> Bool { isStepID(name) }

    /// Words of letters, digits and `_ + -`, joined by `/`, each starting with a letter; at most 64 in all.
    static func isTimeZoneName(_ name: String) -> Bool {
        name.utf8.count <= 64
            && name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy {
                word in
                guard let first = word.first, isLetter(first) else { return false }
                return word.allSatisfy { isLetter($0) || isDigit($0) || "_+-".utf8.contains($0) }
            }
    }

    static func isLetter(_ byte: UInt8) -> Bool { isLower(byte | 0x20) }
    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
    static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
