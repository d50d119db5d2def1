import Values

/// When things happened in a run, read from its journal for people: nothing is decided by it, so nothing of
/// it is kept in memory, and a restart changes no answer.
struct RunTimeline {
    private(set) var startedAt = Instant(microseconds: 0)
    /// By path.
    private(set) var settledAt: [String: Instant] = [:]
    /// Of anything; at first the run's start.
    private(set) var lastSettledAt = Instant(microseconds: 0)
    /// In order, by the path of the group or strategy around it.
    private var settledWithin: [String: [Instant]] = [:]
    private(set) var openedAt: [String: Instant] = [:]
    /// Since when a step sleeps, waits, or waits for its next try.
    private(set) var restingSince: [String: Instant] = [:]
    private(set) var retryAt: [String: Instant] = [:]
    private(set) var lastErrors: [String: StepError] = [:]
    private(set) var copiedPaths: Set<String> = []
    /// Since when the run is ending.
    private(set) var endingSince: Instant?
    /// Since when the `finally` steps run.
    private(set) var finalizingSince: Instant?
    /// Since when nothing new starts among them.
    private(set) var cutSince: Instant?
    private(set) var hold: (since: Instant, reason: String)?
    private(set) var unfundedSince: Instant?
    /// What a run waits for since then: `balance`, or `suspension` for a tenant that may not start anything.
    var pausedBy = "balance"
    /// What each step has taken and given.
    private(set) var history = StepHistory()
    private var isQueued = false
    /// Times in which nothing started; the last one may be open.
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

    /// That step has ended the run by `finish`.
    mutating func noteFinish(_ path: String) {
        guard let instant = settledAt[path] else { return }
        endingSince = min(endingSince ?? instant, instant)
    }

    /// When the first, second, … of what lies directly in a group or strategy settled; nil for none so far.
    func settling(_ number: Int, within place: String) -> Instant? {
        guard let settled = settledWithin[place], settled.indices.contains(number - 1) else { return nil }
        return settled[number - 1]
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
