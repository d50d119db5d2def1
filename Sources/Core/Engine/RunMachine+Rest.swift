package import Values
import Workflow

extension RunMachine {
    /// A run that does nothing until a time comes, a signal, or someone who cancels it.
    package struct Rest: Sendable, Hashable {
        /// When it goes on by itself; nil where only a signal ends it.
        package var until: Instant?

        package init(until: Instant?) { self.until = until }
    }

    /// What the run waits for, as its journal alone tells it; nil where anything of it is under way, ready,
    /// paused or over.
    ///
    /// A run at rest can be forgotten and read back later: ``RunInput/recovered(at:)`` then finds it as it was.
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
