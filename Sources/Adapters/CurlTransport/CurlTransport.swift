import CCurl
import CCurlShim
import Glibc
package import Ports
import Synchronization
package import Values

/// An HTTP/1.1 transport over libcurl, on one thread, with separate connections for each pool.
///
/// A request is checked before it is sent. It is refused if it contains a line break, changes the framing, or
/// targets an address that its policy forbids. It leaves the machine at most once. Response bodies are
/// decoded as their `Content-Encoding` says.
package final class CurlTransport: Transport, @unchecked Sendable {
    // Unchecked: `loop` is used by its own thread only, `thread` under `lock`; `loopThread` is set before
    // `init` returns.
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
    ///   - options: The bounds.
    ///   - clock: Supplies the instants of ``TransferOutcome``; called on the transport's thread.
    /// - Precondition: libcurl can be initialised, and two file descriptors are free.
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

    /// Sends a request; `completion` is called exactly once.
    ///
    /// After ``shutDown()``, `completion` is called before this method returns.
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

    /// Cancels every transfer, ends the thread and waits for it.
    ///
    /// When called from a completion, it returns at once, because it cannot wait for that completion.
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

    /// Hands a message to the loop; false if the transport is shut down.
    ///
    /// A message from a completion needs neither lock nor wake-up.
    private func post(_ message: Message) -> Bool {
        guard isOnLoopThread else { return inbox.post(message) }
        loop.post(message)
        return true
    }
}
