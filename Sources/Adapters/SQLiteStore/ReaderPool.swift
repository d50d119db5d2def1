import Storage
import Values

/// A few connections for reading, opened when first needed.
final class ReaderPool: @unchecked Sendable {
    // Unchecked: all fields are guarded by `lock`; a connection belongs to the one who took it.
    private let path: String
    private let mode: Connection.Mode
    private let lock = Lock()
    private let freed = Condition()
    private var idle: [Connection] = []
    private var openCount = 0
    private var isClosed = false

    /// More would not help: reading is short and the machine has few cores.
    private static let connectionMax = 4

    init(path: String, mode: Connection.Mode) {
        self.path = path
        self.mode = mode
    }

    /// Lends a connection to `body`; waits where all are lent.
    func read<Result>(_ body: (Connection) throws(StoreError) -> Result) throws(StoreError) -> Result {
        let connection = try take()
        defer { giveBack(connection) }
        return try body(connection)
    }

    /// As ``read(_:)``, with all of `body`'s queries seeing the same state.
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

    /// Waits for what is being read and closes all connections.
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
