import Ports
import Values

extension WorkflowDecoder {
    static let stepCountMax = 1000
    static let stepKinds = ["request", "lua", "call", "sleep", "wait", "signal", "reply", "fail", "finish"]
    static let stepKeys =
        ["description", "after", "when", "retry", "on_error", "response", "compensate"] + callKeys + stepKinds
    static let laterStepKinds = ["steps"]
    static let laterStepKeys = laterStepKinds + ["strategy"]

    /// A step before the names of the others are known.
    private struct Draft {
        var step: Step
        var mark: Mark
        /// Names of the steps before it, with their places.
        var after: [(name: String, mark: Mark)]
    }

    mutating func steps(_ node: Node) -> StepScope {
        var drafts: [Draft] = []
        switch node.content {
        case .map(let members):
            for member in members {
                checkID(member.name, at: member.nameMark)
                owner = .step(drafts.count)
                drafts.append(draft(member.value, id: member.name, mark: member.nameMark, isInList: false))
            }
        case .list(let items):
            for (index, item) in items.enumerated() {
                owner = .step(index)
                let id = listedID(item, index: index)
                drafts.append(draft(item, id: id, mark: item["id"]?.mark ?? item.mark, isInList: true))
            }
        case .scalar:
            note(
                .wrongType, at: node.mark,
                "steps is a map of ids to steps or a list of steps, not \(node.kindPhrase)")
            return StepScope(steps: [])
        }
        if drafts.isEmpty { note(.emptyList, at: node.mark, "there are no steps") }
        guard drafts.count <= Self.stepCountMax else {
            note(.tooManySteps, at: node.mark, "\(drafts.count) steps; at most \(Self.stepCountMax) are run")
            return StepScope(steps: [])
        }
        return joined(drafts, isList: node.items != nil)
    }

    private mutating func checkID(_ id: String, at mark: Mark) {
        if Naming.isLuaKeyword(id) {
            note(
                .badIdentifier, at: mark, "\(quote(id)) is a word of Lua and cannot be an id",
                hint: "use another, such as `\(id)_step`")
        } else if !Naming.isStepID(id) {
            note(
                .badIdentifier, at: mark, "\(quote(id)) is no id of a step",
                hint: "use at most 64 of a-z, 0-9 and _, starting with a letter")
        }
    }

    private mutating func listedID(_ item: Node, index: Int) -> String {
        guard let node = item["id"] else { return "step_\(index + 1)" }
        guard let id = text(node, as: "an id") else { return "step_\(index + 1)" }
        checkID(id, at: node.mark)
        return id
    }

    // MARK: - Order

    private mutating func joined(_ drafts: [Draft], isList: Bool) -> StepScope {
        let ids = drafts.map(\.step.id)
        // A later step of the same id is noted and cannot be named.
        var positions: [String: Int] = [:]
        for (index, draft) in drafts.enumerated() {
            if positions[draft.step.id] == nil {
                positions[draft.step.id] = index
            } else {
                note(
                    .duplicateStep, at: draft.mark, "two steps are called \(quote(draft.step.id))",
                    hint: "give each its own id")
            }
        }
        var steps = drafts.map(\.step)
        for (index, draft) in drafts.enumerated() {
            if isList {
                steps[index].after = index > 0 ? [index - 1] : []
                steps[index].isListed = true
                continue
            }
            for (name, mark) in draft.after {
                guard let position = positions[name] else {
                    note(
                        .unknownStep, at: mark, "no step is called \(quote(name))",
                        hint: Suggestion.hint(for: name, among: ids))
                    continue
                }
                if !steps[index].after.contains(position) { steps[index].after.append(position) }
            }
        }
        for cycle in StepOrder.cycles(in: steps) {
            let names = (cycle + cycle.prefix(1)).map { ids[$0] }
            note(
                .cycle, at: drafts[cycle[0]].mark,
                "these steps wait for each other: \(names.joined(separator: " → "))",
                hint: "remove one `after`")
        }
        return StepScope(steps: steps)
    }

    // MARK: - One step

    private mutating func draft(_ node: Node, id: String, mark: Mark, isInList: Bool) -> Draft {
        var draft = Draft(step: Step(id: id, action: .finish(.constant(.null))), mark: mark, after: [])
        let known = (isInList ? ["id"] : []) + Self.stepKeys
        guard let fields = fields(of: node, as: "a step", known: known, later: Self.laterStepKeys) else {
            return draft
        }
        draft.step.description = fields["description"].flatMap { text($0, as: "a description") }
        if let after = fields.member("after") {
            if isInList {
                note(
                    .afterInList, at: after.nameMark, "steps of a list run in its order and have no `after`",
                    hint: "make `steps` a map of ids to steps")
            } else {
                draft.after = names(after.value)
            }
        }
        draft.step.guardExpression = fields["when"].flatMap { bareExpression($0, under: "when") }
        draft.step.onError = fields["on_error"].flatMap { errorRule($0) } ?? .fail
        if let kind = kind(of: fields, node) { decodeAction(kind, fields, into: &draft.step) }
        if let compensate = fields.member("compensate") {
            draft.step.compensation = compensation(compensate.value)
        }
        return draft
    }

    /// A request of its own; it may read every step, because it runs after all of them.
    private mutating func compensation(_ node: Node) -> Compensation? {
        let before = owner
        owner = .output
        defer { owner = before }
        guard
            let fields = fields(of: node, as: "compensate", known: ["request", "response", "retry"]),
            let request = required("request", in: fields, at: node),
            let template = self.request(request, response: fields["response"])
        else { return nil }
        return Compensation(
            request: template, retry: fields["retry"].map { self.retry($0) } ?? .requestDefault)
    }

