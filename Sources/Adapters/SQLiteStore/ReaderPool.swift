import Storage
import Values

/// A few read connections, opened on demand.
final class ReaderPool: @unchecked Sendable {
    // Unchecked: all fields are guarded by `lock`; a borrowed connection belongs to its borrower.
    private let path: String
    private let mode: Connection.Mode
    private let lock = Lock()
    private let freed = Condition()
    private var idle: [Connection] = []
    private var openCount = 0
    private var isClosed = false

    /// More would not help: reads are short and the machine has few cores.
    private static let connectionMax = 4

    init(path: String, mode: Connection.Mode) {
        self.path = path
        self.mode = mode
    }

    /// Lends a connection to `body`; waits if all are in use.
    ///
    /// - Throws: ``StoreError/closed`` after ``close()``, and what `body` throws.
    func read<Result>(_ body: (Connection) throws(StoreError) -> Result) throws(StoreError) -> Result {
        let connection = try take()
        defer { giveBack(connection) }
        return try body(connection)
    }

    /// Like ``read(_:)``, but all queries of `body` see one snapshot.
    func readTogether<Result>(
        _ body: (Connection) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        try read { connection throws(StoreError) in
            try connection.run("BEGIN")
            do throws(StoreError) {
                let result = try body(connection)
                try connection.run("COMMIT")
                return result
            } catch {
                if !connection.isInAutocommit { try connection.run("ROLLBACK") }
                throw error
            }
        }
    }

    private func take() throws(StoreError) -> Connection {
        lock.lock()
        while true {
            if isClosed {
                lock.unlock()
                throw .closed
            }
            if let connection = idle.popLast() {
                lock.unlock()
                return connection
            }
            if openCount < Self.connectionMax { break }
            freed.wait(lock)
        }
        openCount += 1
        lock.unlock()
        do throws(StoreError) { return try Connection(path: path, mode: mode) } catch {
            lock.withLock { openCount -= 1 }
            freed.signal()
            throw error
        }
    }

    private func giveBack(_ connection: Connection) {
        lock.withLock {
            idle.append(connection)
            freed.broadcast()
        }
    }

    /// Waits for the reads in progress and closes all connections.
    func close() {
        lock.lock()
        isClosed = true
        freed.broadcast()
        while idle.count < openCount { freed.wait(lock) }
        let connections = idle
        idle = []
        openCount = 0
        lock.unlock()
        for connection in connections { connection.close() }
    }
}
