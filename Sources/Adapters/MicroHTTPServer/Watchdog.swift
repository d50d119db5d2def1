import Ports
import Values

/// Goes through all connections at a steady pace: the library knows inactivity only, and does not
/// look at suspended connections at all.
final class Watchdog: @unchecked Sendable {
    // Unchecked: `isStopping` is read and written under `lock`; `thread` only by start and stop.
    private let connections: ConnectionRegistry
    private let period: Duration
    private let lock = Lock()
    private let wake = Condition()
    private var isStopping = false
    private var thread: WorkerThread?

    init(connections: ConnectionRegistry, limits: ListenerLimits) {
        self.connections = connections
        period = max(.milliseconds(10), min(.milliseconds(250), limits.requestTime / 8, limits.idleTime / 8))
    }

    func start() {
        thread = WorkerThread(name: "http-watchdog") { [self] in run() }
    }

    /// Returns once the thread has ended.
    func stop() {
        lock.withLock {
            isStopping = true
            wake.broadcast()
        }
        thread?.join()
        thread = nil
    }

    private func run() {
        while !waitOnePeriod() {
            let now = monotonicMilliseconds()
            for connection in connections.all { connection.check(now: now) }
        }
    }

    /// Whether the watchdog is to stop.
    private func waitOnePeriod() -> Bool {
        let end = ContinuousClock.now + period
        lock.lock()
        defer { lock.unlock() }
        while !isStopping {
            let left = end - ContinuousClock.now
            if left <= .zero { return false }
            _ = wake.wait(lock, atMost: left)
        }
        return true
    }
}
