/// A run of another workflow of the same tenant.
package struct CallTemplate: Sendable {
    /// The other workflow's name.
    package var workflow: Template
    /// What the child reads as `trigger.body`; null where the file gives none.
    package var input: Template?
    /// Whether the step ends as soon as the child is durable, and the child goes on by itself.
    package var isDetached: Bool

    package init(workflow: Template, input: Template? = nil, isDetached: Bool = false) {
        self.workflow = workflow
        self.input = input
        self.isDetached = isDetached
    }
}

/// How many runs of a workflow go at once under one key.
package struct ConcurrencyRule: Sendable {
    package enum LimitRule: String, Sendable {
        /// The run exists and starts nothing until an earlier one is over.
        case queue
        /// No run exists.
        case skip
    }

    /// Evaluated at the start of a run; null for a run without a limit.
    package var key: Template
    /// 1 to 1,000.
    package var limit: Int
    package var onLimit: LimitRule

    package init(key: Template, limit: Int = 1, onLimit: LimitRule = .queue) {
        self.key = key
        self.limit = limit
        self.onLimit = onLimit
    }
}

/// Which texts name a workflow.
package enum WorkflowName {
    /// Lowercase kebab-case, at most 64 characters.
    package static func isName(_ text: String) -> Bool { Naming.isWorkflowName(text) }
}
