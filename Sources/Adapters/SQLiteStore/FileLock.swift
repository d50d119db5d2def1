import CSQLite
import Glibc
package import Storage

/// An exclusive lock on a file beside the database, so that only one process runs a store.
///
/// The system releases it when the process ends, in whatever way.
final class FileLock {
    private let descriptor: Int32
    private let path: String
    /// Whether the file was not there before.
    private let isNew: Bool

    /// - Throws: ``StoreError/failed(code:message:)`` if the lock is held or the file cannot be created.
    init(path: String) throws(StoreError) {
        self.path = path
        isNew = access(path, F_OK) != 0
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .failed(
                code: SQLITE_CANTOPEN, message: "cannot create \(path): \(String(cString: strerror(errno)))")
        }
        // If an initialiser throws after every property is set, `deinit` still runs and closes the
        // descriptor. A second close here could close a descriptor that another thread has opened meanwhile.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw .failed(
                code: SQLITE_BUSY, message: "the store is in use by another process, which holds \(path)")
        }
        var (own, named) = (stat(), stat())
        guard fstat(descriptor, &own) == 0, stat(path, &named) == 0, own.st_ino == named.st_ino else {
            throw .failed(
                code: SQLITE_BUSY, message: "\(path) was removed by another process just now; try again")
        }
    }

    /// Removes the file if this lock has made it, for a lock that was not needed after all.
    func removeIfNew() { if isNew { unlink(path) } }

    deinit { Glibc.close(descriptor) }
}

extension StoreError {
    /// Whether the failure means that another process uses the file.
    package var isInUse: Bool {
        if case .failed(SQLITE_BUSY, _) = self { return true }
        return false
    }
}
