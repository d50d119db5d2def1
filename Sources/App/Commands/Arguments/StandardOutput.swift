import Glibc
import Values

/// The process's own standard output, and what has kept it from being written.
final class StandardOutput: @unchecked Sendable {
    // Unchecked: `failure` is read and written under `lock`.
    static let shared = StandardOutput()

    private let lock = Lock()
    private var failure: Int32?

    func write(_ bytes: [UInt8]) {
        guard !Files.write(bytes, to: STDOUT_FILENO) else { return }
        let number = errno
        lock.withLock { failure = failure ?? number }
    }

    /// The system's number of the first failure; `EPIPE` also where the reader has gone since the last write.
    var problem: Int32? { lock.withLock { failure } ?? (isReaderGone ? EPIPE : nil) }

    private var isReaderGone: Bool {
        var asked = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        return poll(&asked, 1, 0) > 0 && asked.revents & Int16(POLLERR) != 0
    }

    /// Opens what the caller has closed, so that no database gets the number of a standard file; what is written to
    /// such an output fails.
    static func openMissing() {
        for file in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(file, F_GETFD) < 0 {
            _ = open("/dev/null", O_RDONLY)
        }
    }
}
