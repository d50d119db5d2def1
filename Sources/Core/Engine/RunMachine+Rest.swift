package import Values
import Workflow

extension RunMachine {
    /// The state of a run that only waits for a time, a signal or a cancellation.
    package struct Rest: Sendable, Hashable {
        /// When the run continues by itself; nil if only a signal ends its wait.
        package var until: Instant?

        package init(until: Instant?) { self.until = until }
    }

    /// What the run waits for, by its journal alone; nil if anything of it is in flight, ready, paused or
    /// over.
    ///
    /// A run at rest can be dropped from memory and read back later: ``RunInput/recovered(at:)`` restores the
    /// same state.
    package var rest: Rest? {
        guard state.start != nil, !state.isOver, !state.isPaused, !state.isHeld, !state.isTiedToOthers,
            !state.hasInFlight, !state.resting.isEmpty, state.ending != nil || !state.hasReady
        else { return nil }
        var until: Instant?
        for index in state.resting {
            guard let end = state.phase(index).restEnd else { continue }
            until = min(until ?? end, end)
        }
        if state.ending == nil, let end = state.timeoutEnd(plan) { until = min(until ?? end, end) }
        return Rest(until: until)
    }
}
