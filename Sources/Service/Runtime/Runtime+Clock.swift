import Engine
import Ports
import Storage
import Values

// What becomes of runs if the wall clock is stepped while they are open. A journal's instants are those of the
// wall clock, so a run is told of a step before anything else that is newer than it: it then moves what began, or
// is to end, by a duration. How far the clock has been stepped in all is kept, so that a run that was out of memory
// meanwhile can be told too.

extension Runtime {
    private static let clockSetting = "clock"

    /// By how much the wall clock has been stepped in the life of the installation.
    var clockShift: Duration { clockShiftAtStart + clock.shift }

    static func storedClockShift(_ store: any Store) throws(StoreError) -> Duration {
        let bytes = try store.setting(clockSetting) ?? []
        return .microseconds(Int64(String(decoding: bytes, as: UTF8.self)) ?? 0)
    }

    /// On the clock's thread.
    func clockStepped(by step: Duration) {
        log.write(
            .warning, "clock.stepped",
            [("by_ms", .int(step.milliseconds)), ("now", .string(clock.now().text))])
        metrics.add("clock_steps_total")
        keepClockShift()
        if step < .zero { placeWaitingRuns(after: nil) }
    }

    private func keepClockShift() {
        guard !lock.withLock({ isStopping || fatal != nil }) else { return }
        do throws(StoreError) {
            try store.setSetting(Self.clockSetting, Array("\(clockShift.microseconds)".utf8))
        } catch {
            log.write(.warning, "clock.not_kept", [("error", .string(error.label))])
            clock.schedule(after: .seconds(1)) { [weak self] in self?.keepClockShift() }
        }
    }
}

/// One reading of the clock for a decision, and what it changes about the inputs.
struct ClockReading {
    /// By how much the clock has been stepped in this process.
    let shift: Duration
    /// The input to be decided first; nil for a run that knows of every step.
    let stepped: RunInput?
    private let now: Instant

    init(shift: Duration, stepped: RunInput?, now: Instant) {
        self.shift = shift
        self.stepped = stepped
        self.now = now
    }

    /// The input as the machine takes it: attempts are measured by the steady clock.
    func adjusted(_ input: RunInput) -> RunInput {
        guard shift != .zero, case .answered(let step, let attempt, var outcome) = input else { return input }
        outcome.startedAt = outcome.startedAt + shift
        outcome.finishedAt = outcome.finishedAt + shift
        return .answered(step: step, attempt: attempt, outcome)
    }

    /// What to decide it by in place of its own instant, which may be older than the step; nil for its own.
    func instant(of input: RunInput) -> Instant? {
        stepped == nil || input.isAnswer ? nil : now
    }
}

extension Runtime {
    /// Called under the lock.
    func clockReading(for slot: RunSlot) -> ClockReading {
        let shift = clock.shift
        let total = clockShiftAtStart + shift
        guard total != slot.machine.knownClockShift() else {
            return ClockReading(shift: shift, stepped: nil, now: .init(microseconds: 0))
        }
        let now = clock.steady() + shift
        return ClockReading(shift: shift, stepped: .clockStepped(shift: total, at: now), now: now)
    }
}
