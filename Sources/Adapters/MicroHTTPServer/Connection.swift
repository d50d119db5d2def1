import CMicroHTTPShim
import Glibc
import Ports
import Values

/// One open socket: what it is at, and until when.
final class Connection: @unchecked Sendable {
    // Unchecked: `isOpen`, `deadline` and `exchange` are read and written under `lock`, as is the
    // state of the exchange.
    let lock = Lock()
    let peer: String
    let socket: Int32
    private(set) weak var server: MicroHTTPServer?
    private let requestMilliseconds: Int64
    private let idleMilliseconds: Int64
    private var isOpen = true
    /// On the monotonic clock in milliseconds; `.max` while a handler has the request.
    private var deadline: Int64
    private var exchange: Exchange?

    init(server: MicroHTTPServer, socket: Int32, peer: String) {
        self.server = server
        self.socket = socket
        self.peer = peer
        requestMilliseconds = server.limits.requestTime.milliseconds
        idleMilliseconds = server.limits.idleTime.milliseconds
        deadline = monotonicMilliseconds() + min(requestMilliseconds, idleMilliseconds)
    }

    func noteBegun(_ exchange: Exchange) {
        lock.withLock {
            self.exchange = exchange
            deadline = monotonicMilliseconds() + requestMilliseconds
        }
    }

    /// The request is complete and with the handler.
    ///
    /// Call under `lock`.
    func holdDeadline() { deadline = .max }

    /// The response is on its way and must be taken in time.
    ///
    /// Call under `lock`.
    func startWriteDeadline() { deadline = monotonicMilliseconds() + requestMilliseconds }

    /// Call under `lock`.
    func noteIdle() {
        exchange = nil
        deadline = monotonicMilliseconds() + idleMilliseconds
    }

    func noteClosed() {
        lock.withLock {
            isOpen = false
            exchange = nil
        }
    }

    /// Closes what is overdue, and wakes a waiting request whose caller has left.
    func check(now: Int64) {
        let abandoned: Exchange? = lock.withLock {
            guard isOpen else { return nil }
            if now >= deadline {
                millrace_http_cut(socket)
                return nil
            }
            guard let exchange, exchange.isSuspended, millrace_http_peer_has_left(socket) else { return nil }
            return exchange
        }
        abandoned?.abandon()
    }

    /// Answers a waiting request with 503.
    func refuse() {
        let waiting = lock.withLock { exchange }
        waiting?.respond(.serverStopping)
    }

    func cut() {
        lock.withLock { if isOpen { millrace_http_cut(socket) } }
    }
}

/// The connections that are open now.
final class ConnectionRegistry: @unchecked Sendable {
    // Unchecked: `open` is read and written under `lock`.
    private let lock = Lock()
    private var open: [ObjectIdentifier: Connection] = [:]

    func add(_ connection: Connection) { lock.withLock { open[ObjectIdentifier(connection)] = connection } }
    func remove(_ connection: Connection) {
        lock.withLock { _ = open.removeValue(forKey: ObjectIdentifier(connection)) }
    }
    var all: [Connection] { lock.withLock { Array(open.values) } }
}

/// Milliseconds of a clock that never jumps.
func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}
