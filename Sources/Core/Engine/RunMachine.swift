import Billing
package import Storage
package import Values
import Workflow

/// The run machine: takes one input and returns journal entries and effects.
///
/// A value without clock, randomness, I/O or concurrency. The same inputs always lead to the same decisions,
/// provided that the gauge measures the same work. Its owner stores the entries and carries out the effects
/// afterwards.
package struct RunMachine: Sendable {
    package let plan: RunPlan
    package internal(set) var state: RunState

    /// A run that has not begun.
    package init(run: RunID, plan: RunPlan) {
        self.plan = plan
        state = RunState(run: run, plan: plan)
    }

    /// A run folded from its journal; ``RunInput/recovered(at:)`` starts it again.
    package init(run: RunID, plan: RunPlan, records: some Sequence<JournalRecord>) {
        self.init(run: run, plan: plan)
        for record in records { state.apply(record, plan: plan) }
        state.isJustRead = true
    }

    /// Adds the bytes of stored facts to what the run keeps.
    ///
    /// To be called with the facts of each decision, and once with those of a journal that is read back, so
    /// that the sums are the same after a restart.
    ///
    /// - Parameters:
    ///   - records: The entries in their order.
    ///   - stored: The same entries, as they are stored.
    package mutating func noteFacts(of records: [JournalRecord], stored: [StoredEntry]) {
        var sum = 0
        for index in records.indices {
            sum += stored[index].facts.count
            if case .runFinalizing = records[index].entry { state.noteFactsBeforeFinally(byteCount: sum) }
        }
        state.byteCount += sum
    }

    /// The path of a node in the journal, such as `charge` or `charge/compensate`.
    package func path(of node: Int) -> String { state.path(node, plan) }

    /// The node with a path; -1 if there is none yet.
    package func position(of path: String) -> Int { state.node(path, plan) ?? -1 }

    /// Whether a node is a compensation.
    package func isCompensation(_ node: Int) -> Bool {
        state.nodes.indices.contains(node) && plan.isCompensation[state.nodes[node].step]
    }

    /// Whether an attempt is in flight, and whether a run that is ending needs it: to undo a step or to learn
    /// its outcome.
    ///
    /// Mutating although it changes nothing, so that a machine inside a class is not copied for the call.
    package mutating func standing(of node: Int, attempt: Int) -> (isInFlight: Bool, isUndoing: Bool) {
        guard state.nodes.indices.contains(node) else { return (false, false) }
        return (
            state.nodes[node].phase == .inFlight(attempt: attempt),
            plan.isCompensation[state.nodes[node].step] || state.nodes[node].isSettling && state.ending != nil
        )
    }

    /// How far the wall clock had been stepped, as far as the run has been notified.
    ///
    /// Mutating for the reason above.
    package mutating func knownClockShift() -> Duration { state.clockShift }

    /// Decides on an input.
    ///
    /// An input that no longer applies, such as a response to an older attempt or a signal to a finished run,
    /// decides nothing.
    ///
    /// - Parameters:
    ///   - input: The event.
    ///   - surroundings: The inputs of the decision besides the journal.
    ///   - now: The time of the decision; nil for the input's own instant.
    ///   - isContinuing: Whether the previous decision is stored in the same commit, so that nothing of it
    ///     has left yet.
    /// - Returns: The entries to store, and the effects to carry out once they are stored.
    package mutating func handle(
        _ input: RunInput, in surroundings: Surroundings, at now: Instant? = nil, isContinuing: Bool = false
    ) -> Decision {
        guard !state.isOver else { return Decision() }
        if !isContinuing { state.batch += 1 }
        // Done before any input: it may send or end something, and both depend on what may have left before.
        if state.isJustRead {
            state.isJustRead = false
            state.doubtAllReady(at: now ?? input.at, plan)
        }
        state.news = RunState.ScopeNews()
        var turn = Turn(
            machine: RunMachine(vacantOf: plan), surroundings: surroundings, at: now ?? input.at)
        // The turn must own the state uniquely, or its first change would copy all nodes. A swap also avoids
        // reference counting.
        swap(&self, &turn.machine)
        turn.take(input)
        swap(&self, &turn.machine)
        return turn.decision
    }

    private init(vacantOf plan: RunPlan) {
        self.plan = plan
        state = .vacant
    }
}
