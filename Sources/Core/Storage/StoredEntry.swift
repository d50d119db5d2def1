package import Values

/// A journal entry as a store keeps it; what is in it is the engine's business.
package struct StoredEntry: Sendable, Hashable {
    /// What it is about: `start`, `outcome/charge`, `attempt/charge#2`.
    package var key: String
    /// From 1, rising within the run.
    ///
    /// A commit that does not begin above all that is stored was decided on a state that is no more, and is
    /// refused: that is what records an outcome once (I2).
    package var sequence: Int64
    /// A stable token: `run.started`, `step.succeeded`.
    package var kind: String
    package var at: Instant
    /// Facts as a JSON object, without any secret (I9).
    package var facts: [UInt8]
    /// A request's or response's body, apart, as it came; nil where there is none.
    package var body: [UInt8]?
    /// Run time charged with this entry, at least 0.
    package var chargeMilliseconds: Int64

    package init(
        key: String, sequence: Int64, kind: String, at: Instant, facts: [UInt8], body: [UInt8]? = nil,
        chargeMilliseconds: Int64 = 0
    ) {
        self.key = key
        self.sequence = sequence
        self.kind = kind
        self.at = at
        self.facts = facts
        self.body = body
        self.chargeMilliseconds = chargeMilliseconds
    }

    /// Of facts and body.
    package var byteCount: Int { facts.count + (body?.count ?? 0) }
}

/// Entries of a journal that follow each other, no more than was asked for.
package struct JournalPage: Sendable, Hashable {
    package private(set) var entries: [StoredEntry] = []
    /// Whether one was offered that found no room: more entries follow.
    package private(set) var isFull = false
    private let limit: Int
    private let byteCountMax: Int
    private var byteCount = 0

    /// - Parameters:
    ///   - limit: Entries that it takes; none where that is below 1.
    ///   - byteCountMax: Bytes of facts and bodies that they have together; a first one may have more.
    package init(limit: Int, byteCountMax: Int) {
        self.limit = limit
        self.byteCountMax = byteCountMax
    }

    /// Offers the next entry.
    package mutating func take(_ entry: StoredEntry) {
        guard !isFull else { return }
        byteCount += entry.byteCount
        guard entries.count < limit, entries.isEmpty || byteCount <= byteCountMax else {
            return isFull = true
        }
        entries.append(entry)
    }
}

/// Where a run stands, as lists show it.
package enum RunStatus: String, Sendable, CaseIterable {
    /// It has started and is not over.
    case running
    /// It waits for a time or a signal; nothing of it is in memory.
    case waiting
    /// It waits until the tenant's balance is above zero.
    case paused
    case succeeded
    case failed
    case cancelled

    /// Whether nothing more happens to it.
    package var isFinal: Bool { self != .running && self != .waiting && self != .paused }
}

/// A run without its journal.
package struct RunRecord: Sendable, Hashable {
    package var run: RunID
    package var tenant: TenantID
    package var workflow: String
    /// SHA-256 of the source it runs, 32 bytes.
    package var digest: [UInt8]
    /// `http`, `webhook`, `hook` or `manual`.
    package var trigger: String
    package var status: RunStatus
    package var startedAt: Instant
    /// Set when the status became final.
    package var finishedAt: Instant?
    /// While it is waiting: when it goes on by itself.
    package var wakeAt: Instant?
    /// The run that a person made this one out of, which then has that one's trigger; nil for one that its
    /// trigger started.
    package var origin: RunID?
    /// Run time charged so far.
    package var chargedMilliseconds: Int64

    /// Runs that took longer than this are found by when they ended.
    package static let longDuration = Duration.seconds(86_400)

    package init(
        run: RunID, tenant: TenantID, workflow: String, digest: [UInt8], trigger: String, status: RunStatus,
        startedAt: Instant, finishedAt: Instant? = nil, wakeAt: Instant? = nil, origin: RunID? = nil,
        chargedMilliseconds: Int64 = 0
    ) {
        self.run = run
        self.tenant = tenant
        self.workflow = workflow
        self.digest = digest
        self.trigger = trigger
        self.status = status
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.wakeAt = wakeAt
        self.origin = origin
        self.chargedMilliseconds = chargedMilliseconds
    }
}

/// When a waiting run goes on by itself: its place in the order of waking.
package struct WakeTime: Sendable, Hashable, Comparable {
    package var at: Instant
    package var run: RunID

    package init(at: Instant, run: RunID) {
        self.at = at
        self.run = run
    }

    package static func < (left: WakeTime, right: WakeTime) -> Bool {
        left.at == right.at ? left.run < right.run : left.at < right.at
    }
}

/// Which runs a list shows, newest first.
package struct RunQuery: Sendable, Hashable {
    package var workflow: String?
    package var status: RunStatus?
    /// Started at or after.
    package var from: Instant?
    /// Started before.
    package var to: Instant?
    /// Only runs older than this one.
    package var before: RunID?
    /// 1 to ``limitMax``.
    package var limit: Int

    /// One more than a page holds: the one that tells whether another page follows.
    package static let limitMax = 201

    package init(
        workflow: String? = nil, status: RunStatus? = nil, from: Instant? = nil, to: Instant? = nil,
        before: RunID? = nil, limit: Int = 50
    ) {
        self.workflow = workflow
        self.status = status
        self.from = from
        self.to = to
        self.before = before
        self.limit = limit
    }
}
