import Billing
import Storage
import Values

/// A disk whose rows are not what was written there: what every reader finds on it.
final class TamperedDisk: ForwardingStore, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let defect: Defect
    private let sha256: ([UInt8]) -> [UInt8]

    init(_ inner: any Store, _ defect: Defect, sha256: @escaping ([UInt8]) -> [UInt8]) {
        self.defect = defect
        self.sha256 = sha256
        super.init(inner)
    }

    override func entries(of run: RunID) throws(StoreError) -> [StoredEntry] {
        var entries = try super.entries(of: run)
        // The second changes once there is a third.
        if defect == .entriesRewritten, entries.count > 2 { entries[1].at = entries[1].at + .milliseconds(1) }
        return entries
    }

    override func account(of tenant: TenantID) throws(StoreError) -> Account {
        let account = try super.account(of: tenant)
        guard defect == .balancesMoved, account.sequence > 1 else { return account }
        return Account(
            tenant: tenant, sequence: account.sequence, balanceMilliseconds: account.balanceMilliseconds + 1,
            lastHash: account.lastHash)
    }

    override func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry]
    {
        let newest = try super.account(of: tenant).sequence
        return try super.ledger(of: tenant, before: before, limit: limit).map { entry in
            guard entry.sequence == 2 else { return entry }
            var entry = entry
            // The second changes once there is a third.
            if defect == .ledgerRewritten, newest > 2 { entry.amountMilliseconds -= 1 }
            if defect == .ledgerUnchained {
                entry.previousHash = [UInt8](repeating: 0, count: 32)
                entry.hash = sha256(entry.hashedBytes)
            }
            return entry
        }
    }
}
