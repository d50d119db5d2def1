import Ports
import Values

/// A scripted transport with a thread of its own, as a real one has: it performs actions there, so that none
/// runs on the store's thread.
final class ThreadedTransport: Transport, @unchecked Sendable {
    // Unchecked: what changes is read and written under `lock`.
    let scripted: ScriptedTransport
    private let lock = Lock()
    private let changed = Condition()
    private var actions: [@Sendable () -> Void] = []
    private var isShutDown = false
    private var thread: WorkerThread?

    init(clock: any RunClock) {
        scripted = ScriptedTransport(clock: clock)
        thread = WorkerThread(name: "transport") { self.run() }
    }

    func send(
        _ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void
    ) -> TransferID {
        scripted.send(request) { outcome in self.perform { completion(outcome) } }
    }

    func cancel(_ id: TransferID) { scripted.cancel(id) }

    func perform(_ action: @escaping @Sendable () -> Void) {
        lock.withLock {
            if !isShutDown { actions.append(action) }
            changed.signal()
        }
    }

    private func run() {
        lock.lock()
        while !isShutDown {
            if actions.isEmpty {
                changed.wait(lock)
                continue
            }
            let due = actions
            actions = []
            lock.unlock()
            for action in due { action() }
            lock.lock()
        }
        lock.unlock()
    }

    /// What was still to be done is dropped, as by a process that dies.
    func shutDown() {
        lock.withLock {
            isShutDown = true
            changed.signal()
        }
        thread?.join()
        thread = nil
    }
}
