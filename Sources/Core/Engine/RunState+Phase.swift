package import Values

extension RunState {
    /// The phase of a step.
    package enum Phase: Sendable, Hashable {
        /// It waits for other steps.
        case pending
        /// All steps before it are settled; its guard has not been evaluated, or its request not been sent.
        case ready
        /// Sent without a response; volatile: after a crash it is `ready` again, under the same key (I3).
        case inFlight(attempt: Int)
        /// An attempt failed, and a retry is due at that instant.
        case waitingRetry(attempt: Int, at: Instant)
        /// A durable timer runs.
        case sleeping(until: Instant)
        /// It waits for a signal; `until` is nil for no bound.
        case waiting(since: Instant, until: Instant?)
        /// It waits for the end of the run that it has started.
        case calling(child: RunID, since: Instant)
        /// Its items or inner steps run.
        case open
        case succeeded
        case failed
        case skipped
        /// The scope around it ended first.
        case cancelled

        package var isSettled: Bool {
            switch self {
            case .succeeded, .failed, .skipped, .cancelled: true
            default: false
            }
        }

        /// Whether someone outside is working on it, so that nothing around it may end.
        var isInFlight: Bool {
            switch self {
            case .inFlight, .calling: true
            default: false
            }
        }

        /// Whether it only waits for a time or a signal.
        var isResting: Bool {
            switch self {
            case .waitingRetry, .sleeping, .waiting: true
            default: false
            }
        }

        /// When its rest ends by itself; nil if it does not.
        var restEnd: Instant? {
            switch self {
            case .waitingRetry(_, let end), .sleeping(let end): end
            case .waiting(_, let end): end
            default: nil
            }
        }

        var isCalling: Bool {
            if case .calling = self { return true }
            return false
        }
    }
}

extension RunState.Phase {
    func moved(by step: Duration) -> Self {
        switch self {
        case .waitingRetry(let attempt, let instant): .waitingRetry(attempt: attempt, at: instant + step)
        case .sleeping(let until): .sleeping(until: until + step)
        case .waiting(let since, let until): .waiting(since: since, until: until.map { $0 + step })
        default: self
        }
    }
}
