import CSQLite
import Storage

/// Moves the write-ahead log into the file, on the write connection between transactions.
///
/// SQLite's automatic checkpoints would happen inside a commit, while callers wait. Done soon
/// enough, the log is written over from its start instead of growing, which halves the cost of a commit.
final class Checkpoints {
    /// Pages in the log after which it is moved: enough to be worth two syncs, soon enough that nobody
    /// waits for more than a millisecond or two.
    private static let pageLimit: Int32 = 250

    private let connection: Connection
    /// Pages in the log after the last commit, set by SQLite's hook.
    private let pages: UnsafeMutablePointer<Int32>
    private var checkpointedPages: Int32 = 0
    /// Syncs since opening: one for each commit, and for each checkpoint those of the log, of the
    /// file, and of the header with which the log begins again.
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

    /// Whether enough waits in the log.
    var isDue: Bool {
        // Fewer pages than at the last checkpoint: the log has begun again.
        if pages.pointee < checkpointedPages { checkpointedPages = 0 }
        return pages.pointee - checkpointedPages >= Self.pageLimit
    }

    /// Moves what no reader still needs.
    ///
    /// What cannot be moved now is moved by a later one.
    func run() throws(StoreError) { try checkpoint(SQLITE_CHECKPOINT_PASSIVE) }

    /// Moves everything and empties the log, for closing.
    func finish() throws(StoreError) { try checkpoint(SQLITE_CHECKPOINT_TRUNCATE) }

    private func checkpoint(_ mode: Int32) throws(StoreError) {
        let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, mode, nil, nil)
        flushCount += 3
        checkpointedPages = pages.pointee
        // Busy: a reader holds a part of the log; nothing is wrong.
        guard code == SQLITE_OK || code & 0xff == SQLITE_BUSY else { throw connection.lastError() }
    }
}
