import Ports
import Values

/// The clock of one process: the true time and an error that stays the same while the process lives.
final class SimulatedClock: RunClock, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let timeline: Timeline
    private let life: Life?
    private let offset: Duration
    private let lateness: () -> Duration

    /// - Parameters:
    ///   - timeline: The true time.
    ///   - life: Of the process; nil for a clock of the world.
    ///   - offset: How far the clock is ahead.
    ///   - lateness: How late the next alarm fires.
    init(
        _ timeline: Timeline, life: Life? = nil, offset: Duration = .zero,
        lateness: @escaping () -> Duration = { .zero }
    ) {
        self.timeline = timeline
        self.life = life
        self.offset = offset
        self.lateness = lateness
    }

    func now() -> Instant { timeline.now + offset }

    @discardableResult
    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        guard life?.spend("an alarm is set") ?? true else { return AlarmID(number: 0) }
        let at = Instant(microseconds: instant.microseconds - offset.microseconds) + lateness()
        return AlarmID(
            number: timeline.plan(at: at) { [life] in if !(life?.isOver ?? false) { action() } })
    }

    func cancel(_ id: AlarmID) { timeline.withdraw(id.number) }

    func shutDown() {}
}

/// Counts readings in place of measuring time, so that the same work measures the same everywhere.
final class CountingGauge: WorkGauge, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let timeline: Timeline
    private let start: Instant
    private let step: Duration
    private var read = Duration.zero

    init(_ timeline: Timeline, step: Duration) {
        self.timeline = timeline
        self.step = step
        start = timeline.now
    }

    func threadTime() -> Duration {
        read += step
        return read
    }

    func elapsedTime() -> Duration {
        read += step
        return timeline.now - start + read
    }
}
