package import Values

/// The name and value of one HTTP header, sent or received.
package struct HTTPHeader: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension [HTTPHeader] {
    /// The value of the first header with that name, ignoring case.
    package subscript(_ name: String) -> String? {
        first { $0.name.isSameName(as: name) }?.value
    }
}

extension String {
    /// Whether both have the same bytes, ignoring the case of ASCII letters.
    fileprivate func isSameName(as other: String) -> Bool {
        if self == other { return true }
        guard utf8.count == other.utf8.count else { return false }
        return zip(utf8, other.utf8).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
    }
}

/// The request of one attempt of a step, ready to be sent.
package struct OutboundRequest: Sendable {
    package var method: String
    /// An absolute `http` or `https` URL, already encoded.
    package var url: String
    package var headers: [HTTPHeader]
    package var body: [UInt8]
    /// Longest time from the start of the transfer to its last byte.
    package var timeout: Duration
    /// Most bytes of the decoded response body; a longer one fails the attempt.
    package var bodyByteCountMax: Int
    package var egress: EgressPolicy
    /// Whether it may use a connection that an earlier request has left open.
    ///
    /// The peer may close such a connection just when the request leaves, and then nobody knows whether it
    /// arrived. False for a request that must not be repeated; it gets a new connection.
    package var mayReuseConnection = true
    /// The run and step that it belongs to, for queries about waiting requests.
    package var tag: Tag?
    /// Asked before the start of a request that had to wait for others; nil if it may always start.
    package var gate: (any StartGate)?

    package struct Tag: Sendable, Hashable {
        package var run: Int64
        package var step: Int

        package init(run: Int64, step: Int) {
            self.run = run
            self.step = step
        }
    }

    package init(
        method: String, url: String, headers: [HTTPHeader] = [], body: [UInt8] = [],
        timeout: Duration = .seconds(30), bodyByteCountMax: Int = 1 << 20, egress: EgressPolicy = .publicOnly
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.bodyByteCountMax = bodyByteCountMax
        self.egress = egress
    }
}

/// Decides whether a request that has waited in a transport's queue is still to be sent.
package protocol StartGate: AnyObject, Sendable {
    /// Called on a thread of the transport; must not block for long.
    ///
    /// - Parameters:
    ///   - timeout: The request's timeout.
    ///   - now: When it would start.
    /// - Returns: Whether it starts. If not, it completes with ``TransportFailure/cancelled`` and nothing of
    ///   it has left the machine.
    func mayStart(timeout: Duration, at now: Instant) -> Bool
}

/// The addresses that a request may reach; checked against the socket's own address.
package struct EgressPolicy: Sendable, Hashable {
    /// A range of addresses, with one port or all.
    package struct Destination: Sendable, Hashable {
        /// For example `127.0.0.1`, `10.0.0.0/8` or `::1/128`.
        package var range: String
        /// Nil for every port.
        package var port: UInt16?

        package init(range: String, port: UInt16?) {
            self.range = range
            self.port = port
        }
    }

    /// Allowed in addition to public unicast addresses.
    package var allowed: [Destination]
    /// Refused even if allowed otherwise, such as Millrace's own ports.
    package var denied: [Destination]
    /// Requests share connections only within one pool; each tenant has its own.
    package var pool: Int64
    /// Whether its requests may take the places reserved for the operator.
    package var usesReserve = false

    package init(allowed: [Destination] = [], denied: [Destination] = [], pool: Int64 = 0) {
        self.allowed = allowed
        self.denied = denied
        self.pool = pool
    }

    /// Public addresses only.
    package static let publicOnly = EgressPolicy()
}

