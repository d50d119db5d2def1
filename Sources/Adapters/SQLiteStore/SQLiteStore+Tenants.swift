package import Storage
package import Values

extension SQLiteStore {
    package func addTenant(_ tenant: Tenant) throws(StoreError) {
        try write { writer throws(StoreError) in
            do throws(StoreError) {
                try writer.connection.run(
                    """
                    INSERT INTO tenant (tenant_id, name, external_customer_id, created_at_us)
                    VALUES (?, ?, ?, ?)
                    """, .integer(tenant.tenant.number), .text(tenant.name),
                    .optional(tenant.externalCustomerID),
                    .integer(tenant.createdAt.microseconds))
            } catch .exists { throw .exists(what: "tenant \(tenant.tenant)") } catch { throw error }
        }
    }

    package func tenant(_ id: TenantID) throws(StoreError) -> Tenant? {
        try readers.read { connection throws(StoreError) in try Rows.tenant(id, connection) }
    }

    package func tenants(after: TenantID?, limit: Int) throws(StoreError) -> [Tenant] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, external_customer_id, created_at_us, suspended_at_us, suspension_reason,
                    suspension_webhooks, erasing_at_us, erased_at_us
                FROM tenant WHERE tenant_id > ? ORDER BY tenant_id LIMIT ?
                """, .integer(after?.number ?? -1), .integer(Int64(max(0, limit))), read: Rows.tenant)
        }
    }

    package func setExternalCustomer(
        _ externalCustomerID: String, of tenant: TenantID
    ) throws(StoreError) {
        try write { writer throws(StoreError) in
            let count = try writer.connection.run(
                "UPDATE tenant SET external_customer_id = ? WHERE tenant_id = ?", .text(externalCustomerID),
                .integer(tenant.number))
            guard count == 1 else { throw .missing(what: "tenant \(tenant)") }
        }
    }

    package func setSuspension(
        _ suspension: Tenant.Suspension?, of tenant: TenantID
    ) throws(StoreError) {
        try write { writer throws(StoreError) in
            let count = try writer.connection.run(
                """
                UPDATE tenant SET suspended_at_us = ?2, suspension_reason = ?3, suspension_webhooks = ?4
                WHERE tenant_id = ?1
                """, .integer(tenant.number), .optional(suspension?.since.microseconds),
                .optional(suspension?.reason), .optional(suspension?.webhooks.rawValue))
            guard count == 1 else { throw .missing(what: "tenant \(tenant)") }
        }
    }

    package func suspendedTenants() throws(StoreError) -> [Tenant] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, name, external_customer_id, created_at_us, suspended_at_us, suspension_reason,
                    suspension_webhooks, erasing_at_us, erased_at_us
                FROM tenant WHERE suspended_at_us IS NOT NULL ORDER BY tenant_id
                """, read: Rows.tenant)
        }
    }

    // MARK: - Keys

    package func addKey(_ key: APIKey) throws(StoreError) {
        try write { writer throws(StoreError) in
            do throws(StoreError) {
                try writer.connection.run(
                    """
                    INSERT INTO api_key (tenant_id, key_id, scope, secret_hash, created_at_us, revoked_at_us)
                    VALUES (?, ?, ?, ?, ?, ?)
                    """, .integer(key.tenant.number), .integer(key.key.number), .text(key.scope.rawValue),
                    .blob(key.secretHash), .integer(key.createdAt.microseconds),
                    .optional(key.revokedAt?.microseconds))
            } catch .exists { throw .exists(what: "key \(key.key)") } catch { throw error }
        }
    }

    package func key(_ id: KeyID) throws(StoreError) -> APIKey? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                """
                SELECT key_id, tenant_id, scope, secret_hash, created_at_us, revoked_at_us FROM api_key
                WHERE key_id = ?
                """, .integer(id.number), read: Rows.key)
        }
    }

    package func keys(of tenant: TenantID) throws(StoreError) -> [APIKey] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT key_id, tenant_id, scope, secret_hash, created_at_us, revoked_at_us FROM api_key
                WHERE tenant_id = ? ORDER BY key_id
                """, .integer(tenant.number), read: Rows.key)
        }
    }

    package func revokeKey(
        _ id: KeyID, of tenant: TenantID, at: Instant
    ) throws(StoreError) -> KeyRevocation {
        try write { writer throws(StoreError) in
            let scope = try writer.connection.first(
                "SELECT scope FROM api_key WHERE tenant_id = ? AND key_id = ? AND revoked_at_us IS NULL",
                .integer(tenant.number), .integer(id.number)
            ) { row throws(StoreError) in row.text(0) }
            guard let scope else { return .unknown }
            if tenant == .operatorTenant, scope == APIKey.Scope.full.rawValue {
                // In the revoking transaction: if two calls revoke the last two keys, the second one sees
                // only its own left.
                let others = try writer.connection.first(
                    """
                    SELECT count(*) FROM api_key
                    WHERE tenant_id = ? AND key_id <> ? AND scope = 'full' AND revoked_at_us IS NULL
                    """, .integer(tenant.number), .integer(id.number)
                ) { row throws(StoreError) in row.integer(0) }
                if others == 0 { return .lastOperatorKey }
            }
            try writer.connection.run(
                "UPDATE api_key SET revoked_at_us = ? WHERE tenant_id = ? AND key_id = ?",
                .integer(at.microseconds), .integer(tenant.number), .integer(id.number))
            return .revoked
        }
    }

    // MARK: - Secrets and settings

    package func setSecret(_ secret: SealedSecret) throws(StoreError) {
        try write { writer throws(StoreError) in
            try writer.connection.run(
                """
                INSERT INTO secret (tenant_id, name, version, sealed, hosts, updated_at_us)
                VALUES (?, ?, 1, ?, ?, ?)
                ON CONFLICT DO UPDATE SET version = version + 1, sealed = excluded.sealed,
                    hosts = excluded.hosts, updated_at_us = excluded.updated_at_us
                """, .integer(secret.tenant.number), .text(secret.name), .blob(secret.sealed),
                .text(secret.hosts.joined(separator: "\n")), .integer(secret.updatedAt.microseconds))
        }
    }

    package func secret(_ name: String, of tenant: TenantID) throws(StoreError) -> SealedSecret? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                "SELECT tenant_id, name, sealed, hosts, updated_at_us FROM secret WHERE tenant_id = ? AND name = ?",
                .integer(tenant.number), .text(name), read: Rows.secret)
        }
    }

    package func secrets(of tenant: TenantID) throws(StoreError) -> [SealedSecret] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                "SELECT tenant_id, name, sealed, hosts, updated_at_us FROM secret WHERE tenant_id = ? ORDER BY name",
                .integer(tenant.number), read: Rows.secret)
        }
    }

    package func deleteSecret(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try write { writer throws(StoreError) in
            try writer.connection.run(
                "DELETE FROM secret WHERE tenant_id = ? AND name = ?", .integer(tenant.number), .text(name))
                == 1
        }
    }

    package func allSecrets() throws(StoreError) -> [SealedSecret] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                "SELECT tenant_id, name, sealed, hosts, updated_at_us FROM secret ORDER BY tenant_id, name",
                read: Rows.secret)
        }
    }

    package func reseal(
        _ secrets: [SealedSecret], settings: [String: [UInt8]]
    ) throws(StoreError) {
        try write { writer throws(StoreError) in
            for secret in secrets {
                let count = try writer.connection.run(
                    "UPDATE secret SET sealed = ? WHERE tenant_id = ? AND name = ?", .blob(secret.sealed),
                    .integer(secret.tenant.number), .text(secret.name))
                guard count == 1 else { throw .missing(what: "secret \(secret.name) of \(secret.tenant)") }
            }
            for (name, value) in settings { try Self.set(name, value, writer) }
        }
    }

    package func setting(_ name: String) throws(StoreError) -> [UInt8]? {
        try readers.read { connection throws(StoreError) in
            try connection.first("SELECT value FROM setting WHERE name = ?", .text(name)) {
                row throws(StoreError) in row.blob(0)
            }
        }
    }

    package func setSetting(_ name: String, _ value: [UInt8]) throws(StoreError) {
        try write { writer throws(StoreError) in try Self.set(name, value, writer) }
    }

    private static func set(_ name: String, _ value: [UInt8], _ writer: Writer) throws(StoreError) {
        try writer.connection.run(
            """
            INSERT INTO setting (name, value) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET value = excluded.value
            """, .text(name), .blob(value))
    }
}
