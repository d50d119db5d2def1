package import Values

/// One name and value of an HTTP header, as it is sent or as it came.
package struct HTTPHeader: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension [HTTPHeader] {
    /// The value of the first header of that name, whatever the case of its letters.
    package subscript(_ name: String) -> String? {
        first { $0.name.isSameName(as: name) }?.value
    }
}

extension String {
    /// Whether both are the same bytes but for the case of ASCII letters.
    fileprivate func isSameName(as other: String) -> Bool {
        if self == other { return true }
        guard utf8.count == other.utf8.count else { return false }
        return zip(utf8, other.utf8).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
    }
}

/// One attempt of one step, ready to be sent.
package struct OutboundRequest: Sendable {
    package var method: String
    /// An absolute `http` or `https` URL, already encoded.
    package var url: String
    package var headers: [HTTPHeader]
    package var body: [UInt8]
    /// Longest time from the start of the transfer to its last byte.
    package var timeout: Duration
    /// Bytes of body (after decoding) that are read; a longer one fails the attempt.
    package var bodyByteCountMax: Int
    package var egress: EgressPolicy
    /// Whether it may go out on a connection that an earlier request has left open.
    ///
    /// The peer may close such a connection at the moment in which the request leaves, and it is not known then whether
    /// the request arrived. False for what is not to be sent again: it gets a connection of its own.
    package var mayReuseConnection = true
    /// Which step of which run it is of; for whoever asks what it waits for.
    package var tag: Tag?
    /// Asked before it starts where it had to wait for other requests; nil for what starts whenever it may.
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

/// Says of a request that has waited in a transport's queue whether it is still to be sent.
package protocol StartGate: AnyObject, Sendable {
    /// Called on a thread of the transport; must not block for long.
    ///
    /// - Parameters:
    ///   - timeout: Of the request.
    ///   - now: When it would start.
    /// - Returns: Whether it starts; else it is completed with ``TransportFailure/cancelled``, and nothing of it
    ///   has left the machine.
    func mayStart(timeout: Duration, at now: Instant) -> Bool
}

/// Which addresses a request may reach; checked on the address of the socket itself.
package struct EgressPolicy: Sendable, Hashable {
    /// A range of addresses, with a port or with any.
    package struct Destination: Sendable, Hashable {
        /// `127.0.0.1`, `10.0.0.0/8`, `::1/128`.
        package var range: String
        /// Nil for every port.
        package var port: UInt16?

        package init(range: String, port: UInt16?) {
            self.range = range
            self.port = port
        }
    }

    /// Allowed beside public unicast addresses.
    package var allowed: [Destination]
    /// Refused whatever else allows them, such as the ports that Millrace itself listens on.
    package var denied: [Destination]
    /// Connections are shared only between requests of the same pool: one for each tenant.
    package var pool: Int64
    /// Whether its requests may take the places that are kept for the operator.
    package var usesReserve = false

    package init(allowed: [Destination] = [], denied: [Destination] = [], pool: Int64 = 0) {
        self.allowed = allowed
        self.denied = denied
        self.pool = pool
    }

    /// Public addresses and nothing else.
    package static let publicOnly = EgressPolicy()
}

/// What a server has answered to a request of ours.
package struct OutboundResponse: Sendable, Hashable {
    package var status: Int
    package var headers: [HTTPHeader]
    /// Decoded as `Content-Encoding` says; empty if that failed.
    package var body: [UInt8]
    /// Why the body could not be decoded; nil for one that could.
    package var fault: String?

    package init(status: Int, headers: [HTTPHeader], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}

/// Why an attempt brought no response.
package enum TransportFailure: Error, Sendable, Hashable {
    /// The name did not resolve, or nothing answered there.
    case connection(reason: String)
    /// A connection that was kept open ended before the first byte of an answer; the request may have been carried out.
    case keptConnectionClosed
    /// No complete answer within the timeout.
    case timeout
    /// The peer's certificate or TLS handshake was refused.
    case tls(reason: String)
    /// The address is not one that this tenant may reach.
    case destinationRefused
    /// The URL, a header or the method cannot be sent; nothing left the machine.
    case invalidRequest(reason: String)
    /// The response's body or headers are larger than allowed.
    case responseTooLarge(limit: String)
    /// The peer broke off or does not speak HTTP; the request may have been carried out.
    case interrupted(reason: String)
    /// The caller withdrew it, or the transport is shutting down.
    case cancelled

    /// A short label without moving parts, stored in entries and used for metrics.
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

/// How an attempt ended and when it was under way, by ``RunClock/steady()``.
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

/// A request that waits in a transport's queue for others to end.
package struct PlaceWait: Sendable, Hashable {
    /// Which places are taken, with their number.
    package enum Limit: Sendable, Hashable {
        /// Those of requests to one host.
        case host(Int)
        /// Those that one tenant may have of them.
        case shareOfHost(Int)
        /// Those of all requests.
        case all(Int)
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

/// Names one transfer for cancelling it.
package struct TransferID: Sendable, Hashable {
    package let number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// Sends HTTP requests.
///
/// Redirects are not followed, no proxy, cookie or credential of the environment is used.
package protocol Transport: Sendable {
    /// Sends a request; `completion` is called exactly once, on a thread of the transport, and must
    /// not block. It may call ``send(_:completion:)`` again.
    @discardableResult
    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    /// Ends a transfer; its completion is called with ``TransportFailure/cancelled`` unless it is
    /// already over. Unknown ids do nothing.
    func cancel(_ id: TransferID)
    /// Runs `action` soon on the thread that calls completions, after those that are due now; at once, on
    /// the caller's thread, where the transport has no such thread or is shut down.
    func perform(_ action: @escaping @Sendable () -> Void)
    /// What the requests of a run that have not started wait for. Blocks for a moment; not to be called under a lock that
    /// completions take.
    func placeWaits(ofRun run: Int64) -> [PlaceWait]
    /// Cancels everything and ends the transport's threads; every completion has been called when
    /// this returns, and later requests complete as cancelled.
    func shutDown()
}

extension Transport {
    package func perform(_ action: @escaping @Sendable () -> Void) { action() }
    package func placeWaits(ofRun run: Int64) -> [PlaceWait] { [] }
}
