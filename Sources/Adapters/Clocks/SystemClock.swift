import Glibc
package import Ports
import Synchronization
package import Values

/// The machine's clocks: the monotonic clock, and the wall clock as a shift from it.
///
/// The kernel slews both clocks alike, so the shift changes only if the wall clock is stepped. Each reading
/// compares the two. While alarms or listeners exist, the clock's thread does so at least once a second, so
/// that a step is noticed within a second even if nobody reads the time. Alarms fire one after another on
/// that thread.
package final class SystemClock: RunClock, @unchecked Sendable {
    // Unchecked: all mutable state is guarded by `lock`, except `shifted`, which changes under `stepping`.
    private let lock = Lock()
    private let changed = Condition()
    private var alarms = AlarmQueue()
    /// The shift by which the alarms for wall-clock times are placed.
    private var alarmShift: Int64 = 0
    /// The sum of the steps that listeners have not been notified of, in microseconds.
    private var unreported: Int64 = 0
    private var listeners: [@Sendable (Duration) -> Void] = []
    private var isShutDown = false
    private var thread: WorkerThread?
    private var clockThread: pthread_t?
    private let finished = Promise<Bool>()
    /// The difference between the wall clock and the monotonic clock when this clock was made, in
    /// microseconds.
    private let anchor: Int64
    private let readWallClock: @Sendable () -> Int64
    private let stepping = Lock()
    /// How far the wall clock is ahead of the steady one, in microseconds.
    private let shifted = Atomic<Int64>(0)

    package convenience init() { self.init { SystemClock.microseconds(CLOCK_REALTIME) } }

    /// - Parameter wallClock: Returns microseconds since 1970, instead of the machine's clock; for tests.
    package init(wallClock: @escaping @Sendable () -> Int64) {
        readWallClock = wallClock
        anchor = wallClock() - Self.microseconds(CLOCK_MONOTONIC)
        thread = WorkerThread(name: "clock") { self.run() }
    }

    package func steady() -> Instant {
        Instant(microseconds: anchor + Self.microseconds(CLOCK_MONOTONIC))
    }

    /// The monotonic clock plus ``shift``; it goes backwards only if the wall clock is stepped back.
    package func now() -> Instant {
        let steady = steady().microseconds
        let known = shifted.load(ordering: .acquiring)
        if (readWallClock() - steady - known).magnitude < Self.stepMin {
            return Instant(microseconds: steady + known)
        }
        return noteStep()
    }

    package var shift: Duration { .microseconds(shifted.load(ordering: .acquiring)) }

    /// Schedules an alarm for a wall-clock time; after ``shutDown()`` it never fires.
    @discardableResult
    package func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            placeAlarms()
            return insert(instant.moved(by: .microseconds(-alarmShift)), followsWallClock: true, action)
        }
    }

    /// Schedules an alarm after a duration of the steady clock; after ``shutDown()`` it never fires.
    @discardableResult
    package func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock { insert(steady().moved(by: duration), followsWallClock: false, action) }
    }

    private func insert(
        _ due: Instant, followsWallClock: Bool, _ action: @escaping @Sendable () -> Void
    ) -> AlarmID {
        guard !isShutDown else { return AlarmID(number: 0) }
        let (id, isEarliest) = alarms.insert(at: due, followsWallClock: followsWallClock, action)
        if isEarliest { changed.signal() }
        return id
    }

    package func cancel(_ id: AlarmID) {
        lock.withLock { alarms.remove(id) }
    }

    package func whenStepped(_ action: @escaping @Sendable (Duration) -> Void) {
        lock.withLock {
            listeners.append(action)
            changed.signal()
        }
    }

    /// Drops all alarms, ends the thread and waits for it.
    ///
    /// When called from an alarm, it returns at once, because it cannot wait for that alarm.
    package func shutDown() {
        let ended: WorkerThread? = lock.withLock {
            isShutDown = true
            alarms.removeAll()
            listeners = []
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

    // MARK: - Steps

    /// The smallest step that is followed, in microseconds: far above the noise between two readings, and
    /// small enough for every use of the wall clock.
    private static let stepMin = 500_000
    /// The longest time between two usable readings, in microseconds; beyond it the thread was suspended in
    /// between.
    private static let readingMax: Int64 = 50_000

    /// Reads both clocks again, adopts a changed shift, and returns the wall-clock time.
    private func noteStep() -> Instant {
        stepping.withLock {
            while true {
                let (before, wall, after) = (steady().microseconds, readWallClock(), steady().microseconds)
                guard after - before <= Self.readingMax else { continue }
                let known = shifted.load(ordering: .relaxed)
                let distance = wall - after
                if (distance - known).magnitude >= Self.stepMin {
                    shifted.store(distance, ordering: .releasing)
                }
                return Instant(microseconds: after + shifted.load(ordering: .relaxed))
            }
        }
    }

    /// Moves the alarms for wall-clock times after a step.
    ///
    /// Called under `lock`.
    private func placeAlarms() {
        let step = shifted.load(ordering: .acquiring) - alarmShift
        guard step != 0 else { return }
        alarmShift += step
        unreported += step
        alarms.wallClockStepped(by: .microseconds(step))
        changed.signal()
    }

    // MARK: - Thread

    /// The longest sleep of the thread, so that a step is noticed in time.
    private static let sleepMax = Duration.seconds(1)

    private func run() {
        lock.lock()
        clockThread = pthread_self()
        while !isShutDown {
            _ = now()
            placeAlarms()
            if unreported != 0 {
                reportStep()
            } else if let alarm = alarms.popDue(at: steady()) {
                // One at a time, so that an alarm can still withdraw the next one.
                lock.unlock()
                alarm.action()
                lock.lock()
            } else if let next = alarms.nextInstant() {
                _ = changed.wait(lock, atMost: sleep(until: next))
            } else if listeners.isEmpty {
                changed.wait(lock)
            } else {
                _ = changed.wait(lock, atMost: Self.sleepMax)
            }
        }
        lock.unlock()
        finished.fulfil(true)
    }

    /// Notifies the listeners of the steps so far; called under `lock`, which it releases meanwhile.
    private func reportStep() {
        let (step, told) = (Duration.microseconds(unreported), listeners)
        unreported = 0
        lock.unlock()
        for listener in told { listener(step) }
        lock.lock()
    }

    private func sleep(until instant: Instant) -> Duration {
        let (left, overflow) = instant.microseconds.subtractingReportingOverflow(steady().microseconds)
        return overflow ? Self.sleepMax : min(.microseconds(left), Self.sleepMax)
    }

    private static func microseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
