package import Ports
package import Values

/// A clock that stands still until a test turns it.
///
/// Alarms fire within the call that turns it, on that thread, by instant and then by the order in which
/// they were made; while one fires, ``now()`` is its own instant. An alarm may make further ones, which
/// fire within the same call where they are due.
package final class ManualClock: RunClock, @unchecked Sendable {
    // Unchecked: everything that changes is touched under `lock`.
    private let lock = Lock()
    private var alarms = AlarmQueue()
    private var current: Instant
    private var isShutDown = false

    package init(at start: Instant = Instant(milliseconds: 1_767_225_600_000)) { current = start }

    package func now() -> Instant { lock.withLock { current } }

    /// As the port says; an alarm in the past fires at the next turn of the clock, even by nothing.
    @discardableResult
    package func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock { isShutDown ? AlarmID(number: 0) : alarms.insert(at: instant, action).id }
    }

    package func cancel(_ id: AlarmID) {
        lock.withLock { alarms.remove(id) }
    }

    package func shutDown() {
        lock.withLock {
            isShutDown = true
            alarms.removeAll()
        }
    }

    /// When the earliest alarm is due; nil where there is none.
    package var nextAlarm: Instant? { lock.withLock { alarms.nextInstant() } }

    /// Alarms that have not fired and were not withdrawn.
    package var alarmCount: Int { lock.withLock { alarms.count } }

    /// Turns the clock on by `duration`, firing what is due on the way.
    package func advance(by duration: Duration) { advance(to: now() + duration) }

    /// Turns the clock to `instant`, firing what is due on the way; never back.
    package func advance(to instant: Instant) {
        while let action = nextAction(until: instant) { action() }
        lock.withLock { current = max(current, instant) }
    }

    /// Sets the clock, forwards or back, and fires nothing: what is due then is late by as much.
    ///
    /// As a machine that was halted, or whose clock was set.
    package func jump(to instant: Instant) { lock.withLock { current = instant } }

    /// Turns the clock to the earliest alarm and fires what is due then; false where there is no alarm.
    @discardableResult
    package func advanceToNextAlarm() -> Bool {
        guard let next = nextAlarm else { return false }
        advance(to: next)
        return true
    }

    private func nextAction(until instant: Instant) -> (@Sendable () -> Void)? {
        lock.withLock {
            guard let alarm = alarms.popDue(at: max(current, instant)) else { return nil }
            current = max(current, alarm.instant)
            return alarm.action
        }
    }
}
