import Billing
import Storage
import Values

/// Reads every ledger from its first entry, in step with the charges in the journals.
///
/// Both are read in the order of tenant and sequence, so only the current entries are in memory.
struct LedgerVerifier {
    private let connection: Connection
    private let sha256: ([UInt8]) -> [UInt8]
    private var result = LedgerVerification(
        tenantCount: 0, entryCount: 0, creditedMilliseconds: 0, usedMilliseconds: 0, findings: [])
    /// The ledger being read; nil after its first finding, because the rest would prove nothing.
    private var audit: LedgerAudit?
    private var tenant: TenantID?
    private var charge: JournalCharge?

    /// The charges of journal entries, including those of deleted runs, that name one usage entry.
    private struct JournalCharge {
        var tenant: Int64
        var sequence: Int64
        var milliseconds: Int64
    }

    init(connection: Connection, sha256: @escaping ([UInt8]) -> [UInt8]) {
        self.connection = connection
        self.sha256 = sha256
    }

    mutating func verify() throws(StoreError) -> LedgerVerification {
        let charges = try connection.statement(
            """
            SELECT tenant_id, sequence, sum(charge_ms) FROM (
                SELECT tenant_id, ledger_sequence AS sequence, charge_ms FROM journal
                WHERE ledger_sequence <> 0
                UNION ALL SELECT tenant_id, sequence, charge_ms FROM pruned_charge)
            GROUP BY tenant_id, sequence ORDER BY tenant_id, sequence
            """)
        defer { charges.reset() }
        let entries = try connection.statement(
            """
            SELECT tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us, previous_hash, hash,
                reason
            FROM ledger_entry ORDER BY tenant_id, sequence
            """)
        defer { entries.reset() }
        try advance(charges)
        while try entries.step() {
            try skip(charges, to: (entries.integer(0), entries.integer(1)))
            try check(entries)
            if charge?.tenant == entries.integer(0), charge?.sequence == entries.integer(1) {
                try advance(charges)
            }
        }
        try skip(charges, to: nil)
        try checkReferences()
        return result
    }

    private mutating func advance(_ charges: Statement) throws(StoreError) {
        guard try charges.step() else { return charge = nil }
        charge = JournalCharge(
            tenant: charges.integer(0), sequence: charges.integer(1), milliseconds: charges.integer(2))
    }

    /// Skips charges before `place`; each one names a ledger entry that does not exist.
    private mutating func skip(
        _ charges: Statement, to place: (tenant: Int64, sequence: Int64)?
    ) throws(StoreError) {
        while let orphan = charge, place.map({ (orphan.tenant, orphan.sequence) < $0 }) ?? true {
            find(orphan.tenant, orphan.sequence, "journal entries name it, but it does not exist")
            try advance(charges)
        }
    }

    private mutating func find(_ tenant: Int64, _ sequence: Int64, _ reason: String) {
        result.findings.append(
            LedgerAudit.Finding(tenant: TenantID(number: max(0, tenant)), sequence: sequence, reason: reason))
    }

    private mutating func check(_ row: Statement) throws(StoreError) {
        let entry: LedgerEntry
        do throws(StoreError) { entry = try Rows.ledgerEntry(row) } catch {
            return find(row.integer(0), row.integer(1), "a field of it cannot be read")
        }
        if tenant != entry.tenant {
            tenant = entry.tenant
            audit = LedgerAudit(tenant: entry.tenant)
            result.tenantCount += 1
        }
        result.entryCount += 1
        if var audit {
            do throws(LedgerAudit.Finding) {
                try audit.check(entry, sha256: sha256)
                self.audit = audit
            } catch {
                result.findings.append(error)
                self.audit = nil
            }
        }
        switch entry.kind {
        case .credit:
            result.creditedMilliseconds &+= entry.amountMilliseconds
            try checkReference(of: entry)
        case .takeBack:
            result.takenBackMilliseconds &-= entry.amountMilliseconds
            try checkReference(of: entry)
        case .usage: checkUsage(entry)
        }
    }

    private mutating func checkReference(of entry: LedgerEntry) throws(StoreError) {
        let holds = try connection.first(
            "SELECT 1 FROM credit_reference WHERE reference = ? AND tenant_id = ? AND sequence = ?",
            .text(entry.reference ?? ""), .integer(entry.tenant.number), .integer(entry.sequence)
        ) { _ throws(StoreError) in true }
        if holds == nil { find(entry.tenant.number, entry.sequence, "its reference is not recorded as used") }
    }

    private mutating func checkUsage(_ entry: LedgerEntry) {
        result.usedMilliseconds &-= entry.amountMilliseconds
        let isHere = charge?.tenant == entry.tenant.number && charge?.sequence == entry.sequence
        let charged = isHere ? charge?.milliseconds ?? 0 : 0
        guard charged != 0 &- entry.amountMilliseconds else { return }
        find(
            entry.tenant.number, entry.sequence,
            "it took \(0 &- entry.amountMilliseconds) ms, but the journal entries that name it charged \(charged) ms"
        )
    }

    /// Reports references whose credit does not exist.
    private mutating func checkReferences() throws(StoreError) {
        let lost = try connection.all(
            """
            SELECT tenant_id, sequence FROM credit_reference AS used WHERE NOT EXISTS (
                SELECT 1 FROM ledger_entry WHERE tenant_id = used.tenant_id AND sequence = used.sequence
                AND reference = used.reference)
            ORDER BY tenant_id, sequence
            """
        ) { row throws(StoreError) in (row.integer(0), row.integer(1)) }
        for (tenant, sequence) in lost {
            find(tenant, sequence, "a reference names it, but it is not that credit")
        }
    }
}
