import Glibc
package import Ports
import Synchronization
package import Values

/// The machine's time: the monotonic clock, and beside it how far the wall clock is ahead of it.
///
/// The kernel slows both clocks alike, so that the distance between them changes only if the wall clock is stepped.
/// Each reading compares the two, and the thread of the clock does so once a second, so that a step is known within
/// a second even if nobody asks for the time. Alarms fire one after another on one thread.
package final class SystemClock: RunClock, @unchecked Sendable {
    // Unchecked: everything that changes is touched under `lock`, but for `shifted`, which changes under `stepping`.
    private let lock = Lock()
    private let changed = Condition()
    private var alarms = AlarmQueue()
    /// The shift that the alarms for times of the wall clock are placed by.
    private var alarmShift: Int64 = 0
    /// Steps that the listeners have not been told of, in microseconds.
    private var unreported: Int64 = 0
    private var listeners: [@Sendable (Duration) -> Void] = []
    private var isShutDown = false
    private var thread: WorkerThread?
    private var clockThread: pthread_t?
    private let finished = Promise<Bool>()
    /// Added to the monotonic clock it gives the wall clock as it was when this clock was made.
    private let anchor: Int64
    private let readWallClock: @Sendable () -> Int64
    private let stepping = Lock()
    /// In microseconds.
    private let shifted = Atomic<Int64>(0)

    package convenience init() { self.init { SystemClock.microseconds(CLOCK_REALTIME) } }

    /// - Parameter wallClock: Gives the microseconds since 1970 in place of the machine; for tests.
    package init(wallClock: @escaping @Sendable () -> Int64) {
        readWallClock = wallClock
        anchor = wallClock() - Self.microseconds(CLOCK_MONOTONIC)
        thread = WorkerThread(name: "clock") { self.run() }
    }

    package func steady() -> Instant {
        Instant(microseconds: anchor + Self.microseconds(CLOCK_MONOTONIC))
    }

    /// The monotonic clock put forward by ``shift``, so that it runs backwards only with a step.
    package func now() -> Instant {
        let steady = steady().microseconds
        let known = shifted.load(ordering: .acquiring)
        if (readWallClock() - steady - known).magnitude < Self.stepMin {
            return Instant(microseconds: steady + known)
        }
        return noteStep()
    }

    package var shift: Duration { .microseconds(shifted.load(ordering: .acquiring)) }

    /// As the port says; an alarm made after ``shutDown()`` never fires.
    @discardableResult
    package func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            placeAlarms()
            return insert(instant.moved(by: .microseconds(-alarmShift)), followsWallClock: true, action)
        }
    }

    /// As ``schedule(at:_:)``.
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

    /// Drops all alarms and ends the thread, as the port says.
    ///
    /// Called from an alarm it cannot wait for that alarm itself, and returns at once.
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

    /// A smaller step is not followed: nothing that is asked of the wall clock needs it, and it is no noise of
    /// two readings.
    private static let stepMin = 500_000
    /// Two readings further apart than this say nothing: the thread was halted between them.
    private static let readingMax: Int64 = 50_000

    /// Reads both clocks again, and takes the wall clock's distance over if it has changed; the time by it.
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

    /// Moves the alarms for times of the wall clock after a step.
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

    /// Longest sleep of the thread, so that a step is noticed.
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
                // One at a time, so that an alarm can still be withdrawn by the one before it.
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

    /// Called under `lock`, which is given up meanwhile.
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
