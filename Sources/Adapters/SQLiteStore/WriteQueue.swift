import Storage
import Values

/// Queues all write work and passes it to the ``Writer`` in groups.
///
/// The holder of the turn may use the writer: usually the queue's own thread, or the caller's thread if
/// nothing else is in progress, which saves two hand-offs. Items run, and their completions are called, in
/// the order of submission.
final class WriteQueue: @unchecked Sendable {
    // Unchecked: mutable fields are guarded by `lock`; `writer` belongs to the turn's holder.
    private let writer: Writer
    private let lock = Lock()
    private let wakeUp = Condition()
    private var waiting: [WriteItem] = []
    /// Whether a thread holds the turn.
    private var isTaken = false
    private var isAsleep = false
    private var isClosing = false
    private var isCheckpointDue = false
    /// The disk failure after which nothing more is accepted.
    private var failure: StoreError?
    private var flushes: Int64 = 0
    private var thread: WorkerThread?

    /// Most items in one transaction; bounds how long the first of them waits.
    private static let groupMax = 1000
    /// Most follow-up items of its own that a caller's thread runs before the queue's thread takes over.
    private static let inPlaceRoundMax = 16

    init(_ writer: Writer) { self.writer = writer }

    /// Starts the queue's thread.
    func start() {
        thread = WorkerThread(name: "store writer") { [self] in work() }
    }

    /// Syncs since opening.
    var flushCount: Int64 { lock.withLock { flushes } }

    /// Submits an item; it is finished once it is synced or has failed.
    ///
    /// - Parameters:
    ///   - item: The work.
    ///   - inPlace: Whether this thread may run it, and the completion, before the method returns.
    func submit(_ item: WriteItem, inPlace: Bool) {
        lock.lock()
        if isClosing || failure != nil {
            let refusal = failure ?? .closed
            lock.unlock()
            return item.finish(.failed(refusal))
        }
        if inPlace, !isTaken, waiting.isEmpty {
            isTaken = true
            lock.unlock()
            return workInPlace(item)
        }
        waiting.append(item)
        let mustWake = isAsleep && !isTaken
        if mustWake { isAsleep = false }
        lock.unlock()
        if mustWake { wakeUp.signal() }
    }

    /// Runs one item, and the items that its completion submits, on the caller's thread.
    private func workInPlace(_ first: WriteItem) {
        var items = [first]
        for round in 1...Self.inPlaceRoundMax {
            carryOut(items)
            lock.lock()
            let isLast = round == Self.inPlaceRoundMax || waiting.count != 1 || isCheckpointDue
            if isLast {
                isTaken = false
                let mustWake = isAsleep && (!waiting.isEmpty || isCheckpointDue || isClosing)
                if mustWake { isAsleep = false }
                lock.unlock()
                if mustWake { wakeUp.signal() }
                return
            }
            swap(&items, &waiting)
            waiting.removeAll(keepingCapacity: true)
            lock.unlock()
        }
    }

    private func work() {
        lock.lock()
        while true {
            while isTaken || (waiting.isEmpty && !isCheckpointDue && !isClosing) {
                isAsleep = true
                wakeUp.wait(lock)
            }
            isAsleep = false
            if waiting.isEmpty, !isCheckpointDue { break }
            isTaken = true
            let items = takeGroup()
            lock.unlock()
            if !items.isEmpty { carryOut(items) }
            checkpointIfDue()
            lock.lock()
            isTaken = false
        }
        lock.unlock()
    }

    private func takeGroup() -> [WriteItem] {
        guard waiting.count > Self.groupMax else {
            defer { waiting = [] }
            return waiting
        }
        let items = Array(waiting.prefix(Self.groupMax))
        waiting.removeFirst(Self.groupMax)
        return items
    }

    /// Runs a group and finishes its items; the caller holds the turn.
    private func carryOut(_ items: [WriteItem]) {
        if let failure = lock.withLock({ failure }) {
            for item in items { item.finish(.failed(failure)) }
            return
        }
        do throws(StoreError) {
            let outcomes = try writer.perform(items)
            note(failure: nil)
            for index in items.indices { items[index].finish(outcomes[index]) }
        } catch {
            note(failure: error)
            for item in items { item.finish(.failed(error)) }
        }
    }

    private func note(failure error: StoreError?) {
        let isDue = writer.checkpoints.isDue
        let count = writer.checkpoints.flushCount
        lock.withLock {
            isCheckpointDue = isDue
            flushes = count
            // After a failed sync the content of the disk is unknown until the file is opened again.
            if case .failed = error { failure = error }
        }
    }

    private func checkpointIfDue() {
        guard lock.withLock({ isCheckpointDue && failure == nil }) else {
            return lock.withLock { isCheckpointDue = false }
        }
        do throws(StoreError) {
            try writer.checkpoints.run()
            note(failure: nil)
        } catch .full {
            // The log keeps the pages that do not fit into the file; a later group tries again.
            lock.withLock { isCheckpointDue = false }
        } catch {
            note(failure: error)
            lock.withLock { isCheckpointDue = false }
        }
    }

    /// Refuses new work, completes the queued work, and returns the writer to be closed.
    ///
    /// Returns nil on a second call.
    func close() -> Writer? {
        lock.lock()
        let isFirst = !isClosing
        isClosing = true
        lock.unlock()
        guard isFirst else { return nil }
        wakeUp.signal()
        thread?.join()
        return writer
    }
}
