package import Billing
package import Values

/// All that Millrace keeps.
///
/// Each member is one whole transaction; what returned is synced to disk.
///
/// Reading members may be called from any thread and see every transaction that has returned.
/// Writing members block the caller until they are durable, except ``RunStore/commit(_:inPlace:completion:)``.
package protocol Store: RunStore, LedgerStore, TenantStore, WorkflowStore {
    /// Refuses further work, ends what was queued, and closes the files. Idempotent.
    func close()
    /// Whether a commit of ordinary size would find room: writes as much and takes it back.
    ///
    /// - Throws: ``StoreError/full`` where it would not.
    func checkRoom() throws(StoreError)
    /// Bytes on disk, for metrics.
    var byteCountOnDisk: Int64 { get }
    /// Transactions synced since opening, for metrics and the benchmark.
    var flushCount: Int64 { get }
}

/// Runs and their journals.
package protocol RunStore: Sendable {
    /// Rises by 1 each time the store is opened for running; every write checks that it is still the
    /// newest, so a process that was taken over can write nothing (I2).
    var epoch: Int64 { get }

    /// Stores a commit in one transaction, together with others that wait (group commit). Commits
    /// are stored in the order of the calls.
    ///
    /// - Parameters:
    ///   - commit: What to store.
    ///   - inPlace: A hint that nothing else is waiting: the caller's thread may do the work itself
    ///     if the store is idle, which spares two hand-offs.
    ///   - completion: Called exactly once, on the store's thread (or the caller's when in place), after
    ///     the sync. It must not block. On failure nothing of this commit has been stored: a
    ///     taken sequence number (``StoreError/exists(what:)``) fails this commit alone; a failed disk fails
    ///     the whole transaction.
    func commit(
        _ commit: RunCommit, inPlace: Bool,
        completion: @escaping @Sendable (Result<CommitReceipt, StoreError>) -> Void)

    /// As a start under that key would be answered; nil where it would be stored.
    func duplicate(
        of dedupe: RunCommit.Dedupe, workflow: String, of tenant: TenantID
    ) throws(StoreError) -> CommitReceipt?

    /// A run of that tenant; nil for a foreign or unknown one.
    func run(_ run: RunID, of tenant: TenantID) throws(StoreError) -> RunRecord?
    /// The tenant's runs, newest first.
    func runs(of tenant: TenantID, _ query: RunQuery) throws(StoreError) -> [RunRecord]
    /// The journal of a run in sequence order; empty for an unknown one.
    func entries(of run: RunID) throws(StoreError) -> [StoredEntry]
    /// Of these, from the first with a sequence above `after`, at most `limit`, and as many as have no more than
    /// `byteCountMax` bytes of facts and bodies together, but for a first one that is larger; of the others
    /// no more are read than one commit has.
    func entries(
        of run: RunID, after sequence: Int64, limit: Int, byteCountMax: Int
    ) throws(StoreError) -> JournalPage
    /// Up to `limit` runs of all tenants that are running or paused, with id above `after`, by rising id.
    func openRuns(after: RunID?, limit: Int) throws(StoreError) -> [RunRecord]
    /// Up to `limit` waiting runs of all tenants that go on by themselves, after that place in the order of waking.
    func waitingRuns(after: WakeTime?, limit: Int) throws(StoreError) -> [WakeTime]
    /// A waiting run of whichever tenant; nil for one that is not waiting.
    func waitingRun(_ run: RunID) throws(StoreError) -> RunRecord?
    /// Waiting runs of all tenants that such a trigger started, and nobody made out of another run, by rising id.
    func waitingRuns(startedBy trigger: String) throws(StoreError) -> [RunRecord]
    /// How many runs of all tenants are waiting.
    func waitingRunCount() throws(StoreError) -> Int
    /// The greatest run id ever stored; nil for none.
    func newestRun() throws(StoreError) -> RunID?
    /// Deletes runs that were over before `instant`, with their journals, at most `limit`; their
    /// dedupe keys stay (see ``forgetDedupeKeys(before:limit:)``). Returns how many.
    ///
    /// With `startedSince` only runs that began then or later, and those that took longer than
    /// ``RunRecord/longDuration``: a caller that has deleted all others need not have them looked for among the
    /// runs that are still open, of which there may be a million.
    func deleteRuns(
        finishedBefore instant: Instant, startedSince: Instant?, limit: Int
    ) throws(StoreError) -> Int
    /// Deletes dedupe keys of tenants other than the operator stored before `instant`, at most `limit`.
    func forgetDedupeKeys(before instant: Instant, limit: Int) throws(StoreError) -> Int
    /// Mail that nobody has acted upon, by its place, after that one; at most `limit`.
    func pendingMail(after: MailPlace?, limit: Int) throws(StoreError) -> [Mail]
    /// Removes mail that needs no action; there may be none.
    func dropMail(_ place: MailPlace) throws(StoreError)
    /// Depletions that no run has answered yet, oldest first.
    func pendingDepletions() throws(StoreError) -> [Depletion]
    /// Removes a depletion that needs no answer (no workflow listens to the hook).
    func dropDepletion(_ depletion: Depletion) throws(StoreError)
}

