import Storage
import Values

/// Lines up all writing work and gives it to the ``Writer`` in groups.
///
/// Whoever holds the turn may use the writer: mostly the queue's own thread, or a caller's where
/// nothing else is going on, which spares two hand-offs. Items are carried out in the order in
/// which they came, and told of it in that order.
final class WriteQueue: @unchecked Sendable {
    // Unchecked: the mutable fields are guarded by `lock`; `writer` belongs to the turn's holder.
    private let writer: Writer
    private let lock = Lock()
    private let wakeUp = Condition()
    private var waiting: [WriteItem] = []
    /// Whether a thread is using the writer.
    private var isTaken = false
    private var isAsleep = false
    private var isClosing = false
    private var isCheckpointDue = false
    /// Why nothing more is taken, after the disk has failed.
    private var failure: StoreError?
    private var flushes: Int64 = 0
    private var thread: WorkerThread?

    /// The most items of one transaction: bounds how long the first of them waits.
    private static let groupMax = 1000
    /// How many follow-ups of its own work a caller's thread carries out before the queue's takes over.
    private static let inPlaceRoundMax = 16

    init(_ writer: Writer) { self.writer = writer }

    /// Starts the queue's thread.
    func start() {
        thread = WorkerThread(name: "store writer") { [self] in work() }
    }

    /// Syncs since opening.
    var flushCount: Int64 { lock.withLock { flushes } }

    /// Takes an item; `item` is told when it is done.
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

    /// Carries out one item, and what its completion asked for, on the caller's thread.
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

    /// Does a group and tells everyone; the caller holds the turn.
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
            // After a failed sync nobody knows what the disk holds: only opening again tells.
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
            // The log keeps what the file has no room for; the next group tries again.
            lock.withLock { isCheckpointDue = false }
        } catch {
            note(failure: error)
            lock.withLock { isCheckpointDue = false }
        }
    }

    /// Refuses new work, ends what waits, and gives the writer back to be closed.
    ///
    /// Nil the second time.
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