/// A server's response to one of our requests.
package struct OutboundResponse: Sendable, Hashable {
    package var status: Int
    package var headers: [HTTPHeader]
    /// Decoded as `Content-Encoding` says; empty if decoding failed.
    package var body: [UInt8]
    /// Why the body could not be decoded; nil if it could.
    package var fault: String?

    package init(status: Int, headers: [HTTPHeader], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Why an attempt got no response.
package enum TransportFailure: Error, Sendable, Hashable {
    /// The name did not resolve, or nothing answered there.
    case connection(reason: String)
    /// A reused connection was closed before the first byte of a response; the request may have been carried
    /// out.
    case keptConnectionClosed
    /// No complete response within the timeout.
    case timeout
    /// The peer's certificate or TLS handshake was refused.
    case tls(reason: String)
    /// The tenant may not reach the address.
    case destinationRefused
    /// The URL, a header or the method cannot be sent; nothing left the machine.
    case invalidRequest(reason: String)
    /// The response's body or headers exceed their limit.
    case responseTooLarge(limit: String)
    /// The peer closed the connection early or does not speak HTTP; the request may have been carried out.
    case interrupted(reason: String)
    /// The caller withdrew it, or the transport is shutting down.
    case cancelled

    /// A short label without dynamic parts, stored in entries and used for metrics.
    package var label: String {
        switch self {
        case .connection, .keptConnectionClosed: "connection"
        case .timeout: "timeout"
        case .tls: "tls"
        case .destinationRefused: "destination_refused"
        case .invalidRequest: "invalid_request"
        case .responseTooLarge: "response_too_large"
        case .interrupted: "interrupted"
        case .cancelled: "cancelled"
        }
    }

    package var message: String {
        switch self {
        case .connection(let reason): "no connection: \(reason)"
        case .keptConnectionClosed:
            "the peer closed the kept connection before it answered; the request may have been carried out"
        case .timeout: "no complete answer within the timeout"
        case .tls(let reason): "TLS refused: \(reason)"
        case .destinationRefused:
            "destination not allowed: only public addresses, and those the operator allows"
        case .invalidRequest(let reason): "the request cannot be sent: \(reason)"
        case .responseTooLarge(let limit): "the response is larger than allowed: \(limit)"
        case .interrupted(let reason): "the connection broke off: \(reason)"
        case .cancelled: "cancelled"
        }
    }
}

/// The result of an attempt, with its start and end by ``RunClock/steady()``.
package struct TransferOutcome: Sendable {
    package var result: Result<OutboundResponse, TransportFailure>
    package var startedAt: Instant
    package var finishedAt: Instant

    package init(result: Result<OutboundResponse, TransportFailure>, startedAt: Instant, finishedAt: Instant)
    {
        self.result = result
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

/// A request that waits in a transport's queue for other requests to end.
package struct PlaceWait: Sendable, Hashable {
    /// The limit that it waits for, with the number of places.
    package enum Limit: Sendable, Hashable {
        /// Requests to one host.
        case host(Int)
        /// One tenant's share of the requests to one host.
        case shareOfHost(Int)
        /// Requests in total.
        case all(Int)
        /// One tenant's share of the requests in total.
        case shareOfAll(Int)
    }

    package var step: Int
    package var host: String
    package var limit: Limit
    package var since: Instant

    package init(step: Int, host: String, limit: Limit, since: Instant) {
        self.step = step
        self.host = host
        self.limit = limit
        self.since = since
    }
}

/// Identifies a transfer for its cancellation.
package struct TransferID: Sendable, Hashable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// Sends HTTP requests.
///
/// It follows no redirects and uses no proxy, cookies or credentials of the environment.
package protocol Transport: Sendable {
    /// Sends a request.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - completion: Called exactly once, on a thread of the transport; must not block. It may call this
    ///     method.
    /// - Returns: The id for ``cancel(_:)``.
    @discardableResult
    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    /// Cancels a transfer.
    ///
    /// Its completion is called with ``TransportFailure/cancelled`` unless it has ended already. Unknown ids
    /// are ignored.
    func cancel(_ id: TransferID)
    /// Runs `action` soon on the thread that calls completions, after the completions that are due.
    ///
    /// Runs it at once on the caller's thread if the transport has no such thread or is shut down.
    func perform(_ action: @escaping @Sendable () -> Void)
    /// What the unstarted requests of a run wait for.
    ///
    /// Blocks briefly, and must not be called under a lock that completions acquire.
    func placeWaits(ofRun run: Int64) -> [PlaceWait]
    /// Cancels every transfer and ends the transport's threads.
    ///
    /// Every completion has been called when this returns; later requests complete as cancelled.
    func shutDown()
}

extension Transport {
    package func perform(_ action: @escaping @Sendable () -> Void) { action() }
    package func placeWaits(ofRun run: Int64) -> [PlaceWait] { [] }
}