extension RunStore {
    /// For a store that has every journal at hand.
    package func entries(
        of run: RunID, after sequence: Int64, limit: Int, byteCountMax: Int
    ) throws(StoreError) -> JournalPage {
        var page = JournalPage(limit: limit, byteCountMax: byteCountMax)
        for entry in try entries(of: run) where entry.sequence > sequence && !page.isFull { page.take(entry) }
        return page
    }
}

/// Balances, ledgers and purchases.
package protocol LedgerStore: Sendable {
    /// The tenant's account; a tenant without entries has 0.
    func account(of tenant: TenantID) throws(StoreError) -> Account
    /// Entries newest first, with sequence below `before`.
    func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry]
    /// Adds a credit, or takes one back, once per reference for ever, and once per idempotency key; both in the
    /// transaction that writes the entry, settles the purchase, and raises a depletion where the balance crosses zero.
    func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome
    /// What a tenant's ledger holds of the days from `from` up to `to`, by rising day; days without entries are left
    /// out. Days are those of UTC.
    func ledgerDays(of tenant: TenantID, from: Instant, to: Instant) throws(StoreError) -> [LedgerDay]
    /// Records a purchase before anyone is asked to pay.
    func addPurchase(_ purchase: Purchase) throws(StoreError)
    func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase?
    /// How many purchases of a tenant are open that were recorded at `instant` or later.
    func openPurchaseCount(of tenant: TenantID, since instant: Instant) throws(StoreError) -> Int
    /// Every ledger from its first entry, each usage entry against the journal entries that it
    /// charged (where these are still kept), each balance against its account.
    func verifyLedgers() throws(StoreError) -> LedgerVerification
}

/// One day of a tenant's ledger, in milliseconds of run time, all of them positive.
package struct LedgerDay: Sendable, Hashable {
    /// Days since 1970-01-01.
    package var day: Int64
    package var creditedMilliseconds: Int64
    package var takenBackMilliseconds: Int64
    package var usedMilliseconds: Int64

    package static let microseconds: Int64 = 86_400_000_000

    package init(
        day: Int64, creditedMilliseconds: Int64, takenBackMilliseconds: Int64, usedMilliseconds: Int64
    ) {
        self.day = day
        self.creditedMilliseconds = creditedMilliseconds
        self.takenBackMilliseconds = takenBackMilliseconds
        self.usedMilliseconds = usedMilliseconds
    }
}

