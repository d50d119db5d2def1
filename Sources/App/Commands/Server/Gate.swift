import Ports
import Values

/// Stands before a handler that does not exist yet, so that a listener can be bound before the rest
/// is put together, and its port is known.
final class Gate: InboundHandler, @unchecked Sendable {
    // Unchecked: `handler` is read and written under `lock`.
    private let lock = Lock()
    private var handler: (any InboundHandler)?

    func open(to handler: some InboundHandler) { lock.withLock { self.handler = handler } }

    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        if let handler = lock.withLock({ handler }) { return handler.handle(request, respond: respond) }
        let error: Value = [
            "error": ["code": "starting", "message": "the server is starting", "details": nil]
        ]
        respond(
            InboundResponse(
                status: 503,
                headers: [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Retry-After", "1")],
                body: JSON.bytes(error)))
    }
}
