import CSQLite
import Glibc
package import Storage
package import Values

/// The store in one SQLite file with a write-ahead log beside it.
///
/// One connection writes and checkpoints, fed by ``WriteQueue``; a few others read. When a writing member
/// returns, its change is synced (I5).
package final class SQLiteStore: Store, @unchecked Sendable {
    // Unchecked: the queue and the pool have their own locks; `fileLock` is guarded by `closing`.
    package let epoch: Int64
    let readers: ReaderPool
    let sha256: @Sendable ([UInt8]) -> [UInt8]
    private let path: String
    /// Nil if the file was opened for reading.
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

    /// Opens the file for running: creates it if it is missing, migrates its schema and takes the shard over.
    ///
    /// - Parameters:
    ///   - path: The database file; `-wal`, `-shm` and `.lock` files are kept beside it.
    ///   - sha256: The digest of the ledger's hash chain.
    ///   - now: The clock for stored timestamps.
    /// - Returns: The store, which owns the shard under a new epoch.
    /// - Throws: ``StoreError/failed(code:message:)`` if another process has the file open, a newer version
    ///   wrote it, or it is no database; its content is unchanged then. If a migration fails, the earlier
    ///   ones stay applied.
    package static func open(
        path: String, sha256: @escaping @Sendable ([UInt8]) -> [UInt8],
        clock now: @escaping @Sendable () -> Instant
    ) throws(StoreError) -> SQLiteStore {
        try open(path: path, fileLock: FileLock(path: path + ".lock"), sha256: sha256, clock: now)
    }

    /// Like ``open(path:sha256:clock:)``; tests pass no lock to take over a running store.
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

    /// Creates a missing file, and so its log, readable by its owner only; an existing file keeps its mode.
    private static func createPrivately(_ path: String) {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Opens a file for reading, whether or not a process runs on it: takes no lock, raises no epoch, changes
    /// nothing.
    ///
    /// Writing members throw.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` if the file does not exist, is no Millrace database, or
    ///   was written by a newer version.
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
            // Completions of queued work may read, so the readers are closed after the queue.
            let writer = queue?.close()
            readers.close()
            guard let writer else { return }
            // Without the last checkpoint, the log stays and the next opening reads it; nothing is lost.
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

    /// Runs `body` in a transaction, in order with all other writes, and waits for the sync.
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