/// A credit that the operator's workflow asks for, or minutes that the operator takes back.
package struct Credit: Sendable, Hashable {
    package struct Paid: Sendable, Hashable {
        /// In the currency's minor unit (cents).
        package var amountMinor: Int64
        /// ISO 4217, upper case.
        package var currency: String

        package init(amountMinor: Int64, currency: String) {
            self.amountMinor = amountMinor
            self.currency = currency
        }
    }

    package var tenant: TenantID
    package var milliseconds: Int64
    package var reference: String
    package var purchase: PurchaseID?
    /// What the provider says was paid; compared with the purchase where both are given.
    package var paid: Paid?
    /// The caller's Idempotency-Key and SHA-256 of the request that it belongs to.
    package var idempotencyKey: String?
    package var fingerprint: [UInt8]
    package var at: Instant
    /// Why minutes are taken back; nil for a credit.
    package var takeBackReason: String?

    package init(
        tenant: TenantID, milliseconds: Int64, reference: String, purchase: PurchaseID? = nil,
        paid: Paid? = nil, idempotencyKey: String? = nil, fingerprint: [UInt8], at: Instant
    ) {
        self.tenant = tenant
        self.milliseconds = milliseconds
        self.reference = reference
        self.purchase = purchase
        self.paid = paid
        self.idempotencyKey = idempotencyKey
        self.fingerprint = fingerprint
        self.at = at
    }

    /// Whether an entry is what this one asked for.
    package func isMet(by entry: LedgerEntry) -> Bool {
        entry.tenant == tenant && entry.kind == (takeBackReason == nil ? .credit : .takeBack)
            && entry.amountMilliseconds == (takeBackReason == nil ? milliseconds : -milliseconds)
    }

    /// The entry that it is, and what it does to the account.
    package func enter(
        into account: inout Account, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard let takeBackReason else {
            return try account.credit(milliseconds, reference: reference, at: at, sha256: sha256)
        }
        return try account.takeBack(
            milliseconds, reference: reference, reason: takeBackReason, at: at, sha256: sha256)
    }
}

/// What became of a credit.
///
/// All but `credited` changed no balance.
package enum CreditOutcome: Sendable, Hashable {
    case credited(LedgerEntry)
    /// The same reference for the same tenant and amount, or the same key with the same request:
    /// the first entry again.
    case replayed(LedgerEntry)
    /// The key came before with another request.
    case keyReused
    /// The reference has been used for another tenant, another amount, or the other direction.
    case referenceConflict
    /// Amount, currency, minutes or tenant are not the purchase's; the purchase is now parked for a
    /// person. A repeat under the same key gives the same answer.
    case purchaseMismatch(Purchase)
    /// The purchase has been credited under another reference; it is now parked for a person.
    case purchaseSettled(Purchase)
    case purchaseUnknown
    case tenantUnknown
    case amountOutOfRange
}

/// What a tenant is about to buy: the expectation that a payment is compared with.
package struct Purchase: Sendable, Hashable {
    package enum State: String, Sendable {
        /// Nothing has been paid that we know of.
        case open
        case credited
        /// A payment came that does not fit; a person must look.
        case parked
    }

    package var purchase: PurchaseID
    package var tenant: TenantID
    package var minutes: Int64
    package var price: Credit.Paid
    package var state: State
    package var createdAt: Instant

    package init(
        purchase: PurchaseID, tenant: TenantID, minutes: Int64, price: Credit.Paid, state: State,
        createdAt: Instant
    ) {
        self.purchase = purchase
        self.tenant = tenant
        self.minutes = minutes
        self.price = price
        self.state = state
        self.createdAt = createdAt
    }
}

/// What `ledger verify` found.
package struct LedgerVerification: Sendable, Hashable {
    package var tenantCount: Int
    package var entryCount: Int
    /// Sum of all credits and of all usage, in milliseconds, both positive.
    package var creditedMilliseconds: Int64
    package var usedMilliseconds: Int64
    /// Sum of what the operator took back, positive.
    package var takenBackMilliseconds: Int64 = 0
    /// Empty where everything agrees.
    package var findings: [LedgerAudit.Finding]

    package init(
        tenantCount: Int, entryCount: Int, creditedMilliseconds: Int64, usedMilliseconds: Int64,
        findings: [LedgerAudit.Finding]
    ) {
        self.tenantCount = tenantCount
        self.entryCount = entryCount
        self.creditedMilliseconds = creditedMilliseconds
        self.usedMilliseconds = usedMilliseconds
        self.findings = findings
    }
}
