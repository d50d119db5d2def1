import CSQLite
import Glibc
package import Storage
package import Values

/// All that Millrace keeps, in one SQLite file with a write-ahead log beside it.
///
/// One connection writes and checkpoints, fed by ``WriteQueue``; a few read. What a writing member has
/// answered is synced (I5).
package final class SQLiteStore: Store, @unchecked Sendable {
    // Unchecked: the queue and the pool have locks of their own; `fileLock` is guarded by `closing`.
    package let epoch: Int64
    let readers: ReaderPool
    let sha256: @Sendable ([UInt8]) -> [UInt8]
    private let path: String
    /// Nil where the file is only inspected.
    let queue: WriteQueue?
    private let closing = Lock()
    private var fileLock: FileLock?

    private init(
        path: String, epoch: Int64, queue: WriteQueue?, readers: ReaderPool, fileLock: FileLock?,
        sha256: @escaping @Sendable ([UInt8]) -> [UInt8]
    ) {
        self.path = path
        self.epoch = epoch
        self.queue = queue
        self.readers = readers
        self.fileLock = fileLock
        self.sha256 = sha256
    }

    deinit { close() }

    /// Opens the file for running: creates it where it is missing, brings its schema up to date and
    /// takes the shard over from whoever had it.
    ///
    /// - Parameters:
    ///   - path: The database file; `-wal`, `-shm` and `.lock` files are kept beside it.
    ///   - sha256: The digest for the ledger's chain.
    ///   - now: The time, for what is stamped when stored.
    /// - Returns: The store, which owns the shard under a new epoch.
    /// - Throws: ``StoreError/failed(code:message:)`` where another process has it open, a newer version
    ///   wrote it, or it is no database; it is then as it was.
    package static func open(
        path: String, sha256: @escaping @Sendable ([UInt8]) -> [UInt8],
        clock now: @escaping @Sendable () -> Instant
    ) throws(StoreError) -> SQLiteStore {
        try open(path: path, fileLock: FileLock(path: path + ".lock"), sha256: sha256, clock: now)
    }

    /// As ``open(path:sha256:clock:)``; without the lock only where a test takes a running store over.
    static func open(
        path: String, fileLock: FileLock?, sha256: @escaping @Sendable ([UInt8]) -> [UInt8],
        clock now: @escaping @Sendable () -> Instant
    ) throws(StoreError) -> SQLiteStore {
        createPrivately(path)
        let connection = try Connection(path: path, mode: .writing)
        do throws(StoreError) {
            try Migration.apply(to: connection, at: now())
            let epoch = try connection.first(
                "UPDATE shard_lease SET epoch = epoch + 1 WHERE shard = 0 RETURNING epoch"
            ) { row throws(StoreError) in row.integer(0) }
            guard let epoch else { throw Rows.damaged("shard_lease", "it has no row for shard 0") }
            let writer = try Writer(connection: connection, epoch: epoch, sha256: sha256, clock: now)
            let queue = WriteQueue(writer)
            let store = SQLiteStore(
                path: path, epoch: epoch, queue: queue, readers: ReaderPool(path: path, mode: .reading),
                fileLock: fileLock, sha256: sha256)
            queue.start()
            return store
        } catch {
            connection.close()
            throw error
        }
    }

    /// Makes a missing file readable by its owner alone, and with it the log; what exists keeps its mode.
    private static func createPrivately(_ path: String) {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Opens a file for looking at it, whether a process runs on it or not: takes no lock, raises no epoch,
    /// changes nothing.
    ///
    /// Writing members refuse.
    package static func openForReading(
        path: String, sha256: @escaping @Sendable ([UInt8]) -> [UInt8]
    ) throws(StoreError) -> SQLiteStore {
        let readers = ReaderPool(path: path, mode: .inspecting)
        let epoch = try readers.read { connection throws(StoreError) in
            try Migration.check(connection)
            return try connection.integer("SELECT epoch FROM shard_lease WHERE shard = 0") ?? 0
        }
        return SQLiteStore(
            path: path, epoch: epoch, queue: nil, readers: readers, fileLock: nil, sha256: sha256)
    }

    package func close() {
        closing.withLock {
            // What was queued may read when it completes, so the readers go after it.
            let writer = queue?.close()
            readers.close()
            guard let writer else { return }
            // Without the last checkpoint the log stays and is read at the next opening: nothing is lost.
            do throws(StoreError) { try writer.checkpoints.finish() } catch {}
            writer.connection.close()
            fileLock = nil
        }
    }

    package var byteCountOnDisk: Int64 {
        ["", "-wal", "-shm"].reduce(0) { sum, suffix in
            var status = stat()
            return stat(path + suffix, &status) == 0 ? sum + Int64(status.st_size) : sum
        }
    }

    package var flushCount: Int64 { queue?.flushCount ?? 0 }

    // MARK: - Writing

    package func commit(
        _ commit: RunCommit, inPlace: Bool,
        completion: @escaping @Sendable (Result<CommitReceipt, StoreError>) -> Void
    ) {
        guard let queue else { return completion(.failure(Self.readOnly)) }
        queue.submit(.commit(commit, completion), inPlace: inPlace)
    }

    /// Does `body` in a transaction, in order with all that is being stored, and waits for the sync.
    @discardableResult
    func write<Output: Sendable>(
        _ body: @escaping @Sendable (Writer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        guard let queue else { throw Self.readOnly }
        let job = AwaitedJob(body)
        queue.submit(.job(job), inPlace: true)
        return try job.wait()
    }

    private static let readOnly = StoreError.failed(
        code: SQLITE_READONLY, message: "the store was opened for reading only")
}
