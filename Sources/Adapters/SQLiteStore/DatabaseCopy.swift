import CSQLite
import Glibc
package import Storage

/// Copies a database while a server writes to it, and publishes the copy after it is checked and synced.
///
/// The copy is a snapshot: everything committed when copying began, and nothing later. It is a single file
/// without a log. The connection to the source never writes or checkpoints. ``publish()`` does not check the
/// copy; its caller does so before.
package final class DatabaseCopy {
    /// The path of the copy before ``publish()``.
    package let partialPath: String
    private let target: String
    /// Open and locked while the partial file belongs to this copy.
    private var descriptor: Int32 = -1
    private var isPublished = false

    /// Bytes between syncs of the copy; they bound its unwritten data, which would delay the server's small
    /// syncs.
    private static let syncInterval = 4 << 20
    private static let pagesPerStep: Int32 = 256

    /// Prevents a server from starting on the target's name; nil for a backup.
    private let serverLock: FileLock?

    /// Creates the partial file and locks it.
    ///
    /// - Parameters:
    ///   - target: The path of the copy. Neither a file nor a log of an earlier file may exist there: SQLite
    ///     would apply the log to the copy.
    ///   - isToBeServed: Whether a server will use the copy.
    /// - Throws: ``StoreError/exists(what:)`` if a file exists there or another copy to it is in progress;
    ///   ``StoreError/failed(code:message:)`` if a server runs there or the file cannot be created.
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
        // A killed copy may have left data.
        guard ftruncate(descriptor, 0) == 0 else { throw Self.systemError("cannot write \(partialPath)") }
    }

    deinit {
        // Without the copy, its lock is nothing that anybody looks for.
        if !isPublished { serverLock?.removeIfNew() }
        guard descriptor >= 0 else { return }
        unlink(partialPath)
        Glibc.close(descriptor)
    }

    /// Copies all of `source` into the partial file.
    ///
    /// - Throws: ``StoreError`` if the source is no Millrace database or cannot be read, or if the disk is
    ///   full.
    package func copy(from source: String) throws(StoreError) {
        let reader = try Connection(path: source, mode: .inspecting)
        defer { reader.close() }
        try Migration.check(reader)
        let writer = try Connection(path: partialPath, mode: .copying)
        defer { writer.close() }
        // One read transaction spans all steps, so they copy one snapshot, whatever others commit meanwhile.
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
        // The header still says WAL; in DELETE mode the copy is a single file.
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

    /// Syncs the copy and gives it its final name.
    ///
    /// - Throws: ``StoreError/exists(what:)`` if a file with that name has been created meanwhile; the
    ///   partial file is removed with this object.
    package func publish() throws(StoreError) {
        guard fsync(descriptor) == 0 else { throw Self.systemError("cannot sync \(partialPath)") }
        // A link, unlike a rename, never replaces a file.
        if link(partialPath, target) != 0 {
            let error = errno
            guard error != EEXIST else { throw .exists(what: target) }
            // The file system does not support links.
            guard [EPERM, ENOTSUP, ENOSYS, EMLINK].contains(error), access(target, F_OK) != 0,
                rename(partialPath, target) == 0
            else { throw Self.systemError("cannot create \(target)", error) }
        }
        unlink(partialPath)
        Glibc.close(descriptor)
        (descriptor, isPublished) = (-1, true)
        try Self.syncFolder(of: target)
    }

    /// Syncs the folder, without which a power failure could lose the new name.
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
