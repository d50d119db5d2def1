import Values

/// The `run` trigger, for the ends of other runs.
extension WorkflowDecoder {
    private static let runTriggerKeys = ["type", "on", "workflows", "when"]
    private static let workflowCountMax = 100

    mutating func runTrigger(_ node: Node) -> Trigger? {
        guard let fields = fields(of: node, as: "a run trigger", known: Self.runTriggerKeys) else {
            return nil
        }
        let condition = fields["when"].flatMap { bareExpression($0, under: "when") }
        let outcomes = required("on", in: fields, at: node).map { self.outcomes($0) } ?? []
        let workflows = fields["workflows"].map { workflowNames($0) } ?? []
        if checksNames, let node = fields["workflows"], workflows.count == 1, workflows.first == workflowName
        {
            note(
                .badChoice, at: node.mark,
                "`\(workflows[0])` is this workflow, which never hears of its own runs",
                hint: "use `finally` for what comes after its own steps")
        }
        return Trigger(
            kind: .run(RunTriggerRule(outcomes: outcomes, workflows: workflows)), guardExpression: condition)
    }

    private mutating func outcomes(_ node: Node) -> [String] {
        var seen: Set<String> = []
        return list(node, as: "on").compactMap { item in
            guard let word = text(item, as: "on") else { return nil }
            guard seen.insert(word).inserted || !checksNames else {
                note(.badChoice, at: item.mark, "\(quote(word)) is named twice", hint: "remove one of them")
                return nil
            }
            if RunTriggerRule.outcomes.contains(word) { return word }
            noteChoice(word, at: item.mark, "an outcome", RunTriggerRule.outcomes)
            return nil
        }
    }

    private mutating func workflowNames(_ node: Node) -> [String] {
        let items = list(node, as: "workflows")
        if items.count > Self.workflowCountMax {
            note(
                .outOfRange, at: node.mark,
                "workflows names \(items.count) workflows; at most \(Self.workflowCountMax)",
                hint: "leave it out to hear of all, and choose by `when`")
        }
        var seen: Set<String> = []
        return items.compactMap { item in
            guard let name = text(item, as: "the name of a workflow") else { return nil }
            guard seen.insert(name).inserted || !checksNames else {
                note(.badName, at: item.mark, "\(quote(name)) is named twice", hint: "remove one of them")
                return nil
            }
            if Naming.isWorkflowName(name) { return name }
            note(
                .badName, at: item.mark, "\(quote(name)) is not a workflow name",
                hint: "use the `name` of a workflow of this tenant")
            return nil
        }
    }

    /// The items of a non-empty list; a single value counts as a list of one.
    private mutating func list(_ node: Node, as key: String) -> [Node] {
        guard let items = node.items else { return [node] }
        if items.isEmpty { note(.emptyList, at: node.mark, "\(key) is empty") }
        return items
    }
}
