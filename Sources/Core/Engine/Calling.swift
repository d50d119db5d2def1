package import Values

/// The run and step that called this run.
package struct RunParent: Sendable, Hashable {
    package var run: RunID
    /// The path of the step.
    package var step: String
    /// The number of calls from the first run of the chain to this one, from 1.
    package var depth: Int
    /// Whether the parent continues without waiting.
    package var isDetached: Bool

    package init(run: RunID, step: String, depth: Int, isDetached: Bool) {
        self.run = run
        self.step = step
        self.depth = depth
        self.isDetached = isDetached
    }

    /// The value for expressions and the API.
    var value: Value { ["run": .string("\(run)"), "step": .string(step)] }
}

/// The position of a run among all runs that one start caused.
package struct RunLineage: Sendable, Hashable {
    /// The run that no other run called.
    package var root: RunID
    /// The number of runs that the root had caused when this one started, itself included; from 1.
    package var ordinal: Int

    package init(root: RunID, ordinal: Int) {
        self.root = root
        self.ordinal = ordinal
    }
}

/// A child run that a step requests.
package struct ChildCall: Sendable, Hashable {
    package var workflow: String
    /// The child's `trigger.body`.
    package var input: Value
    /// Values of the input that are never shown, with places relative to its root; the input itself contains
    /// masks.
    package var sensitive: [SensitivePart]
    package var parent: RunParent

    package init(workflow: String, input: GuardedValue, parent: RunParent) {
        self.workflow = workflow
        self.input = input.shown
        sensitive = input.parts
        self.parent = parent
    }

    /// The dedupe key with which the child starts once, however often it is requested.
    package var dedupeKey: String { Self.dedupeKey(of: parent.run, step: parent.step) }

    static func dedupeKey(of parent: RunID, step path: String) -> String { "call:\(parent)/\(path)" }
}

/// The end of a child run, as its caller records it.
package struct ChildResult: Sendable, Hashable {
    package var run: RunID
    /// The child's output; null for a detached child, whose end nobody awaits.
    package var output: Value
    package var isDetached: Bool

    package init(run: RunID, output: Value, isDetached: Bool = false) {
        self.run = run
        self.output = output
        self.isDetached = isDetached
    }

    /// The value of `steps.<id>.output`.
    var value: Value { isDetached ? ["run_id": .string("\(run)")] : output }
}
