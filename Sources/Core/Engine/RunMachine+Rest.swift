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
            !state.hasInFlight
        else { return nil }
        var until: Instant?
        var isWaiting = false
        func wake(at instant: Instant?) {
            isWaiting = true
            if let instant { until = min(until ?? instant, instant) }
        }
        for index in state.nodes.indices {
            switch state.phase(index) {
            case .waitingRetry(_, let at): wake(at: at)
            case .sleeping(let end): wake(at: end)
            case .waiting(_, let end): wake(at: end)
            case .pending, .open, .succeeded, .failed, .skipped, .cancelled: break
            // Where a scope, or the run, is ending nothing starts any more.
            case .ready: if state.ending == nil, !state.isClosed(around: index) { return nil }
            default: return nil
            }
        }
        guard isWaiting else { return nil }
        if state.ending == nil, let timeout = plan.definition.timeout, let start = state.start {
            wake(at: start.at + timeout)
        }
        return Rest(until: until)
    }
}
