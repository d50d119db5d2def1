import Ports
import Values
package import Workflow

/// A workflow's definition with the tables that a run needs, shared by all its runs.
///
/// A step here is one of the file, at any depth; what runs of it in a run is a node of ``RunState``.
package final class RunPlan: Sendable {
    /// Steps that stand side by side: the file's own, or those of a group.
    struct Scope: Sendable {
        /// Of its first step; the others follow.
        let first: Int
        let count: Int
        let indexByID: [String: Int]
        /// Whether anything in it or below can be undone, so that results are needed to the end.
        var isUndoable: Bool
    }

    package let definition: WorkflowDefinition
    /// SHA-256 of the source; what a run is pinned to.
    package let digest: [UInt8]
    /// The steps of each scope, and behind them one for each compensation, under the id `<step>/compensate`:
    /// it is sent, repeated and recorded as any other, but never becomes ready by itself.
    let steps: [PlannedStep]
    /// The file's own steps are the first.
    let scopes: [Scope]
    /// For each step, the scope of its own steps; nil for what is no group.
    let innerScope: [Int?]
    /// Position of each step's compensation; nil for none.
    let compensationIndex: [Int?]
    /// Whether a position is a compensation's.
    let isCompensation: [Bool]
    /// Position of the group of the `finally` steps, behind the compensations of the file's own steps; nil for none.
    ///
    /// Like these it never becomes ready by itself.
    let finallyIndex: Int?
    /// For each step, the steps of its scope that wait for it.
    let dependents: [[Int]]
    /// Position of each of the file's own steps and of their compensations by path.
    let indexByPath: [String: Int]
    /// For each step, whether an expression reads its result, so that its body is worth parsing.
    let isRead: [Bool]
    /// Whether a step may have to give up requests that are in flight.
    package let hasRaces: Bool
    /// The longest that one attempt of any of its requests may take; zero where it has none.
    package let requestTimeoutMax: Duration
    /// Signals that any of its steps waits for, sorted.
    package let signalNames: [String]
    /// What every run of it begins with.
    let rootNodes: [RunState.Node]

    package init(definition: WorkflowDefinition, digest: [UInt8]) {
        self.definition = definition
        self.digest = digest
        var table = StepTable()
        table.add(definition.root, finally: definition.finally)
        steps = table.steps.map { PlannedStep($0) }
        scopes = table.scopes
        innerScope = table.innerScope
        hasRaces = table.steps.contains { $0.strategy?.kind == .race }
        requestTimeoutMax = table.steps.reduce(.zero) { longest, step in
            guard case .request(let template) = step.action else { return longest }
            return max(longest, template.response.timeout)
        }
        let awaited = table.steps.flatMap { step in
            if case .wait(let rule) = step.action { rule.signals } else { [] as [String] }
        }
        signalNames = Set(awaited).sorted()
        compensationIndex = table.compensationIndex
        isCompensation = table.isCompensation
        finallyIndex = table.finallyIndex
        dependents = table.dependents
        var readers = ReadMarks(table)
        readers.visit(definition.root)
        readers.visit(definition.finally)
        readers.mark(definition.output?.expressions ?? [], scopes: [0])
        isRead = readers.isRead
        let rootCount = table.rootCount
        indexByPath = Dictionary(
            table.steps.prefix(rootCount).enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { first, _ in first })
        rootNodes = (0..<rootCount).map { index in
            // What undoes a step, and what comes at the end, waits for more than any step: the run's end starts it.
            let isAside = table.isCompensation[index] || index == table.finallyIndex
            let waitingCount = isAside ? .max : table.steps[index].after.count
            var node = RunState.Node(step: index, frame: 0, waitingCount: waitingCount)
            node.compensation = table.compensationIndex[index]
            return node
        }
    }
}

/// A step as runs see it.
///
/// A class, because every turn of every run looks at one: copied member by member, its counts are what the threads
/// wait for each other for.
final class PlannedStep: Sendable {
    let id: String
    let after: [Int]
    let isListed: Bool
    let guardExpression: (any CompiledExpression)?
    let retry: RetryPolicy
    let onError: Step.ErrorRule
    let action: Step.Action
    let strategy: Strategy?

    init(_ step: Step) {
        id = step.id
        after = step.after
        isListed = step.isListed
        guardExpression = step.guardExpression
        retry = step.retry
        onError = step.onError
        action = step.action
        strategy = step.strategy
    }
}

