package import Values

/// A request as it came in, checked for framing and within the limits.
package struct InboundRequest: Sendable {
    package var method: String
    /// The path as sent, percent-encoded, without the query.
    package var path: String
    /// The path's segments, decoded; none contains NUL.
    ///
    /// `/a//b%2Fc` is `["a", "", "b/c"]`.
    package var segments: [String]
    /// Name and value of each query item, decoded, in order.
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

/// What a server answers to a request.
package struct InboundResponse: Sendable {
    package var status: Int
    package var headers: [HTTPHeader]
    package var body: [UInt8]
    /// Closes the connection without a byte of answer, as a provider that breaks off does; what
    /// else the response says is then not sent.
    ///
    /// For stand-ins and tests.
    package var dropsConnection: Bool

    package init(status: Int, headers: [HTTPHeader] = [], body: [UInt8] = [], dropsConnection: Bool = false) {
        self.status = status
        self.headers = headers
        self.body = body
        self.dropsConnection = dropsConnection
    }
}

/// Answers requests.
package protocol InboundHandler: Sendable {
    /// Called on a thread of the server. `respond` is called exactly once, now or later, from any
    /// thread; a caller that has left meanwhile costs nothing but the call.
    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void)
}

/// Bounds of a listener; what exceeds them is answered 4xx and closed.
package struct ListenerLimits: Sendable, Hashable {
    /// Largest body in bytes: 413 above.
    package var bodyByteCountMax = 1 << 20
    /// Largest request line and headers together in bytes: 431 above.
    package var headerByteCountMax = 16 << 10
    /// Most header fields: 431 above.
    package var headerCountMax = 100
    /// From the connection's first byte of a request to its last, whatever drips in between.
    package var requestTime: Duration = .seconds(30)
    /// A kept connection without a request is closed after this.
    package var idleTime: Duration = .seconds(60)
    /// Connections at once; further ones wait or are refused by the system.
    package var connectionCountMax = 4096
    /// Connections at once from one address.
    package var connectionCountMaxPerAddress = 1024

    package init() {}
}

/// A running listener.
package protocol HTTPListener: Sendable {
    /// The port that it listens on, which differs from the asked one where that was 0.
    var port: UInt16 { get }
    /// Stops accepting, lets requests under way be answered for at most `drain`, then closes all.
    /// Requests still unanswered get 503. Blocks until done.
    func shutDown(drain: Duration)
}

/// Why a listener did not start.
package struct ListenerError: Error, Sendable, Hashable {
    /// `127.0.0.1:8080`.
    package let address: String
    package let reason: String

    package init(address: String, reason: String) {
        self.address = address
        self.reason = reason
    }
}
