import Foundation
import Storage
import Testing
import Values

@testable import SQLiteStore

@Suite("SQLite schema")
struct SchemaTests {
    private let directory: TemporaryDirectory
    private let connection: Connection

    init() throws {
        directory = try TemporaryDirectory()
        connection = try Connection(path: directory.file("store.db"), mode: .writing)
        try Migration.apply(to: connection, at: Sample.noon)
    }

    @Test("migrations are applied once each, by number and name")
    func migrationsAreRecorded() throws {
        try Migration.apply(to: connection, at: Sample.noon)
        let applied = try connection.all("SELECT number || ' ' || name FROM schema_migration ORDER BY number")
        {
            row throws(StoreError) in row.text(0)
        }
        #expect(
            applied == [
                "1 create_tables", "2 add_run_origin", "3 index_long_runs", "4 add_suspension",
                "5 add_erasure", "6 add_mail",
            ])
    }

    @Test("the file of another program is refused and left as it is")
    func foreignFileIsRefused() throws {
        let path = directory.file("foreign.db")
        let foreign = try Connection(path: path, mode: .writing)
        try foreign.execute("CREATE TABLE songs (title TEXT)")
        foreign.close()
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect {
            try StoreHarness.openSQLite(path)
        } throws: { error in
            "\(error)".contains("not a database of Millrace: it has a table songs")
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test("a file of the first version is brought up to date, and a run in it is nobody's retry or fork")
    func firstVersionIsBroughtUpToDate() throws {
        let path = directory.file("old.db")
        let old = try Connection(path: path, mode: .writing)
        try old.execute(M0001CreateTables.migration.sql)
        try old.execute(
            """
            CREATE TABLE schema_migration (
                number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_us INTEGER NOT NULL) STRICT;
            INSERT INTO schema_migration VALUES (1, 'create_tables', 0);
            INSERT INTO tenant VALUES (7, 'Acme', NULL, 0);
            INSERT INTO run VALUES (7, 5, 'order', x'09', 'schedule', 'waiting', 0, NULL, NULL, 0);
            """)
        old.close()
        let store = try StoreHarness.openSQLite(path)
        defer { store.close() }
        let runs = try store.waitingRuns(startedBy: "schedule")
        #expect(runs.map(\.run) == [RunID(number: 5)] && runs.first?.origin == nil)
        #expect(try store.tenant(Sample.tenant)?.suspension == nil)
        #expect(try store.suspendedTenants().isEmpty)
    }

    @Test("no column of a unique key may be null")
    func uniqueKeysHoldNoNull() throws {
        let nullable = try connection.all(
            """
            SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_index_list(m.name) AS i,
                pragma_index_info(i.name) AS k, pragma_table_info(m.name) AS c
            WHERE m.type = 'table' AND i."unique" AND c.cid = k.cid AND NOT c."notnull" AND c.pk = 0
            """
        ) { row throws(StoreError) in row.text(0) }
        #expect(nullable.isEmpty)
    }

    @Test("I10: the key of every tenant's table starts with the tenant, and none is without one")
    func keysStartWithTheTenant() throws {
        // A journal is reached through its run; a reference is unique over all tenants.
        let exempt: Set = ["journal", "credit_reference"]
        let firstKeyColumns = try connection.all(
            """
            SELECT m.name, c.name, c."notnull" OR c.pk = 1 FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
            WHERE m.type = 'table' AND c.pk = 1
                AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) AS t WHERE t.name = 'tenant_id')
            """
        ) { row throws(StoreError) in (table: row.text(0), column: row.text(1)) }
        #expect(firstKeyColumns.count >= 15)
        for (table, column) in firstKeyColumns where !exempt.contains(table) {
            #expect(column == "tenant_id", "table \(table)")
        }
        let nullable = try connection.integer(
            """
            SELECT count(*) FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
            WHERE m.type = 'table' AND c.name = 'tenant_id' AND NOT c."notnull" AND c.pk = 0
            """)
        #expect(nullable == 0)
    }

    @Test("readers neither write nor checkpoint")
    func readersNeverCheckpoint() throws {
        let reader = try Connection(path: directory.file("store.db"), mode: .reading)
        defer { reader.close() }
        #expect(try reader.integer("PRAGMA wal_autocheckpoint") == 0)
        #expect(try reader.integer("PRAGMA query_only") == 1)
        #expect(throws: StoreError.self) { try reader.execute("DELETE FROM setting") }
    }
}