/// Lays the scopes of a definition out one behind the other.
private struct StepTable {
    var steps: [Step] = []
    var scopes: [RunPlan.Scope] = []
    var innerScope: [Int?] = []
    var compensationIndex: [Int?] = []
    var isCompensation: [Bool] = []
    var dependents: [[Int]] = []
    /// Steps of the file's own scope, with their compensations and the group of the `finally` steps.
    var rootCount = 0
    var finallyIndex: Int?

    /// The file's own scope, and behind all of it the one of its `finally` steps.
    mutating func add(_ root: StepScope, finally: StepGroup?) {
        add(root, endsWith: finally)
        guard let finally, let finallyIndex else { return }
        innerScope[finallyIndex] = scopes.count
        add(finally.scope)
    }

    /// Returns whether anything in it can be undone.
    @discardableResult
    private mutating func add(_ scope: StepScope, endsWith finally: StepGroup? = nil) -> Bool {
        let (number, first) = (scopes.count, steps.count)
        scopes.append(
            RunPlan.Scope(
                first: first, count: scope.steps.count,
                indexByID: Dictionary(
                    scope.steps.enumerated().map { ($0.element.id, $0.offset) },
                    uniquingKeysWith: { first, _ in first }),
                isUndoable: scope.steps.contains { $0.compensation != nil }))
        for step in scope.steps { append(step, isCompensation: false) }
        for (index, step) in scope.steps.enumerated() { link(step, at: index, first: first) }
        if let finally {
            finallyIndex = steps.count
            append(Step(id: "finally", onError: .continue, action: .group(finally)), isCompensation: false)
        }
        if number == 0 { rootCount = steps.count }
        for (index, step) in scope.steps.enumerated() {
            guard case .group(let group) = step.action else { continue }
            innerScope[first + index] = scopes.count
            if add(group.scope) { scopes[number].isUndoable = true }
        }
        return scopes[number].isUndoable
    }

    private mutating func link(_ step: Step, at index: Int, first: Int) {
        for needed in step.after where dependents.indices.contains(first + needed) {
            dependents[first + needed].append(first + index)
        }
        guard let compensation = step.compensation else { return }
        compensationIndex[first + index] = steps.count
        append(
            Step(
                id: step.id + "/compensate", retry: compensation.retry, onError: .continue,
                action: .request(compensation.request)), isCompensation: true)
    }

    private mutating func append(_ step: Step, isCompensation: Bool) {
        steps.append(step)
        innerScope.append(nil)
        compensationIndex.append(nil)
        self.isCompensation.append(isCompensation)
        dependents.append([])
    }
}

/// Finds out which results any expression reads.
private struct ReadMarks {
    let table: StepTable
    private(set) var isRead: [Bool]

    init(_ table: StepTable) {
        self.table = table
        isRead = Array(repeating: false, count: table.steps.count)
    }

    /// - Parameters:
    ///   - scope: Whose steps are visited, at any depth.
    ///   - number: Of that scope.
    ///   - around: The scopes around it, the nearest last.
    mutating func visit(_ scope: StepScope, number: Int = 0, around: [Int] = []) {
        let scopes = around + [number]
        for (index, step) in scope.steps.enumerated() {
            let position = table.scopes[number].first + index
            mark(step.expressions, scopes: scopes)
            if let undoing = table.compensationIndex[position] {
                mark(table.steps[undoing].expressions, scopes: scopes)
            }
            let inner = table.innerScope[position]
            if case .group(let group) = step.action, let inner {
                visit(group.scope, number: inner, around: scopes)
                mark(group.output?.expressions ?? [], scopes: scopes + [inner])
            }
            // A loop keeps its last result by itself, so `until` alone is no reason to keep them all.
            let until = step.strategy?.until.map { [$0] } ?? []
            mark(until, scopes: inner.map { scopes + [$0] } ?? scopes, except: position)
        }
    }

    /// The `finally` steps read those of the file.
    mutating func visit(_ finally: StepGroup?) {
        guard let finally, let inner = table.finallyIndex.flatMap({ table.innerScope[$0] }) else { return }
        visit(finally.scope, number: inner, around: [0])
    }

    mutating func mark(_ expressions: [any CompiledExpression], scopes: [Int], except own: Int? = nil) {
        for name in expressions.flatMap(\.stepNames) {
            // An expression that reaches `steps` without naming one (iteration) may read any of them.
            if name == "*" { isRead = isRead.map { _ in true } }
            for scope in scopes.reversed() {
                guard let index = table.scopes[scope].indexByID[name] else { continue }
                let position = table.scopes[scope].first + index
                if position != own { isRead[position] = true }
                break
            }
        }
    }
}
