import CSQLite
package import Storage

/// The result of checking a whole database file.
package struct DatabaseCheck: Sendable, Hashable {
    package var tenantCount: Int
    package var runCount: Int
    /// Runs that have not finished.
    package var openRunCount: Int
    /// The run that started last; nil if there is none.
    package var newestRun: RunRecord?
    package var ledger: LedgerVerification

    /// Reads a whole file: SQLite's integrity check of every page and index, the digest of every workflow's
    /// source, and every ledger.
    ///
    /// Changes nothing.
    ///
    /// - Throws: ``StoreError/failed(code:message:)`` if the file is damaged, is no Millrace database, or was
    ///   written by a newer version. An inconsistent ledger is a finding, not an error.
    package init(ofFile path: String, sha256: @escaping @Sendable ([UInt8]) -> [UInt8]) throws(StoreError) {
        let connection = try Connection(path: path, mode: .inspecting)
        defer { connection.close() }
        try Migration.check(connection)
        try Self.checkPages(connection)
        try Self.checkSources(connection, sha256)
        var verifier = LedgerVerifier(connection: connection, sha256: sha256)
        ledger = try verifier.verify()
        tenantCount = Int(try connection.integer("SELECT count(*) FROM tenant") ?? 0)
        runCount = Int(try connection.integer("SELECT count(*) FROM run") ?? 0)
        openRunCount = Int(
            try connection.integer(
                "SELECT count(*) FROM run WHERE status IN ('running', 'paused', 'waiting')") ?? 0)
        newestRun = try connection.first(
            """
            SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                origin_run_id, charged_ms
            FROM run ORDER BY run_id DESC LIMIT 1
            """, read: Rows.run)
    }

    private static func checkPages(_ connection: Connection) throws(StoreError) {
        let found = try connection.all("PRAGMA integrity_check(10)") { row throws(StoreError) in row.text(0) }
        guard found == ["ok"] else {
            throw .failed(
                code: SQLITE_CORRUPT,
                message: "the file is damaged: " + found.joined(separator: "; ").prefix(1000))
        }
    }

    /// A changed source would run, because SQLite has no checksums of content.
    private static func checkSources(
        _ connection: Connection, _ sha256: @Sendable ([UInt8]) -> [UInt8]
    ) throws(StoreError) {
        let found = try connection.all(
            "SELECT tenant_id, name, number, digest, source, deployed_at_us FROM workflow_version"
        ) { row throws(StoreError) -> String? in
            let version = try Rows.workflow(row)
            return sha256(version.source) == version.digest
                ? nil : "version \(version.number) of workflow \(version.name) of tenant \(version.tenant)"
        }
        guard let changed = found.compactMap({ $0 }).first else { return }
        throw .failed(
            code: SQLITE_CORRUPT,
            message: "the file is damaged: the source of \(changed) does not match its digest")
    }
}
