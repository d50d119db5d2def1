import CSQLite
import Storage
import Values

/// A numbered change of the schema.
///
/// Once released it is never edited: what follows is a new one.
struct Migration {
    let number: Int64
    let name: String
    let sql: String

    static let all = [
        M0001CreateTables.migration, M0002AddRunOrigin.migration, M0003IndexLongRuns.migration,
        M0004AddSuspension.migration, M0005AddErasure.migration,
        M0006AddMail.migration,
    ]

    /// Brings a file up to date, each migration in a transaction of its own.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` for a file that a newer program has written; it is
    ///   left as it was.
    static func apply(to connection: Connection, at now: Instant) throws(StoreError) {
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

    /// The number of the file's newest migration, after checking that this program knows them all.
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
