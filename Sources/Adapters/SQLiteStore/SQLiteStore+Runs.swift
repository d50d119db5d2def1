package import Storage
package import Values

extension SQLiteStore {
    package func duplicate(
        of dedupe: RunCommit.Dedupe, workflow: String, of tenant: TenantID
    ) throws(StoreError) -> CommitReceipt? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                "SELECT run_id, fingerprint FROM dedupe_key WHERE tenant_id = ? AND workflow = ? AND key = ?",
                .integer(tenant.number), .text(dedupe.scope ?? workflow), .text(dedupe.key)
            ) { row throws(StoreError) in
                let (first, isSameContent) = try Rows.duplicate(row, of: dedupe)
                return .duplicate(of: first, isSameContent: isSameContent)
            }
        }
    }

    package func run(_ run: RunID, of tenant: TenantID) throws(StoreError) -> RunRecord? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                """
                SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                    origin_run_id,
                    CASE WHEN status IN ('running', 'waiting', 'paused')
                    THEN (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
                    ELSE charged_ms END
                FROM run WHERE tenant_id = ? AND run_id = ?
                """, .integer(tenant.number), .integer(run.number), read: Rows.run)
        }
    }

    package func runs(of tenant: TenantID, _ query: RunQuery) throws(StoreError) -> [RunRecord] {
        let before = min(query.before?.number ?? .max, Self.firstRunNumber(after: query.to))
        let from = Self.lastRunNumber(before: query.from)
        let values: [SQLValue] = [
            .integer(tenant.number), .integer(from), .integer(before), .optional(query.workflow),
            .integer(query.from?.microseconds ?? .min), .integer(query.to?.microseconds ?? .max),
            .integer(Int64(max(1, min(RunQuery.limitMax, query.limit)))), .optional(query.status?.rawValue),
        ]
        return try readers.read { connection throws(StoreError) in
            let statement = try connection.statement(Self.listing(query.status))
            try statement.bind(values)
            defer { statement.reset() }
            var runs: [RunRecord] = []
            while try statement.step() { runs.append(try Rows.run(statement)) }
            return runs
        }
    }

    /// The query text whose condition matches the index for a status.
    private static func listing(_ status: RunStatus?) -> StaticString {
        switch status {
        case nil, .succeeded:
            """
            SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                origin_run_id,
                CASE WHEN status IN ('running', 'waiting', 'paused')
                THEN (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
                ELSE charged_ms END
            FROM run WHERE tenant_id = ?1 AND run_id > ?2 AND run_id < ?3 AND (?4 IS NULL OR workflow = ?4)
                AND started_at_us >= ?5 AND started_at_us < ?6 AND (?8 IS NULL OR status = ?8)
            ORDER BY run_id DESC LIMIT ?7
            """
        case .running, .paused:
            """
            SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                origin_run_id,
                (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
            FROM run INDEXED BY run_open WHERE tenant_id = ?1 AND run_id > ?2 AND run_id < ?3
                AND (?4 IS NULL OR workflow = ?4) AND started_at_us >= ?5 AND started_at_us < ?6
                AND status IN ('running', 'paused') AND status = ?8
            ORDER BY run_id DESC LIMIT ?7
            """
        case .waiting:
            """
            SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                origin_run_id,
                (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
            FROM run INDEXED BY run_waiting WHERE tenant_id = ?1 AND run_id > ?2 AND run_id < ?3
                AND (?4 IS NULL OR workflow = ?4) AND started_at_us >= ?5 AND started_at_us < ?6
                AND status = 'waiting' AND status = ?8
            ORDER BY run_id DESC LIMIT ?7
            """
        case .failed, .cancelled:
            """
            SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                origin_run_id,
                charged_ms
            FROM run INDEXED BY run_unsuccessful WHERE tenant_id = ?1 AND status = ?8 AND run_id > ?2
                AND run_id < ?3 AND (?4 IS NULL OR workflow = ?4) AND started_at_us >= ?5 AND started_at_us < ?6
                AND status IN ('failed', 'cancelled')
            ORDER BY run_id DESC LIMIT ?7
            """
        }
    }

    // Run numbers rise with time, so a time range restricts them without an index. The exact time is still
    // compared; a day of slack allows for a clock that was set back.
    private static let slackMilliseconds: Int64 = 86_400_000
    private static let numbersPerMillisecond: Int64 = 1 << 20
    private static let epochMilliseconds: Int64 = 1_577_836_800_000

    static func firstRunNumber(after instant: Instant?) -> Int64 {
        guard let instant else { return .max }
        let (millis, overflows) = instant.milliseconds.addingReportingOverflow(
            slackMilliseconds - epochMilliseconds)
        guard !overflows, millis > 0 else { return .max }
        let (number, isTooBig) = millis.multipliedReportingOverflow(by: numbersPerMillisecond)
        return isTooBig ? .max : number
    }

    /// The run number above which every run began at `instant` or later, unless the clock was set back.
    ///
    /// There is no slack: after the clock was set back, numbers run ahead of it, and such runs are found
    /// later.
    static func firstRunNumber(notBefore instant: Instant) -> Int64 {
        firstRunNumber(after: instant + .milliseconds(1 - slackMilliseconds))
    }

    static func lastRunNumber(before instant: Instant?) -> Int64 {
        guard let instant else { return -1 }
        let millis = instant.milliseconds.subtractingReportingOverflow(slackMilliseconds + epochMilliseconds)
        guard !millis.overflow, millis.partialValue > 0 else { return -1 }
        let (number, isTooBig) = millis.partialValue.multipliedReportingOverflow(by: numbersPerMillisecond)
        return isTooBig ? -1 : number
    }

    package func entries(of run: RunID) throws(StoreError) -> [StoredEntry] {
        try readers.read { connection throws(StoreError) in
            var entries: [StoredEntry] = []
            let statement = try connection.statement(
                "SELECT entries FROM journal WHERE run_id = ? ORDER BY sequence")
            try statement.bind([.integer(run.number)])
            defer { statement.reset() }
            while try statement.step() {
                try statement.withBlob(0) { bytes throws(StoreError) in
                    try EntryCoding.unpack(bytes, into: &entries)
                }
            }
            return entries
        }
    }

    package func entries(
        of run: RunID, after sequence: Int64, limit: Int, byteCountMax: Int
    ) throws(StoreError) -> JournalPage {
        try readers.read { connection throws(StoreError) in
            var page = JournalPage(limit: limit, byteCountMax: byteCountMax)
            let statement = try connection.statement(
                "SELECT entries FROM journal WHERE run_id = ? AND sequence > ? ORDER BY sequence")
            try statement.bind([.integer(run.number), .integer(sequence)])
            defer { statement.reset() }
            while !page.isFull, try statement.step() {
                var row: [StoredEntry] = []
                try statement.withBlob(0) { bytes throws(StoreError) in
                    try EntryCoding.unpack(bytes, into: &row)
                }
                // The first row may start before `sequence`.
                for entry in row where entry.sequence > sequence { page.take(entry) }
            }
            return page
        }
    }

    package func openRuns(after: RunID?, limit: Int) throws(StoreError) -> [RunRecord] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                    origin_run_id,
                    (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
                FROM run INDEXED BY run_open WHERE status IN ('running', 'paused') AND run_id > ?
                ORDER BY run_id LIMIT ?
                """, .integer(after?.number ?? -1), .integer(Int64(max(0, limit))), read: Rows.run)
        }
    }

    package func waitingRuns(after: WakeTime?, limit: Int) throws(StoreError) -> [WakeTime] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT wake_at_us, run_id FROM run INDEXED BY run_wake
                WHERE status = 'waiting' AND (wake_at_us, run_id) > (?1, ?2)
                ORDER BY wake_at_us, run_id LIMIT ?3
                """, .integer(after?.at.microseconds ?? .min), .integer(after?.run.number ?? -1),
                .integer(Int64(max(0, limit)))
            ) { row throws(StoreError) in
                WakeTime(at: Rows.instant(row.integer(0)), run: try Rows.runID(row.integer(1)))
            }
        }
    }

    package func waitingRun(_ run: RunID) throws(StoreError) -> RunRecord? {
        try readers.read { connection throws(StoreError) in
            try connection.first(
                """
                SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                    origin_run_id,
                    (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
                FROM run INDEXED BY run_waiting WHERE status = 'waiting' AND run_id = ?
                """, .integer(run.number), read: Rows.run)
        }
    }

    package func waitingRuns(startedBy trigger: String) throws(StoreError) -> [RunRecord] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, run_id, workflow, digest, trigger, status, started_at_us, finished_at_us, wake_at_us,
                    origin_run_id,
                    (SELECT coalesce(sum(charge_ms), 0) FROM journal WHERE run_id = run.run_id)
                FROM run INDEXED BY run_waiting WHERE status = 'waiting' AND trigger = ? AND origin_run_id IS NULL
                ORDER BY run_id
                """, .text(trigger), read: Rows.run)
        }
    }

    package func waitingRunCount() throws(StoreError) -> Int {
        try readers.read { connection throws(StoreError) in
            Int(
                clamping: try connection.integer(
                    "SELECT count(*) FROM run INDEXED BY run_waiting WHERE status = 'waiting'") ?? 0)
        }
    }

    package func newestRun() throws(StoreError) -> RunID? {
        try readers.read { connection throws(StoreError) in
            let number = try connection.integer(
                """
                WITH RECURSIVE known (tenant_id) AS (
                    SELECT min(tenant_id) FROM run
                    UNION ALL
                    SELECT (SELECT min(tenant_id) FROM run WHERE tenant_id > known.tenant_id) FROM known
                    WHERE known.tenant_id IS NOT NULL)
                SELECT max(
                    coalesce((SELECT max((SELECT max(run_id) FROM run WHERE tenant_id = known.tenant_id))
                        FROM known), -1),
                    coalesce((SELECT deleted_run_id FROM shard_lease WHERE shard = 0 AND deleted_run_id > 0), -1))
                """)
            guard let number, number >= 0 else { return nil }
            return try Rows.runID(number)
        }
    }

    package func pendingMail(after: MailPlace?, limit: Int) throws(StoreError) -> [Mail] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                """
                SELECT tenant_id, key, body, at_us FROM mail WHERE (tenant_id, key) > (?, ?)
                ORDER BY tenant_id, key LIMIT ?
                """, .integer(after?.tenant.number ?? -1), .text(after?.key ?? ""),
                .integer(Int64(max(0, limit)))
            ) { row throws(StoreError) in
                Mail(
                    tenant: try Rows.tenantID(row.integer(0)), key: row.text(1), body: row.blob(2),
                    at: Instant(microseconds: row.integer(3)))
            }
        }
    }

    package func dropMail(_ places: [MailPlace]) throws(StoreError) {
        try write { writer throws(StoreError) in for place in places { try writer.drop(place) } }
    }

    package func pendingDepletions() throws(StoreError) -> [Depletion] {
        try readers.read { connection throws(StoreError) in
            try connection.all(
                "SELECT tenant_id, sequence, balance_ms FROM depletion ORDER BY at_us, tenant_id, sequence"
            ) { row throws(StoreError) in
                Depletion(
                    tenant: try Rows.tenantID(row.integer(0)), sequence: row.integer(1),
                    balanceMilliseconds: row.integer(2))
            }
        }
    }

    package func dropDepletion(_ depletion: Depletion) throws(StoreError) {
        try write { writer throws(StoreError) in try writer.drop(depletion) }
    }
}
