import Values

/// The one thread of a test's transport: actions are done there in the order in which they came.
final class ActionThread: @unchecked Sendable {
    // Unchecked: what changes is read and written under `lock`; `thread` by who made this.
    private let lock = Lock()
    private let changed = Condition()
    private var actions: [@Sendable () -> Void] = []
    private var isShutDown = false
    private var thread: WorkerThread?

    init() { thread = WorkerThread(name: "transport") { self.run() } }

    /// Returns false, and does nothing, after the thread was shut down.
    @discardableResult
    func perform(_ action: @escaping @Sendable () -> Void) -> Bool {
        lock.withLock {
            if !isShutDown { actions.append(action) }
            changed.signal()
            return !isShutDown
        }
    }

    private func run() {
        lock.lock()
        while !isShutDown || !actions.isEmpty {
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

    /// Ends the thread; what was still to be done is done before, or dropped as by a process that dies.
    func shutDown(finishing: Bool) {
        lock.withLock {
            isShutDown = true
            if !finishing { actions = [] }
            changed.signal()
        }
        thread?.join()
        thread = nil
    }
}
