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
        for (path, step) in StepPath.all(in: definition.stepTree) {
            points.append(Point(name: path, isCovered: trace.run.contains(path)))
            if step.guardExpression != nil {
                points.append(
                    Point(name: "\(path): guard true", isCovered: trace.guardTrue.contains(path)))
                points.append(
                    Point(name: "\(path): guard false", isCovered: trace.guardFalse.contains(path)))
            }
            if case .wait(let rule) = step.action {
                points.append(
                    Point(name: "\(path): signal", isCovered: trace.signalled.contains(path)))
                if rule.timeout != nil {
                    points.append(
                        Point(name: "\(path): timed out", isCovered: trace.timedOut.contains(path)))
                }
            }
            if step.compensation != nil {
                let undoing = path + "/compensate"
                points.append(Point(name: undoing, isCovered: trace.run.contains(undoing)))
            }
            if step.onError == .continue {
                points.append(
                    Point(name: "\(path): failed, went on", isCovered: trace.forgiven.contains(path)))
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
