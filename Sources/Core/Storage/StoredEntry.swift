package import Values

/// A journal entry as a store keeps it; only the engine interprets its content.
package struct StoredEntry: Sendable, Hashable {
    /// The subject of the entry, such as `start`, `outcome/charge` or `attempt/charge#2`.
    package var key: String
    /// Counted from 1, rising within the run.
    ///
    /// A commit that does not begin above all stored entries was decided on an outdated state and is refused.
    /// So an outcome is recorded once (I2).
    package var sequence: Int64
    /// A stable token, such as `run.started` or `step.succeeded`.
    package var kind: String
    package var at: Instant
    /// The facts as a JSON object, without any secret (I9).
    package var facts: [UInt8]
    /// The body of a request or response, unchanged; nil if there is none.
    package var body: [UInt8]?
    /// The run time charged with this entry, at least 0.
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

    /// The bytes of facts and body.
    package var byteCount: Int { facts.count + (body?.count ?? 0) }
}

/// Consecutive entries of a journal, within the requested bounds.
package struct JournalPage: Sendable, Hashable {
    package private(set) var entries: [StoredEntry] = []
    /// Whether an entry did not fit, so that more entries follow.
    package private(set) var isFull = false
    private let limit: Int
    private let byteCountMax: Int
    private var byteCount = 0

    /// - Parameters:
    ///   - limit: Most entries; none if it is below 1.
    ///   - byteCountMax: Most bytes of facts and bodies together; the first entry may be larger.
    package init(limit: Int, byteCountMax: Int) {
        self.limit = limit
        self.byteCountMax = byteCountMax
    }

    /// Adds the next entry if it fits.
    package mutating func take(_ entry: StoredEntry) {
        guard !isFull else { return }
        byteCount += entry.byteCount
        guard entries.count < limit, entries.isEmpty || byteCount <= byteCountMax else {
            return isFull = true
        }
        entries.append(entry)
    }
}

/// The status of a run, as lists show it.
package enum RunStatus: String, Sendable, CaseIterable {
    /// It has started and is not finished.
    case running
    /// It waits for a time or a signal and is not in memory.
    case waiting
    /// It waits for a positive balance, for the end of a suspension, or for a person.
    case paused
    case succeeded
    case failed
    case cancelled

    /// Whether the run is over.
    package var isFinal: Bool { self != .running && self != .waiting && self != .paused }
}

/// A run without its journal.
package struct RunRecord: Sendable, Hashable {
    package var run: RunID
    package var tenant: TenantID
    package var workflow: String
    /// SHA-256 of the source it runs, 32 bytes.
    package var digest: [UInt8]
    /// `http`, `webhook`, `hook`, `schedule`, `manual`, `run` or `call`.
    package var trigger: String
    package var status: RunStatus
    package var startedAt: Instant
    /// Set when the status became final.
    package var finishedAt: Instant?
    /// When a waiting run continues by itself.
    package var wakeAt: Instant?
    /// The run that a person retried or forked to make this one, which has the same trigger; nil for all
    /// others.
    package var origin: RunID?
    /// The run time charged so far.
    package var chargedMilliseconds: Int64

    /// Runs that took longer than this are found by the time of their end.
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

/// The place of a waiting run in the order of waking.
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

/// The runs that a list shows, newest first.
package struct RunQuery: Sendable, Hashable {
    package var workflow: String?
    package var status: RunStatus?
    /// Started at or after this time.
    package var from: Instant?
    /// Started before this time.
    package var to: Instant?
    /// Only runs older than this one.
    package var before: RunID?
    /// 1 to ``limitMax``.
    package var limit: Int

    /// One more than a page holds; the extra run shows that another page follows.
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
