#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A mutual-exclusion lock over `pthread_mutex`.
///
/// `Synchronization.Mutex` is not used, because the thread sanitizer does not see its futex and reports false
/// races.
package final class Lock: @unchecked Sendable {
    // Unchecked: the mutex synchronises itself and never moves.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init() {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func lock() { pthread_mutex_lock(mutex) }
    package func unlock() { pthread_mutex_unlock(mutex) }

    @discardableResult
    package func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    fileprivate var pointer: UnsafeMutablePointer<pthread_mutex_t> { mutex }
}

/// A condition variable for a ``Lock``; timed waits use the monotonic clock.
package final class Condition: @unchecked Sendable {
    // Unchecked: the condition variable synchronises itself and never moves.
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        condition = .allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    package func signal() { pthread_cond_signal(condition) }
    package func broadcast() { pthread_cond_broadcast(condition) }

    /// Releases the lock, waits, and acquires it again; may wake up spuriously.
    package func wait(_ lock: Lock) { pthread_cond_wait(condition, lock.pointer) }

    /// Like ``wait(_:)``, for at most `duration`; returns false after a timeout.
    package func wait(_ lock: Lock, atMost duration: Duration) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let total = Int64(deadline.tv_nsec) + max(0, duration.microseconds) * 1000
        deadline.tv_sec += Int(total / 1_000_000_000)
        deadline.tv_nsec = Int(total % 1_000_000_000)
        return pthread_cond_timedwait(condition, lock.pointer, &deadline) == 0
    }
}

/// A thread for a blocking library.
///
/// It ends with ``join()``. If the object is released before, the thread is detached and runs to its end.
package final class WorkerThread: @unchecked Sendable {
    // Unchecked: written once before the thread starts; only the owner calls `join`, once.
    private var thread = pthread_t()
    private var isJoined = false

    /// Starts `body` on a new thread; the system shows at most 15 characters of `name`.
    ///
    /// - Precondition: The system can create another thread.
    package init(name: String, body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(name: name, run: body))
        let status = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let body = Unmanaged<Body>.fromOpaque(raw).takeRetainedValue()
                WorkerThread.nameCurrent(body.name)
                body.run()
                return nil
            }, box.toOpaque())
        precondition(status == 0, "the system refuses another thread")
    }

    deinit { if !isJoined { pthread_detach(thread) } }

    /// Waits for the end of the thread; call it at most once.
    package func join() {
        isJoined = true
        pthread_join(thread, nil)
    }

    /// Sets the name that `top -H` and crash reports show; written to /proc, because Swift's C library module
    /// has neither `prctl` nor `pthread_setname_np`.
    private static func nameCurrent(_ name: String) {
        let file = open("/proc/thread-self/comm", O_WRONLY)
        guard file >= 0 else { return }
        _ = name.withCString { write(file, $0, min(15, name.utf8.count)) }
        close(file)
    }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}

/// A value that one thread sets once and others wait for.
package final class Promise<Result: Sendable>: @unchecked Sendable {
    // Unchecked: `result` is guarded by `lock`.
    private let lock = Lock()
    private let condition = Condition()
    private var result: Result?

    package init() {}

    /// Sets the value and wakes the waiting threads; later calls are ignored.
    package func fulfil(_ value: Result) {
        lock.withLock {
            if result == nil { result = value }
            condition.broadcast()
        }
    }

    package func wait() -> Result {
        lock.lock()
        defer { lock.unlock() }
        while true {
            if let result { return result }
            condition.wait(lock)
        }
    }

    /// The value; nil if none is set within `duration`.
    package func wait(atMost duration: Duration) -> Result? {
        let end = ContinuousClock.now + duration
        lock.lock()
        defer { lock.unlock() }
        while true {
            if let result { return result }
            let left = end - ContinuousClock.now
            if left <= .zero || !condition.wait(lock, atMost: left) { return result }
        }
    }
}

/// The identity of the current thread.
package enum CurrentThread {
    /// Equal on the same thread, and different on any other live thread.
    package static var identity: UInt { UInt(pthread_self()) }
}
