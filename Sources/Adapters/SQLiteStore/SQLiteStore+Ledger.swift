package import Billing
package import Storage
package import Values

extension SQLiteStore {
    package func account(of tenant: TenantID) throws(StoreError) -> Account {
        try readers.read { connection throws(StoreError) in try Rows.account(of: tenant, connection) }
    }

    package func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, sequence, kind, amount_ms, balance_ms, reference, run_id, at_us, previous_hash,
                    hash, reason
                FROM ledger_entry WHERE tenant_id = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?
                """, .integer(tenant.number), .integer(before ?? .max), .integer(Int64(max(0, limit))),
                read: Rows.ledgerEntry)
        }
    }

    package func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        try write { writer throws(StoreError) in try writer.credit(credit) }
    }

    package func ledgerDays(
        of tenant: TenantID, from: Instant, to: Instant
    ) throws(StoreError) -> [LedgerDay] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT at_us / 86400000000 AS day, sum(CASE kind WHEN 'credit' THEN amount_ms ELSE 0 END),
                    sum(CASE kind WHEN 'take_back' THEN -amount_ms ELSE 0 END),
                    sum(CASE kind WHEN 'usage' THEN -amount_ms ELSE 0 END)
                FROM ledger_entry WHERE tenant_id = ? AND at_us >= ? AND at_us < ? GROUP BY day ORDER BY day
                """, .integer(tenant.number), .integer(from.microseconds), .integer(to.microseconds)
            ) { row throws(StoreError) in
                LedgerDay(
                    day: row.integer(0), creditedMilliseconds: row.integer(1),
                    takenBackMilliseconds: row.integer(2), usedMilliseconds: row.integer(3))
            }
        }
    }

    package func addPurchase(_ purchase: Purchase) throws(StoreError) {
        try write { writer throws(StoreError) in
            do throws(StoreError) {
                try writer.connection.run(
                    """
                    INSERT INTO purchase (tenant_id, purchase_id, minutes, price_minor, currency, state,
                        created_at_us) VALUES (?, ?, ?, ?, ?, ?, ?)
                    """, .integer(purchase.tenant.number), .integer(purchase.purchase.number),
                    .integer(purchase.minutes), .integer(purchase.price.amountMinor),
                    .text(purchase.price.currency), .text(purchase.state.rawValue),
                    .integer(purchase.createdAt.microseconds))
            } catch .exists { throw .exists(what: "purchase \(purchase.purchase)") } catch { throw error }
        }
    }

    package func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase? {
        try readers.read { connection throws(StoreError) in try Rows.purchase(id, connection)?.purchase }
    }

    package func openPurchaseCount(of tenant: TenantID, since instant: Instant) throws(StoreError) -> Int {
        try readers.read { connection throws(StoreError) in
            let count = try connection.first(
                "SELECT count(*) FROM purchase WHERE tenant_id = ? AND state = 'open' AND created_at_us >= ?",
                .integer(tenant.number), .integer(instant.microseconds)
            ) { row throws(StoreError) in row.integer(0) }
            return Int(clamping: count ?? 0)
        }
    }

    package func verifyLedgers() throws(StoreError) -> LedgerVerification {
        try readers.readTogether { connection throws(StoreError) in
            var verifier = LedgerVerifier(connection: connection, sha256: sha256)
            return try verifier.verify()
        }
    }
}
