import CSQLite
import Storage
import Values

/// A numbered change of the schema.
///
/// It is never edited after its release; a further change is a new migration.
struct Migration {
    let number: Int64
    let name: String
    let sql: String

    static let all = [
        M0001CreateTables.migration, M0002AddRunOrigin.migration, M0003IndexLongRuns.migration,
        M0004AddSuspension.migration, M0005AddErasure.migration,
        M0006AddMail.migration,
    ]

    /// Brings a file up to date, with one transaction per migration.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` if a newer version or another program wrote the file; the file is
    ///   not changed then.
    static func apply(to connection: Connection, at now: Instant) throws(StoreError) {
        try refuseForeign(connection)
        try connection.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migration (
                number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_us INTEGER NOT NULL
            ) STRICT
            """)
        let applied = try check(connection)
        for migration in all where migration.number > applied {
            try connection.execute("BEGIN IMMEDIATE")
            do throws(StoreError) {
                try connection.execute(migration.sql)
                try connection.run(
                    "INSERT INTO schema_migration (number, name, applied_at_us) VALUES (?, ?, ?)",
                    .integer(migration.number), .text(migration.name), .integer(now.microseconds))
                try connection.execute("COMMIT")
            } catch {
                if !connection.isInAutocommit { try connection.execute("ROLLBACK") }
                throw error
            }
        }
    }

    /// Refuses a file that has tables and none of ours: it belongs to another program.
    private static func refuseForeign(_ connection: Connection) throws(StoreError) {
        let names = try connection.all(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 1000"
        ) {
            row throws(StoreError) in row.text(0)
        }
        guard let first = names.first, !names.contains("schema_migration") else { return }
        throw .failed(
            code: SQLITE_MISMATCH,
            message: "the file is not a database of Millrace: it has a table \(first) of another program")
    }

    /// The number of the file's newest migration.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` if this version does not know one of the file's
    ///   migrations.
    @discardableResult
    static func check(_ connection: Connection) throws(StoreError) -> Int64 {
        let found = try connection.all("SELECT number, name FROM schema_migration ORDER BY number") {
            row throws(StoreError) in (number: row.integer(0), name: row.text(1))
        }
        for (number, name) in found {
            guard let known = all.first(where: { $0.number == number }) else {
                throw .failed(
                    code: SQLITE_MISMATCH,
                    message:
                        "the file was written by a newer version of Millrace (migration \(number), \(name)); "
                        + "this one knows up to \(all.last?.number ?? 0): use the newer version")
            }
            guard known.name == name else {
                throw .failed(
                    code: SQLITE_MISMATCH,
                    message: "migration \(number) of the file is \(name), expected \(known.name)")
            }
        }
        return found.last?.number ?? 0
    }
}
