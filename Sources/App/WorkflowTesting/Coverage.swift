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
        for step in definition.root.steps { points += Self.points(of: step, below: "", trace) }
        self.points = points
    }

    /// Of a step and of all below it, under the paths that the file gives them.
    private static func points(of step: Step, below prefix: String, _ trace: Trace) -> [Point] {
        let path = prefix + step.id
        func point(_ branch: String, in paths: Set<String>) -> Point {
            Point(name: "\(path): \(branch)", isCovered: paths.contains(path))
        }
        var points = [Point(name: path, isCovered: trace.run.contains(path))]
        if step.guardExpression != nil {
            points += [point("guard true", in: trace.guardTrue), point("guard false", in: trace.guardFalse)]
        }
        if case .wait(let rule) = step.action {
            points.append(point("signal", in: trace.signalled))
            if rule.timeout != nil { points.append(point("timed out", in: trace.timedOut)) }
        }
        if step.compensation != nil {
            let undoing = path + "/compensate"
            points.append(Point(name: undoing, isCovered: trace.run.contains(undoing)))
        }
        if step.onError == .continue { points.append(point("failed, went on", in: trace.forgiven)) }
        guard case .group(let group) = step.action else { return points }
        return points + group.scope.steps.flatMap { Self.points(of: $0, below: path + "/", trace) }
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
