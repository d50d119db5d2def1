import CMicroHTTPShim
import Glibc
package import Ports
import Synchronization
package import Values

/// An HTTP/1.1 listener over libmicrohttpd, with stricter checks, deadlines, and responses from any thread.
///
/// `requestTime` bounds the time from a request line to the last body byte, and the time to read a response.
/// A slow request line on a kept connection is bounded by `idleTime`. A caller that closes its sending side
/// while it waits counts as gone.
package final class MicroHTTPServer: HTTPListener, @unchecked Sendable {
    // Unchecked: `server`, `port` and `running` are written by `start` and by the first `shutDown` only;
    // everything else is synchronised by itself.
    package private(set) var port: UInt16 = 0
    private var server: OpaquePointer?
    /// A reference to itself from start to end, because the listener's threads hold it unretained.
    private var running: MicroHTTPServer?

    let limits: ListenerLimits
    let clock: @Sendable () -> Instant
    let handler: any InboundHandler
    let connections: ConnectionRegistry
    private let watchdog: Watchdog

    private let phase = Atomic<Int>(Phase.serving.rawValue)
    private let underWay = Atomic<Int>(0)
    private let refusedResponses = Atomic<Int>(0)
    private let drainLock = Lock()
    private let drained = Condition()

    enum Phase: Int {
        /// Connections are kept open.
        case serving
        /// Each response closes its connection.
        case draining
        /// Requests are refused with 503.
        case refusing
    }

    private init(
        limits: ListenerLimits, clock: @escaping @Sendable () -> Instant, handler: any InboundHandler
    ) {
        self.limits = limits
        self.clock = clock
        self.handler = handler
        connections = ConnectionRegistry(countMaxPerAddress: max(1, limits.connectionCountMaxPerAddress))
        watchdog = Watchdog(connections: connections, limits: limits)
    }

    /// Listens on a numeric address and serves until ``shutDown(drain:)``; `0.0.0.0` and `::` mean all
    /// addresses.
    ///
    /// - Parameters:
    ///   - address: A numeric IPv4 or IPv6 address.
    ///   - port: 0 lets the system choose; see ``port``.
    ///   - threadCount: Threads that read, call the handler and write; at least 1.
    ///   - limits: The bounds; at most 256 header fields are read, whatever `headerCountMax` is.
    ///   - clock: Supplies the time of arrival of each request.
    ///   - handler: Called on those threads; if it blocks, it blocks all requests of that thread.
    /// - Returns: The listener, which serves until ``shutDown(drain:)`` even if nobody keeps a reference.
    /// - Throws: ``ListenerError`` if the address is not numeric or cannot be bound; nothing stays open.
    package static func start(
        address: String, port: UInt16, threadCount: Int = 1, limits: ListenerLimits,
        clock: @escaping @Sendable () -> Instant, handler: any InboundHandler
    ) throws(ListenerError) -> MicroHTTPServer {
        let listener = MicroHTTPServer(limits: limits, clock: clock, handler: handler)
        try listener.open(address: address, port: port, threadCount: threadCount)
        listener.watchdog.start()
        return listener
    }

    private func open(address: String, port: UInt16, threadCount: Int) throws(ListenerError) {
        // The head and a reserve, so that an oversized head still reaches our check and its JSON response.
        let memory = max(32 << 10, limits.headerByteCountMax + (16 << 10))
        var options = millrace_http_options(
            thread_count: UInt32(clamping: max(1, threadCount)),
            connection_count_max: UInt32(clamping: max(1, limits.connectionCountMax)),
            connection_memory_byte_count: memory)
        var callbacks = Callbacks.table(for: self)
        var errorNumber: Int32 = 0
        guard
            let server = millrace_http_start(address, port, &options, &callbacks, &self.port, &errorNumber)
        else {
            let reason =
                errorNumber == EINVAL ? "not a numeric address" : String(cString: strerror(errorNumber))
            let place = address.contains(":") ? "[\(address)]" : address
            throw ListenerError(address: "\(place):\(port)", reason: reason)
        }
        self.server = server
        running = self
    }

    /// The number of responses replaced by a 500 because their status or a header was invalid.
    package var refusedResponseCount: Int { refusedResponses.load(ordering: .relaxed) }

    /// The number of requests that the handler has received and that are not fully answered.
    package var requestCountUnderWay: Int { underWay.load(ordering: .relaxed) }

    var currentPhase: Phase { Phase(rawValue: phase.load(ordering: .sequentiallyConsistent)) ?? .refusing }

    func noteRefusedResponse() { refusedResponses.add(1, ordering: .relaxed) }

    func noteRequestBegun() { underWay.add(1, ordering: .sequentiallyConsistent) }

    func noteRequestEnded() {
        underWay.subtract(1, ordering: .acquiringAndReleasing)
        if currentPhase != .serving { drainLock.withLock { drained.broadcast() } }
    }

    // MARK: - Shutting down

    /// Stops accepting, drains, refuses the remaining requests, and joins the listener's threads.
    ///
    /// A partly received request is dropped without a response. It must not be called on a thread of the
    /// listener. A second call returns at once.
    ///
    /// The library aborts the process if it is stopped with a suspended connection. Hence the order: no new
    /// connections, responses, 503 for the rest, and only then the library's end.
    ///
    /// - Parameter drain: How long to wait for responses before the rest is refused. A handler that blocks
    ///   delays the return beyond it without bound.
    package func shutDown(drain: Duration) {
        let isFirst = phase.compareExchange(
            expected: Phase.serving.rawValue, desired: Phase.draining.rawValue,
            ordering: .acquiringAndReleasing
        ).exchanged
        guard isFirst, let server else { return }
        millrace_http_quiesce(server)
        waitUntilIdle(atMost: drain)
        phase.store(Phase.refusing.rawValue, ordering: .sequentiallyConsistent)
        for connection in connections.all { connection.refuse() }
        if !waitUntilIdle(atMost: .seconds(2)) {
            // A caller does not read its response. A blocked handler can only be waited for.
            for connection in connections.all { connection.cut() }
            while !waitUntilIdle(atMost: .seconds(1)) {
                for connection in connections.all { connection.cut() }
            }
        }
        watchdog.stop()
        millrace_http_stop(server)
        running = nil
    }

    @discardableResult
    private func waitUntilIdle(atMost duration: Duration) -> Bool {
        let end = ContinuousClock.now + duration
        drainLock.lock()
        defer { drainLock.unlock() }
        while underWay.load(ordering: .sequentiallyConsistent) > 0 {
            let left = end - ContinuousClock.now
            if left <= .zero { return false }
            _ = drained.wait(drainLock, atMost: left)
        }
        return true
    }
}
