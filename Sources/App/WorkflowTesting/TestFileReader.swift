import Ports
import Values
package import Workflow
import WorkflowYAML

/// Reads a `*.test.yaml`, or says everything that is wrong with it.
package struct TestFileReader {
    /// Reads the file of that path; nil where it cannot be read.
    package typealias Loader = (String) -> [UInt8]?

    var problems: [Problem] = []
    var definition: WorkflowDefinition?
    var isDefault = false

    /// The file, absent where anything in it is wrong, and what that is.
    package static func read(
        _ bytes: [UInt8], path: String, with reader: WorkflowReader, loading load: Loader
    ) -> (file: TestFile?, problems: [Problem]) {
        let document: Node
        switch DocumentReader.read(bytes) {
        case .success(let node): document = node
        case .failure(let failure): return (nil, failure.problems)
        }
        var decoder = TestFileReader()
        let file = decoder.file(document, path: path, with: reader, loading: load)
        let problems = decoder.problems.inFileOrder
        return (problems.hasErrors ? nil : file, problems)
    }

    /// Reads what a single run is given: the keys of a case, without `name` and `expect`; or a test file, of which
    /// it takes the defaults and the first case whose name holds a text.
    ///
    /// - Parameters:
    ///   - bytes: The file's.
    ///   - name: Part of a case's name; nil for the defaults alone.
    ///   - definition: The workflow that it is about.
    /// - Returns: Nil and the problems where the file has errors.
    package static func answers(
        _ bytes: [UInt8], case name: String? = nil, for definition: WorkflowDefinition
    ) -> (one: TestCase?, problems: [Problem]) {
        let document: Node
        switch DocumentReader.read(bytes) {
        case .success(let node): document = node
        case .failure(let failure): return (nil, failure.problems)
        }
        var decoder = TestFileReader()
        decoder.definition = definition
        var one = TestCase(name: "simulation", mark: document.mark)
        if name != nil || document["cases"] != nil {
            decoder.decode(document, caseNamed: name, into: &one)
        } else {
            decoder.decode(document, into: &one, kind: "a file of answers", role: .answers)
        }
        let problems = decoder.problems.inFileOrder
        return (problems.hasErrors ? nil : one, problems)
    }

    /// The defaults of a test file, and the case that is meant.
    private mutating func decode(_ document: Node, caseNamed name: String?, into one: inout TestCase) {
        guard let whole = map(document, "a test file", known: ["workflow", "defaults", "cases"]) else {
            return
        }
        if let node = whole["defaults"] { decode(node, into: &one, kind: "defaults", role: .defaults) }
        guard let name else { return }
        let cases = whole["cases"]?.items ?? []
        if let found = cases.first(where: { $0["name"]?.value.string?.contains(name) ?? false }) {
            decode(found, into: &one, kind: "a case", role: .testCase)
        } else {
            note(.unknownName, whole["cases"]?.mark ?? document.mark, "no case's name holds `\(name)`")
        }
    }

    private mutating func file(
        _ document: Node, path: String, with reader: WorkflowReader, loading load: Loader
    ) -> TestFile? {
        guard let whole = map(document, "a test file", known: ["workflow", "defaults", "cases"]) else {
            return nil
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let name: String
        if let node = whole["workflow"] {
            name = folder + (text(node, "workflow") ?? "")
        } else {
            name = path.replacing(".test.yaml", with: ".yaml").replacing(".test.yml", with: ".yml")
        }
        let mark = whole["workflow"]?.mark ?? document.mark
        guard let source = load(name) else {
            note(.noWorkflow, mark, "the workflow \(name) cannot be read", "give its path beside this file")
            return nil
        }
        let (definition, faults) = DocumentReader.workflow(source, with: reader)
        guard let definition else {
            let first = faults.first { $0.severity == .error }
            let place = first.map { "\($0.mark.line):\($0.mark.column): \($0.message)" } ?? ""
            note(
                .brokenWorkflow, mark, "the workflow has errors: \(name):\(place)",
                "`millrace validate` shows all")
            return nil
        }
        self.definition = definition
        var standard = TestCase(name: "", mark: document.mark)
        if let node = whole["defaults"] {
            isDefault = true
            decode(node, into: &standard, kind: "defaults", role: .defaults)
            isDefault = false
        }
        let cases = self.cases(whole["cases"], at: document, standard)
        return TestFile(path: path, workflowPath: name, definition: definition, cases: cases)
    }

    private mutating func cases(_ node: Node?, at document: Node, _ standard: TestCase) -> [TestCase] {
        guard let node, let items = node.items, !items.isEmpty else {
            note(.missing, node?.mark ?? document.mark, "`cases` is a list of at least one case")
            return []
        }
        var names: Set<String> = []
        return items.map { item in
            var one = standard
            one.mark = item.mark
            decode(item, into: &one, kind: "a case", role: .testCase)
            if !one.name.isEmpty, !names.insert(one.name).inserted {
                note(.duplicate, item["name"]?.mark ?? item.mark, "two cases are called `\(one.name)`")
            }
            return one
        }
    }

    private static let commonKeys = ["trigger", "at", "tenant", "secrets", "vars", "mocks"]

    private enum Role { case defaults, testCase, answers }

    private mutating func decode(_ node: Node, into one: inout TestCase, kind: String, role: Role) {
        var known = Self.commonKeys
        if role != .defaults { known += ["signals", "cancel"] }
        if role == .testCase { known += ["name", "expect"] }
        guard let fields = map(node, kind, known: known) else { return }
        if let node = fields["at"], let at = instant(node) { one.at = at }
        if let node = fields["tenant"] { decodeTenant(node, into: &one.tenant) }
        if let node = fields["trigger"] { decodeTrigger(node, into: &one.trigger) }
        for member in fields["secrets"].flatMap({ entries($0, "secrets") }) ?? [] {
            // Null takes a secret of the whole file away.
            one.secrets[member.name] = member.value.value.isNull ? nil : text(member.value, "a secret")
        }
        for member in fields["vars"].flatMap({ entries($0, "vars") }) ?? [] {
            if definition?.vars[member.name] == nil {
                let names = definition?.vars.object?.members.map(\.name) ?? []
                note(
                    .unknownName, member.nameMark,
                    "the workflow has no constant `\(member.name)` under `vars`",
                    Suggestion.hint(for: member.name, among: names))
            }
            one.vars[member.name] = member.value.value
        }
        // The case's own go first, so that they win over those of the whole file.
        if let node = fields["mocks"] { one.mocks = mocks(node) + one.mocks }
        if let node = fields["signals"] { one.signals = signals(node) }
        if let node = fields["cancel"], let fields = map(node, "cancel", known: ["at", "reason"]) {
            one.cancel = CancelGiven(
                after: fields["at"].flatMap { duration($0) } ?? .zero,
                reason: fields["reason"].flatMap { text($0, "reason") } ?? "cancelled by the tenant")
        }
        guard role == .testCase else { return }
        if let node = fields["name"] {
            one.name = text(node, "name") ?? ""
        } else {
            note(.missing, node.mark, "`name` is missing")
        }
        if let node = fields["expect"] {
            one.expected = expectations(node)
        } else {
            note(.missing, node.mark, "`expect` is missing", "say at least `expect: {outcome: succeeded}`")
        }
    }

    private mutating func decodeTenant(_ node: Node, into tenant: inout TenantGiven) {
        guard let fields = map(node, "tenant", known: ["id", "name", "external_customer_id"]) else { return }
        if let node = fields["id"], let id = text(node, "id") {
            if let known = TenantID(id) {
                tenant.id = known
            } else {
                note(
                    .badValue, node.mark, "`\(id)` is no id of a tenant", "for example \(TenantID(number: 3))"
                )
            }
        }
        if let name = fields["name"].flatMap({ text($0, "name") }) { tenant.name = name }
        if let node = fields["external_customer_id"] {
            tenant.externalCustomerID = node.value.isNull ? nil : text(node, "external_customer_id")
        }
    }

    private mutating func signals(_ node: Node) -> [SignalGiven] {
        guard let items = node.items else {
            note(.wrongType, node.mark, "signals is a list, not \(node.value.kindName)")
            return []
        }
        return items.compactMap { item in
            guard let fields = map(item, "a signal", known: ["at", "name", "body", "id"]) else { return nil }
            guard let name = fields["name"].flatMap({ text($0, "name") }) else {
                note(.missing, item.mark, "`name` of the signal is missing")
                return nil
            }
            return SignalGiven(
                after: fields["at"].flatMap { duration($0) } ?? .zero, name: name,
                body: fields["body"]?.value ?? .null, id: fields["id"].flatMap { text($0, "id") })
        }
    }
}

// MARK: - Maps and scalars

extension TestFileReader {
    struct Fields {
        let members: [Node.Member]
        subscript(_ name: String) -> Node? { members.first { $0.name.hasSameBytes(as: name) }?.value }
    }

    mutating func note(_ code: TestProblemCode, _ mark: Mark, _ message: String, _ hint: String? = nil) {
        problems.append(Problem(code: code.rawValue, mark: mark, message: message, hint: hint))
    }

    mutating func entries(_ node: Node, _ kind: String) -> [Node.Member]? {
        if let members = node.members { return members }
        note(.wrongType, node.mark, "\(kind) is a map, not \(node.value.kindName)")
        return nil
    }

    mutating func map(_ node: Node, _ kind: String, known: [String]) -> Fields? {
        guard let members = entries(node, kind) else { return nil }
        for member in members where !known.contains(where: { $0.hasSameBytes(as: member.name) }) {
            note(
                .unknownKey, member.nameMark, "\(kind) has no key `\(member.name)`",
                Suggestion.hint(for: member.name, among: known)
                    ?? "known are: \(known.joined(separator: ", "))")
        }
        return Fields(members: members)
    }

    mutating func text(_ node: Node, _ kind: String) -> String? {
        if let text = node.value.string { return text }
        note(
            .wrongType, node.mark, "\(kind) is a text, not \(node.value.kindName)",
            node.text.map { "put it in quotes: \"\($0.prefix(60))\"" })
        return nil
    }

    mutating func duration(_ node: Node) -> Duration? {
        if let duration = node.text.flatMap({ DurationText.read($0) }) { return duration }
        note(
            .badValue, node.mark, "`\(node.text ?? node.value.kindName)` is no duration",
            "write 30s, 15m or 75d")
        return nil
    }

    mutating func instant(_ node: Node) -> Instant? {
        if let instant = node.text.flatMap({ Instant(rfc3339: $0) }) { return instant }
        note(
            .badValue, node.mark, "`\(node.text ?? node.value.kindName)` is no time",
            "write for example 2026-01-31T09:30:00Z")
        return nil
    }

    mutating func choice(_ node: Node, _ kind: String, _ words: [String]) -> String? {
        guard let text = text(node, kind) else { return nil }
        if words.contains(where: { $0.hasSameBytes(as: text) }) { return text }
        note(
            .badValue, node.mark, "`\(text)` is no \(kind)",
            Suggestion.hint(for: text, among: words) ?? "one of: \(words.joined(separator: ", "))")
        return nil
    }

    mutating func whole(_ node: Node, _ kind: String, _ range: ClosedRange<Int>) -> Int? {
        if let number = node.value.int.flatMap({ Int(exactly: $0) }), range.contains(number) { return number }
        note(
            .badValue, node.mark, "\(kind) is a whole number from \(range.lowerBound) to \(range.upperBound)")
        return nil
    }

    /// The path of a step of the workflow; numbers of items may be left out.
    mutating func step(_ name: String, at mark: Mark) -> String? {
        let scope = definition?.stepTree ?? StepScope(steps: [])
        if StepPath.exists(name, in: scope) { return name }
        let steps = StepPath.all(in: scope)
        let names =
            steps.map(\.path) + steps.filter { $0.step.compensation != nil }.map { $0.path + "/compensate" }
        note(
            .unknownName, mark, "the workflow has no step `\(name)`",
            Suggestion.hint(for: name, among: names) ?? "it has: \(names.joined(separator: ", "))")
        return nil
    }
}
