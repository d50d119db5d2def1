import MicroHTTPServer
import Ports
import Values

/// A handler made of a closure.
struct ClosureHandler: InboundHandler {
    let body: @Sendable (InboundRequest, @escaping @Sendable (InboundResponse) -> Void) -> Void

    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        body(request, respond)
    }
}

/// Runs `use` against a listener that is shut down afterwards.
func withListener(
    limits: ListenerLimits = ListenerLimits(), address: String = "127.0.0.1", threadCount: Int = 1,
    handler: @escaping @Sendable (InboundRequest, @escaping @Sendable (InboundResponse) -> Void) -> Void =
        echo,
    _ use: (MicroHTTPServer) throws -> Void
) throws {
    let listener = try MicroHTTPServer.start(
        address: address, port: 0, threadCount: threadCount, limits: limits,
        clock: { Instant(milliseconds: 1234) }, handler: ClosureHandler(body: handler))
    defer { listener.shutDown(drain: .zero) }
    try use(listener)
}

/// Says what arrived: method and path in headers, the body as it is.
@Sendable
func echo(_ request: InboundRequest, _ respond: @escaping @Sendable (InboundResponse) -> Void) {
    let headers = [
        HTTPHeader("X-Method", request.method), HTTPHeader("X-Path", request.path),
        HTTPHeader("X-Segments", request.segments.joined(separator: "|")),
        HTTPHeader("X-Query", request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "|")),
        HTTPHeader("X-Peer", request.peer), HTTPHeader("X-Header", request.headers["x-sent"] ?? "none"),
    ]
    respond(InboundResponse(status: 200, headers: headers, body: request.body))
}

/// As ``echo``, from another thread some moments later.
@Sendable
func echoLater(_ request: InboundRequest, _ respond: @escaping @Sendable (InboundResponse) -> Void) {
    _ = WorkerThread(name: "later") { echo(request, respond) }
}

/// Waits for a condition that other threads bring about.
func eventually(within duration: Duration = .seconds(2), _ condition: () -> Bool) -> Bool {
    let end = ContinuousClock.now + duration
    let (lock, never) = (Lock(), Condition())
    while !condition() {
        if ContinuousClock.now > end { return false }
        lock.withLock { _ = never.wait(lock, atMost: .milliseconds(5)) }
    }
    return true
}

/// Requests that a handler holds back until the test lets them go.
final class Held: @unchecked Sendable {
    // Unchecked: `responders` is read and written under `lock`.
    private let lock = Lock()
    private var responders: [@Sendable (InboundResponse) -> Void] = []

    var count: Int { lock.withLock { responders.count } }

    @Sendable
    func hold(_ request: InboundRequest, _ respond: @escaping @Sendable (InboundResponse) -> Void) {
        lock.withLock { responders.append(respond) }
    }

    func answerAll(_ response: InboundResponse) {
        for respond in lock.withLock({ responders }) { respond(response) }
    }
}
