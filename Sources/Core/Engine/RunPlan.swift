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
    }

    package let definition: WorkflowDefinition
    /// SHA-256 of the source; what a run is pinned to.
    package let digest: [UInt8]
    /// The steps of each scope, and behind them one for each compensation, under the id `<step>/compensate`:
    /// it is sent, repeated and recorded as any other, but never becomes ready by itself.
    let steps: [Step]
    /// The file's own steps are the first.
    let scopes: [Scope]
    /// Position of each step's compensation; nil for none.
    let compensationIndex: [Int?]
    /// Whether a position is a compensation's.
    let isCompensation: [Bool]
    /// For each step, the steps of its scope that wait for it.
    let dependents: [[Int]]
    /// Position of each of the file's own steps and of their compensations by path.
    let indexByPath: [String: Int]
    /// For each step, whether an expression reads its result, so that its body is worth parsing.
    let isRead: [Bool]
    /// What every run of it begins with.
    let rootNodes: [RunState.Node]

    package init(definition: WorkflowDefinition, digest: [UInt8]) {
        self.definition = definition
        self.digest = digest
        var table = StepTable()
        table.add(definition.root)
        steps = table.steps
        scopes = table.scopes
        compensationIndex = table.compensationIndex
        isCompensation = table.isCompensation
        dependents = table.dependents
        let rootCount =
            table.scopes[0].count
            + table.compensationIndex.prefix(table.scopes[0].count)
            .compactMap(\.self).count
        indexByPath = Dictionary(
            steps.prefix(rootCount).enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { first, _ in first })
        let expressions = steps.flatMap(\.expressions) + (definition.output?.expressions ?? [])
        let read = Set(expressions.flatMap(\.stepNames))
        // An expression that reaches `steps` without naming one (iteration) may read any of them.
        let readsAny = read.contains("*")
        isRead = steps.map { readsAny || read.contains($0.id) }
        rootNodes = (0..<rootCount).map { index in
            // A compensation waits for more than any step: the undoing starts it.
            var node = RunState.Node(
                step: index, frame: 0,
                waitingCount: table.isCompensation[index] ? .max : table.steps[index].after.count)
            node.compensation = table.compensationIndex[index]
            return node
        }
    }
}

/// Lays the scopes of a definition out one behind the other.
private struct StepTable {
    var steps: [Step] = []
    var scopes: [RunPlan.Scope] = []
    var compensationIndex: [Int?] = []
    var isCompensation: [Bool] = []
    var dependents: [[Int]] = []

    mutating func add(_ scope: StepScope) {
        let first = steps.count
        scopes.append(
            RunPlan.Scope(
                first: first, count: scope.steps.count,
                indexByID: Dictionary(
                    scope.steps.enumerated().map { ($0.element.id, $0.offset) },
                    uniquingKeysWith: { first, _ in first })))
        for step in scope.steps { append(step, isCompensation: false) }
        for (index, step) in scope.steps.enumerated() {
            for needed in step.after where scope.steps.indices.contains(needed) {
                dependents[first + needed].append(first + index)
            }
            guard let compensation = step.compensation else { continue }
            compensationIndex[first + index] = steps.count
            append(
                Step(
                    id: step.id + "/compensate", retry: compensation.retry, onError: .continue,
                    action: .request(compensation.request)), isCompensation: true)
        }
    }

    private mutating func append(_ step: Step, isCompensation: Bool) {
        steps.append(step)
        compensationIndex.append(nil)
        self.isCompensation.append(isCompensation)
        dependents.append([])
    }
}
