import Values

/// When things happened in a run, read from its journal for people: nothing is decided by it, so nothing of
/// it is kept in memory, and a restart changes no answer.
struct RunTimeline {
    private(set) var startedAt = Instant(microseconds: 0)
    /// By path.
    private(set) var settledAt: [String: Instant] = [:]
    /// Since when a step sleeps, waits, or waits for its next try.
    private(set) var restingSince: [String: Instant] = [:]
    private(set) var retryAt: [String: Instant] = [:]
    private(set) var lastErrors: [String: StepError] = [:]
    private(set) var copiedPaths: Set<String> = []
    /// Since when the run is ending.
    private(set) var endingSince: Instant?
    private(set) var hold: (since: Instant, reason: String)?
    private(set) var unfundedSince: Instant?
    private var isQueued = false
    /// Times in which nothing started; the last one may be open.
    private var standstills: [(start: Instant, end: Instant?)] = []

    init(_ records: some Sequence<JournalRecord>) {
        for record in records { take(record) }
    }

    private mutating func take(_ record: JournalRecord) {
        switch record.entry {
        case .runStarted(let start):
            startedAt = record.at
            isQueued = start.isQueued
        case .runAdmitted: isQueued = false
        case .stepSettled(let path, let result):
            settledAt[path] = record.at
            if result.isCopied { copiedPaths.insert(path) }
        case .stepSkipped(let path, _): settledAt[path] = record.at
        case .attemptFailed(let path, _, let error, _, let retryAt):
            lastErrors[path] = error
            restingSince[path] = record.at
            self.retryAt[path] = retryAt
        case .stepSleeping(let path, _), .stepWaiting(let path, _), .stepOpened(let path, _):
            restingSince[path] = record.at
        case .runPaused: unfundedSince = record.at
        case .runResumed: unfundedSince = nil
        case .runHeld(let reason): hold = (record.at, reason)
        case .runReleased: hold = nil
        case .cancelRequested:
            hold = nil
            endingSince = endingSince ?? record.at
        case .runTimedOut: endingSince = endingSince ?? record.at
        case .signalReceived, .stepCalling, .runFinished: break
        }
        note(isAtRest: hold != nil || unfundedSince != nil || isQueued, at: record.at)
    }

    private mutating func note(isAtRest: Bool, at instant: Instant) {
        let isOpen = standstills.last.map { $0.end == nil } ?? false
        if isAtRest, !isOpen { standstills.append((instant, nil)) }
        if !isAtRest, isOpen { standstills[standstills.count - 1].end = instant }
    }

    /// The last end among those steps, or the run's start.
    func lastSettled(of paths: some Sequence<String>) -> Instant {
        paths.compactMap { settledAt[$0] }.reduce(startedAt, max)
    }

    /// From when on something could start that was ready at `instant`; still paused, the instant itself.
    func firstMoving(from instant: Instant) -> Instant {
        let standstill = standstills.last { $0.start <= instant }
        guard let standstill, let end = standstill.end, end > instant else { return instant }
        return end
    }
}
