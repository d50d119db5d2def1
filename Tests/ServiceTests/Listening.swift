import Clocks
import MicroHTTPServer
import Ports
import Values

/// Starts listeners on free ports of loopback.
final class Listening: @unchecked Sendable {
    // Unchecked: used by one thread, while a test sets up.
    private let clock: SystemClock
    private(set) var listeners: [MicroHTTPServer] = []

    init(clock: SystemClock) { self.clock = clock }

    func start(_ handler: any InboundHandler) throws -> UInt16 {
        let clock = clock
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() }, handler: handler)
        listeners.append(listener)
        return listener.port
    }
}

/// Lets a port be known before what answers on it exists.
final class LateHandler: InboundHandler, @unchecked Sendable {
    // Unchecked: `handler` is read and written under `lock`.
    private let lock = Lock()
    private var handler: (any InboundHandler)?

    func open(to handler: some InboundHandler) { lock.withLock { self.handler = handler } }

    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        guard let handler = lock.withLock({ handler }) else { return respond(InboundResponse(status: 503)) }
        handler.handle(request, respond: respond)
    }
}
