import Values

/// The times of events in a run, read from its journal for people.
///
/// Nothing is decided by it, so it is not kept in memory, and a restart changes no answer.
struct RunTimeline {
    private(set) var startedAt = Instant(microseconds: 0)
    /// By path.
    private(set) var settledAt: [String: Instant] = [:]
    /// The last settling of any step; at first the run's start.
    private(set) var lastSettledAt = Instant(microseconds: 0)
    /// Settling times in order, by the path of the group or strategy around.
    private var settledWithin: [String: [Instant]] = [:]
    private(set) var openedAt: [String: Instant] = [:]
    /// When a step began to sleep, to wait, or to wait for its retry.
    private(set) var restingSince: [String: Instant] = [:]
    private(set) var retryAt: [String: Instant] = [:]
    private(set) var lastErrors: [String: StepError] = [:]
    private(set) var copiedPaths: Set<String> = []
    /// When the run began to end.
    private(set) var endingSince: Instant?
    /// When the `finally` steps began.
    private(set) var finalizingSince: Instant?
    /// When the `finally` steps were cut short.
    private(set) var cutSince: Instant?
    private(set) var hold: (since: Instant, reason: String)?
    private(set) var unfundedSince: Instant?
    /// What an unfunded run waits for: `balance`, or `suspension` for a suspended tenant.
    var pausedBy = "balance"
    /// The times and results of each step.
    private(set) var history = StepHistory()
    private var isQueued = false
    /// Times in which nothing could start; the last one may be open.
    private var standstills: [(start: Instant, end: Instant?)] = []

    init(_ records: some Sequence<JournalRecord>) {
        for record in records { take(record) }
    }

    private mutating func take(_ record: JournalRecord) {
        history.take(record)
        switch record.entry {
        case .runStarted(let start):
            (startedAt, lastSettledAt) = (record.at, record.at)
            isQueued = start.isQueued
        case .runAdmitted: isQueued = false
        case .stepSettled(let path, let result):
            settle(path, at: record.at)
            if result.isCopied { copiedPaths.insert(path) }
        case .stepSkipped(let path, _): settle(path, at: record.at)
        case .attemptFailed(let path, _, let error, _, let retryAt, _):
            lastErrors[path] = error
            restingSince[path] = record.at
            self.retryAt[path] = retryAt
        case .stepSleeping(let path, _, _), .stepWaiting(let path, _, _): restingSince[path] = record.at
        case .runPaused: unfundedSince = record.at
        case .runResumed: unfundedSince = nil
        case .runHeld(let reason): hold = (record.at, reason)
        case .runReleased: hold = nil
        case .cancelRequested:
            hold = nil
            endingSince = endingSince ?? record.at
        case .runTimedOut, .runTooLarge, .outputFailed: endingSince = endingSince ?? record.at
        case .runFinalizing: finalizingSince = record.at
        case .finallyCut:
            hold = nil
            cutSince = record.at
        case .stepOpened(let path, _): openedAt[path] = record.at
        case .signalReceived, .stepsInFlight, .stepCalling, .runFinished, .clockStepped: break
        }
        note(isAtRest: hold != nil || unfundedSince != nil || isQueued, at: record.at)
    }

    private mutating func settle(_ path: String, at instant: Instant) {
        settledAt[path] = instant
        lastSettledAt = max(lastSettledAt, instant)
        if let slash = path.lastIndex(of: "/") {
            settledWithin[String(path[..<slash]), default: []].append(instant)
        }
    }

    /// Notes that the step ended the run by `finish`.
    mutating func noteFinish(_ path: String) {
        guard let instant = settledAt[path] else { return }
        endingSince = min(endingSince ?? instant, instant)
    }

    /// When the node that settled as number `number` directly in a group or strategy did so; nil if it has
    /// not.
    func settling(_ number: Int, within place: String) -> Instant? {
        guard let settled = settledWithin[place], settled.indices.contains(number - 1) else { return nil }
        return settled[number - 1]
    }

    private mutating func note(isAtRest: Bool, at instant: Instant) {
        let isOpen = standstills.last.map { $0.end == nil } ?? false
        if isAtRest, !isOpen { standstills.append((instant, nil)) }
        if !isAtRest, isOpen { standstills[standstills.count - 1].end = instant }
    }

    /// The last settling among these steps, or the run's start.
    func lastSettled(of paths: some Sequence<String>) -> Instant {
        paths.compactMap { settledAt[$0] }.reduce(startedAt, max)
    }

    /// When something that was ready at `instant` could start; `instant` itself if the run is still paused.
    func firstMoving(from instant: Instant) -> Instant {
        let standstill = standstills.last { $0.start <= instant }
        guard let standstill, let end = standstill.end, end > instant else { return instant }
        return end
    }
}
