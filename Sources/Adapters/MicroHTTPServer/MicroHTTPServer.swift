import CMicroHTTPShim
import Glibc
package import Ports
import Synchronization
package import Values

/// An HTTP/1.1 listener over libmicrohttpd: checks what the library takes for granted, sets the
/// deadlines that it lacks, and answers from any thread.
///
/// A request line that drips on a kept connection is bounded by `idleTime`, all else from a request
/// line to the last body byte by `requestTime`. A response must be taken within `requestTime` too.
/// A caller that closes its sending side while it waits counts as gone.
package final class MicroHTTPServer: HTTPListener, @unchecked Sendable {
    // Unchecked: `server`, `port` and `running` are written by `start` and the one first `shutDown`; the rest synchronises itself.
    package private(set) var port: UInt16 = 0
    private var server: OpaquePointer?
    /// Itself, from its start to its end: the library's threads hold it unretained.
    private var running: MicroHTTPServer?

    let limits: ListenerLimits
    let clock: @Sendable () -> Instant
    let handler: any InboundHandler
    let connections = ConnectionRegistry()
    private let watchdog: Watchdog

    private let phase = Atomic<Int>(Phase.serving.rawValue)
    private let underWay = Atomic<Int>(0)
    private let refusedResponses = Atomic<Int>(0)
    private let drainLock = Lock()
    private let drained = Condition()

    enum Phase: Int {
        /// Connections are kept.
        case serving
        /// Each answer closes its connection.
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
        watchdog = Watchdog(connections: connections, limits: limits)
    }

    /// Listens on a numeric address, `0.0.0.0` and `::` meaning all, and serves until ``shutDown(drain:)``.
    ///
    /// - Parameters:
    ///   - address: IPv4 or IPv6 in digits.
    ///   - port: 0 lets the system choose; see ``port``.
    ///   - threadCount: Threads that read, call the handler and write; at least 1.
    ///   - limits: At most 256 header fields are read, whatever `headerCountMax` says.
    ///   - clock: Stamps each request.
    ///   - handler: Called on those threads; what it blocks, blocks all requests of that thread.
    /// - Returns: The listener, which serves until ``shutDown(drain:)`` even where nobody keeps it.
    /// - Throws: ``ListenerError`` where the address is no number or cannot be bound; nothing is left open.
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
        // Twice the head and some: so that a head over the limit reaches our check and its JSON answer.
        let memory = max(32 << 10, limits.headerByteCountMax + (16 << 10))
        var options = millrace_http_options(
            thread_count: UInt32(clamping: max(1, threadCount)),
            connection_count_max: UInt32(clamping: max(1, limits.connectionCountMax)),
            connection_count_max_per_address: UInt32(clamping: max(1, limits.connectionCountMaxPerAddress)),
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

    /// Responses that were turned into 500 because of their status or bytes in their headers.
    package var refusedResponseCount: Int { refusedResponses.load(ordering: .relaxed) }

    /// Requests given to the handler and not yet fully answered.
    package var requestCountUnderWay: Int { underWay.load(ordering: .relaxed) }

    var currentPhase: Phase { Phase(rawValue: phase.load(ordering: .sequentiallyConsistent)) ?? .refusing }

    func noteRefusedResponse() { refusedResponses.add(1, ordering: .relaxed) }

    func noteRequestBegun() { underWay.add(1, ordering: .sequentiallyConsistent) }

    func noteRequestEnded() {
        underWay.subtract(1, ordering: .acquiringAndReleasing)
        if currentPhase != .serving { drainLock.withLock { drained.broadcast() } }
    }

    // MARK: - Shutting down

    /// Stops accepting, drains, refuses what is left, and joins the listener's threads.
    ///
    /// A request of which only a part has arrived is dropped without an answer. Not to be called on
    /// a thread of the listener; a second call returns at once.
    ///
    /// The library aborts the process if it is stopped with a suspended connection, hence the order:
    /// no new connections, answers, 503 for the rest, and only then its end.
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
            // Someone does not take the answer. What a handler blocks has to be waited for.
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
