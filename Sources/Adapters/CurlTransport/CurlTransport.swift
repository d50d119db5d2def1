import CCurl
import CCurlShim
import Glibc
package import Ports
import Synchronization
package import Values

/// HTTP/1.1 over libcurl, on one thread, with connections of its own for each pool.
///
/// A request is checked when it is sent and refused before anything leaves if it could end a line,
/// change the framing or reach an address that its policy does not permit. It leaves at most once. Response bodies
/// are decoded as their `Content-Encoding` says.
package final class CurlTransport: Transport, @unchecked Sendable {
    // Unchecked: `loop` is touched by its own thread alone, `thread` under `lock`; `loopThread` is set
    // before `init` returns.
    private let inbox: Inbox
    private let clock: @Sendable () -> Instant
    private let lastID = Atomic<UInt64>(0)
    private let loop: TransferLoop
    private let lock = Lock()
    private var thread: WorkerThread?
    private var loopThread: pthread_t?
    private let finished = Promise<Bool>()

    private static let isLibraryStarted = curl_global_init(Int(3)) == CURLE_OK

    /// Starts the transport's thread; it runs until ``shutDown()``.
    ///
    /// - Parameters:
    ///   - options: Bounds.
    ///   - clock: Gives the instants of ``TransferOutcome``; called on the transport's thread.
    /// - Precondition: libcurl starts, and the system has two file descriptors left.
    package init(options: CurlTransportOptions = .init(), clock: @escaping @Sendable () -> Instant) {
        precondition(Self.isLibraryStarted, "libcurl does not start")
        let handle = LoopHandle()
        inbox = Inbox(loop: handle)
        self.clock = clock
        loop = TransferLoop(options: options, clock: clock, inbox: inbox, handle: handle)
        let started = Promise<pthread_t>()
        thread = WorkerThread(name: "transport") {
            started.fulfil(pthread_self())
            self.loop.run()
            self.finished.fulfil(true)
        }
        loopThread = started.wait()
    }

    /// Sends a request, as the port says.
    ///
    /// After ``shutDown()`` the completion is called before this returns.
    @discardableResult
    package func send(
        _ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void
    ) -> TransferID {
        let id = lastID.add(1, ordering: .relaxed).newValue
        let transfer = Transfer(id: id, request: request, completion: completion)
        if !post(.send(transfer)) { transfer.complete(.failure(.cancelled), at: clock()) }
        return TransferID(number: id)
    }

    package func perform(_ action: @escaping @Sendable () -> Void) {
        if !post(.perform(action)) { action() }
    }

    package func placeWaits(ofRun run: Int64) -> [PlaceWait] {
        if isOnLoopThread { return loop.placeWaits(ofRun: run) }
        let found = Promise<[PlaceWait]>()
        guard inbox.post(.perform { [self] in found.fulfil(loop.placeWaits(ofRun: run)) }) else { return [] }
        return found.wait(atMost: .seconds(1)) ?? []
    }

    package func cancel(_ id: TransferID) { _ = post(.cancel(id.number)) }

    /// Cancels everything and ends the thread, as the port says.
    ///
    /// Called from a completion it cannot wait for that one, and returns at once.
    package func shutDown() {
        inbox.close()
        if isOnLoopThread { return }
        _ = finished.wait()
        lock.withLock {
            thread?.join()
            thread = nil
        }
    }

    private var isOnLoopThread: Bool { loopThread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }

    /// False where the transport is shut down.
    ///
    /// A completion's own message needs neither lock nor wake-up.
    private func post(_ message: Message) -> Bool {
        guard isOnLoopThread else { return inbox.post(message) }
        loop.post(message)
        return true
    }
}
