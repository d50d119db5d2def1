package import Storage
package import Values

/// Deleting old runs and keys: cheap at any file size, because run numbers rise with time.
extension SQLiteStore {
    package func deleteRuns(
        finishedBefore instant: Instant, startedSince: Instant?, limit: Int
    ) throws(StoreError) -> Int {
        // A finished run stays finished, so the search need not run on the writer's thread.
        let found = try readers.read { connection throws(StoreError) in
            var found = try Self.ended(before: instant, since: startedSince, limit: limit, connection)
            if startedSince != nil, found.count < limit {
                let known = Set(found.map(\.run))
                found += try Self.longEnded(before: instant, limit: limit, connection)
                    .filter { !known.contains($0.run) }.prefix(limit - found.count)
            }
            return found
        }
        guard let newest = found.map(\.run).max() else { return 0 }
        return try write { writer throws(StoreError) in
            for (tenant, run) in found { try Self.delete(run, of: tenant, writer.connection) }
            try writer.connection.run(
                "UPDATE shard_lease SET deleted_run_id = max(deleted_run_id, ?) WHERE shard = 0",
                .integer(newest))
            return found.count
        }
    }

    typealias Ended = (tenant: Int64, run: Int64)

    /// Runs that started at or after a time and finished before another.
    static let endedQuery: StaticString = """
        WITH RECURSIVE known (tenant_id) AS (
            SELECT min(tenant_id) FROM run
            UNION ALL
            SELECT (SELECT min(tenant_id) FROM run WHERE tenant_id > known.tenant_id) FROM known
            WHERE known.tenant_id IS NOT NULL)
        SELECT run.tenant_id, run.run_id FROM known CROSS JOIN run ON run.tenant_id = known.tenant_id
        WHERE run.run_id > ?1 AND run.run_id < ?2 AND run.started_at_us >= ?3 AND run.finished_at_us < ?4
            AND run.status NOT IN ('running', 'waiting', 'paused')
        LIMIT ?5
        """

    private static func ended(
        before instant: Instant, since: Instant?, limit: Int, _ connection: Connection
    ) throws(StoreError) -> [Ended] {
        try connection.all(
            endedQuery, .integer(lastRunNumber(before: since)), .integer(firstRunNumber(notBefore: instant)),
            .integer(since?.microseconds ?? .min), .integer(instant.microseconds),
            .integer(Int64(max(0, limit)))
        ) { row throws(StoreError) in (tenant: row.integer(0), run: row.integer(1)) }
    }

    /// Runs that took longer than a day, in the order of their end.
    static let longEndedQuery: StaticString = """
        SELECT tenant_id, run_id FROM run INDEXED BY run_long
        WHERE finished_at_us - started_at_us > 86400000000 AND finished_at_us < ?1
        ORDER BY finished_at_us, tenant_id, run_id LIMIT ?2
        """

    private static func longEnded(
        before instant: Instant, limit: Int, _ connection: Connection
    ) throws(StoreError) -> [Ended] {
        // The first rows may be known already, hence twice the limit.
        try connection.all(
            longEndedQuery, .integer(instant.microseconds), .integer(Int64(max(0, limit)) * 2)
        ) { row throws(StoreError) in (tenant: row.integer(0), run: row.integer(1)) }
    }

    static func delete(_ run: Int64, of tenant: Int64, _ connection: Connection) throws(StoreError) {
        try connection.run(
            """
            INSERT INTO pruned_charge (tenant_id, sequence, charge_ms)
            SELECT tenant_id, ledger_sequence, sum(charge_ms) FROM journal
            WHERE run_id = ? AND ledger_sequence > 0 GROUP BY tenant_id, ledger_sequence
            ON CONFLICT DO UPDATE SET charge_ms = charge_ms + excluded.charge_ms
            """, .integer(run))
        try connection.run("DELETE FROM journal WHERE run_id = ?", .integer(run))
        try connection.run(
            "DELETE FROM run WHERE tenant_id = ? AND run_id = ?", .integer(tenant), .integer(run))
    }

    package func checkRoom() throws(StoreError) {
        try write { writer throws(StoreError) in
            // Takes new pages in the file and in its log, as many as a commit of a few steps.
            try writer.connection.run(
                "INSERT OR REPLACE INTO setting (name, value) VALUES ('room', zeroblob(65536))")
            try writer.connection.run("DELETE FROM setting WHERE name = 'room'")
        }
    }

    package func forgetDedupeKeys(before instant: Instant, limit: Int) throws(StoreError) -> Int {
        try write { writer throws(StoreError) in
            try writer.connection.run(
                """
                DELETE FROM dedupe_key WHERE (tenant_id, workflow, key) IN (
                    SELECT tenant_id, workflow, key FROM dedupe_key INDEXED BY dedupe_key_age
                    WHERE tenant_id <> 1 AND stored_at_us < ? ORDER BY stored_at_us LIMIT ?)
                """, .integer(instant.microseconds), .integer(Int64(max(0, limit))))
        }
    }
}
