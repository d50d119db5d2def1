import Values

/// Steps that start other runs, and limits on concurrent runs.
extension WorkflowDecoder {
    static let callKeys = ["input", "detach"]
    private static let limitMax = 1_000
    private static let limitRules = ["queue", "skip"]

    // MARK: - call

    /// The name of a workflow, an expression for one, or `{workflow: …}`.
    mutating func call(_ node: Node, _ fields: Fields) -> CallTemplate? {
        guard let workflow = calledWorkflow(node) else { return nil }
        return CallTemplate(
            workflow: workflow, input: fields["input"].map { template($0) },
            isDetached: fields["detach"].map { flag($0, as: "detach") } ?? false)
    }

    /// Reports `input` and `detach` on steps that are no `call`.
    mutating func checkCallKeys(_ kind: Node.Member, _ fields: Fields) {
        guard kind.name != "call" else { return }
        for key in Self.callKeys {
            guard let member = fields.member(key) else { continue }
            note(
                .keyNotForKind, at: member.nameMark, "only a call has `\(key)`",
                hint: "move it to the step with the `call`")
        }
    }

    private mutating func calledWorkflow(_ node: Node) -> Template? {
        if node.members != nil, !node.isBlockForm {
            guard let fields = fields(of: node, as: "a call", known: ["workflow"]),
                let workflow = required("workflow", in: fields, at: node)
            else { return nil }
            return workflowName(workflow)
        }
        return workflowName(node)
    }

    private mutating func workflowName(_ node: Node) -> Template? {
        let template = template(node)
        switch template {
        case .expression, .text: return template
        case .list, .map: break
        case .constant(let value):
            // A null for a node that is not null replaces an expression that was refused already.
            if value.isNull, !node.value.isNull { return template }
            guard node.members == nil, node.items == nil, let name = text(node, as: "the name of a workflow")
            else {
                if node.members != nil || node.items != nil { break }
                return nil
            }
            if Naming.isWorkflowName(name) { return template }
            note(
                .badName, at: node.mark, "\(quote(name)) is not a workflow name",
                hint: "name a workflow that you deploy, or write << >>")
            return nil
        }
        note(
            .wrongType, at: node.mark, "a call names a workflow, which is a text, not \(node.kindPhrase)",
            hint: "write `call: name` and the values for it under `input`")
        return nil
    }

    private mutating func flag(_ node: Node, as kind: String) -> Bool {
        if let flag = node.value.bool { return flag }
        note(.wrongType, at: node.mark, "\(kind) is true or false, not \(node.kindPhrase)")
        return false
    }

    // MARK: - concurrency

    mutating func concurrency(_ node: Node) -> ConcurrencyRule? {
        guard
            let fields = fields(of: node, as: "concurrency", known: ["key", "limit", "on_limit"]),
            let keyNode = required("key", in: fields, at: node)
        else { return nil }
        let firstUse = uses.count
        var rule = ConcurrencyRule(key: concurrencyKey(keyNode))
        noteMissingParts(
            of: rule.key, uses[firstUse...], refusedWith: "concurrency_key_missing",
            by: triggers.filter { [.http, .webhook, .manual].contains($0.kind) })
        if let limit = fields["limit"] {
            rule.limit = wholeNumber(limit, as: "limit", in: 1...Self.limitMax) ?? 1
        }
        if let member = fields.member("on_limit"), let name = text(member.value, as: "on_limit") {
            if let known = ConcurrencyRule.LimitRule(rawValue: name) {
                rule.onLimit = known
            } else {
                noteChoice(name, at: member.value.mark, "a value of on_limit", Self.limitRules)
            }
        }
        return rule
    }

    /// The key of `concurrency`; a constant counts all runs of the workflow together.
    private mutating func concurrencyKey(_ node: Node) -> Template {
        let key = template(node)
        guard let constant = key.constant else {
            if case .expression = key { return key }
            if case .text = key { return key }
            noteKeyType(node)
            return key
        }
        switch constant {
        case .string(let text) where !text.isEmpty: break
        case .int, .number: break
        // A null for a node that is not null replaces an expression that was refused already.
        case .null where !node.value.isNull: break
        default: noteKeyType(node)
        }
        return key
    }

    private mutating func noteKeyType(_ node: Node) {
        note(
            .wrongType, at: node.mark, "the key is a text or a number, not \(node.kindPhrase)",
            hint: "write for example << trigger.body.account >>")
    }
}
