#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A mutual-exclusion lock over `pthread_mutex`.
///
/// Not `Synchronization.Mutex`: the thread sanitizer does not see its futex and reports false races.
package final class Lock: @unchecked Sendable {
    // Unchecked: the mutex is the synchronisation itself and never moves.
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

/// A condition to wait for under a ``Lock``; its timed waits run on the monotonic clock.
package final class Condition: @unchecked Sendable {
    // Unchecked: the condition is the synchronisation itself and never moves.
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

    /// Gives the lock up, waits, and holds it again; may wake without cause.
    package func wait(_ lock: Lock) { pthread_cond_wait(condition, lock.pointer) }

    /// As ``wait(_:)``, for at most `duration`.
    ///
    /// Returns whether it woke before that.
    package func wait(_ lock: Lock, atMost duration: Duration) -> Bool {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let total = Int64(deadline.tv_nsec) + max(0, duration.microseconds) * 1000
        deadline.tv_sec += Int(total / 1_000_000_000)
        deadline.tv_nsec = Int(total % 1_000_000_000)
        return pthread_cond_timedwait(condition, lock.pointer, &deadline) == 0
    }
}

/// A thread of our own for a library that blocks.
///
/// Joined by ``join()``; one whose object is let go before runs on and frees itself at its end.
package final class WorkerThread: @unchecked Sendable {
    // Unchecked: written once before the thread starts; `join` is called once by the owner.
    private var thread = pthread_t()
    private var isJoined = false

    /// Starts `body` on a new thread named `name` (at most 15 characters are shown by the system).
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

    /// Returns once the body has; to be called once at most.
    package func join() {
        isJoined = true
        pthread_join(thread, nil)
    }

    /// Shown by `top -H` and in crash reports; written through /proc because Swift's module of the
    /// C library has neither `prctl` nor `pthread_setname_np`.
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

/// A value of which a thread waits for another to set it, once.
package final class Promise<Result: Sendable>: @unchecked Sendable {
    // Unchecked: `result` is read and written under `lock`.
    private let lock = Lock()
    private let condition = Condition()
    private var result: Result?

    package init() {}

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

    /// The value, or nil where none came within `duration`.
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

/// Tells threads apart.
package enum CurrentThread {
    /// Equal on the same thread, different on any other that is alive.
    package static var identity: UInt { UInt(pthread_self()) }
}
