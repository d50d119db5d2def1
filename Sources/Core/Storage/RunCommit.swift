package import Billing
package import Values

/// The changes of one run by one input, stored as a whole or not at all.
package struct RunCommit: Sendable {
    /// A key for which a second start is answered with the first run.
    package struct Dedupe: Sendable, Hashable {
        /// The result of the workflow's `dedupe`, or the caller's Idempotency-Key; not empty.
        package var key: String
        /// The SHA-256 of the content, if the same key with other content must be detected; otherwise nil.
        package var fingerprint: [UInt8]?
        /// The scope in which the key is unique; nil for the workflow's name.
        package var scope: String?

        /// A scope that no workflow's name equals, so that the key is unique among all runs of the tenant.
        package static let anyWorkflow = ""

        package init(key: String, fingerprint: [UInt8]? = nil, scope: String? = nil) {
            self.key = key
            self.fingerprint = fingerprint
            self.scope = scope
        }
    }

    package var run: RunID
    package var tenant: TenantID
    /// The run's row, for its first commit.
    ///
    /// `status` below replaces the row's status if it is set.
    package var start: RunRecord? {
        get { boxedStart?.record }
        set { boxedStart = newValue.map { Start($0) } }
    }
    private var boxedStart: Start?

    /// Boxed, because a commit is passed on several times before it is stored, and few are starts.
    private final class Start: Sendable {
        let record: RunRecord

        init(_ record: RunRecord) { self.record = record }
    }
    package var dedupe: Dedupe?
    /// By rising sequence, all above the last stored entry of the run.
    package var entries: [StoredEntry]
    /// The new status; with a final one the run is no longer open.
    ///
    /// ``RunStatus/waiting`` adds the run to the results of ``RunStore/waitingRuns(after:limit:)``; any other
    /// removes it.
    package var status: RunStatus?
    /// With ``RunStatus/waiting``: when the run continues by itself; nil if only a signal ends its wait.
    package var wakeAt: Instant?
    /// When the status became final.
    package var finishedAt: Instant?
    /// With a final status: the total charge of the run, this commit included.
    ///
    /// If it is nil, the store adds the journal up, which means reading all of it.
    package var runChargeMilliseconds: Int64?
    /// Whether the charges of `entries` are taken off the tenant's balance; false for the operator.
    package var isMetered: Bool
    /// The mail that this commit posts; a mail with an existing key changes nothing.
    package var mail: [Mail] = []
    /// The mail on which this commit acts; removed in the same transaction.
    package var takes: MailPlace?
    /// The depletion that this start answers; removed from the outbox in the same transaction.
    package var settles: Depletion?

    package init(
        run: RunID, tenant: TenantID, start: RunRecord? = nil, dedupe: Dedupe? = nil,
        entries: [StoredEntry], status: RunStatus? = nil, wakeAt: Instant? = nil, finishedAt: Instant? = nil,
        isMetered: Bool, settles: Depletion? = nil
    ) {
        self.run = run
        self.tenant = tenant
        boxedStart = start.map { Start($0) }
        self.dedupe = dedupe
        self.entries = entries
        self.status = status
        self.wakeAt = wakeAt
        self.finishedAt = finishedAt
        self.isMetered = isMetered
        self.settles = settles
    }

    /// Whether this is a run's first commit.
    package var isStart: Bool { boxedStart != nil }

    /// The sum of the entries' charges.
    package var chargeMilliseconds: Int64 { entries.reduce(0) { $0 + $1.chargeMilliseconds } }
}

/// A fall of a balance from above zero to zero or below; announced once through an outbox row.
package struct Depletion: Sendable, Hashable {
    package var tenant: TenantID
    /// The sequence of the ledger entry that crossed zero.
    package var sequence: Int64
    package var balanceMilliseconds: Int64

    /// The depletion that an entry causes; nil if the entry does not cross zero.
    package init?(crossedBy entry: LedgerEntry) {
        let before = entry.balanceMilliseconds - entry.amountMilliseconds
        guard before > 0, entry.balanceMilliseconds <= 0 else { return nil }
        self.init(
            tenant: entry.tenant, sequence: entry.sequence, balanceMilliseconds: entry.balanceMilliseconds)
    }

    package init(tenant: TenantID, sequence: Int64, balanceMilliseconds: Int64) {
        self.tenant = tenant
        self.sequence = sequence
        self.balanceMilliseconds = balanceMilliseconds
    }
}

/// The outcome of a commit.
///
/// It is durable: the commit is synced to disk before this is returned (I5).
package enum CommitReceipt: Sendable, Hashable {
    /// Stored.
    ///
    /// `balance` is the tenant's balance after the whole transaction; nil if nothing was charged. `depletion`
    /// is set on one receipt of the transaction whose charges crossed zero.
    case stored(balance: Int64?, depletion: Depletion?)
    /// The start's dedupe key is taken, and nothing was stored.
    ///
    /// `isSameContent` is false if both fingerprints are known and differ.
    case duplicate(of: RunID, isSameContent: Bool)
}

/// Why a store did nothing.
///
/// After any of these errors the transaction has left nothing behind.
package enum StoreError: Error, Sendable, Hashable {
    /// A newer process has taken the shard over; this one must stop working on it (I2).
    case fenced(heldEpoch: Int64, currentEpoch: Int64)
    /// An entry's sequence or another unique key is taken; `what` names it.
    case exists(what: String)
    /// The named row does not exist.
    case missing(what: String)
    /// A charge is negative, a balance would leave its range, or a commit is too large to be stored.
    ///
    /// `what` names it. Nothing is clamped.
    case outOfRange(what: String)
    /// The disk is full; a retry may succeed once there is room.
    case full
    /// The disk or the file failed; the store accepts nothing until it is opened again.
    case failed(code: Int32, message: String)
    /// The store is closed.
    case closed

    /// Whether the same call may succeed later in this process.
    package var isRetryable: Bool { self == .full }

    /// A short label without dynamic parts, for metrics.
    package var label: String {
        switch self {
        case .fenced: "fenced"
        case .exists: "exists"
        case .missing: "missing"
        case .outOfRange: "out_of_range"
        case .full: "full"
        case .failed: "failed"
        case .closed: "closed"
        }
    }
}