    private mutating func names(_ node: Node) -> [(name: String, mark: Mark)] {
        let items = node.items ?? [node]
        return items.compactMap { item in text(item, as: "`after`").map { ($0, item.mark) } }
    }

    private mutating func errorRule(_ node: Node) -> Step.ErrorRule? {
        guard let name = text(node, as: "on_error") else { return nil }
        if let rule = Step.ErrorRule(rawValue: name) { return rule }
        noteChoice(name, at: node.mark, "a value of on_error", ["fail", "continue"])
        return nil
    }

    /// The one member that says what the step does.
    private mutating func kind(of fields: Fields, _ node: Node) -> Node.Member? {
        let kinds = fields.members.filter { member in Self.stepKinds.contains { $0 == member.name } }
        let later = fields.members.contains { member in Self.laterStepKinds.contains { $0 == member.name } }
        if kinds.isEmpty, !later {
            // Only a key that was refused may stand for a kind: `retry` is near `reply` and none of them.
            let isMisspelt = fields.members.contains { member in
                !(Self.stepKeys + ["id"]).contains { $0 == member.name }
                    && Suggestion.hint(for: member.name, among: Self.stepKinds) != nil
            }
            if !isMisspelt {
                note(
                    .stepKind, at: node.mark, "the step does nothing",
                    hint: "give it one of: \(Self.stepKinds.joined(separator: ", "))")
            }
        }
        for extra in kinds.dropFirst() {
            note(
                .stepKind, at: extra.nameMark,
                "a step is either a `\(kinds[0].name)` or a `\(extra.name)`, not both",
                hint: "make two steps of it")
        }
        return kinds.first
    }

    private mutating func decodeAction(_ kind: Node.Member, _ fields: Fields, into step: inout Step) {
        step.retry = retry(of: kind, fields)
        let isRequest = kind.name == "request"
        if let response = fields.member("response"), !isRequest {
            note(
                .keyNotForKind, at: response.nameMark, "only a request has a `response`",
                hint: "move it to the step with the `request`")
        }
        checkCallKeys(kind, fields)
        if let action = action(kind, fields) { step.action = action }
    }

    private mutating func retry(of kind: Node.Member, _ fields: Fields) -> RetryPolicy {
        let isRequest = kind.name == "request"
        guard let retry = fields.member("retry") else { return isRequest ? .requestDefault : .none }
        let policy = self.retry(retry.value)
        if isRequest { return policy }
        note(
            .pointlessRetry, at: retry.nameMark,
            "only a request is tried again; a `\(kind.name)` step runs once",
            hint: "remove `retry`")
        return .none
    }

    /// What the step does; nil after noting why it cannot be read.
    private mutating func action(_ kind: Node.Member, _ fields: Fields) -> Step.Action? {
        switch kind.name {
        case "request": return request(kind.value, response: fields["response"]).map { .request($0) }
        case "lua": return bareExpression(kind.value, under: "lua").map { .compute($0) }
        case "call": return call(kind.value, fields).map { .call($0) }
        case "sleep": return sleep(kind.value).map { .sleep($0) }
        case "wait": return wait(kind.value).map { .wait($0) }
        case "signal": return signal(kind.value).map { .signal($0) }
        case "reply": return reply(kind).map { .reply($0) }
        case "fail":
            if kind.value.value.isNull {
                note(.wrongType, at: kind.value.mark, "`fail` has no text", hint: "say why the run fails")
            }
            return .fail(template(kind.value))
        default: return .finish(template(kind.value))
        }
    }
}

// MARK: - What expressions read

extension WorkflowDecoder {
    /// Notes each expression that reads a step which is not there or not settled by then.
    mutating func checkReadSteps(in scope: StepScope) {
        guard !scope.steps.isEmpty else { return }
        let before = StepOrder.ancestors(in: scope.steps)
        var positions: [String: Int] = [:]
        for (index, step) in scope.steps.enumerated() where positions[step.id] == nil {
            positions[step.id] = index
        }
        for use in uses {
            for name in use.expression.stepNames where name != "*" {
                guard let position = positions[name] else {
                    note(
                        .unknownStep, at: use.mark, "no step is called \(quote(name))",
                        hint: Suggestion.hint(for: name, among: scope.steps.map(\.id)))
                    continue
                }
                checkRead(of: position, by: use, before: before, scope)
            }
        }
    }

    private mutating func checkRead(of position: Int, by use: Use, before: [StepSet], _ scope: StepScope) {
        let name = scope.steps[position].id
        switch use.owner {
        case .output: break
        case .trigger:
            note(
                .noStepsYet, at: use.mark, "a trigger cannot read `steps.\(name)`: no step has run",
                hint: "read `trigger`")
        case .step(let reader) where reader == position:
            note(
                .stepNotSettled, at: use.mark, "the step reads its own result, `steps.\(name)`",
                hint: "in `fail_when` and `retry` read `response`")
        case .step(let reader):
            guard before.indices.contains(reader), !before[reader].contains(position) else { return }
            note(
                .stepNotSettled, at: use.mark,
                "the step reads `steps.\(name)` but does not come after it, so there may be no result yet",
                hint: "add `after: [\(name)]`")
        }
    }
}
