import Values
import Workflow

// What a run is made of: nodes, one for each step that runs or may run, in frames, one for each scope
// that is open.

extension RunState {
    /// One step of a run.
    struct Node: Sendable {
        var phase = Phase.pending
        /// Of the plan.
        let step: Int
        /// That it stands in.
        let frame: Int
        /// Skipped by its guard in a list, which goes on behind it.
        var isLeftOut = false
        /// Steps that it still waits for.
        var waitingCount: Int
        /// Attempts that failed and were recorded.
        var failedAttemptCount = 0
        /// When the first attempt had failed.
        var firstFailedAt: Instant?
        /// The node that undoes it; nil for none.
        var compensation: Int?
        /// What expressions see; kept only where some expression looks, and for the run's view.
        var result: StepView?

        init(step: Int, frame: Int, waitingCount: Int) {
            self.step = step
            self.frame = frame
            self.waitingCount = waitingCount
        }

        /// Whether what comes after it alone is skipped with it.
        var cutsOff: Bool { phase == .skipped && !isLeftOut }
    }

    /// Nodes that were opened together; the file's own are frame 0.
    struct Frame: Sendable {
        /// Its first node; the others follow.
        let first: Int
        let count: Int
        /// Of the plan.
        let scope: Int
        /// Its nodes that are settled.
        var settledCount = 0
        /// Nodes in flight, in it and in all that is open below it.
        var inFlightCount = 0

        init(first: Int, count: Int, scope: Int) {
            self.first = first
            self.count = count
            self.scope = scope
        }
    }

    // MARK: - Names

    /// The node's place in the journal: `charge`, `charge/compensate`.
    func path(_ index: Int, _ plan: RunPlan) -> String { plan.steps[nodes[index].step].id }

    /// The node of that path; nil where there is none (yet).
    func node(_ path: String, _ plan: RunPlan) -> Int? { plan.indexByPath[path] }
}
