import Ports
import Values

extension WorkflowDecoder {
    static let stepCountMax = 1000
    static let stepKinds = [
        "request", "lua", "call", "sleep", "wait", "signal", "reply", "steps", "fail", "finish",
    ]
    static let stepKeys =
        ["description", "after", "when", "retry", "on_error", "response", "compensate", "strategy", "output"]
        + callKeys + stepKinds
    /// Deepest nesting of groups.
    static let groupDepthMax = 8

    /// A step before its references to other steps are resolved.
    private struct Draft {
        var step: Step
        var mark: Mark
        /// The names under `after`, with their positions.
        var after: [(name: String, mark: Mark)]
    }

    /// Decodes the steps of the file, or of `group`.
    mutating func steps(_ node: Node, in group: Place? = nil, as key: String = "steps") -> StepScope {
        let scope = scopes.count
        scopes.append(ScopeDraft(group: group))
        if let group { scopes[group.scope].inner[group.index] = scope }
        var drafts: [Draft] = []
        switch node.content {
        case .map(let members):
            for member in members {
                checkID(member.name, at: member.nameMark)
                let place = Place(scope: scope, index: drafts.count)
                drafts.append(
                    draft(member.value, id: member.name, mark: member.nameMark, at: place, isInList: false))
            }
        case .list(let items):
            for (index, item) in items.enumerated() {
                let place = Place(scope: scope, index: index)
                let id = listedID(item, index: index)
                if item["id"] == nil { scopes[scope].generated.insert(index) }
                drafts.append(
                    draft(item, id: id, mark: item["id"]?.mark ?? item.mark, at: place, isInList: true))
            }
        case .scalar:
            note(
                .wrongType, at: node.mark,
                "\(key) is a map of ids to steps or a list of steps, not \(node.kindPhrase)")
            return StepScope(steps: [])
        }
        if drafts.isEmpty { note(.emptyList, at: node.mark, "there are no steps") }
        stepCount += drafts.count
        guard stepCount <= Self.stepCountMax || stepCount - drafts.count > Self.stepCountMax else {
            note(.tooManySteps, at: node.mark, "\(stepCount) steps; at most \(Self.stepCountMax) are run")
            return StepScope(steps: [])
        }
        let joined = joined(drafts, isList: node.items != nil)
        scopes[scope].steps = joined.steps
        scopes[scope].marks = drafts.map(\.mark)
        return joined
    }

    /// The `finally` steps, as a group that waits for all others.
    mutating func finally(_ member: Node.Member) -> StepGroup {
        let place = Place(scope: 0, index: scopes.first?.steps.count ?? 0)
        guard !scopes.isEmpty else { return StepGroup(scope: StepScope(steps: [])) }
        if let same = scopes[0].steps.firstIndex(where: { $0.id.hasSameBytes(as: "finally") }) {
            note(
                .badIdentifier, at: scopes[0].marks[same],
                "a file with `finally` steps cannot call another step `finally`", hint: "use another id")
        }
        scopes[0].finally = place.index
        let group = StepGroup(scope: steps(member.value, in: place, as: "finally"))
        scopes[0].steps.append(
            Step(id: "finally", after: Array(scopes[0].steps.indices), action: .group(group)))
        scopes[0].marks.append(member.nameMark)
        return group
    }

