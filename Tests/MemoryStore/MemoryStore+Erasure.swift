package import Storage
package import Values

extension MemoryStore {
    package func beginErasure(of tenant: TenantID, at: Instant) throws(StoreError) {
        try write { tables throws(StoreError) in
            guard var row = tables.tenants[tenant] else { throw .missing(what: "tenant \(tenant)") }
            row.erasure = row.erasure ?? Tenant.Erasure(since: at)
            row.suspension = Tenant.Suspension(
                since: row.suspension?.since ?? at, reason: "erasure", webhooks: .refuse)
            tables.tenants[tenant] = row
            tables.keys = tables.keys.filter { $0.value.tenant != tenant }
        }
    }

    package func tenantsBeingErased() throws(StoreError) -> [Tenant] {
        try read { tables throws(StoreError) in
            tables.tenants.values.filter { $0.erasure.map { $0.endedAt == nil } ?? false }
                .sorted { $0.tenant < $1.tenant }
        }
    }

    package func eraseData(
        of tenant: TenantID, limit: Int, at: Instant
    ) throws(StoreError) -> Bool {
        try write { tables throws(StoreError) in
            let runs = tables.runs.values.filter { $0.tenant == tenant }.map(\.run).sorted()
            guard runs.isEmpty else {
                for run in runs.prefix(max(1, limit)) { tables.delete(run) }
                return false
            }
            tables.dedupe = tables.dedupe.filter { $0.key.tenant != tenant }
            tables.secrets = tables.secrets.filter { $0.key.tenant != tenant }
            tables.keys = tables.keys.filter { $0.value.tenant != tenant }
            tables.workflows = tables.workflows.filter { $0.key.tenant != tenant }
            tables.refusals = tables.refusals.filter { $0.key.tenant != tenant }
            tables.depletions.removeAll { $0.depletion.tenant == tenant }
            tables.mail = tables.mail.filter { $0.key.tenant != tenant }
            tables.tenants[tenant]?.name = "erased"
            tables.tenants[tenant]?.externalCustomerID = nil
            tables.tenants[tenant]?.erasure?.endedAt = at
            return true
        }
    }
}
