import Ports
import Values

/// Checks the names that expressions read; a misspelt name would be null at run time and no error.
extension WorkflowDecoder {
    /// What is made once for all expressions of a file, because each may read it.
    struct KnownShapes {
        var vars = NameShape.open
        var triggerBody = NameShape.open
        /// What requests declare of their answers.
        var responseBodies: [Place: NameShape] = [:]
        /// What the items of strategies are.
        var items: [Place: NameShape] = [:]
        /// Where a member was reported, because a path may be read through several variables.
        var reported: Set<Mark> = []
        /// Known names that hints may still go through; after very many, problems get no hint.
        var hintNamesLeft = 50_000
    }

    /// Names that a hint lists at most.
    private static let listedNameCountMax = 40

    /// Reports each unknown name and member.
    mutating func checkNames() {
        guard checksNames, let root = scopes.first, !root.steps.isEmpty else { return }
        shapes.vars = NameShape(of: vars)
        shapes.triggerBody = triggerBody
        for (scope, draft) in scopes.enumerated() {
            for (index, step) in draft.steps.enumerated() {
                guard case .request(let request) = step.action, let schema = request.response.schema else {
                    continue
                }
                shapes.responseBodies[Place(scope: scope, index: index)] = NameShape(
                    declaredBy: schema.source)
            }
        }
        noteItemShapes()
        let library = compiler.library
        for use in uses { for read in use.reads { checkName(read, use, library) } }
    }

    /// The known name that is closest, or else a list of them; nil if hints have gone through very many names already.
    private mutating func hint(for name: String, among known: some Collection<String>) -> String? {
        guard shapes.hintNamesLeft > 0 else { return nil }
        return nearest(to: name, among: known) ?? "there are: \(Self.list(known.sorted()))"
    }

    private mutating func nearest(to name: String, among known: some Collection<String>) -> String? {
        guard shapes.hintNamesLeft > 0 else { return nil }
        shapes.hintNamesLeft -= known.count
        return Suggestion.hint(for: name, among: known.sorted())
    }

    private static func list(_ names: [String]) -> String {
        let rest = names.count - listedNameCountMax
        return names.prefix(listedNameCountMax).joined(separator: ", ")
            + (rest > 0 ? " and \(rest) more" : "")
    }

    private mutating func checkName(_ read: NameRead, _ use: Use, _ library: [String: Set<String>]) {
        let name = read.root.name
        // A trigger's read of a step is reported in checkReads.
        if case .trigger = use.owner, name == "steps", !read.members.isEmpty { return }
        if !read.minuend.isEmpty, case .read = read.use, rootShape(name, use) == nil {
            return noteDash(read, use)
        }
        if let contents = library[name] {
            return isFilter(read) ? noteFilter(read, use) : checkLibrary(read, contents, use)
        }
        guard let shape = rootShape(name, use) else { return noteUnknownName(read, use, library) }
        if case .assigned = read.use {
            return note(
                .unknownName, at: mark(read.root, use), "an expression cannot change \(quote(name))",
                hint: "keep what is computed in a variable: `local x = …`")
        }
        checkMembers(of: shape, read, use)
        if case .method(let method) = read.use, let texts = library["string"], !texts.contains(method.name) {
            note(
                .unknownName, at: mark(method, use), "texts have no function \(quote(method.name))",
                hint: hint(for: method.name, among: texts))
        }
    }

    private func mark(_ part: NameRead.Part, _ use: Use) -> Mark {
        use.node.mark(ofByte: use.offset + part.offset)
    }

    /// A name with a hyphen after a dot, which Lua reads as a subtraction.
    private mutating func noteDash(_ read: NameRead, _ use: Use) {
        var path = read.minuend
        let start = path.removeLast()
        let name = ([start + "-" + read.root.name] + read.members.map(\.name)).joined(separator: ".")
        let whole = path.joined(separator: ".")
        note(
            .unknownName, at: mark(read.root, use),
            "`\(whole).\(start)-\(read.root.name)` subtracts \(quote(read.root.name)), which is no number here",
            hint: "a name with a hyphen stands in brackets: `\(whole)['\(name)']`")
    }

    // MARK: - Functions

