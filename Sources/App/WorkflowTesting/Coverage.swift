package import Values
import Workflow

/// Which steps and branches of a workflow the cases went through.
package struct Coverage: Sendable {
    /// A step or one of its branches.
    package struct Point: Sendable, Hashable {
        /// `charge_card`, `notify_ops: guard false`.
        package var name: String
        package var isCovered: Bool
    }

    package let points: [Point]
    private let trace: Trace

    init(_ definition: WorkflowDefinition, _ trace: Trace) {
        self.trace = trace
        var points: [Point] = []
        if definition.triggers.contains(where: { $0.guardExpression != nil }) {
            points.append(Point(name: "trigger: taken", isCovered: trace.isAccepted))
            points.append(Point(name: "trigger: refused", isCovered: trace.isRefused))
        }
        for step in definition.root.steps {
            points.append(Point(name: step.id, isCovered: trace.run.contains(step.id)))
            if step.guardExpression != nil {
                points.append(
                    Point(name: "\(step.id): guard true", isCovered: trace.guardTrue.contains(step.id)))
                points.append(
                    Point(name: "\(step.id): guard false", isCovered: trace.guardFalse.contains(step.id)))
            }
            if case .wait(let rule) = step.action {
                points.append(
                    Point(name: "\(step.id): signal", isCovered: trace.signalled.contains(step.id)))
                if rule.timeout != nil {
                    points.append(
                        Point(name: "\(step.id): timed out", isCovered: trace.timedOut.contains(step.id)))
                }
            }
            if step.compensation != nil {
                let path = step.id + "/compensate"
                points.append(Point(name: path, isCovered: trace.run.contains(path)))
            }
            if step.onError == .continue {
                points.append(
                    Point(name: "\(step.id): failed, went on", isCovered: trace.forgiven.contains(step.id)))
            }
        }
        self.points = points
    }

    /// Whole percent, rounded down; 100 where all is covered.
    package var percent: Int {
        points.isEmpty ? 100 : points.filter(\.isCovered).count * 100 / points.count
    }

    package var missing: [String] { points.filter { !$0.isCovered }.map(\.name) }
    /// Steps that were tried again at least once.
    package var retried: [String] { trace.retried.sorted() }
    package var skipped: [String] { trace.skipped.sorted() }

    package var value: Value {
        [
            "percent": .int(Int64(percent)), "missing": .array(missing.map { .string($0) }),
            "retried": .array(retried.map { .string($0) }), "skipped": .array(skipped.map { .string($0) }),
        ]
    }
}
