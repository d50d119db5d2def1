package import Storage
package import Values

extension SQLiteStore {
    package func deployWorkflow(
        _ name: String, of tenant: TenantID, digest: [UInt8], source: [UInt8], at: Instant,
        listensToRuns: Bool
    ) throws(StoreError) -> DeployedWorkflow {
        try write { writer throws(StoreError) in
            let connection = writer.connection
            let current = try connection.first(
                "SELECT number, is_deleted FROM workflow WHERE tenant_id = ? AND name = ?",
                .integer(tenant.number), .text(name)
            ) { row throws(StoreError) in (number: row.integer(0), isDeleted: row.integer(1) != 0) }
            if let current, !current.isDeleted,
                let version = try Self.version(name, current.number, tenant, connection),
                version.digest == digest
            {
                return version
            }
            let deployed = DeployedWorkflow(
                tenant: tenant, name: name, number: (current?.number ?? 0) + 1, digest: digest,
                source: source,
                deployedAt: at)
            try Self.insert(deployed, listensToRuns, connection)
            return deployed
        }
    }

    package func runListeners() throws(StoreError) -> [WorkflowAddress] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name FROM workflow INDEXED BY workflow_listening
                WHERE listens_to_runs = 1 AND is_deleted = 0 ORDER BY tenant_id, name
                """
            ) { row throws(StoreError) in
                WorkflowAddress(tenant: try Rows.tenantID(row.integer(0)), name: row.text(1))
            }
        }
    }

    private static func insert(
        _ deployed: DeployedWorkflow, _ listensToRuns: Bool, _ connection: Connection
    ) throws(StoreError) {
        try connection.run(
            """
            INSERT INTO workflow_version (tenant_id, name, number, digest, source, deployed_at_us)
            VALUES (?, ?, ?, ?, ?, ?)
            """, .integer(deployed.tenant.number), .text(deployed.name), .integer(deployed.number),
            .blob(deployed.digest), .blob(deployed.source), .integer(deployed.deployedAt.microseconds))
        try connection.run(
            """
            INSERT INTO workflow (tenant_id, name, number, is_deleted, listens_to_runs) VALUES (?, ?, ?, 0, ?)
            ON CONFLICT DO UPDATE
            SET number = excluded.number, is_deleted = 0, listens_to_runs = excluded.listens_to_runs
            """, .integer(deployed.tenant.number), .text(deployed.name), .integer(deployed.number),
            .integer(listensToRuns ? 1 : 0))
    }

    private static func version(
        _ name: String, _ number: Int64, _ tenant: TenantID, _ connection: Connection
    ) throws(StoreError) -> DeployedWorkflow? {
        try connection.first(
            """
            SELECT tenant_id, name, number, digest, source, deployed_at_us FROM workflow_version
            WHERE tenant_id = ? AND name = ? AND number = ?
            """, .integer(tenant.number), .text(name), .integer(number), read: Rows.workflow)
    }

    package func workflow(_ name: String, of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                """
                SELECT tenant_id, name, number, digest, source, deployed_at_us
                FROM workflow JOIN workflow_version USING (tenant_id, name, number)
                WHERE tenant_id = ? AND name = ? AND is_deleted = 0
                """, .integer(tenant.number), .text(name), read: Rows.workflow)
        }
    }

    package func workflow(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                """
                SELECT tenant_id, name, number, digest, source, deployed_at_us FROM workflow_version
                WHERE tenant_id = ? AND digest = ? ORDER BY deployed_at_us DESC, name, number DESC LIMIT 1
                """, .integer(tenant.number), .blob(digest), read: Rows.workflow)
        }
    }

    package func workflows(
        of tenant: TenantID, after: String?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, number, digest, source, deployed_at_us
                FROM workflow JOIN workflow_version USING (tenant_id, name, number)
                WHERE tenant_id = ? AND name > ? AND is_deleted = 0 ORDER BY name LIMIT ?
                """, .integer(tenant.number), .text(after ?? ""), .integer(Int64(max(0, limit))),
                read: Rows.workflow)
        }
    }

    package func workflowNames(of tenant: TenantID) throws(StoreError) -> [String] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                "SELECT name FROM workflow WHERE tenant_id = ? AND is_deleted = 0 ORDER BY name",
                .integer(tenant.number)
            ) { row throws(StoreError) in row.text(0) }
        }
    }

    package func workflowCounts(of tenant: TenantID) throws(StoreError) -> WorkflowCounts {
        try readers.read { connection throws(StoreError) in
            // Counted over the index, which contains no sources.
            let counts = try connection.first(
                """
                SELECT (SELECT count(*) FROM workflow WHERE tenant_id = ?1 AND is_deleted = 0),
                    (SELECT count(*) FROM workflow_version INDEXED BY workflow_version_digest WHERE tenant_id = ?1)
                """, .integer(tenant.number)
            ) { row throws(StoreError) in
                WorkflowCounts(
                    inService: Int(clamping: row.integer(0)), versions: Int(clamping: row.integer(1)))
            }
            return counts ?? WorkflowCounts(inService: 0, versions: 0)
        }
    }

    package func allVersions(
        of tenant: TenantID, after: (name: String, number: Int64)?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, number, digest, source, deployed_at_us FROM workflow_version
                WHERE tenant_id = ? AND (name, number) > (?, ?) ORDER BY name, number LIMIT ?
                """, .integer(tenant.number), .text(after?.name ?? ""), .integer(after?.number ?? 0),
                .integer(Int64(max(0, limit))), read: Rows.workflow)
        }
    }

    package func versions(
        of name: String, of tenant: TenantID, before: Int64?, limit: Int
    ) throws(StoreError) -> [WorkflowVersion] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT number, digest, deployed_at_us FROM workflow_version
                WHERE tenant_id = ? AND name = ? AND number < ? ORDER BY number DESC LIMIT ?
                """, .integer(tenant.number), .text(name), .integer(before ?? .max),
                .integer(Int64(max(0, limit)))
            ) { row throws(StoreError) in
                WorkflowVersion(
                    number: row.integer(0), digest: row.blob(1), deployedAt: Rows.instant(row.integer(2)))
            }
        }
    }

    package func version(
        _ number: Int64, of name: String, of tenant: TenantID
    ) throws(StoreError) -> DeployedWorkflow? {
        try readers.read { connection throws(StoreError) in
            try Self.version(name, number, tenant, connection)
        }
    }

    package func deleteWorkflow(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try write { writer throws(StoreError) in
            try writer.connection.run(
                "UPDATE workflow SET is_deleted = 1 WHERE tenant_id = ? AND name = ? AND is_deleted = 0",
                .integer(tenant.number), .text(name)) == 1
        }
    }

    package func currentWorkflows() throws(StoreError) -> [DeployedWorkflow] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, number, digest, source, deployed_at_us
                FROM workflow JOIN workflow_version USING (tenant_id, name, number)
                WHERE is_deleted = 0 ORDER BY tenant_id, name
                """, read: Rows.workflow)
        }
    }

    // MARK: - Refusals

    package func countRefusals(_ refusals: [TriggerRefusal]) throws(StoreError) {
        try write { writer throws(StoreError) in
            for refusal in refusals {
                try writer.connection.run(
                    """
                    INSERT INTO trigger_refusal (tenant_id, workflow, reason, count, last_at_us, last_detail)
                    VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT DO UPDATE SET count = count + excluded.count, last_at_us = excluded.last_at_us,
                        last_detail = excluded.last_detail
                    """, .integer(refusal.tenant.number), .text(refusal.workflow),
                    .text(refusal.reason.rawValue), .integer(refusal.count),
                    .integer(refusal.lastAt.microseconds), .text(refusal.lastDetail))
            }
        }
    }

    package func refusals(of workflow: String, of tenant: TenantID) throws(StoreError) -> [TriggerRefusal] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT reason, count, last_at_us, last_detail FROM trigger_refusal
                WHERE tenant_id = ? AND workflow = ? ORDER BY reason
                """, .integer(tenant.number), .text(workflow)
            ) { row throws(StoreError) in
                guard let reason = TriggerRefusal.Reason(rawValue: row.text(0)) else {
                    throw Rows.damaged("trigger_refusal", "reason \(row.text(0))")
                }
                return TriggerRefusal(
                    tenant: tenant, workflow: workflow, reason: reason, count: row.integer(1),
                    lastAt: Rows.instant(row.integer(2)), lastDetail: row.text(3))
            }
        }
    }
}