    private mutating func checkLibrary(_ read: NameRead, _ contents: Set<String>, _ use: Use) {
        guard case .assigned = read.use else {
            if case .trigger = use.owner, read.root.name == "random" { return noteRandomness(read, use) }
            guard let member = read.members.first, !contents.contains(member.name) else { return }
            let whole = "\(read.root.name).\(member.name)"
            note(
                .unknownName, at: mark(member, use), "there is no function \(quote(whole))",
                hint: hint(for: member.name, among: contents))
            return
        }
        note(
            .unknownName, at: mark(read.root, use), "an expression cannot change \(quote(read.root.name))",
            hint: "choose another name for the variable: `local x = …`")
    }

    private mutating func noteRandomness(_ read: NameRead, _ use: Use) {
        note(
            .unknownName, at: mark(read.root, use),
            "`random.id` belongs to a run, and there is none yet when a trigger's expressions are evaluated",
            hint: "read members of `trigger`, or call it in a step")
    }

    /// Whether a function or a library follows `|`, whose operands are numbers.
    private func isFilter(_ read: NameRead) -> Bool {
        guard read.followsBar, case .read = read.use else { return false }
        // `math` has numbers, too.
        return read.root.name != "math" || read.members.isEmpty
    }

    private mutating func noteFilter(_ read: NameRead, _ use: Use) {
        let name = ([read.root.name] + read.members.map(\.name)).joined(separator: ".")
        note(
            .unknownName, at: mark(read.root, use),
            "\(quote(name)) cannot follow `|`, which combines numbers",
            hint: Self.filterHint(name))
    }

    private mutating func noteUnknownName(_ read: NameRead, _ use: Use, _ library: [String: Set<String>]) {
        let name = read.root.name
        if case .assigned = read.use {
            return note(
                .unknownName, at: mark(read.root, use), "\(quote(name)) is not a variable of the expression",
                hint: "declare it: `local \(name) = …`")
        }
        note(
            .unknownName, at: mark(read.root, use), "nothing is called \(quote(name))",
            hint: unknownNameHint(read, use, library))
    }

    private mutating func unknownNameHint(_ read: NameRead, _ use: Use, _ library: [String: Set<String>])
        -> String
    {
        let name = read.root.name
        if read.followsBar { return Self.filterHint(name) }
        if stepNames(around: use).contains(where: { $0.hasSameBytes(as: name) }) {
            let rest = read.members.map { ".\($0.name)" }.joined()
            return "write `steps.\(name)\(rest)`"
        }
        if isLoopName(name) { return Self.loopHint(name, use) }
        if let hint = ScopeNames.foreignRoots[name] { return hint }
        let roots = rootNames(use)
        let near = nearest(to: name, among: roots) ?? nearest(to: name, among: library.keys)
        let text = "a text stands in quotes: '\(name)'"
        return near ?? "there are \(roots.joined(separator: ", ")); \(text)"
    }

    private func isLoopName(_ name: String) -> Bool {
        ["item", "index", "last", "response"].contains(name)
            || scopes.contains { $0.steps.contains { $0.strategy?.itemName == name } }
    }

    private static func loopHint(_ name: String, _ use: Use) -> String {
        switch name {
        case "response": "`response` is there in `fail_when` and `retry.on`; else read `steps.<id>.response`"
        case _ where use.view.isBeforeItems: "`when` and `over` are evaluated once, before the items"
        case "last":
            "`last` is there where one item of a `strategy` runs at a time: `concurrency: 1` or `until`"
        default: "\(name == "index" ? "`index`" : "an item") is there in steps with a `strategy`"
        }
    }

    // MARK: - Roots

    private func rootNames(_ use: Use) -> [String] {
        if case .trigger = use.owner { return ["trigger", "vars", "secrets", "tenant"] }
        var names = ["trigger", "steps", "vars", "secrets", "run", "tenant"]
        if use.view.hasResponse { names.append("response") }
        for strategy in strategies(around: use) {
            names += [strategy.itemName, "index"] + (strategy.isLoop ? ["last"] : [])
        }
        return names
    }

