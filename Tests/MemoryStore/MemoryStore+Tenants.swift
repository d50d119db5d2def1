package import Storage
package import Values

extension MemoryStore {
    package func addTenant(_ tenant: Tenant) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard tables.tenants[tenant.tenant] == nil else { throw .exists(what: "tenant \(tenant.tenant)") }
            tables.tenants[tenant.tenant] = tenant
        }
    }

    package func tenant(_ id: TenantID) throws(StoreError) -> Tenant? {
        try read { tables throws(StoreError) in tables.tenants[id] }
    }

    package func tenants(after: TenantID?, limit: Int) throws(StoreError) -> [Tenant] {
        try read { tables throws(StoreError) in
            let found = tables.tenants.values.filter { tenant in after.map { tenant.tenant > $0 } ?? true }
            return Array(found.sorted { $0.tenant < $1.tenant }.prefix(max(0, limit)))
        }
    }

    package func setExternalCustomer(
        _ externalCustomerID: String, of tenant: TenantID
    ) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard tables.tenants[tenant] != nil else { throw .missing(what: "tenant \(tenant)") }
            tables.tenants[tenant]?.externalCustomerID = externalCustomerID
        }
    }

    package func setSuspension(
        _ suspension: Tenant.Suspension?, of tenant: TenantID
    ) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard tables.tenants[tenant] != nil else { throw .missing(what: "tenant \(tenant)") }
            tables.tenants[tenant]?.suspension = suspension
        }
    }

    package func suspendedTenants() throws(StoreError) -> [Tenant] {
        try read { tables throws(StoreError) in
            tables.tenants.values.filter { $0.suspension != nil }.sorted { $0.tenant < $1.tenant }
        }
    }

    // MARK: - Keys

    package func addKey(_ key: APIKey) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard tables.keys[key.key] == nil else { throw .exists(what: "key \(key.key)") }
            tables.keys[key.key] = key
        }
    }

    package func key(_ id: KeyID) throws(StoreError) -> APIKey? {
        try read { tables throws(StoreError) in tables.keys[id] }
    }

    package func keys(of tenant: TenantID) throws(StoreError) -> [APIKey] {
        try read { tables throws(StoreError) in
            tables.keys.values.filter { $0.tenant == tenant }.sorted { $0.key < $1.key }
        }
    }

    package func revokeKey(
        _ id: KeyID, of tenant: TenantID, at: Instant
    ) throws(StoreError) -> KeyRevocation {
        try write { tables throws(StoreError) in
            func isLive(_ key: APIKey) -> Bool { key.tenant == tenant && key.revokedAt == nil }
            guard let key = tables.keys[id], isLive(key) else { return .unknown }
            if tenant == .operatorTenant, key.scope == .full,
                tables.keys.values.count(where: { isLive($0) && $0.scope == .full }) == 1
            {
                return .lastOperatorKey
            }
            tables.keys[id]?.revokedAt = at
            return .revoked
        }
    }

    // MARK: - Secrets and settings

    package func setSecret(_ secret: SealedSecret) throws(StoreError) {
        try write { tables throws(StoreError) in
            tables.secrets[MemoryTables.TenantName(secret.tenant, secret.name)] = secret
        }
    }

    package func secret(_ name: String, of tenant: TenantID) throws(StoreError) -> SealedSecret? {
        try read { tables throws(StoreError) in tables.secrets[MemoryTables.TenantName(tenant, name)] }
    }

    package func secrets(of tenant: TenantID) throws(StoreError) -> [SealedSecret] {
        try read { tables throws(StoreError) in
            tables.secrets.filter { $0.key.tenant == tenant }
                .sorted { $0.key.name.lexicographicallyPrecedes($1.key.name) }.map(\.value)
        }
    }

    package func deleteSecret(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try write { tables throws(StoreError) in
            tables.secrets.removeValue(forKey: MemoryTables.TenantName(tenant, name)) != nil
        }
    }

    package func allSecrets() throws(StoreError) -> [SealedSecret] {
        try read { tables throws(StoreError) in
            tables.secrets.values.sorted { left, right in
                left.tenant == right.tenant
                    ? left.name.utf8.lexicographicallyPrecedes(right.name.utf8) : left.tenant < right.tenant
            }
        }
    }

    package func reseal(
        _ secrets: [SealedSecret], settings: [String: [UInt8]]
    ) throws(StoreError) {
        try write { tables throws(StoreError) in
            for secret in secrets where tables.secrets[MemoryTables.TenantName(secret)] == nil {
                throw .missing(what: "secret \(secret.name) of \(secret.tenant)")
            }
            for secret in secrets {
                tables.secrets[MemoryTables.TenantName(secret)]?.sealed = secret.sealed
            }
            for (name, value) in settings { tables.settings[Array(name.utf8)] = value }
        }
    }

    package func setting(_ name: String) throws(StoreError) -> [UInt8]? {
        try read { tables throws(StoreError) in tables.settings[Array(name.utf8)] }
    }

    package func setSetting(_ name: String, _ value: [UInt8]) throws(StoreError) {
        try write { tables throws(StoreError) in tables.settings[Array(name.utf8)] = value }
    }
}

extension MemoryTables.TenantName {
    init(_ secret: SealedSecret) { self.init(secret.tenant, secret.name) }

    init(_ tenant: TenantID, _ name: String) { self.init(tenant: tenant, name: Array(name.utf8)) }
}
