import CSQLite
import CSQLiteShim
import Storage

/// One SQLite connection with its prepared statements; used by one thread at a time.
final class Connection {
    enum Mode {
        /// Writes and checkpoints; a file has one such connection.
        case writing
        /// Reads a file that a ``writing`` connection keeps open.
        case reading
        /// Reads an existing file; never creates or changes anything.
        case inspecting
        /// Fills a new file that nobody else reads yet.
        case copying
    }

    let handle: OpaquePointer
    private let mode: Mode
    private var statements: [UnsafePointer<UInt8>: Statement] = [:]

    /// How long SQLite waits for another process's lock, in milliseconds.
    private static let busyMilliseconds: Int32 = 5000

    init(path: String, mode: Mode) throws(StoreError) {
        var flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        flags |= mode == .inspecting ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
        if mode == .writing { flags |= SQLITE_OPEN_CREATE }
        var opened: OpaquePointer?
        // Gathers log frames until the sync, which at FULL precedes their visibility to readers.
        let fileSystem = mode == .writing ? millrace_sqlite3_gathering_vfs() : nil
        let code = sqlite3_open_v2(path, &opened, flags, fileSystem)
        guard code == SQLITE_OK, let opened else {
            let reason = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw .failed(code: code, message: "cannot open \(path): \(reason)")
        }
        handle = opened
        self.mode = mode
        sqlite3_busy_timeout(opened, Self.busyMilliseconds)
        do throws(StoreError) { try configure() } catch {
            close()
            throw error
        }
    }

    /// Applies the mode's settings; no connection except the writing one may ever checkpoint.
    ///
    /// SQLite before 3.51.3 can corrupt the log if two connections write and checkpoint at the same time.
    private func configure() throws(StoreError) {
        try execute("PRAGMA wal_autocheckpoint = 0")
        guard try integer("PRAGMA wal_autocheckpoint") == 0 else {
            throw .failed(code: SQLITE_ERROR, message: "automatic checkpoints could not be switched off")
        }
        if mode == .writing { return try configureWriting() }
        // An unfinished copy is discarded, so it needs neither rollback nor sync.
        if mode == .copying { return try execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF") }
        try execute("PRAGMA query_only = 1")
        guard millrace_sqlite3_never_checkpoint_on_close(handle) == SQLITE_OK else { throw lastError() }
    }

    private func configureWriting() throws(StoreError) {
        // Effective for a new file only. A commit writes whole pages, and most commits change a few hundred
        // bytes.
        try execute("PRAGMA page_size = 2048")
        // Set first: acknowledged work must survive power loss (I5), and gathering the frames depends on it.
        try execute("PRAGMA synchronous = FULL")
        guard try integer("PRAGMA synchronous") == 2 else {
            throw .failed(code: SQLITE_ERROR, message: "full synchronisation could not be switched on")
        }
        guard try text("PRAGMA journal_mode = WAL") == "wal" else {
            throw .failed(code: SQLITE_ERROR, message: "the file system does not support SQLite's WAL mode")
        }
        try execute("PRAGMA foreign_keys = 0")
        try execute("PRAGMA temp_store = MEMORY")
    }

    /// Finalises all statements and closes the connection, which must not be used again.
    func close() {
        for statement in statements.values { statement.finalize() }
        statements.removeAll()
        sqlite3_close_v2(handle)
    }

    /// The prepared statement for a literal, cached for the life of the connection.
    func statement(_ sql: StaticString) throws(StoreError) -> Statement {
        if let known = statements[sql.utf8Start] { return known }
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(
            handle, sql.description, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw lastError() }
        let statement = Statement(handle: prepared, connection: self)
        statements[sql.utf8Start] = statement
        return statement
    }

    /// Runs statements without caching them: settings and migrations.
    func execute(_ sql: String) throws(StoreError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw lastError() }
    }

    func integer(_ sql: StaticString) throws(StoreError) -> Int64? {
        try first(sql) { row throws(StoreError) in row.integer(0) }
    }

    func text(_ sql: StaticString) throws(StoreError) -> String? {
        try first(sql) { row throws(StoreError) in row.text(0) }
    }

    /// Runs one statement to its end and returns the number of changed rows.
    @discardableResult
    func run(_ sql: StaticString, _ values: SQLValue...) throws(StoreError) -> Int {
        let statement = try statement(sql)
        try statement.bind(values)
        try statement.run()
        return Int(sqlite3_changes(handle))
    }

    /// The first row of a query, or nil.
    func first<Row>(
        _ sql: StaticString, _ values: SQLValue..., read: (Statement) throws(StoreError) -> Row
    ) throws(StoreError) -> Row? {
        let statement = try statement(sql)
        try statement.bind(values)
        defer { statement.reset() }
        guard try statement.step() else { return nil }
        return try read(statement)
    }

    /// All rows of a query.
    func all<Row>(
        _ sql: StaticString, _ values: SQLValue..., read: (Statement) throws(StoreError) -> Row
    ) throws(StoreError) -> [Row] {
        let statement = try statement(sql)
        try statement.bind(values)
        defer { statement.reset() }
        var rows: [Row] = []
        while try statement.step() { rows.append(try read(statement)) }
        return rows
    }

    /// Whether no transaction is open; SQLite ends a transaction itself after some errors.
    var isInAutocommit: Bool { sqlite3_get_autocommit(handle) != 0 }

    /// A counter that changes whenever the file changes, through this connection or another.
    ///
    /// A change by another connection shows once a transaction begins here. Nil if SQLite reports none.
    var changeCount: UInt32? {
        var count: UInt32 = 0
        let code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_DATA_VERSION, &count)
        return code == SQLITE_OK ? count : nil
    }

    /// The store error for the last failed call.
    func lastError() -> StoreError {
        let code = sqlite3_extended_errcode(handle)
        let message = String(cString: sqlite3_errmsg(handle))
        switch code & 0xff {
        case SQLITE_FULL: return .full
        case SQLITE_CONSTRAINT: return .exists(what: message)
        // Concerns this one value; nothing of it has been written.
        case SQLITE_TOOBIG: return .outOfRange(what: "a value or row is larger than the file format takes")
        default: return .failed(code: code, message: message)
        }
    }
}
