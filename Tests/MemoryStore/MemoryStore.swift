package import Storage
import Values

/// A store without a disk, for tests and simulation: the same answers as a database, at once.
///
/// What it has answered is on its ``Disk``, which outlives it: ``reopened()`` is what a process finds
/// after a crash.
package final class MemoryStore: Store, @unchecked Sendable {
    // Unchecked: the mutable fields are guarded by `disk.lock`.

    /// What stays when the process ends; shared by all stores that were opened on it.
    package final class Disk: @unchecked Sendable {
        // Unchecked: `tables` is guarded by `lock`.
        let lock = Lock()
        var tables = MemoryTables()

        package init() {}
    }

    package typealias Completion = @Sendable (Result<CommitReceipt, StoreError>) -> Void

    package let epoch: Int64
    let disk: Disk
    let sha256: @Sendable ([UInt8]) -> [UInt8]
    private let completesOnFlush: Bool
    private var waiting: [(commit: RunCommit, completion: Completion)] = []
    private var nextFailures: [StoreError] = []
    /// Why nothing more is taken.
    private var refusal: StoreError?
    private var readFailure: StoreError?
    private var flushes: Int64 = 0

    /// Opens a disk, as the owner of its shard: an older store on it can write nothing more (I2).
    ///
    /// - Parameters:
    ///   - disk: What earlier stores have left; empty by default.
    ///   - completesOnFlush: Whether commits wait for ``flush()`` instead of being stored at once.
    ///   - sha256: The digest for the ledger's chain.
    package init(
        disk: Disk = Disk(), completesOnFlush: Bool = false, sha256: @escaping @Sendable ([UInt8]) -> [UInt8]
    ) {
        self.disk = disk
        self.completesOnFlush = completesOnFlush
        self.sha256 = sha256
        epoch = disk.lock.withLock {
            disk.tables.epoch += 1
            return disk.tables.epoch
        }
    }

    /// The store that a new process opens after this one has died: commits that waited are lost.
    package func reopened() -> MemoryStore {
        MemoryStore(disk: disk, completesOnFlush: completesOnFlush, sha256: sha256)
    }

    /// Makes the next transaction fail; several are used up in order.
    ///
    /// After ``StoreError/failed(code:message:)`` the store takes nothing more, as after a failed disk.
    package func failNext(_ error: StoreError) {
        disk.lock.withLock { nextFailures.append(error) }
    }

    /// Makes every reading fail, until it is called with nil.
    package func failReads(with error: StoreError?) {
        disk.lock.withLock { readFailure = error }
    }

    /// Stores all commits that wait, as one transaction, and calls their completions in order.
    package func flush() {
        let calls = disk.lock.withLock { storeWaiting() }
        for call in calls { call.completion(call.result) }
    }

    package func close() {
        flush()
        disk.lock.withLock { refusal = refusal ?? .closed }
    }

    package func checkRoom() throws(StoreError) { try write { _ throws(StoreError) in } }

    package var byteCountOnDisk: Int64 { 0 }
    package var flushCount: Int64 { disk.lock.withLock { flushes } }

    // MARK: - Transactions

    package func commit(_ commit: RunCommit, inPlace: Bool, completion: @escaping Completion) {
        let calls = disk.lock.withLock {
            waiting.append((commit, completion))
            return completesOnFlush ? [] : storeWaiting()
        }
        for call in calls { call.completion(call.result) }
    }

    private typealias Call = (completion: Completion, result: Result<CommitReceipt, StoreError>)

    /// Under the disk's lock.
    private func storeWaiting() -> [Call] {
        guard !waiting.isEmpty else { return [] }
        let batch = waiting
        waiting = []
        do throws(StoreError) {
            try begin()
            var group = MemoryGroup(disk.tables, sha256: sha256)
            // The disk must not hold a second reference, or each table is copied when it changes.
            disk.tables = MemoryTables()
            let results = group.store(batch.map(\.commit))
            disk.tables = group.tables
            flushes += 1
            return batch.indices.map { (batch[$0].completion, results[$0]) }
        } catch {
            return batch.map { ($0.completion, .failure(error)) }
        }
    }

    /// Under the disk's lock: whether a transaction may start.
    private func begin() throws(StoreError) {
        if let refusal { throw refusal }
        if !nextFailures.isEmpty {
            let failure = nextFailures.removeFirst()
            if case .failed = failure { refusal = failure }
            throw failure
        }
        guard disk.tables.epoch == epoch else {
            throw .fenced(heldEpoch: epoch, currentEpoch: disk.tables.epoch)
        }
    }

    /// A blocking member: what waits is stored first, so that the order is that of the calls.
    func write<Output>(
        _ body: (inout MemoryTables) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        disk.lock.lock()
        let calls = storeWaiting()
        let result: Result<Output, StoreError>
        do throws(StoreError) {
            try begin()
            flushes += 1
            result = .success(try body(&disk.tables))
        } catch { result = .failure(error) }
        disk.lock.unlock()
        for call in calls { call.completion(call.result) }
        return try result.get()
    }

    func read<Output>(_ body: (MemoryTables) throws(StoreError) -> Output) throws(StoreError) -> Output {
        try disk.lock.withLock { () throws(StoreError) in
            if case .closed = refusal { throw .closed }
            if let readFailure { throw readFailure }
            return try body(disk.tables)
        }
    }
}
