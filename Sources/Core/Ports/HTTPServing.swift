package import Values

/// A received request with checked framing, within the limits.
package struct InboundRequest: Sendable {
    package var method: String
    /// The path as sent, percent-encoded, without the query.
    package var path: String
    /// The path's decoded segments; none contains NUL.
    ///
    /// `/a//b%2Fc` is `["a", "", "b/c"]`.
    package var segments: [String]
    /// The decoded names and values of the query, in order.
    package var query: [(name: String, value: String)]
    /// Names in lower case.
    package var headers: [HTTPHeader]
    /// The exact bytes.
    package var body: [UInt8]
    /// The peer's address as text, without its port.
    package var peer: String
    package var receivedAt: Instant

    package init(
        method: String, path: String, segments: [String], query: [(name: String, value: String)],
        headers: [HTTPHeader], body: [UInt8], peer: String, receivedAt: Instant
    ) {
        self.method = method
        self.path = path
        self.segments = segments
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
        self.receivedAt = receivedAt
    }
}

/// The response to a received request.
package struct InboundResponse: Sendable {
    package var status: Int
    package var headers: [HTTPHeader]
    package var body: [UInt8]
    /// Whether to close the connection without sending a byte, as a failing provider does.
    ///
    /// The rest of the response is not sent then. For stand-ins and tests.
    package var dropsConnection: Bool

    package init(status: Int, headers: [HTTPHeader] = [], body: [UInt8] = [], dropsConnection: Bool = false) {
        self.status = status
        self.headers = headers
        self.body = body
        self.dropsConnection = dropsConnection
    }
}

/// Responds to requests.
package protocol InboundHandler: Sendable {
    /// Handles a request; called on a thread of the server.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - respond: To be called exactly once, now or later, from any thread. The call has no effect if the
    ///     caller has left meanwhile.
    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void)
}

/// The bounds of a listener; a request that exceeds them gets a 4xx response and its connection is closed.
package struct ListenerLimits: Sendable, Hashable {
    /// Most bytes of a body; 413 above.
    package var bodyByteCountMax = 1 << 20
    /// Most bytes of request line and headers together; 431 above.
    package var headerByteCountMax = 16 << 10
    /// Most header fields; 431 above.
    package var headerCountMax = 100
    /// Longest time from the first byte of a request to its last.
    package var requestTime: Duration = .seconds(30)
    /// How long a kept connection may be without a request before it is closed.
    package var idleTime: Duration = .seconds(60)
    /// Most connections at once; further ones wait or are refused by the system.
    package var connectionCountMax = 4096
    /// Most connections at once from one address.
    package var connectionCountMaxPerAddress = 1024

    package init() {}
}

/// A running listener.
package protocol HTTPListener: Sendable {
    /// The port in use, which differs from the requested one if that was 0.
    var port: UInt16 { get }
    /// Stops accepting, waits at most `drain` for responses, then closes all connections.
    ///
    /// Requests without a response get a 503. Blocks until done.
    func shutDown(drain: Duration)
}

/// Why a listener did not start.
package struct ListenerError: Error, Sendable, Hashable {
    /// For example `127.0.0.1:8080`.
    package let address: String
    package let reason: String

    package init(address: String, reason: String) {
        self.address = address
        self.reason = reason
    }
}
