import Billing
import Storage
import Values

/// What a ``MemoryStore`` keeps: the same rows as a database, found by the same keys.
///
/// Texts that come from outside are compared as bytes: Swift's `String ==` takes different spellings of
/// one character as equal, a database does not.
struct MemoryTables: Sendable {
    struct JournalRow: Sendable {
        var entry: StoredEntry
        var tenant: TenantID
        /// The ledger entry that took the charge; 0 where nothing was taken.
        var ledgerSequence: Int64
    }

    struct DedupeKey: Hashable, Sendable {
        var tenant: TenantID
        var workflow: [UInt8]
        var key: [UInt8]
    }

    struct DedupeRow: Sendable {
        var run: RunID
        var fingerprint: [UInt8]?
        var storedAt: Instant
    }

    struct LedgerPlace: Hashable, Sendable {
        var tenant: TenantID
        var sequence: Int64
    }

    struct PurchaseRow: Sendable {
        var purchase: Purchase
        var isCredited: Bool
    }

    struct Answer: Sendable {
        var fingerprint: [UInt8]
        var outcome: CreditOutcome
    }

    struct TenantName: Hashable, Sendable {
        var tenant: TenantID
        var name: [UInt8]
    }

    struct WorkflowRow: Sendable {
        /// By rising number.
        var versions: [DeployedWorkflow] = []
        var isDeleted = false
        var listensToRuns = false
    }

    var epoch: Int64 = 0
    var runs: [RunID: RunRecord] = [:]
    var journals: [RunID: [JournalRow]] = [:]
    var newestRun: RunID?
    var dedupe: [DedupeKey: DedupeRow] = [:]
    var ledgers: [TenantID: [LedgerEntry]] = [:]
    var references: [[UInt8]: LedgerPlace] = [:]
    var prunedCharges: [LedgerPlace: Int64] = [:]
    var mail: [MailPlace: Mail] = [:]
    var depletions: [(depletion: Depletion, at: Instant)] = []
    var purchases: [PurchaseID: PurchaseRow] = [:]
    var answers: [[UInt8]: Answer] = [:]
    var tenants: [TenantID: Tenant] = [:]
    var keys: [KeyID: APIKey] = [:]
    var secrets: [TenantName: SealedSecret] = [:]
    var settings: [[UInt8]: [UInt8]] = [:]
    var workflows: [TenantName: WorkflowRow] = [:]
    var refusals: [TenantName: [TriggerRefusal.Reason: TriggerRefusal]] = [:]

    func account(of tenant: TenantID) -> Account {
        guard let last = ledgers[tenant]?.last else { return Account(tenant: tenant) }
        return Account(
            tenant: tenant, sequence: last.sequence, balanceMilliseconds: last.balanceMilliseconds,
            lastHash: last.hash)
    }
}
