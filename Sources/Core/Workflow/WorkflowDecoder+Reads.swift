import Ports
import Values

/// Checks the steps that expressions read: each must be in scope and settled by then.
extension WorkflowDecoder {
    /// The decoded steps of one scope so far.
    struct ScopeDraft {
        /// The group that contains the steps; nil for the file's own.
        var group: Place?
        var steps: [Step] = []
        var marks: [Mark] = []
        /// Indexes of steps whose ids are generated.
        var generated: Set<Int> = []
        /// The inner scope of each step that is a group.
        var inner: [Int: Int] = [:]
        /// The index of the `finally` group in the file's own scope; no expression reads it.
        var finally: Int?

        /// The steps to which `steps.<id>` can refer.
        var readable: ArraySlice<Step> { steps.prefix(finally ?? steps.count) }
    }

    /// A step by its scope and its index there.
    struct Place: Hashable {
        var scope: Int
        var index: Int
    }

    /// Reports each read of a step that does not exist or is not settled by then.
    mutating func checkReads() {
        guard let root = scopes.first, !root.steps.isEmpty else { return }
        let tables = scopes.map { ReadTable($0) }
        noteShadows(tables)
        for use in uses {
            for name in use.expression.stepNames where name != "*" { checkRead(of: name, by: use, tables) }
        }
    }

    /// Reports a step in a group with the id of a step outside, which it would hide.
    private mutating func noteShadows(_ tables: [ReadTable]) {
        for scope in scopes {
            for (index, step) in scope.steps.enumerated() where !scope.generated.contains(index) {
                var group = scope.group
                while let place = group {
                    if tables[place.scope].positions[step.id] != nil {
                        note(
                            .shadowedStep, at: scope.marks[index],
                            "a step outside the group is called \(quote(step.id)), too",
                            hint: "give each its own id, so that `steps.\(step.id)` has one meaning")
                        break
                    }
                    group = scopes[place.scope].group
                }
            }
        }
    }

    private mutating func checkRead(of name: String, by use: Use, _ tables: [ReadTable]) {
        switch use.owner {
        case .trigger:
            guard tables[0].positions[name] != nil else { return noteUnknown(name, use, [0]) }
            note(
                .noStepsYet, at: use.mark, "a trigger cannot read `steps.\(name)`: no step has run",
                hint: "read `trigger`")
        case .output(let scope):
            if tables[scope].positions[name] == nil { checkAround(scope, name, use, tables) }
        case .until(let place):
            if let inner = scopes[place.scope].inner[place.index], tables[inner].positions[name] != nil {
                return
            }
            if tables[place.scope].positions[name] != place.index { checkStep(place, name, use, tables) }
        case .compensation(let place):
            var scopeIndex: Int? = place.scope
            while let scope = scopeIndex {
                if tables[scope].positions[name] != nil { return }
                scopeIndex = scopes[scope].group?.scope
            }
            noteUnknown(name, use, seen(from: place.scope))
        case .step(let place): checkStep(place, name, use, tables)
        }
    }

    /// Checks a read by a step: the target must come before it, in its own scope or around it.
    private mutating func checkStep(_ place: Place, _ name: String, _ use: Use, _ tables: [ReadTable]) {
        guard let position = tables[place.scope].positions[name] else {
            return checkAround(place.scope, name, use, tables)
        }
        if position == place.index {
            note(
                .stepNotSettled, at: use.mark, "the step reads its own result, `steps.\(name)`",
                hint: "in `fail_when` and `retry` read `response`")
        } else if tables[place.scope].before.indices.contains(place.index),
            !tables[place.scope].before[place.index].contains(position)
        {
            note(
                .stepNotSettled, at: use.mark,
                "the step reads `steps.\(name)` but does not come after it, so there may be no result yet",
                hint: "add `after: [\(name)]`")
        }
    }

    /// Checks a read of a step outside the group.
    private mutating func checkAround(_ scope: Int, _ name: String, _ use: Use, _ tables: [ReadTable]) {
        var group = scopes[scope].group
        while let place = group {
            if let position = tables[place.scope].positions[name] {
                let groupName = scopes[place.scope].steps[place.index].id
                if position == place.index {
                    note(
                        .stepNotSettled, at: use.mark,
                        "a step inside `\(groupName)` reads that group's result, which comes after it",
                        hint: "read the steps of the group")
                } else if !tables[place.scope].before[place.index].contains(position) {
                    note(
                        .stepNotSettled, at: use.mark,
                        "a step inside `\(groupName)` reads `steps.\(name)`, but the group does not come after it",
                        hint: "add `after: [\(name)]` to `\(groupName)`")
                }
                return
            }
            group = scopes[place.scope].group
        }
        noteUnknown(name, use, seen(from: scope))
    }

    /// The scope and those around it.
    private func seen(from scope: Int) -> [Int] {
        var found = [scope]
        while let last = found.last, let group = scopes[last].group { found.append(group.scope) }
        return found
    }

    private mutating func noteUnknown(_ name: String, _ use: Use, _ seen: [Int]) {
        let names = seen.flatMap { scopes[$0].readable.map(\.id) }
        var hint = Suggestion.hint(for: name, among: names)
        if let inside = scopes.indices.first(where: { scope in
            scopes[scope].group != nil && scopes[scope].steps.contains { $0.id.hasSameBytes(as: name) }
        }), let group = scopes[inside].group, scopes[group.scope].steps.indices.contains(group.index) {
            let groupName = scopes[group.scope].steps[group.index].id
            hint =
                scopes[group.scope].finally == group.index
                ? "it is one of the `finally` steps, which come after all others"
                : "it is inside `\(groupName)`: from outside read `steps.\(groupName).output`"
        }
        note(.unknownStep, at: use.mark, "no step is called \(quote(name))", hint: hint)
    }
}

/// A scope's steps by name, and the steps settled before each of them.
private struct ReadTable {
    var positions: [String: Int] = [:]
    let before: [StepSet]

    init(_ scope: WorkflowDecoder.ScopeDraft) {
        before = StepOrder.ancestors(in: scope.steps)
        for (index, step) in scope.readable.enumerated() where positions[step.id] == nil {
            positions[step.id] = index
        }
    }
}
