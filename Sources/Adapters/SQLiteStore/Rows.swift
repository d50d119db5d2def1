import Billing
import CSQLite
import Storage
import Values

/// Converts rows to values; throws damage if a row has no valid meaning.
enum Rows {
    static func damaged(_ table: String, _ reason: String) -> StoreError {
        .failed(code: SQLITE_CORRUPT, message: "table \(table) is damaged: \(reason)")
    }

    private static func identifier<Kind>(
        _ number: Int64, _ kind: Kind.Type = Kind.self
    ) throws(StoreError) -> Identifier<Kind> {
        guard number >= 0 else {
            throw .failed(code: SQLITE_CORRUPT, message: "the file is damaged: \(Kind.prefix) id \(number)")
        }
        return Identifier(number: number)
    }

    static func runID(_ number: Int64) throws(StoreError) -> RunID { try identifier(number) }
    static func tenantID(_ number: Int64) throws(StoreError) -> TenantID { try identifier(number) }
    static func keyID(_ number: Int64) throws(StoreError) -> KeyID { try identifier(number) }
    static func purchaseID(_ number: Int64) throws(StoreError) -> PurchaseID { try identifier(number) }

    /// Reads `run_id, fingerprint` of a dedupe key.
    static func duplicate(
        _ row: Statement, of dedupe: RunCommit.Dedupe
    ) throws(StoreError) -> (first: RunID, isSameContent: Bool) {
        let first = try runID(row.integer(0))
        guard let stored = row.optionalBlob(1), let sent = dedupe.fingerprint else { return (first, true) }
        return (first, stored == sent)
    }

    static func instant(_ number: Int64) -> Instant { Instant(microseconds: number) }

    // MARK: - Ledger

    /// A tenant's account, derived from its last ledger entry.
    static func account(of tenant: TenantID, _ connection: Connection) throws(StoreError) -> Account {
        let last = try connection.first(
            """
            SELECT sequence, balance_ms, hash FROM ledger_entry WHERE tenant_id = ?
            ORDER BY sequence DESC LIMIT 1
            """, .integer(tenant.number)
        ) { row throws(StoreError) in
            Account(
                tenant: tenant, sequence: row.integer(0), balanceMilliseconds: row.integer(1),
                lastHash: row.blob(2))
        }
        return last ?? Account(tenant: tenant)
    }

    /// Reads `tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us, previous_hash, hash, reason`.
    static func ledgerEntry(_ row: Statement) throws(StoreError) -> LedgerEntry {
        guard let kind = LedgerEntry.Kind(rawValue: row.text(2)) else {
            throw damaged("ledger_entry", "kind \(row.text(2)) of entry \(row.integer(1))")
        }
        var run: RunID?
        if let number = row.optionalInteger(6) { run = try runID(number) }
        return LedgerEntry(
            tenant: try tenantID(row.integer(0)), sequence: row.integer(1), kind: kind,
            amountMilliseconds: row.integer(3), balanceMilliseconds: row.integer(4),
            reference: row.optionalText(5), run: run, reason: row.optionalText(10),
            at: instant(row.integer(7)),
            previousHash: row.blob(8), hash: row.blob(9))
    }

    static func ledgerEntry(
        _ tenant: Int64, _ sequence: Int64, _ connection: Connection
    ) throws(StoreError) -> LedgerEntry? {
        try connection.first(
            """
            SELECT tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us, previous_hash, hash,
                reason
            FROM ledger_entry WHERE tenant_id = ? AND sequence = ?
            """, .integer(tenant), .integer(sequence), read: ledgerEntry)
    }

    /// The ledger entry of a credit reference, of any tenant.
    static func credit(reference: String, _ connection: Connection) throws(StoreError) -> LedgerEntry? {
        let place = try connection.first(
            "SELECT tenant_id, sequence FROM credit_reference WHERE reference = ?", .text(reference)
        ) { row throws(StoreError) in (row.integer(0), row.integer(1)) }
        guard let place else { return nil }
        guard let entry = try ledgerEntry(place.0, place.1, connection) else {
            throw damaged("credit_reference", "\(reference) names no ledger entry")
        }
        return entry
    }