    /// The shape of a root name in that expression; nil if there is no such name.
    private func rootShape(_ name: String, _ use: Use) -> NameShape? {
        guard rootNames(use).contains(where: { $0.hasSameBytes(as: name) }) else { return nil }
        switch name {
        case "trigger":
            var members = Self.leaves(ScopeNames.trigger)
            (members["body"], members["headers"], members["query"]) = (shapes.triggerBody, .headers, .open)
            return .closed(members)
        case "vars": return shapes.vars
        case "tenant": return .closed(Self.leaves(ScopeNames.tenant))
        case "run":
            var members = Self.leaves(ScopeNames.run)
            members["parent"] = .closed(Self.leaves(["run", "step"]))
            if isInFinally(use) {
                for name in ScopeNames.ending { members[name] = .leaf("a text") }
                (members["output"], members["error"]) = (.open, .closed(Self.leaves(ScopeNames.runError)))
            }
            return .closed(members)
        case "response": return responseShape(body: responseBody(of: use))
        case "last": return lastShape(use)
        default: return itemShape(name, use)
        }
    }

    // MARK: - Items

    /// Finds what the items of each strategy are, as far as a constant, a schema or another step says so.
    private mutating func noteItemShapes() {
        for use in uses {
            guard case .step(let place) = use.owner, use.view.isBeforeItems, let read = use.reads.first,
                case .expression(let over)? = step(at: place)?.strategy?.over,
                over.text.hasSameBytes(as: use.expression.text),
                over.composition.rule == .isPath, use.reads.count == 1, let shape = shape(of: read, use)
            else { continue }
            shapes.items[place] = shape.computedMember
        }
        for (scope, draft) in scopes.enumerated() {
            for (index, step) in draft.steps.enumerated() {
                guard let constant = step.strategy?.over.constant else { continue }
                shapes.items[Place(scope: scope, index: index)] = NameShape(of: constant).computedMember
            }
        }
    }

    /// The shape at a path; nil if it cannot be told.
    private func shape(of read: NameRead, _ use: Use) -> NameShape? {
        guard var shape = rootShape(read.root.name, use) else { return nil }
        var members = read.members[...]
        if read.root.name == "steps" {
            guard let name = members.popFirst()?.name, let (place, isItem) = target(name, use),
                let step = step(at: place)
            else { return nil }
            shape = self.shape(of: step, at: place, isItem: isItem)
        }
        for member in members + read.beyond {
            if member.isComputed {
                shape = shape.computedMember
                continue
            }
            switch shape {
            case .closed(let known), .declared(let known):
                guard let next = known[member.name] else { return nil }
                shape = next
            default: return nil
            }
        }
        return shape
    }

    /// The shape of an item of the innermost strategy with that name for its items; a batch is a list of items.
    private func itemShape(_ name: String, _ use: Use) -> NameShape {
        var places = places(around: use)
        if use.view.isBeforeItems, !places.isEmpty { places.removeFirst() }
        for place in places {
            guard let strategy = step(at: place)?.strategy, strategy.itemName.hasSameBytes(as: name) else {
                continue
            }
            guard let item = shapes.items[place] else { return .open }
            return strategy.kind == .batch ? .list(item) : item
        }
        return .open
    }

    private static func leaves(_ names: [String]) -> [String: NameShape] {
        Dictionary(names.map { ($0, .leaf("a text or number")) }, uniquingKeysWith: { $1 })
    }

    private static let runEndShape: NameShape = {
        var members = leaves(ScopeNames.runEnd)
        members["error"] = .closed(leaves(ScopeNames.runError))
        members["parent"] = .closed(leaves(["run", "step"]))
        members["output"] = .open
        return .declared(members)
    }()

    /// The union of what all triggers declare of the body.
    private var triggerBody: NameShape {
        var shape: NameShape?
        for trigger in triggers {
            let one: NameShape =
                switch trigger.kind {
                case .hook(let event): .declared(Self.leaves(ScopeNames.body(ofEvent: event)))
                case .run: Self.runEndShape
                case .schedule: .declared(Self.leaves(["scheduled_at", "workflow"]))
                default: trigger.schema.map { NameShape(declaredBy: $0.source) } ?? .open
                }
            shape = shape?.merged(with: one) ?? one
        }
        return shape ?? .open
    }

    // MARK: - Places

    /// The step or group that owns an expression; nil for the file's own.
    private func place(of use: Use) -> Place? {
        switch use.owner {
        case .trigger: nil
        case .step(let place), .until(let place), .compensation(let place): place
        case .output(let scope): scopes[scope].group
        }
    }

    /// The steps around an expression, innermost first: its own step and the enclosing groups.
    private func places(around use: Use) -> [Place] {
        var places: [Place] = []
        var next = place(of: use)
        while let place = next {
            places.append(place)
            next = scopes[place.scope].group
        }
        return places
    }

