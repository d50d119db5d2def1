import Storage

/// Statements that every transaction or most commits need, prepared once.
struct WriterStatements {
    let begin: Statement
    let commit: Statement
    let rollback: Statement
    let savepoint: Statement
    let undo: Statement
    let release: Statement
    let epoch: Statement
    let insertRun: Statement
    let updateRun: Statement
    let updateOpenRun: Statement
    let finishRun: Statement
    let insertEntries: Statement
    let selectLaterEntries: Statement
    let insertLedgerEntry: Statement
    let selectDedupe: Statement
    let insertDedupe: Statement

    init(_ connection: Connection) throws(StoreError) {
        begin = try connection.statement("BEGIN IMMEDIATE")
        commit = try connection.statement("COMMIT")
        rollback = try connection.statement("ROLLBACK")
        savepoint = try connection.statement("SAVEPOINT item")
        undo = try connection.statement("ROLLBACK TO item")
        release = try connection.statement("RELEASE item")
        epoch = try connection.statement("SELECT epoch FROM shard_lease WHERE shard = 0")
        insertRun = try connection.statement(
            """
            INSERT INTO run (tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us,
                charged_ms, wake_at_us, origin_run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        updateRun = try connection.statement(
            """
            UPDATE run SET status = ?3, finished_at_us = ?4, wake_at_us = NULL, charged_ms =
                (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = ?2)
            WHERE tenant_id = ?1 AND run_id = ?2
            """)
        finishRun = try connection.statement(
            """
            UPDATE run SET status = ?3, finished_at_us = ?4, wake_at_us = NULL, charged_ms = ?5
            WHERE tenant_id = ?1 AND run_id = ?2
            """)
        updateOpenRun = try connection.statement(
            "UPDATE run SET status = ?3, wake_at_us = ?4 WHERE tenant_id = ?1 AND run_id = ?2")
        insertEntries = try connection.statement(
            """
            INSERT INTO journal (tenant_id, run_id, sequence, entries, charge_ms, ledger_sequence)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        // Separate from the insert: an insert that reads its own table builds a temporary table each time.
        selectLaterEntries = try connection.statement(
            "SELECT 1 FROM journal WHERE run_id = ? AND sequence >= ?")
        insertLedgerEntry = try connection.statement(
            """
            INSERT INTO ledger_entry (tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us,
                previous_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        selectDedupe = try connection.statement(
            "SELECT run_id, fingerprint FROM dedupe_key WHERE tenant_id = ? AND workflow = ? AND key = ?")
        insertDedupe = try connection.statement(
            """
            INSERT INTO dedupe_key (tenant_id, workflow, key, run_id, fingerprint, stored_at_us)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
    }
}
