import CMicroHTTPShim
import Glibc
import Ports
import Values

/// One open socket, with its current exchange and deadline.
final class Connection: @unchecked Sendable {
    // Unchecked: `isOpen`, `deadline` and `exchange`, and the state of the exchange, are guarded by `lock`.
    let lock = Lock()
    let peer: String
    let socket: Int32
    /// The thread of this connection.
    let loop: OpaquePointer?
    private(set) weak var server: MicroHTTPServer?
    private let requestMilliseconds: Int64
    private let idleMilliseconds: Int64
    private var isOpen = true
    /// In milliseconds of the monotonic clock; `.max` while the handler has the request.
    private var deadline: Int64
    private var exchange: Exchange?

    init(server: MicroHTTPServer, socket: Int32, loop: OpaquePointer?, peer: String) {
        self.server = server
        self.socket = socket
        self.loop = loop
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

    /// Suspends the deadline, because the handler has the complete request.
    ///
    /// Call under `lock`.
    func holdDeadline() { deadline = .max }

    /// Starts the deadline for the caller to read the response.
    ///
    /// Call under `lock`.
    func startWriteDeadline() { deadline = monotonicMilliseconds() + requestMilliseconds }

    /// Starts the idle deadline; call under `lock`.
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

    /// Cuts the connection if its deadline has passed, and wakes a waiting request if its caller has left.
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

    /// Responds to a waiting request with 503.
    func refuse() {
        let waiting = lock.withLock { exchange }
        waiting?.respond(.serverStopping)
    }

    func cut() {
        lock.withLock { if isOpen { millrace_http_cut(socket) } }
    }
}

/// The open connections, with their number for each address.
final class ConnectionRegistry: @unchecked Sendable {
    // Unchecked: `open` and `counts` are guarded by `lock`.
    private let lock = Lock()
    private let countMaxPerAddress: Int
    private var open: [ObjectIdentifier: Connection] = [:]
    private var counts: [String: Int] = [:]

    init(countMaxPerAddress: Int) { self.countMaxPerAddress = countMaxPerAddress }

    /// Adds a connection, which has to be removed once; false if its address has too many with it.
    func add(_ connection: Connection) -> Bool {
        lock.withLock {
            open[ObjectIdentifier(connection)] = connection
            counts[connection.peer, default: 0] += 1
            return counts[connection.peer, default: 0] <= countMaxPerAddress
        }
    }

    func remove(_ connection: Connection) {
        lock.withLock {
            guard open.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
            let rest = counts[connection.peer, default: 1] - 1
            counts[connection.peer] = rest > 0 ? rest : nil
        }
    }

    var all: [Connection] { lock.withLock { Array(open.values) } }
}

/// Milliseconds of the monotonic clock.
func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}