    /// Whether an expression belongs to a `finally` step.
    private func isInFinally(_ use: Use) -> Bool {
        places(around: use).last.map { scopes[$0.scope].finally == $0.index } ?? false
    }

    private func step(at place: Place) -> Step? {
        let steps = scopes[place.scope].steps
        return steps.indices.contains(place.index) ? steps[place.index] : nil
    }

    /// The strategies whose items an expression sees, innermost first.
    private func strategies(around use: Use) -> [Strategy] {
        var places = places(around: use)
        if use.view.isBeforeItems, !places.isEmpty { places.removeFirst() }
        return places.compactMap { step(at: $0)?.strategy }
    }

    private func stepNames(around use: Use) -> [String] {
        var names = scopes.first?.readable.map(\.id) ?? []
        if case .output(let scope) = use.owner { names += scopes[scope].readable.map(\.id) }
        for place in places(around: use) { names += scopes[place.scope].readable.map(\.id) }
        return names
    }

    // MARK: - Steps

    /// The step that `steps.<name>` refers to, and whether that means one item of its strategy.
    private func target(_ name: String, _ use: Use) -> (place: Place, isItem: Bool)? {
        var innermost: [Int] = []
        switch use.owner {
        case .output(let scope): innermost = [scope]
        case .until(let place): innermost = scopes[place.scope].inner[place.index].map { [$0] } ?? []
        default: break
        }
        let around = places(around: use)
        let own: Set<Place> = {
            if case .step = use.owner { return Set(around.dropFirst()) }
            if case .output = use.owner { return Set(around.dropFirst()) }
            return Set(around)
        }()
        for scope in innermost + around.map(\.scope) + [0] {
            guard let index = scopes[scope].readable.firstIndex(where: { $0.id.hasSameBytes(as: name) })
            else {
                continue
            }
            let place = Place(scope: scope, index: index)
            return (place, own.contains(place))
        }
        return nil
    }

    /// Whether a step reads its own result, which is reported elsewhere.
    private func isOwn(_ name: String, _ use: Use) -> Bool {
        guard case .step(let place) = use.owner else { return false }
        return step(at: place)?.id.hasSameBytes(as: name) ?? false
    }

    private func shape(of step: Step, at place: Place, isItem: Bool) -> NameShape {
        var names = ScopeNames.members(ofStep: step.kindName)
        if let strategy = step.strategy, !isItem {
            names = strategy.kind == .race ? names + ScopeNames.strategyMembers : ScopeNames.strategyMembers
        }
        var members: [String: NameShape] = [:]
        for name in names { members[name] = .open }
        for name in ["outcome", "attempts", "timed_out", "run_id", "winner"] where members[name] != nil {
            members[name] = .leaf("a text or number")
        }
        members["error"] = .closed(Self.leaves(ScopeNames.error))
        if members["signal"] != nil { members["signal"] = .closed(["name": .leaf("a text"), "body": .open]) }
        let body = shapes.responseBodies[place] ?? .open
        if members["response"] != nil { members["response"] = responseShape(body: body) }
        let isOnce = step.strategy == nil || isItem
        if case .request = step.action, isOnce { members["output"] = body }
        if !isOnce {
            var item = shape(of: step, at: place, isItem: true)
            if case .closed(var known) = item {
                known["item"] = shapes.items[place] ?? .open
                known["attempts"] = nil
                item = .closed(known)
            }
            (members["items"], members["last"]) = (.list(item), item)
        }
        return .closed(members)
    }

    private func lastShape(_ use: Use) -> NameShape {
        let loops = places(around: use).dropFirst(use.view.isBeforeItems ? 1 : 0)
        guard let place = loops.first(where: { step(at: $0)?.strategy?.isLoop ?? false }),
            let step = step(at: place)
        else { return .open }
        return shape(of: step, at: place, isItem: true)
    }

    private func responseShape(body: NameShape) -> NameShape {
        .closed(["status": .leaf("a number"), "headers": .headers, "body": body])
    }

    /// For `fail_when` and `retry.on`: the response body of the request that they belong to.
    private func responseBody(of use: Use) -> NameShape {
        guard case .step(let place) = use.owner else { return .open }
        return shapes.responseBodies[place] ?? .open
    }

    // MARK: - Members

