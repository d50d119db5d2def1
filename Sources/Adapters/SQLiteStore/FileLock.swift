import CSQLite
import Glibc
package import Storage

/// An exclusive lock on a file beside the database: one process runs a store at a time.
///
/// The system lets it go when the process ends, however it ends.
final class FileLock {
    private let descriptor: Int32

    /// - Throws: ``StoreError/failed(code:message:)`` where another holder exists or the file cannot be made.
    init(path: String) throws(StoreError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .failed(
                code: SQLITE_CANTOPEN, message: "cannot create \(path): \(String(cString: strerror(errno)))")
        }
        // An initializer that throws once every property is set still runs `deinit`, which closes: a second
        // close here would take a descriptor that another thread has been given meanwhile.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw .failed(
                code: SQLITE_BUSY, message: "the store is in use by another process, which holds \(path)")
        }
    }

    deinit { Glibc.close(descriptor) }
}

extension StoreError {
    /// Whether another process runs on the file.
    package var isInUse: Bool {
        if case .failed(SQLITE_BUSY, _) = self { return true }
        return false
    }
}
