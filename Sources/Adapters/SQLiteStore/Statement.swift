import CSQLite
import CSQLiteShim
import Storage

/// A value to bind to a statement.
enum SQLValue {
    case integer(Int64)
    case text(String)
    case blob([UInt8])
    case null

    static func optional(_ number: Int64?) -> SQLValue { number.map { .integer($0) } ?? .null }
    static func optional(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
    static func optional(_ bytes: [UInt8]?) -> SQLValue { bytes.map { .blob($0) } ?? .null }
}

/// A prepared statement and, while it is stepped, its current row.
final class Statement {
    let handle: OpaquePointer
    private unowned let connection: Connection

    init(handle: OpaquePointer, connection: Connection) {
        self.handle = handle
        self.connection = connection
    }

    func finalize() { sqlite3_finalize(handle) }

    /// Binds from the first parameter on; texts and blobs are copied.
    func bind(_ values: [SQLValue]) throws(StoreError) {
        var index: Int32 = 0
        for value in values {
            index += 1
            try bind(value, at: index)
        }
    }

    private func bind(_ value: SQLValue, at index: Int32) throws(StoreError) {
        let code: Int32
        switch value {
        case .null: code = sqlite3_bind_null(handle, index)
        case .integer(let number): code = sqlite3_bind_int64(handle, index, number)
        case .text(let text): code = bindText(text, at: index)
        case .blob(let bytes) where bytes.isEmpty: code = sqlite3_bind_zeroblob(handle, index, 0)
        case .blob(let bytes):
            guard let count = Int32(exactly: bytes.count) else { throw tooBig }
            code = millrace_sqlite3_bind_blob(handle, index, bytes, count)
        }
        guard code == SQLITE_OK else { throw connection.lastError() }
    }

    private func bindText(_ text: String, at index: Int32) -> Int32 {
        var text = text
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress, let count = Int32(exactly: bytes.count) else {
                return bytes.isEmpty ? sqlite3_bind_text(handle, index, "", 0, nil) : SQLITE_TOOBIG
            }
            return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                millrace_sqlite3_bind_text(handle, index, $0, count)
            }
        }
    }

    private var tooBig: StoreError { .outOfRange(what: "a value is larger than 2 GiB") }

    /// Steps to the next row and returns false at the end; resets itself if it fails.
    func step() throws(StoreError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            let error = connection.lastError()
            sqlite3_reset(handle)
            throw error
        }
    }

    /// Steps once, ignores any row, and resets itself.
    func run() throws(StoreError) {
        defer { sqlite3_reset(handle) }
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE || code == SQLITE_ROW else { throw connection.lastError() }
    }

    func reset() { sqlite3_reset(handle) }

    // MARK: - The current row

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func text(_ column: Int32) -> String {
        guard let bytes = sqlite3_column_text(handle, column) else { return "" }
        let count = Int(sqlite3_column_bytes(handle, column))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    func blob(_ column: Int32) -> [UInt8] {
        guard let bytes = sqlite3_column_blob(handle, column) else { return [] }
        let count = Int(sqlite3_column_bytes(handle, column))
        return [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
    }

    /// Reads a blob in place; the bytes are valid until the next step.
    func withBlob(
        _ column: Int32, _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Void
    ) throws(StoreError) {
        let bytes = sqlite3_column_blob(handle, column)
        try body(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(handle, column))))
    }

    func optionalInteger(_ column: Int32) -> Int64? { isNull(column) ? nil : integer(column) }
    func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }
    func optionalBlob(_ column: Int32) -> [UInt8]? { isNull(column) ? nil : blob(column) }
}