    private mutating func checkMembers(of shape: NameShape, _ read: NameRead, _ use: Use) {
        var shape = shape
        var path = read.root.name
        var members = read.members[...]
        if path == "steps", let first = members.popFirst() {
            guard let (place, isItem) = target(first.name, use), let step = step(at: place) else { return }
            guard let member = members.first, !isOwn(first.name, use) else { return }
            path = "steps.\(first.name)"
            shape = self.shape(of: step, at: place, isItem: isItem)
            if case .closed(let known) = shape, known[member.name] == nil {
                return noteStepMember(member, step, isItem: isItem, known, use)
            }
        }
        for member in members + read.beyond {
            if member.isComputed {
                shape = shape.computedMember
                path += "[…]"
                continue
            }
            guard let next = self.shape(of: member, in: shape, path, use) else { return }
            shape = next
            path += ".\(member.name)"
        }
    }

    /// The shape of a member; nil after reporting that it does not exist.
    private mutating func shape(
        of member: NameRead.Part, in shape: NameShape, _ path: String, _ use: Use
    ) -> NameShape? {
        switch shape {
        case .open: return .open
        case .list(let item):
            guard shapes.reported.insert(mark(member, use)).inserted else { return nil }
            var hint = "read one item, as in `\(path)[1]`, or all in turn"
            switch item {
            case .closed(let known) where known[member.name] != nil,
                .declared(let known) where known[member.name] != nil:
                hint = "write `\(path)[1].\(member.name)`"
            default: break
            }
            note(
                .unknownMember, at: mark(member, use),
                "`\(path)` is a list, which has no member \(quote(member.name))",
                hint: ["length", "size", "count", "len"].contains(member.name) ? "write `len(\(path))`" : hint
            )
            return nil
        case .leaf(let kind):
            guard shapes.reported.insert(mark(member, use)).inserted else { return nil }
            note(
                .unknownMember, at: mark(member, use),
                "`\(path)` is \(kind), which has no member \(quote(member.name))")
            return nil
        case .headers:
            guard member.name.utf8.contains(where: { (0x41...0x5A).contains($0) }) else {
                return .leaf("a text")
            }
            guard shapes.reported.insert(mark(member, use)).inserted else { return nil }
            note(
                .unknownMember, at: mark(member, use), "headers are read under their names in lower case",
                hint: "write `\(path)['\(member.name.lowercased())']`")
            return nil
        case .closed(let known):
            if let next = known[member.name] { return next }
            noteMember(.unknownMember, member, path, known, use)
            return nil
        case .declared(let known):
            if let next = known[member.name] { return next }
            noteMember(.undeclaredMember, member, path, known, use)
            return nil
        }
    }

    private mutating func noteMember(
        _ code: ProblemCode, _ member: NameRead.Part, _ path: String, _ known: [String: NameShape], _ use: Use
    ) {
        guard shapes.reported.insert(mark(member, use)).inserted else { return }
        let hint: String? =
            if path == "run", ScopeNames.ending.contains(member.name) {
                "how the run has ended is known in its `finally` steps"
            } else if known.isEmpty {
                "there are none\(path == "vars" ? ": add it under `vars:`" : "")"
            } else {
                self.hint(for: member.name, among: known.keys)
            }
        let declares = code == .undeclaredMember
        note(
            code, at: mark(member, use),
            declares
                ? "no schema and no trigger declares \(quote(member.name)) of `\(path)`"
                : "`\(path)` has no member \(quote(member.name))",
            hint: hint)
    }

    private mutating func noteStepMember(
        _ member: NameRead.Part, _ step: Step, isItem: Bool, _ known: [String: NameShape], _ use: Use
    ) {
        guard shapes.reported.insert(mark(member, use)).inserted else { return }
        let kind = step.kindName
        let isMany = step.strategy != nil && !isItem
        var hint = hint(for: member.name, among: known.keys)
        if isMany, ScopeNames.members(ofStep: kind).contains(member.name) {
            hint =
                "it runs for several items: read `steps.\(step.id).items[1].\(member.name)`, or all in turn"
        } else if let foreign = ScopeNames.foreignMember(member.name, of: step.id, kind: kind) {
            hint = foreign
        }
        let what = kind == "steps" ? "a group" : "a `\(kind)` step"
        note(
            .unknownMember, at: mark(member, use),
            "`steps.\(step.id)` is \(what)\(isMany ? " with a strategy" : "") and has no \(quote(member.name))",
            hint: hint)
    }
}
