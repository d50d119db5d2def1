package import Billing
package import Values

/// What one input did to one run: stored as a whole or not at all.
package struct RunCommit: Sendable {
    /// A key under which a second start is answered with the first run.
    package struct Dedupe: Sendable, Hashable {
        /// What the workflow's `dedupe` or the caller's Idempotency-Key gave; not empty.
        package var key: String
        /// SHA-256 of what was sent, where the same key with another content must be told apart; else nil.
        package var fingerprint: [UInt8]?
        /// Within which the key is unique, in place of the workflow's name; nil for the name.
        package var scope: String?

        /// A scope that no workflow is called by: the key is unique among all runs of the tenant.
        package static let anyWorkflow = ""

        package init(key: String, fingerprint: [UInt8]? = nil, scope: String? = nil) {
            self.key = key
            self.fingerprint = fingerprint
            self.scope = scope
        }
    }

    package var run: RunID
    package var tenant: TenantID
    /// For a run's first commit: its row.
    ///
    /// The row's status is `status` below where that is set.
    package var start: RunRecord? {
        get { boxedStart?.record }
        set { boxedStart = newValue.map { Start($0) } }
    }
    private var boxedStart: Start?

    /// Behind a reference, because a commit passes through several hands before it is stored, and few are starts.
    private final class Start: Sendable {
        let record: RunRecord

        init(_ record: RunRecord) { self.record = record }
    }
    package var dedupe: Dedupe?
    /// By rising sequence, the first above all that the run's journal holds.
    package var entries: [StoredEntry]
    /// A new status; with a final one the run leaves the set of open runs.
    ///
    /// ``RunStatus/waiting`` puts it among those that ``RunStore/waitingRuns(after:limit:)`` finds, any other
    /// takes it out.
    package var status: RunStatus?
    /// With the status ``RunStatus/waiting``: when it goes on by itself; nil where only a signal ends its wait.
    package var wakeAt: Instant?
    /// When it became final.
    package var finishedAt: Instant?
    /// All that the run has been charged, with this commit, where the status becomes final; nil lets the store add its
    /// journal up, which is to read all of it.
    package var runChargeMilliseconds: Int64?
    /// Whether the charges of `entries` are taken off the tenant's balance; false for the operator.
    package var isMetered: Bool
    /// Mail that it posts; one under a key that is there already changes nothing.
    package var mail: [Mail] = []
    /// Mail that it acts upon: removed in the same transaction.
    package var takes: MailPlace?
    /// A depletion that this start answers: removed from the outbox in the same transaction.
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

    /// Whether it is a run's first.
    package var isStart: Bool { boxedStart != nil }

    /// What all its entries charge.
    package var chargeMilliseconds: Int64 { entries.reduce(0) { $0 + $1.chargeMilliseconds } }
}

/// A balance that fell from above zero to zero or below: announced once (an outbox row).
package struct Depletion: Sendable, Hashable {
    package var tenant: TenantID
    /// Of the ledger entry that crossed zero.
    package var sequence: Int64
    package var balanceMilliseconds: Int64

    /// What an entry has raised; nil for one that did not cross zero.
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

/// What became of a commit.
///
/// It is durable: synced to the disk before this is handed out (I5).
package enum CommitReceipt: Sendable, Hashable {
    /// Stored. `balance` is the tenant's after the whole transaction, nil where nothing was charged;
    /// `depletion` is set on one receipt of the transaction whose charges crossed zero.
    case stored(balance: Int64?, depletion: Depletion?)
    /// A start whose dedupe key is taken: nothing was stored. `isSameContent` is false where both
    /// fingerprints are known and differ.
    case duplicate(of: RunID, isSameContent: Bool)
}

/// Why a store did nothing.
///
/// After any of these the transaction has left nothing behind.
package enum StoreError: Error, Sendable, Hashable {
    /// A newer process has taken the shard over; this one must stop working on it (I2).
    case fenced(heldEpoch: Int64, currentEpoch: Int64)
    /// An entry's number in its journal, or another unique key, is taken already: `what` names it.
    case exists(what: String)
    /// The row that was named does not exist.
    case missing(what: String)
    /// A charge is negative, a balance would leave its range, or a commit is larger than the store keeps in one
    /// piece: `what` names it. Nothing is clamped.
    case outOfRange(what: String)
    /// No room left on the disk; repeating may succeed once there is.
    case full
    /// The disk or the file failed: the store takes nothing more until it is opened again.
    case failed(code: Int32, message: String)
    /// The store has been closed.
    case closed

    /// Whether the same call may succeed later in this process.
    package var isRetryable: Bool { self == .full }

    /// A short label without moving parts, for metrics.
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
