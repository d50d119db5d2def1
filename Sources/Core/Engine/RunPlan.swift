import Ports
import Values
package import Workflow

/// A workflow's definition with the tables that a run needs, shared by all its runs.
package final class RunPlan: Sendable {
    package let definition: WorkflowDefinition
    /// SHA-256 of the source; what a run is pinned to.
    package let digest: [UInt8]
    /// For each step, the steps that wait for it.
    let dependents: [[Int]]
    /// Position of each step by its path.
    let indexByPath: [String: Int]
    /// For each step, whether an expression reads its result, so that its body is worth parsing.
    let isRead: [Bool]

    package init(definition: WorkflowDefinition, digest: [UInt8]) {
        self.definition = definition
        self.digest = digest
        let steps = definition.root.steps
        var dependents = [[Int]](repeating: [], count: steps.count)
        for (index, step) in steps.enumerated() {
            for needed in step.after where steps.indices.contains(needed) { dependents[needed].append(index) }
        }
        self.dependents = dependents
        indexByPath = Dictionary(
            steps.enumerated().map { ($0.element.id, $0.offset) }, uniquingKeysWith: { first, _ in first })
        let expressions = steps.flatMap(\.expressions) + (definition.output?.expressions ?? [])
        let read = Set(expressions.flatMap(\.stepNames))
        // An expression that reaches `steps` without naming one (iteration) may read any of them.
        let readsAny = read.contains("*")
        isRead = steps.map { readsAny || read.contains($0.id) }
    }

    var steps: [Step] { definition.root.steps }
}