    private mutating func checkID(_ id: String, at mark: Mark) {
        if id.hasSameBytes(as: "compensate") {
            note(
                .badIdentifier, at: mark, "`compensate` is what undoing is called and cannot be an id",
                hint: "use another, such as `compensate_all`")
        } else if Naming.isLuaKeyword(id) {
            note(
                .badIdentifier, at: mark, "\(quote(id)) is a word of Lua and cannot be an id",
                hint: "use another, such as `\(id)_step`")
        } else if !Naming.isStepID(id) {
            note(
                .badIdentifier, at: mark, "\(quote(id)) is not an id of a step",
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
        // A later step with the same id is reported and cannot be referred to.
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

    private mutating func draft(
        _ node: Node, id: String, mark: Mark, at place: Place, isInList: Bool
    ) -> Draft {
        owner = .step(place)
        var draft = Draft(step: Step(id: id, action: .finish(.constant(.null))), mark: mark, after: [])
        let known = (isInList ? ["id"] : []) + Self.stepKeys
        guard let fields = fields(of: node, as: "a step", known: known) else {
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
        view.isBeforeItems = true
        draft.step.guardExpression = fields["when"].flatMap { bareExpression($0, under: "when") }
        view.isBeforeItems = false
        draft.step.onError = fields["on_error"].flatMap { errorRule($0) } ?? .fail
        draft.step.strategy = fields["strategy"].flatMap { strategy($0, of: place) }
        let kind = kind(of: fields, node)
        if let kind { decodeAction(kind, fields, at: place, into: &draft.step) }
        owner = .step(place)
        if let compensate = fields.member("compensate") {
            draft.step.compensation = compensation(compensate.value, of: place)
        }
        if let kind { refuseKeys(of: kind, fields) }
        if isInFinally(place) { refuseInFinally(fields, kind) }
        return draft
    }

    /// Reports keys that this kind of step cannot have.
    private mutating func refuseKeys(of kind: Node.Member, _ fields: Fields) {
        if kind.name != "steps", let output = fields.member("output") {
            note(
                .keyNotForKind, at: output.nameMark, "only a group of `steps` has an `output`",
                hint: "a `lua` step gives its own value")
        }
        if kind.name == "steps", let retry = fields.member("retry") {
            note(
                .keyNotForKind, at: retry.nameMark, "a group is not tried again as a whole",
                hint: "give `retry` to the requests in it")
        }
        if kind.name == "steps", let compensate = fields.member("compensate") {
            note(
                .keyNotForKind, at: compensate.nameMark, "a group is undone step by step",
                hint: "give `compensate` to the steps in it")
        }
        if ["fail", "finish", "reply"].contains(kind.name), let strategy = fields.member("strategy") {
            note(
                .keyNotForKind, at: strategy.nameMark, "a `\(kind.name)` happens once and has no `strategy`",
                hint: "put it into a group of `steps` with the strategy")
        }
    }

    private func isInFinally(_ place: Place) -> Bool {
        var group = scopes[place.scope].group
        while let outer = group {
            if scopes[outer.scope].finally == outer.index { return true }
            group = scopes[outer.scope].group
        }
        return false
    }

    /// Reports keys that a `finally` step cannot have: the run's outcome is decided before, and nothing is undone
    /// after.
    private mutating func refuseInFinally(_ fields: Fields, _ kind: Node.Member?) {
        if let kind, ["fail", "finish"].contains(kind.name) {
            note(
                .keyNotForKind, at: kind.nameMark,
                "`finally` steps cannot `\(kind.name)`: how the run ends is decided before them",
                hint: "decide it in `steps`; here `run.outcome` tells")
        }
        if let compensate = fields.member("compensate") {
            note(
                .keyNotForKind, at: compensate.nameMark, "what a `finally` step has done is not undone",
                hint: "undo it in a later `finally` step, or move the step to `steps`")
        }
    }

    /// The request that undoes a step; it may read every step, because it runs after all of them.
    private mutating func compensation(_ node: Node, of place: Place) -> Compensation? {
        let before = owner
        owner = .compensation(place)
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

    /// The member that determines the kind of the step.
    private mutating func kind(of fields: Fields, _ node: Node) -> Node.Member? {
        let kinds = fields.members.filter { member in Self.stepKinds.contains { $0 == member.name } }
        if kinds.isEmpty {
            // Only an unknown key counts as a misspelt kind: `retry` is close to `reply` but valid.
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

    private mutating func decodeAction(
        _ kind: Node.Member, _ fields: Fields, at place: Place, into step: inout Step
    ) {
        if kind.name == "steps" {
            if let group = group(kind, fields, at: place) { step.action = .group(group) }
        } else {
            step.retry = retry(of: kind, fields)
        }
        let isRequest = kind.name == "request"
        if let response = fields.member("response"), !isRequest {
            note(
                .keyNotForKind, at: response.nameMark, "only a request has a `response`",
                hint: "move it to the step with the `request`")
        }
        checkCallKeys(kind, fields)
        if kind.name != "steps", let action = action(kind, fields) { step.action = action }
    }

    private mutating func group(_ kind: Node.Member, _ fields: Fields, at place: Place) -> StepGroup? {
        var depth = 1
        var outer = scopes[place.scope].group
        while let group = outer {
            depth += 1
            outer = scopes[group.scope].group
        }
        guard depth <= Self.groupDepthMax else {
            note(
                .groupsTooDeep, at: kind.nameMark,
                "groups stand more than \(Self.groupDepthMax) deep in one another",
                hint: "take steps out of their groups, or make a workflow of them")
            return nil
        }
        var group = StepGroup(scope: steps(kind.value, in: place))
        owner = .output(scopes[place.scope].inner[place.index] ?? place.scope)
        group.output = fields["output"].map { template($0) }
        return group
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

    /// The action of a step; nil after reporting a problem.
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
