import Billing
import Storage
import Values

/// Charges: one ledger entry per tenant and transaction.
extension Writer {
    /// The sequence of the ledger entry that will contain a commit's charge; 0 if there is no charge.
    ///
    /// - Throws: ``StoreError/outOfRange(what:)`` if the balance would leave its range.
    func reserve(_ charge: Int64, for commit: RunCommit) throws(StoreError) -> Int64 {
        guard commit.isMetered, charge > 0 else { return 0 }
        let account = try account(of: commit.tenant)
        let waiting = group.usage[commit.tenant]?.milliseconds ?? 0
        let (sum, overflows) = waiting.addingReportingOverflow(charge)
        let limit = Account.amountMillisecondsMax
        guard !overflows, sum <= limit, account.balanceMilliseconds - sum >= -limit else {
            throw .outOfRange(what: "balance of \(commit.tenant)")
        }
        return account.sequence + 1
    }

    /// Adds the charge of a stored commit to its tenant's pending usage entry.
    func add(_ charge: Int64, of commit: RunCommit, index: Int) {
        let at = commit.entries.last?.at ?? clock()
        guard var usage = group.usage[commit.tenant] else {
            group.usage[commit.tenant] = WriteGroup.Usage(
                milliseconds: charge, run: commit.run, at: at, index: index)
            return
        }
        usage.milliseconds += charge
        if usage.run != commit.run { usage.run = nil }
        usage.at = max(usage.at, at)
        usage.index = index
        group.usage[commit.tenant] = usage
    }

    /// Writes the pending usage entries of all tenants, in the order of their ids.
    func closeAllUsage() throws(StoreError) {
        if group.usage.count > 1 {
            for tenant in group.usage.keys.sorted() { try closeUsage(of: tenant) }
        } else if let tenant = group.usage.keys.first {
            try closeUsage(of: tenant)
        }
    }

    /// Writes a tenant's pending usage entry, if there is one, and records a depletion if it crosses zero.
    func closeUsage(of tenant: TenantID) throws(StoreError) {
        guard let usage = group.usage.removeValue(forKey: tenant) else { return }
        var account = try account(of: tenant)
        let entry: LedgerEntry
        do throws(LedgerError) {
            entry = try account.charge(usage.milliseconds, run: usage.run, at: usage.at, sha256: sha256)
        } catch { throw .outOfRange(what: "balance of \(tenant)") }
        try insert(entry)
        group.accounts[tenant] = account
        if let depletion = try noteDepletion(by: entry) { group.depletions[usage.index] = depletion }
    }

    /// Adds a depletion to the outbox if an entry crossed zero.
    @discardableResult
    func noteDepletion(by entry: LedgerEntry) throws(StoreError) -> Depletion? {
        guard let depletion = Depletion(crossedBy: entry) else { return nil }
        try connection.run(
            "INSERT INTO depletion (tenant_id, sequence, balance_ms, at_us) VALUES (?, ?, ?, ?)",
            .integer(entry.tenant.number), .integer(entry.sequence), .integer(entry.balanceMilliseconds),
            .integer(entry.at.microseconds))
        return depletion
    }

    func insert(_ entry: LedgerEntry) throws(StoreError) {
        guard entry.reason == nil else { return try insertWithReason(entry) }
        let statement = statements.insertLedgerEntry
        try statement.bind([
            .integer(entry.tenant.number), .integer(entry.sequence), .text(entry.kind.rawValue),
            .integer(entry.amountMilliseconds), .integer(entry.balanceMilliseconds),
            .optional(entry.reference),
            .optional(entry.run?.number), .integer(entry.at.microseconds), .blob(entry.previousHash),
            .blob(entry.hash),
        ])
        try statement.run()
    }

    /// A statement of its own, because every charge uses the shorter one above.
    private func insertWithReason(_ entry: LedgerEntry) throws(StoreError) {
        try connection.run(
            """
            INSERT INTO ledger_entry (tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us,
                previous_hash, hash, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, .integer(entry.tenant.number), .integer(entry.sequence), .text(entry.kind.rawValue),
            .integer(entry.amountMilliseconds), .integer(entry.balanceMilliseconds),
            .optional(entry.reference), .optional(entry.run?.number), .integer(entry.at.microseconds),
            .blob(entry.previousHash), .blob(entry.hash), .optional(entry.reason))
    }
}
