import Ports
import Values

extension WorkflowDecoder {
    private static let triggerTypes = ["http", "webhook", "hook", "schedule", "manual", "run"]
    static let hookEvents = ["on_purchase_requested", "on_balance_depleted"]

    mutating func triggers(_ node: Node) -> [Trigger] {
        guard let items = node.items else {
            note(
                .wrongType, at: node.mark, "triggers is a list, not \(node.kindPhrase)",
                hint: "begin each with a hyphen: - type: http")
            return []
        }
        if items.isEmpty {
            note(.emptyList, at: node.mark, "triggers is empty", hint: "add at least `- type: manual`")
        }
        // Only the key counts; an invalid value of it is reported separately.
        holdsCallers = items.contains { $0["reply"] != nil }
        return items.compactMap { trigger($0) }
    }

    private mutating func trigger(_ node: Node) -> Trigger? {
        guard node.members != nil else {
            note(
                .wrongType, at: node.mark, "a trigger is a map, not \(node.kindPhrase)",
                hint: "write - type: http")
            return nil
        }
        guard let typeNode = node["type"] else {
            note(
                .missingKey, at: node.mark, "`type` is missing",
                hint: "one of: \(Self.triggerTypes.joined(separator: ", "))")
            return nil
        }
        guard let type = text(typeNode, as: "a type") else { return nil }
        switch type {
        case "http": return answering(.http, node)
        case "webhook": return answering(.webhook, node)
        case "hook": return hook(node)
        case "manual":
            let fields = fields(of: node, as: "a manual trigger", known: ["type", "schema"])
            return Trigger(kind: .manual, schema: fields?["schema"].flatMap { schema($0) })
        case "schedule": return schedule(node)
        case "run": return runTrigger(node)
        default:
            noteChoice(type, at: typeNode.mark, "a type of trigger", Self.triggerTypes)
            return nil
        }
    }

    private mutating func answering(_ kind: Trigger.Kind, _ node: Node) -> Trigger? {
        let fields = fields(
            of: node, as: kind == .http ? "an http trigger" : "a webhook trigger",
            known: ["type", "schema", "when", "dedupe", "reply"])
        guard let fields else { return nil }
        if kind == .webhook, fields["when"] == nil {
            note(
                .openWebhook, at: node.mark, "this webhook has no `when`: anyone can start runs",
                hint: "check the sender's signature, for example with crypto.equals(crypto.hmac(…), …)")
        }
        let schema = fields["schema"].flatMap { self.schema($0) }
        var trigger = Trigger(
            kind: kind, schema: schema,
            guardExpression: fields["when"].flatMap { bareExpression($0, under: "when") })
        let firstUse = uses.count
        trigger.dedupe = fields["dedupe"].flatMap { dedupe($0) }
        if let key = trigger.dedupe {
            noteMissingParts(of: key, uses[firstUse...], refusedWith: "dedupe_key_missing", by: [trigger])
        }
        trigger.repliesWithResult = fields["reply"].map { reply($0) } ?? false
        return trigger
    }

    private mutating func hook(_ node: Node) -> Trigger? {
        guard let fields = fields(of: node, as: "a hook trigger", known: ["type", "event", "when"]) else {
            return nil
        }
        let condition = fields["when"].flatMap { bareExpression($0, under: "when") }
        guard let eventNode = required("event", in: fields, at: node),
            let event = text(eventNode, as: "an event")
        else { return nil }
        guard Self.hookEvents.contains(event) else {
            noteChoice(event, at: eventNode.mark, "an event of the engine", Self.hookEvents)
            return nil
        }
        return Trigger(kind: .hook(event: event), guardExpression: condition)
    }

    private mutating func dedupe(_ node: Node) -> Template? {
        let key = template(node)
        // A null for a node that is not null replaces an expression that was refused already.
        if let constant = key.constant, !constant.isNull || node.value.isNull {
            note(
                .expressionMissing, at: node.mark,
                "`dedupe` is the same for every delivery, so one run would ever start",
                hint: node.text.map { "write << \($0.prefix(60)) >>" })
            return nil
        }
        return key
    }

    private mutating func reply(_ node: Node) -> Bool {
        guard let word = text(node, as: "reply") else { return false }
        if word == "result" { return true }
        noteChoice(word, at: node.mark, "a reply", ["result"])
        return false
    }
}
