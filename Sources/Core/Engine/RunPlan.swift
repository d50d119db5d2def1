import Ports
import Values
package import Workflow

/// A workflow's definition with the tables that a run needs, shared by all its runs.
package final class RunPlan: Sendable {
    package let definition: WorkflowDefinition
    /// SHA-256 of the source; what a run is pinned to.
    package let digest: [UInt8]
    /// The steps of the file, and behind them one for each compensation, under the path `<step>/compensate`:
    /// it is sent, repeated and recorded as any other, but never becomes ready by itself.
    let steps: [Step]
    /// How many of them are the file's.
    let stepCount: Int
    /// Position of each step's compensation; nil for none.
    let compensationIndex: [Int?]
    /// For each step, the steps that wait for it.
    let dependents: [[Int]]
    /// Position of each step by its path.
    let indexByPath: [String: Int]
    /// For each step, whether an expression reads its result, so that its body is worth parsing.
    let isRead: [Bool]

    package init(definition: WorkflowDefinition, digest: [UInt8]) {
        self.definition = definition
        self.digest = digest
        var steps = definition.root.steps
        stepCount = steps.count
        var compensationIndex = [Int?](repeating: nil, count: steps.count)
        for (index, step) in definition.root.steps.enumerated() {
            guard let compensation = step.compensation else { continue }
            compensationIndex[index] = steps.count
            steps.append(
                Step(
                    id: step.id + "/compensate", retry: compensation.retry, onError: .continue,
                    action: .request(compensation.request)))
        }
        self.steps = steps
        self.compensationIndex = compensationIndex
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

    /// The step's place in the journal: `charge`, `charge/compensate`.
    package func path(_ index: Int) -> String { steps[index].id }

    /// Where a path stands; -1 where it does not.
    package func position(_ path: String) -> Int { indexByPath[path] ?? -1 }

    /// Whether a position is a compensation's.
    package func isCompensation(_ index: Int) -> Bool { index >= stepCount }
}
