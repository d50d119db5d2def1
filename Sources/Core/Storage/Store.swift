package import Billing
package import Values

/// The persistent state of an installation.
///
/// Each member is one whole transaction; when it returns, its change is synced to disk.
///
/// Reading members may be called from any thread and see every transaction that has returned. Writing members
/// block the caller until their change is durable, except ``RunStore/commit(_:inPlace:completion:)``.
package protocol Store: RunStore, LedgerStore, TenantStore, WorkflowStore {
    /// Refuses further work, completes the queued work, and closes the files; later calls do nothing.
    func close()
    /// Checks that a commit of ordinary size finds room, by writing as much and undoing it.
    ///
    /// - Throws: ``StoreError/full`` if it does not.
    func checkRoom() throws(StoreError)
    /// Bytes on disk, for metrics.
    var byteCountOnDisk: Int64 { get }
    /// Syncs since opening, for metrics and the benchmark.
    var flushCount: Int64 { get }
}

/// Runs and their journals.
package protocol RunStore: Sendable {
    /// The epoch of this process, which rises by 1 each time the store is opened for running.
    ///
    /// Every write checks that it is still the newest, so that a process that was taken over cannot write
    /// (I2).
    var epoch: Int64 { get }

    /// Stores a commit in one transaction, together with other waiting ones (group commit).
    ///
    /// Commits are stored in the order of the calls.
    ///
    /// - Parameters:
    ///   - commit: The commit.
    ///   - inPlace: A hint that nothing else is waiting. The caller's thread may then do the work itself if
    ///     the store is idle, which saves two hand-offs.
    ///   - completion: Called exactly once after the sync, on the store's thread, or on the caller's when in
    ///     place. It must not block. After a failure nothing of this commit has been stored. A taken sequence
    ///     (``StoreError/exists(what:)``) fails this commit alone; a failed disk fails the whole transaction.
    func commit(
        _ commit: RunCommit, inPlace: Bool,
        completion: @escaping @Sendable (Result<CommitReceipt, StoreError>) -> Void)

    /// The receipt that a start with this key would get; nil if it would be stored.
    func duplicate(
        of dedupe: RunCommit.Dedupe, workflow: String, of tenant: TenantID
    ) throws(StoreError) -> CommitReceipt?

    /// A run of the tenant; nil if it is unknown or belongs to another tenant.
    func run(_ run: RunID, of tenant: TenantID) throws(StoreError) -> RunRecord?
    /// The tenant's runs, newest first.
    func runs(of tenant: TenantID, _ query: RunQuery) throws(StoreError) -> [RunRecord]
    /// The journal of a run in sequence order; empty for an unknown one.
    func entries(of run: RunID) throws(StoreError) -> [StoredEntry]
    /// A page of a run's journal, from the first entry with a sequence above `after`.
    ///
    /// It has at most `limit` entries, with at most `byteCountMax` bytes of facts and bodies together; a
    /// first entry may be larger. Beyond the page, at most one commit's entries are read.
    func entries(
        of run: RunID, after sequence: Int64, limit: Int, byteCountMax: Int
    ) throws(StoreError) -> JournalPage
    /// Up to `limit` running or paused runs of all tenants with an id above `after`, by rising id.
    func openRuns(after: RunID?, limit: Int) throws(StoreError) -> [RunRecord]
    /// Up to `limit` waiting runs of all tenants that continue by themselves, in the order of waking, after a
    /// place.
    func waitingRuns(after: WakeTime?, limit: Int) throws(StoreError) -> [WakeTime]
    /// A waiting run of any tenant; nil if it is not waiting.
    func waitingRun(_ run: RunID) throws(StoreError) -> RunRecord?
    /// Waiting runs of all tenants that this kind of trigger started itself, without retries and forks, by
    /// rising id.
    func waitingRuns(startedBy trigger: String) throws(StoreError) -> [RunRecord]
    /// The number of waiting runs of all tenants.
    func waitingRunCount() throws(StoreError) -> Int
    /// The greatest run id ever stored; nil if there is none.
    func newestRun() throws(StoreError) -> RunID?
    /// Deletes at most `limit` runs that finished before `instant`, with their journals, and returns their
    /// number.
    ///
    /// Their dedupe keys stay; see ``forgetDedupeKeys(before:limit:)``. With `startedSince`, only runs that
    /// started then or later are considered, and those that took longer than ``RunRecord/longDuration``. So a
    /// caller that has deleted all others avoids a scan of the open runs, of which there may be a million.
    func deleteRuns(
        finishedBefore instant: Instant, startedSince: Instant?, limit: Int
    ) throws(StoreError) -> Int
    /// Deletes at most `limit` dedupe keys stored before `instant`, except those of the operator.
    func forgetDedupeKeys(before instant: Instant, limit: Int) throws(StoreError) -> Int
    /// At most `limit` mails that nobody has acted on yet, in the order of their places, after a place.
    func pendingMail(after: MailPlace?, limit: Int) throws(StoreError) -> [Mail]
    /// Removes a mail that needs no action; does nothing if there is none.
    func dropMail(_ places: [MailPlace]) throws(StoreError)
    /// Depletions that no run has answered yet, oldest first.
    func pendingDepletions() throws(StoreError) -> [Depletion]
    /// Removes a depletion that needs no answer, because no workflow listens to the hook.
    func dropDepletion(_ depletion: Depletion) throws(StoreError)
}

