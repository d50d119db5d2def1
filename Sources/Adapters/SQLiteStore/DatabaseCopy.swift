import CSQLite
import Glibc
package import Storage

/// Copies a database into a new file while a server writes to it, and publishes the copy under its name only once it
/// is checked and synced.
///
/// The copy is one state of the database: everything that was committed when copying began, and nothing after it. It
/// is a single file without a log. The source is read over a connection that never writes or checkpoints.
package final class DatabaseCopy {
    /// Where the copy is written before ``publish()``.
    package let partialPath: String
    private let target: String
    /// Open, and locked, for as long as the partial file is this copy's.
    private var descriptor: Int32 = -1

    /// Bytes after which the copy is synced, so that the disk never has so much of it waiting that the server's own
    /// small syncs have to wait behind it.
    private static let syncInterval = 4 << 20
    private static let pagesPerStep: Int32 = 256

    /// So that no server starts on a name that is about to be given to the copy; nil for a backup.
    private let serverLock: FileLock?

    /// - Parameters:
    ///   - target: Where the copy will be. Nothing may be there, nor a log of a file that was there: SQLite would
    ///     apply it to the copy.
    ///   - isToBeServed: Whether a server will run on the copy.
    /// - Throws: ``StoreError/exists(what:)`` if something is there, or if another copy to it is under way;
    ///   ``StoreError/failed(code:message:)`` if a server runs there.
    package init(to target: String, isToBeServed: Bool = false) throws(StoreError) {
        self.target = target
        partialPath = target + ".partial"
        serverLock = isToBeServed ? try FileLock(path: target + ".lock") : nil
        for path in ["", "-wal", "-shm", "-journal"].map({ target + $0 }) where access(path, F_OK) == 0 {
            throw .exists(what: path)
        }
        descriptor = Glibc.open(partialPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Self.systemError("cannot create \(partialPath)") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw .exists(what: "another copy to \(target), which is under way,")
        }
        // What a killed copy left behind.
        guard ftruncate(descriptor, 0) == 0 else { throw Self.systemError("cannot write \(partialPath)") }
    }

    deinit {
        guard descriptor >= 0 else { return }
        unlink(partialPath)
        Glibc.close(descriptor)
    }

    /// Copies all of `source` into the partial file.
    ///
    /// - Throws: ``StoreError`` if the source is no database of this program, or cannot be read, or the disk is full.
    package func copy(from source: String) throws(StoreError) {
        let reader = try Connection(path: source, mode: .inspecting)
        defer { reader.close() }
        try Migration.check(reader)
        let writer = try Connection(path: partialPath, mode: .copying)
        defer { writer.close() }
        // One read transaction around all steps: they copy one state, whatever others commit meanwhile.
        try reader.execute("BEGIN")
        guard try reader.integer("SELECT count(*) FROM sqlite_schema") != nil,
            let backup = sqlite3_backup_init(writer.handle, "main", reader.handle, "main")
        else { throw writer.lastError() }
        do throws(StoreError) { try copyPages(backup) } catch {
            sqlite3_backup_finish(backup)
            throw error
        }
        guard sqlite3_backup_finish(backup) == SQLITE_OK else { throw writer.lastError() }
        try reader.execute("COMMIT")
        // The header still asks for a log: without one, the copy is a single file.
        guard try writer.text("PRAGMA journal_mode = DELETE") == "delete" else {
            throw .failed(code: SQLITE_ERROR, message: "the copy could not be made a single file")
        }
    }

    private func copyPages(_ backup: OpaquePointer) throws(StoreError) {
        var unsynced = 0
        while true {
            switch sqlite3_backup_step(backup, Self.pagesPerStep) {
            case SQLITE_DONE: return
            case SQLITE_OK: break
            case let code where code & 0xff == SQLITE_FULL: throw .full
            case let code:
                throw .failed(code: code, message: "copying failed: \(String(cString: sqlite3_errstr(code)))")
            }
            unsynced += Int(Self.pagesPerStep) * 2048
            guard unsynced >= Self.syncInterval else { continue }
            unsynced = 0
            guard fdatasync(descriptor) == 0 else { throw Self.systemError("cannot sync \(partialPath)") }
        }
    }

    /// Syncs the copy and gives it its name; refuses if a file of that name has come meanwhile.
    package func publish() throws(StoreError) {
        guard fsync(descriptor) == 0 else { throw Self.systemError("cannot sync \(partialPath)") }
        // A link, unlike a renaming, never replaces a file.
        if link(partialPath, target) != 0 {
            let error = errno
            guard error != EEXIST else { throw .exists(what: target) }
            // A file system without links.
            guard [EPERM, ENOTSUP, ENOSYS, EMLINK].contains(error), access(target, F_OK) != 0,
                rename(partialPath, target) == 0
            else { throw Self.systemError("cannot create \(target)", error) }
        }
        unlink(partialPath)
        Glibc.close(descriptor)
        descriptor = -1
        try Self.syncFolder(of: target)
    }

    /// Without this a power failure could take the new name back.
    private static func syncFolder(of path: String) throws(StoreError) {
        let end = path.lastIndex(of: "/")
        let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemError("cannot open \(folder)") }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw systemError("cannot sync \(folder)") }
    }

    private static func systemError(_ message: String, _ code: Int32 = errno) -> StoreError {
        code == ENOSPC || code == EDQUOT
            ? .full : .failed(code: SQLITE_IOERR, message: "\(message): \(String(cString: strerror(code)))")
    }
}
