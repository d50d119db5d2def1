import CSQLite
import Storage

/// Checkpoints the write-ahead log, on the write connection between transactions.
///
/// SQLite's automatic checkpoints would run inside a commit, while callers wait. If checkpoints are frequent,
/// SQLite overwrites the log from its start instead of growing it, which halves the cost of a commit.
final class Checkpoints {
    /// Log pages that make a checkpoint due: enough to be worth two syncs, and few enough that callers wait
    /// for a millisecond or two at most.
    private static let pageLimit: Int32 = 250

    private let connection: Connection
    /// Pages in the log after the last commit, set by SQLite's WAL hook.
    private let pages: UnsafeMutablePointer<Int32>
    private var checkpointedPages: Int32 = 0
    /// Syncs since opening: one per commit, and three per checkpoint (the log, the file, and the header of
    /// the restarted log).
    private(set) var flushCount: Int64 = 0

    init(_ connection: Connection) {
        self.connection = connection
        pages = .allocate(capacity: 1)
        pages.initialize(to: 0)
        sqlite3_wal_hook(connection.handle, Checkpoints.notePages, pages)
    }

    deinit { pages.deallocate() }

    private static let notePages:
        @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
            context, _, _, count in
            context?.assumingMemoryBound(to: Int32.self).pointee = count
            return SQLITE_OK
        }

    func countCommit() { flushCount += 1 }

    /// Whether a checkpoint is due.
    var isDue: Bool {
        // Fewer pages than at the last checkpoint mean that the log was restarted.
        if pages.pointee < checkpointedPages { checkpointedPages = 0 }
        return pages.pointee - checkpointedPages >= Self.pageLimit
    }

    /// Checkpoints all pages that no reader needs; a later checkpoint moves the rest.
    func run() throws(StoreError) { try checkpoint(SQLITE_CHECKPOINT_PASSIVE) }

    /// Checkpoints all pages and truncates the log, for closing.
    func finish() throws(StoreError) { try checkpoint(SQLITE_CHECKPOINT_TRUNCATE) }

    private func checkpoint(_ mode: Int32) throws(StoreError) {
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, mode, nil, nil)
        flushCount += 3
        checkpointedPages = pages.pointee
        // Busy means that a reader uses a part of the log, which is no error.
        guard code == SQLITE_OK || code & 0xff == SQLITE_BUSY else { throw connection.lastError() }
    }
}
