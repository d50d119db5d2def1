/// A step that runs another workflow of the same tenant.
package struct CallTemplate: Sendable {
    /// The other workflow's name.
    package var workflow: Template
    /// The child's `trigger.body`; null if the file gives none.
    package var input: Template?
    /// Whether the step succeeds as soon as the child is durable, without waiting for its end.
    package var isDetached: Bool

    package init(workflow: Template, input: Template? = nil, isDetached: Bool = false) {
        self.workflow = workflow
        self.input = input
        self.isDetached = isDetached
    }
}

/// The number of a workflow's runs that may run at once under one key.
package struct ConcurrencyRule: Sendable {
    package enum LimitRule: String, Sendable {
        /// The run exists but starts nothing until an earlier one has finished.
        case queue
        /// The run is not created.
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

/// The names that a workflow may have.
package enum WorkflowName {
    /// Lowercase kebab-case, at most 64 characters.
    package static func isName(_ text: String) -> Bool { Naming.isWorkflowName(text) }
}
