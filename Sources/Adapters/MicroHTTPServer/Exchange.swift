import CMicroHTTPShim
import Ports
import Values

/// One request and its response, driven by the server's thread and by callers of ``respond(_:)``.
final class Exchange: @unchecked Sendable {
    // Unchecked: `stage`, `response`, `handle` and `wasHandled` are guarded by the connection's lock;
    // everything else is used on the server's thread only.
    private unowned let server: MicroHTTPServer
    private let connection: Connection
    private let target: String
    private var stage = Stage.head
    private var head: RequestHead?
    private var body: [UInt8] = []
    /// Whether the response closes the connection.
    ///
    /// The library takes bare line feeds between chunks. A proxy in front may see another end of the body than
    /// the library does, so nothing after that end may be read as a request.
    private var isLast = false
    private var response: InboundResponse?
    private var handle: OpaquePointer?

    private enum Stage {
        case head
        case body
        /// The body was too large; the refusal was written to the socket directly.
        case discarding
        /// The handler is running.
        case handling
        case suspended
        /// Resumed, either with a response or because the caller left.
        case resumed
        case answered
        case ended
    }

    /// C strings of the library, valid during one callback.
    struct RawHead {
        let url: UnsafePointer<CChar>
        let method: UnsafePointer<CChar>
        let version: UnsafePointer<CChar>
    }

    init(server: MicroHTTPServer, connection: Connection, target: String) {
        self.server = server
        self.connection = connection
        self.target = target
    }

    /// Processes the next part that the library has; false closes the connection.
    func advance(_ handle: OpaquePointer, head raw: RawHead, body bytes: UnsafeRawBufferPointer) -> Bool {
        let (stage, response) = connection.lock.withLock { (self.stage, self.response) }
        switch stage {
        case .head: return takeHead(raw, handle)
        case .body where !bytes.isEmpty: return takeBody(bytes)
        case .body: return handOver(handle)
        case .discarding: return discard(bytes.count)
        case .resumed:
            guard let response else { return false }
            return send(response, on: handle)
        case .handling, .suspended, .answered, .ended: return false
        }
    }

    // MARK: - Reading

    private func takeHead(_ raw: RawHead, _ handle: OpaquePointer) -> Bool {
        switch RequestHead.read(raw, target: target, from: handle, limits: server.limits) {
        case .failure(let refusal): return send(refusal.response(server.limits), on: handle)
        case .success(let head):
            self.head = head
            isLast = head.isChunked
            connection.lock.withLock { stage = .body }
            // A declared length is only a claim, so little memory is reserved for it.
            body.reserveCapacity(min(head.contentLength, 64 << 10))
            return true
        }
    }

    private func takeBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= server.limits.bodyByteCountMax else {
            // The library accepts no response in the middle of a body, and the caller may never finish it.
            RequestRefusal.bodyTooLarge.sendPastLibrary(to: connection.socket, server.limits)
            body = []
            connection.lock.withLock { stage = .discarding }
            return true
        }
        body.append(contentsOf: bytes)
        return true
    }

    private var discardedByteCount = 0

    /// Keeps reading up to one more body limit, so that the caller sees the response and no connection reset.
    private func discard(_ byteCount: Int) -> Bool {
        discardedByteCount += byteCount
        return byteCount > 0 && discardedByteCount <= server.limits.bodyByteCountMax
    }

    // MARK: - Answering

    private func handOver(_ handle: OpaquePointer) -> Bool {
        guard let head else { return false }
        connection.lock.withLock {
            self.handle = handle
            stage = .handling
            connection.holdDeadline()
        }
        // The count rises before the phase is read; shutDown() sets the phase before it reads the count.
        server.noteRequestBegun()
        if server.currentPhase == .refusing {
            connection.lock.withLock { stage = .resumed }
            return send(.serverStopping, on: handle)
        }
        let request = InboundRequest(
            method: head.method, path: head.path, segments: head.segments, query: head.query,
            headers: head.headers, body: body, peer: connection.peer, receivedAt: server.clock())
        self.head = nil
        body = []
        server.handler.handle(request, respond: respond)
        let inline: InboundResponse? = connection.lock.withLock {
            if let response {
                stage = .resumed
                return response
            }
            // Under the lock, so that a response from another thread cannot resume before the suspension.
            millrace_http_suspend(handle)
            stage = .suspended
            return nil
        }
        if let inline { return send(inline, on: handle) }
        // A shutdown may have refused the waiting requests just before this one was suspended.
        if server.currentPhase == .refusing { respond(.serverStopping) }
        return true
    }

    /// Responds once, from any thread; further responses, and one to a caller that has left, are ignored.
    @Sendable
    func respond(_ response: InboundResponse) {
        connection.lock.withLock {
            guard self.response == nil, stage == .handling || stage == .suspended else { return }
            self.response = response
            resume()
        }
    }

    /// Resumes the request if it is suspended; a suspended connection stays open until it is resumed.
    ///
    /// Call under the connection's lock, without which the request cannot end.
    private func resume() {
        guard stage == .suspended, let handle else { return }
        stage = .resumed
        millrace_http_resume(handle, connection.loop)
    }

    /// Whether the request waits for its response.
    ///
    /// Call under the connection's lock.
    var isSuspended: Bool { stage == .suspended }

    /// Wakes a waiting request without a response, because its caller has left.
    func abandon() {
        connection.lock.withLock { resume() }
    }

    private func send(_ response: InboundResponse, on handle: OpaquePointer) -> Bool {
        let isBegun: Bool = connection.lock.withLock {
            let isBegun = stage == .resumed
            stage = .answered
            wasHandled = isBegun
            self.response = nil
            connection.startWriteDeadline()
            return isBegun
        }
        // Returning false makes the library close the connection without sending a byte.
        if response.dropsConnection { return false }
        let closes = !isBegun || isLast || server.currentPhase != .serving
        if ResponseWriter.queue(response, on: handle, closes: closes) { return true }
        server.noteRefusedResponse()
        return ResponseWriter.queue(.refusedResponse, on: handle, closes: closes)
    }

    private var wasHandled = false

    func noteEnded() {
        let wasBegun: Bool = connection.lock.withLock {
            let wasBegun = wasHandled || stage == .resumed || stage == .suspended || stage == .handling
            stage = .ended
            response = nil
            handle = nil
            connection.noteIdle()
            return wasBegun
        }
        if wasBegun { server.noteRequestEnded() }
    }
}
