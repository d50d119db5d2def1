package import Storage
package import Values

/// Erasing a tenant: runs, keys, secrets, workflows and its name. The ledger, purchases and idempotency keys
/// stay.
extension SQLiteStore {
    package func beginErasure(of tenant: TenantID, at: Instant) throws(StoreError) {
        try write { writer throws(StoreError) in
            let count = try writer.connection.run(
                """
                UPDATE tenant SET erasing_at_us = coalesce(erasing_at_us, ?2),
                    suspended_at_us = coalesce(suspended_at_us, ?2), suspension_reason = 'erasure',
                    suspension_webhooks = 'refuse'
                WHERE tenant_id = ?1
                """, .integer(tenant.number), .integer(at.microseconds))
            guard count == 1 else { throw .missing(what: "tenant \(tenant)") }
            try writer.connection.run("DELETE FROM api_key WHERE tenant_id = ?", .integer(tenant.number))
        }
    }

    package func tenantsBeingErased() throws(StoreError) -> [Tenant] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, external_customer_id, created_at_us, suspended_at_us, suspension_reason,
                    suspension_webhooks, erasing_at_us, erased_at_us
                FROM tenant WHERE erasing_at_us IS NOT NULL AND erased_at_us IS NULL ORDER BY tenant_id
                """, read: Rows.tenant)
        }
    }

    package func eraseData(
        of tenant: TenantID, limit: Int, at: Instant
    ) throws(StoreError) -> Bool {
        try write { writer throws(StoreError) in
            let connection = writer.connection
            // Deleted content is overwritten in the file and does not remain in free pages.
            let before = try connection.integer("PRAGMA secure_delete") ?? 0
            try connection.execute("PRAGMA secure_delete = ON")
            do throws(StoreError) {
                let isDone = try Self.erase(tenant, limit: limit, at: at, connection)
                try connection.execute("PRAGMA secure_delete = \(before)")
                return isDone
            } catch {
                try connection.execute("PRAGMA secure_delete = \(before)")
                throw error
            }
        }
    }

    private static func erase(
        _ tenant: TenantID, limit: Int, at: Instant, _ connection: Connection
    ) throws(StoreError) -> Bool {
        let runs = try connection.all(
            "SELECT run_id FROM run WHERE tenant_id = ? LIMIT ?", .integer(tenant.number),
            .integer(Int64(max(1, limit)))
        ) { row throws(StoreError) in row.integer(0) }
        for run in runs { try delete(run, of: tenant.number, connection) }
        if let newest = runs.max() {
            try connection.run(
                "UPDATE shard_lease SET deleted_run_id = max(deleted_run_id, ?) WHERE shard = 0",
                .integer(newest))
            return false
        }
        for statement in [
            "DELETE FROM dedupe_key WHERE tenant_id = ?", "DELETE FROM secret WHERE tenant_id = ?",
            "DELETE FROM api_key WHERE tenant_id = ?", "DELETE FROM workflow WHERE tenant_id = ?",
            "DELETE FROM workflow_version WHERE tenant_id = ?",
            "DELETE FROM trigger_refusal WHERE tenant_id = ?", "DELETE FROM depletion WHERE tenant_id = ?",
            "DELETE FROM mail WHERE tenant_id = ?",
        ] as [StaticString] {
            try connection.run(statement, .integer(tenant.number))
        }
        try connection.run(
            """
            UPDATE tenant SET name = 'erased', external_customer_id = NULL, erased_at_us = ?2 WHERE tenant_id = ?1
            """, .integer(tenant.number), .integer(at.microseconds))
        return true
    }
}