extension RunStore {
    /// The default for a store that has every journal in memory.
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
    /// The tenant's account; its balance is 0 if there are no entries.
    func account(of tenant: TenantID) throws(StoreError) -> Account
    /// Entries with a sequence below `before`, newest first.
    func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry]
    /// Adds a credit or takes one back, once per reference for ever and once per idempotency key.
    ///
    /// One transaction writes the entry, settles the purchase, and records a depletion if the balance crosses
    /// zero.
    func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome
    /// The sums of a tenant's ledger for each UTC day from `from` up to `to`, by rising day.
    ///
    /// Days without entries are left out.
    func ledgerDays(of tenant: TenantID, from: Instant, to: Instant) throws(StoreError) -> [LedgerDay]
    /// Records a purchase before anyone is asked to pay.
    ///
    /// - Throws: ``StoreError/exists(what:)`` if the id is taken.
    func addPurchase(_ purchase: Purchase) throws(StoreError)
    func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase?
    /// The number of a tenant's open purchases that were recorded at `instant` or later.
    func openPurchaseCount(of tenant: TenantID, since instant: Instant) throws(StoreError) -> Int
    /// Verifies every ledger from its first entry: chain, balances, references, and usage against the
    /// journals' charges.
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

/// A credit requested by the operator's workflow, or minutes that the operator takes back.
package struct Credit: Sendable, Hashable {
    package struct Paid: Sendable, Hashable {
        /// In the currency's minor unit, such as cents.
        package var amountMinor: Int64
        /// ISO 4217 in upper case.
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
    /// The amount paid, as the provider reports it; compared with the purchase if both are given.
    package var paid: Paid?
    /// The caller's Idempotency-Key.
    package var idempotencyKey: String?
    /// The SHA-256 of the request that the key belongs to.
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

    /// Whether an entry is the one that this credit asked for.
    package func isMet(by entry: LedgerEntry) -> Bool {
        entry.tenant == tenant && entry.kind == (takeBackReason == nil ? .credit : .takeBack)
            && entry.amountMilliseconds == (takeBackReason == nil ? milliseconds : -milliseconds)
    }

    /// Applies the credit to an account and returns its entry.
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

/// The outcome of a credit.
///
/// Only `credited` changed a balance.
package enum CreditOutcome: Sendable, Hashable {
    case credited(LedgerEntry)
    /// The first entry again: the same reference for the same tenant and amount, or the same key with the
    /// same request.
    case replayed(LedgerEntry)
    /// The key was used before with another request.
    case keyReused
    /// The reference was used for another tenant, another amount, or the other direction.
    case referenceConflict
    /// Amount, currency, minutes or tenant differ from the purchase, which is now parked for a person.
    ///
    /// A repeated request with the same key gets the same answer.
    case purchaseMismatch(Purchase)
    /// The purchase was credited under another reference; it is now parked for a person.
    case purchaseSettled(Purchase)
    case purchaseUnknown
    case tenantUnknown
    case amountOutOfRange
}

/// A planned purchase of a tenant, with which a payment is compared.
package struct Purchase: Sendable, Hashable {
    package enum State: String, Sendable {
        /// No payment is known.
        case open
        case credited
        /// A payment arrived that does not match; a person must look.
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

/// The result of `ledger verify`.
package struct LedgerVerification: Sendable, Hashable {
    package var tenantCount: Int
    package var entryCount: Int
    /// The sums of all credits and of all usage, in milliseconds, both positive.
    package var creditedMilliseconds: Int64
    package var usedMilliseconds: Int64
    /// The sum of what the operator took back, positive.
    package var takenBackMilliseconds: Int64 = 0
    /// Empty if everything agrees.
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
