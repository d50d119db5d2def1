import Ports
import Values

/// Checks all connections periodically for their deadlines and for callers that left.
///
/// The library's own timeout covers inactivity only, and ignores suspended connections.
final class Watchdog: @unchecked Sendable {
    // Unchecked: `isStopping` is guarded by `lock`; `thread` is used by `start` and `stop` only.
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

    /// Ends the thread and waits for it.
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

    /// Waits for one period; true if the watchdog has to stop.
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
