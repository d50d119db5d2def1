import Glibc
package import Ports
package import Values

/// The machine's time: the wall clock as it was at the start, carried on by the monotonic clock.
///
/// A later step of the wall clock (NTP, an operator) is not seen until the process starts again, so time
/// never runs backwards and no alarm fires early. Alarms fire one after another on one thread.
package final class SystemClock: RunClock, @unchecked Sendable {
    // Unchecked: everything that changes is touched under `lock`.
    private let lock = Lock()
    private let changed = Condition()
    private var alarms = AlarmQueue()
    private var isShutDown = false
    private var thread: WorkerThread?
    private var clockThread: pthread_t?
    private let finished = Promise<Bool>()
    private let anchor: Instant
    private let anchorMonotonic: Int64

    package init() {
        anchor = Instant(microseconds: Self.microseconds(CLOCK_REALTIME))
        anchorMonotonic = Self.microseconds(CLOCK_MONOTONIC)
        thread = WorkerThread(name: "clock") { self.run() }
    }

    package func now() -> Instant {
        Instant(microseconds: anchor.microseconds + Self.microseconds(CLOCK_MONOTONIC) - anchorMonotonic)
    }

    /// As the port says; an alarm made after ``shutDown()`` never fires.
    @discardableResult
    package func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            guard !isShutDown else { return AlarmID(number: 0) }
            let (id, isEarliest) = alarms.insert(at: instant, action)
            if isEarliest { changed.signal() }
            return id
        }
    }

    package func cancel(_ id: AlarmID) {
        lock.withLock { alarms.remove(id) }
    }

    /// Drops all alarms and ends the thread, as the port says.
    ///
    /// Called from an alarm it cannot wait for that alarm itself, and returns at once.
    package func shutDown() {
        let ended: WorkerThread? = lock.withLock {
            isShutDown = true
            alarms.removeAll()
            changed.signal()
            if let clockThread, pthread_equal(clockThread, pthread_self()) != 0 { return nil }
            defer { thread = nil }
            return thread
        }
        guard let ended else { return waitUnlessOnClockThread() }
        ended.join()
    }

    private func waitUnlessOnClockThread() {
        let isOwn = lock.withLock { clockThread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
        if !isOwn { _ = finished.wait() }
    }

    // MARK: - Thread

    /// Longest sleep of the thread: keeps the arithmetic of far alarms within range.
    private static let sleepMax = Duration.seconds(3600)

    private func run() {
        lock.lock()
        clockThread = pthread_self()
        while !isShutDown {
            if let alarm = alarms.popDue(at: now()) {
                // One at a time, so that an alarm can still be withdrawn by the one before it.
                lock.unlock()
                alarm.action()
                lock.lock()
            } else if let next = alarms.nextInstant() {
                _ = changed.wait(lock, atMost: sleep(until: next))
            } else {
                changed.wait(lock)
            }
        }
        lock.unlock()
        finished.fulfil(true)
    }

    private func sleep(until instant: Instant) -> Duration {
        let (left, overflow) = instant.microseconds.subtractingReportingOverflow(now().microseconds)
        return overflow ? Self.sleepMax : min(.microseconds(left), Self.sleepMax)
    }

    private static func microseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
