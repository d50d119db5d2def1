package import Values

/// Which run called this one, and from where.
package struct RunParent: Sendable, Hashable {
    package var run: RunID
    /// Path of the step.
    package var step: String
    /// Calls between the first run of the chain and this one, from 1.
    package var depth: Int
    /// Whether the parent goes on without waiting.
    package var isDetached: Bool

    package init(run: RunID, step: String, depth: Int, isDetached: Bool) {
        self.run = run
        self.step = step
        self.depth = depth
        self.isDetached = isDetached
    }

    /// For expressions and the API.
    var value: Value { ["run": .string("\(run)"), "step": .string(step)] }
}

/// Where a run stands among all that one start has led to.
package struct RunLineage: Sendable, Hashable {
    /// The run that nobody has called.
    package var root: RunID
    /// How many runs that one had led to when this one started, itself counted; from 1.
    package var ordinal: Int

    package init(root: RunID, ordinal: Int) {
        self.root = root
        self.ordinal = ordinal
    }
}

/// A child that a step asks for.
package struct ChildCall: Sendable, Hashable {
    package var workflow: String
    /// The child's `trigger.body`.
    package var input: Value
    /// Values of the input that are never shown, with places counted from its root; in it stand masks.
    package var sensitive: [SensitivePart]
    package var parent: RunParent

    package init(workflow: String, input: GuardedValue, parent: RunParent) {
        self.workflow = workflow
        self.input = input.shown
        sensitive = input.parts
        self.parent = parent
    }

    /// Under it the child starts once, however often it is asked for.
    package var dedupeKey: String { "call:\(parent.run)/\(parent.step)" }
}

/// How a run that was called ended, as its caller records it.
package struct ChildResult: Sendable, Hashable {
    package var run: RunID
    /// The child's output; for a detached child null, because nobody waits for it.
    package var output: Value
    package var isDetached: Bool

    package init(run: RunID, output: Value, isDetached: Bool = false) {
        self.run = run
        self.output = output
        self.isDetached = isDetached
    }

    /// What `steps.<id>.output` is.
    var value: Value { isDetached ? ["run_id": .string("\(run)")] : output }
}
