import Clocks
import CurlTransport
import Ports
import Values

/// The longest that a test waits for anything.
let patience = Duration.seconds(10)

extension EgressPolicy {
    /// Loopback is allowed, as a development operator would.
    static func loopback(pool: Int64 = 0) -> EgressPolicy {
        EgressPolicy(allowed: [.init(range: "127.0.0.0/8", port: nil)], pool: pool)
    }
}

extension OutboundRequest {
    static func get(_ url: String, pool: Int64 = 0, timeout: Duration = .seconds(5)) -> OutboundRequest {
        OutboundRequest(method: "GET", url: url, timeout: timeout, egress: .loopback(pool: pool))
    }
}

/// Outcomes as they come in, to be waited for.
final class Outcomes: @unchecked Sendable {
    // Unchecked: `list` is touched under `lock`.
    private let lock = Lock()
    private let changed = Condition()
    private var list: [(tag: Int, outcome: TransferOutcome)] = []

    func add(_ outcome: TransferOutcome, tag: Int = 0) {
        lock.withLock {
            list.append((tag, outcome))
            changed.broadcast()
        }
    }

    var tags: [Int] { lock.withLock { list.map(\.tag) } }
    var all: [TransferOutcome] { lock.withLock { list.map(\.outcome) } }
    var failures: [TransportFailure] {
        all.compactMap { if case .failure(let failure) = $0.result { failure } else { nil } }
    }
    var responses: [OutboundResponse] { all.compactMap { try? $0.result.get() } }

    /// Waits until there are `count`; false where that takes too long.
    func wait(for count: Int) -> Bool {
        let end = ContinuousClock.now + patience
        lock.lock()
        defer { lock.unlock() }
        while list.count < count {
            let left = end - ContinuousClock.now
            if left <= .zero { return false }
            _ = changed.wait(lock, atMost: left)
        }
        return true
    }
}

extension CurlTransport {
    /// Sends and waits.
    func outcome(_ request: OutboundRequest) -> TransferOutcome? {
        let promise = Promise<TransferOutcome>()
        send(request) { promise.fulfil($0) }
        return promise.wait(atMost: patience)
    }

    func response(_ request: OutboundRequest) -> OutboundResponse? {
        (outcome(request)?.result).flatMap { try? $0.get() }
    }

    func failure(_ request: OutboundRequest) -> TransportFailure? {
        guard case .failure(let failure)? = outcome(request)?.result else { return nil }
        return failure
    }
}

/// A transport for one test, ended afterwards.
func withTransport(
    _ options: CurlTransportOptions = .init(), _ body: (CurlTransport) throws -> Void
) rethrows {
    let clock = SystemClock()
    let transport = CurlTransport(options: options) { clock.now() }
    defer {
        transport.shutDown()
        clock.shutDown()
    }
    try body(transport)
}

func withServer(_ server: LoopbackServer, _ body: (LoopbackServer) throws -> Void) rethrows {
    defer { server.stop() }
    try body(server)
}