    static func purchase(
        _ id: PurchaseID, _ connection: Connection
    ) throws(StoreError) -> (purchase: Purchase, isCredited: Bool)? {
        try connection.first(
            """
            SELECT tenant_id, minutes, price_minor, currency, state, created_at_us, credited_reference
            FROM purchase WHERE purchase_id = ?
            """, .integer(id.number)
        ) { row throws(StoreError) in
            guard let state = Purchase.State(rawValue: row.text(4)) else {
                throw damaged("purchase", "state \(row.text(4)) of \(id)")
            }
            let purchase = Purchase(
                purchase: id, tenant: try tenantID(row.integer(0)), minutes: row.integer(1),
                price: Credit.Paid(amountMinor: row.integer(2), currency: row.text(3)), state: state,
                createdAt: instant(row.integer(5)))
            return (purchase, !row.isNull(6))
        }
    }

    // MARK: - Tenants

    static func tenant(_ id: TenantID, _ connection: Connection) throws(StoreError) -> Tenant? {
        try connection.first(
            """
            SELECT tenant_id, name, external_customer_id, created_at_us, suspended_at_us, suspension_reason,
                suspension_webhooks, erasing_at_us, erased_at_us
            FROM tenant WHERE tenant_id = ?
            """, .integer(id.number), read: tenant)
    }

    /// Reads `tenant_id, name, external_customer_id, created_at_us, suspended_at_us, suspension_reason,
    /// suspension_webhooks, erasing_at_us, erased_at_us`.
    static func tenant(_ row: Statement) throws(StoreError) -> Tenant {
        var tenant = Tenant(
            tenant: try tenantID(row.integer(0)), name: row.text(1), externalCustomerID: row.optionalText(2),
            createdAt: instant(row.integer(3)))
        if let since = row.optionalInteger(4) {
            guard let webhooks = Tenant.Suspension.Webhooks(rawValue: row.text(6)) else {
                throw damaged("tenant", "suspension_webhooks \(row.text(6))")
            }
            tenant.suspension = Tenant.Suspension(
                since: instant(since), reason: row.text(5), webhooks: webhooks)
        }
        if let since = row.optionalInteger(7) {
            tenant.erasure = Tenant.Erasure(
                since: instant(since), endedAt: row.optionalInteger(8).map(instant))
        }
        return tenant
    }

    /// Reads `key_id, tenant_id, scope, secret_hash, created_at_us, revoked_at_us`.
    static func key(_ row: Statement) throws(StoreError) -> APIKey {
        guard let scope = APIKey.Scope(rawValue: row.text(2)) else {
            throw damaged("api_key", "scope \(row.text(2))")
        }
        return APIKey(
            key: try keyID(row.integer(0)), tenant: try tenantID(row.integer(1)), scope: scope,
            secretHash: row.blob(3), createdAt: instant(row.integer(4)),
            revokedAt: row.optionalInteger(5).map(instant))
    }

    /// Reads `tenant_id, name, sealed, hosts, updated_at_us`.
    static func secret(_ row: Statement) throws(StoreError) -> SealedSecret {
        SealedSecret(
            tenant: try tenantID(row.integer(0)), name: row.text(1), sealed: row.blob(2),
            hosts: row.text(3).split(separator: "\n").map(String.init), updatedAt: instant(row.integer(4)))
    }

    // MARK: - Workflows and runs

    /// Reads `tenant_id, name, number, digest, source, deployed_at_us`.
    static func workflow(_ row: Statement) throws(StoreError) -> DeployedWorkflow {
        DeployedWorkflow(
            tenant: try tenantID(row.integer(0)), name: row.text(1), number: row.integer(2),
            digest: row.blob(3),
            source: row.blob(4), deployedAt: instant(row.integer(5)))
    }

    /// Reads `tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
    /// origin_run_id, charged_ms`.
    static func run(_ row: Statement) throws(StoreError) -> RunRecord {
        guard let status = RunStatus(rawValue: row.text(5)) else {
            throw damaged("run", "status \(row.text(5))")
        }
        var origin: RunID?
        if let number = row.optionalInteger(9) { origin = try runID(number) }
        return RunRecord(
            run: try runID(row.integer(1)), tenant: try tenantID(row.integer(0)), workflow: row.text(2),
            digest: row.blob(3), trigger: row.text(4), status: status, startedAt: instant(row.integer(6)),
            finishedAt: row.optionalInteger(7).map(instant), wakeAt: row.optionalInteger(8).map(instant),
            origin: origin, chargedMilliseconds: row.integer(10))
    }
}
