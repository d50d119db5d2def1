import Clocks
package import Ports
package import Values

/// A clock that stands still until a test turns it.
///
/// Alarms fire within the call that turns it, on that thread, by instant and then by the order in which
/// they were made; while one fires, ``now()`` is its own instant. An alarm may make further ones, which
/// fire within the same call if they are due.
package final class ManualClock: RunClock, @unchecked Sendable {
    // Unchecked: everything that changes is touched under `lock`.
    private let lock = Lock()
    private var alarms = AlarmQueue()
    private var current: Instant
    private var shifted = Duration.zero
    private var isShutDown = false
    private var listeners: [@Sendable (Duration) -> Void] = []

    package init(at start: Instant = Instant(milliseconds: 1_767_225_600_000)) { current = start }

    package func now() -> Instant { lock.withLock { current + shifted } }
    package func steady() -> Instant { lock.withLock { current } }
    package var shift: Duration { lock.withLock { shifted } }

    /// As the port says; an alarm in the past fires at the next turn of the clock, even by nothing.
    @discardableResult
    package func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            let due = instant.moved(by: .zero - shifted)
            return isShutDown
                ? AlarmID(number: 0) : alarms.insert(at: due, followsWallClock: true, action).id
        }
    }

    /// As ``schedule(at:_:)``.
    @discardableResult
    package func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            isShutDown ? AlarmID(number: 0) : alarms.insert(at: current.moved(by: duration), action).id
        }
    }

    package func cancel(_ id: AlarmID) {
        lock.withLock { alarms.remove(id) }
    }

    package func whenStepped(_ action: @escaping @Sendable (Duration) -> Void) {
        lock.withLock { listeners.append(action) }
    }

    package func shutDown() {
        lock.withLock {
            isShutDown = true
            alarms.removeAll()
        }
    }

    /// When the earliest alarm is due by the wall clock; nil if there is none.
    package var nextAlarm: Instant? {
        lock.withLock { alarms.nextInstant()?.moved(by: shifted) }
    }

    /// Alarms that have not fired and were not withdrawn.
    package var alarmCount: Int { lock.withLock { alarms.count } }

    /// Turns the clock on by `duration`, firing what is due on the way.
    package func advance(by duration: Duration) { advance(toSteady: steady() + duration) }

    /// Turns the clock to `instant`, firing what is due on the way; never back.
    package func advance(to instant: Instant) { advance(toSteady: instant.moved(by: .zero - shift)) }

    private func advance(toSteady instant: Instant) {
        while let action = nextAction(until: instant) { action() }
        lock.withLock { current = max(current, instant) }
    }

    /// Halts time until `instant`, or turns it back: fires nothing, and what is due then is late by as much.
    ///
    /// As for a process that was halted and did not notice; see ``step(by:)`` for a wall clock that is stepped.
    package func jump(to instant: Instant) { lock.withLock { current = instant.moved(by: .zero - shifted) } }

    /// Steps the wall clock under a running process, and tells who listens; alarms fire at the next turn.
    package func step(by duration: Duration) {
        let told = lock.withLock {
            shifted += duration
            alarms.wallClockStepped(by: duration)
            return listeners
        }
        for listener in told { listener(duration) }
    }

    /// Turns the clock to the earliest alarm and fires what is due then; false if there is no alarm.
    @discardableResult
    package func advanceToNextAlarm() -> Bool {
        guard let next = lock.withLock({ alarms.nextInstant() }) else { return false }
        advance(toSteady: next)
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
