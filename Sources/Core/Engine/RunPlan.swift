import Ports
import Values
package import Workflow

/// A workflow's definition with lookup tables, shared by all its runs.
///
/// A step here is one of the file, at any depth; its instances in a run are nodes of ``RunState``.
package final class RunPlan: Sendable {
    /// Steps next to each other: the file's own, or those of a group.
    struct Scope: Sendable {
        /// The index of its first step; the others follow.
        let first: Int
        let count: Int
        let indexByID: [String: Int]
        /// Whether any step in it or below has a compensation, so that results are needed until the end.
        var isUndoable: Bool
    }

    package let definition: WorkflowDefinition
    /// SHA-256 of the source, to which a run is pinned.
    package let digest: [UInt8]
    /// The steps of each scope, each scope followed by its compensations, with ids such as
    /// `<step>/compensate`.
    ///
    /// A compensation is sent, retried and recorded like any other step, but never becomes ready by itself.
    let steps: [PlannedStep]
    /// The first scope contains the file's own steps.
    let scopes: [Scope]
    /// For each step, the scope of its inner steps; nil if it is no group.
    let innerScope: [Int?]
    /// For each step, the index of its compensation; nil for none.
    let compensationIndex: [Int?]
    /// For each index, whether it is a compensation.
    let isCompensation: [Bool]
    /// The index of the group of `finally` steps, after the compensations of the file's own steps; nil for
    /// none.
    ///
    /// Like a compensation, it never becomes ready by itself.
    let finallyIndex: Int?
    /// For each step, the steps of its scope that wait for it.
    let dependents: [[Int]]
    /// The indexes of the file's own steps and of their compensations, by path.
    let indexByPath: [String: Int]
    /// For each step, whether an expression reads its result, so that its body has to be parsed.
    let isRead: [Bool]
    /// Whether a step may have to abandon requests in flight.
    package let hasRaces: Bool
    /// The longest timeout of its requests; zero if it has none.
    package let requestTimeoutMax: Duration
    /// The signals for which its steps wait, sorted.
    package let signalNames: [String]
    /// The initial nodes of every run.
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
            // Started by the end of the run and not by other steps.
            let isAside = table.isCompensation[index] || index == table.finallyIndex
            let waitingCount = isAside ? .max : table.steps[index].after.count
            var node = RunState.Node(step: index, frame: 0, waitingCount: waitingCount)
            node.compensation = table.compensationIndex[index]
            return node
        }
    }
}

/// A step as runs use it.
///
/// A class, because every turn of every run uses one. If it were copied, threads would contend for the
/// reference counts of its members.
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

/// Lays out the scopes of a definition one after another.
private struct StepTable {
    var steps: [Step] = []
    var scopes: [RunPlan.Scope] = []
    var innerScope: [Int?] = []
    var compensationIndex: [Int?] = []
    var isCompensation: [Bool] = []
    var dependents: [[Int]] = []
    /// The number of steps in the file's own scope, with compensations and the `finally` group.
    var rootCount = 0
    var finallyIndex: Int?

    /// Adds the file's own scope with all inner ones, and then the scope of its `finally` steps.
    mutating func add(_ root: StepScope, finally: StepGroup?) {
        add(root, endsWith: finally)
        guard let finally, let finallyIndex else { return }
        innerScope[finallyIndex] = scopes.count
        add(finally.scope)
    }

    /// Adds a scope and returns whether any step in it has a compensation.
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

/// Determines which results are read by expressions.
private struct ReadMarks {
    let table: StepTable
    private(set) var isRead: [Bool]

    init(_ table: StepTable) {
        self.table = table
        isRead = Array(repeating: false, count: table.steps.count)
    }

    /// Marks the results that a scope's expressions read, at any depth.
    ///
    /// - Parameters:
    ///   - scope: The scope.
    ///   - number: Its number.
    ///   - around: The scopes around it, innermost last.
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
            // A loop keeps its last result anyway, so `until` alone does not require all of them.
            let until = step.strategy?.until.map { [$0] } ?? []
            mark(until, scopes: inner.map { scopes + [$0] } ?? scopes, except: position)
        }
    }

    /// Marks the results that the `finally` steps read.
    mutating func visit(_ finally: StepGroup?) {
        guard let finally, let inner = table.finallyIndex.flatMap({ table.innerScope[$0] }) else { return }
        visit(finally.scope, number: inner, around: [0])
    }

    mutating func mark(_ expressions: [any CompiledExpression], scopes: [Int], except own: Int? = nil) {
        for name in expressions.flatMap(\.stepNames) {
            // An expression that uses `steps` without naming a member (iteration) may read any of them.
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
