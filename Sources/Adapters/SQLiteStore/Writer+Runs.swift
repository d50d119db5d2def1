import CSQLite
import Storage
import Values

/// Storing commits.
extension Writer {
    /// Stores one commit in the open transaction.
    ///
    /// - Throws: If ``hasWritten`` is set then, the caller must undo rows of the commit.
    func store(_ commit: RunCommit, index: Int) throws(StoreError) -> WriteOutcome {
        if let start = commit.start, let dedupe = commit.dedupe,
            let duplicate = try duplicate(of: dedupe, start.workflow, commit.tenant)
        {
            return duplicate
        }
        let charge = try commit.checkedCharge()
        let ledgerSequence = try reserve(charge, for: commit)
        if let start = commit.start {
            try insert(start, of: commit, charge: charge)
            if let dedupe = commit.dedupe { try insert(dedupe, of: commit, start) }
        }
        try insert(
            commit.entries, of: commit, charge: charge, ledgerSequence: charge > 0 ? ledgerSequence : 0)
        if let status = commit.status, !commit.isStart { try update(status, of: commit) }
        for mail in commit.mail { try post(mail) }
        if let place = commit.takes { try drop(place) }
        if let depletion = commit.settles { try drop(depletion) }
        if ledgerSequence > 0 { add(charge, of: commit, index: index) }
        return .stored(balance: nil, depletion: nil)
    }

    private func duplicate(
        of dedupe: RunCommit.Dedupe, _ workflow: String, _ tenant: TenantID
    ) throws(StoreError) -> WriteOutcome? {
        let statement = statements.selectDedupe
        try statement.bind([
            .integer(tenant.number), .text(dedupe.scope ?? workflow), .text(dedupe.key),
        ])
        defer { statement.reset() }
        guard try statement.step() else { return nil }
        let (first, isSameContent) = try Rows.duplicate(statement, of: dedupe)
        return .duplicate(of: first, isSameContent: isSameContent)
    }

    private func insert(_ start: RunRecord, of commit: RunCommit, charge: Int64) throws(StoreError) {
        let statement = statements.insertRun
        try statement.bind([
            .integer(commit.tenant.number), .integer(commit.run.number), .text(start.workflow),
            .blob(start.digest), .text(start.trigger), .text((commit.status ?? start.status).rawValue),
            .integer(start.startedAt.microseconds),
            .optional((commit.finishedAt ?? start.finishedAt)?.microseconds), .integer(charge),
            .optional(commit.wakeAt?.microseconds), .optional(start.origin?.number),
        ])
        do throws(StoreError) { try statement.run() } catch .exists {
            throw .exists(what: "run \(commit.run)")
        } catch { throw error }
        hasWritten = true
    }

    private func insert(
        _ dedupe: RunCommit.Dedupe, of commit: RunCommit, _ start: RunRecord
    ) throws(StoreError) {
        let statement = statements.insertDedupe
        try statement.bind([
            .integer(commit.tenant.number), .text(dedupe.scope ?? start.workflow), .text(dedupe.key),
            .integer(commit.run.number), .optional(dedupe.fingerprint),
            .integer(start.startedAt.microseconds),
        ])
        try statement.run()
    }

    private func update(_ status: RunStatus, of commit: RunCommit) throws(StoreError) {
        let isMoving = status == .waiting || status == .running
        var statement = isMoving ? statements.updateOpenRun : statements.updateRun
        var values: [SQLValue] = [
            .integer(commit.tenant.number), .integer(commit.run.number), .text(status.rawValue),
            .optional((isMoving ? commit.wakeAt : commit.finishedAt)?.microseconds),
        ]
        if !isMoving, let charged = commit.runChargeMilliseconds {
            statement = statements.finishRun
            values.append(.integer(charged))
        }
        try statement.bind(values)
        try statement.run()
        guard sqlite3_changes(connection.handle) == 1 else { throw .missing(what: "run \(commit.run)") }
        hasWritten = true
    }

    func drop(_ depletion: Depletion) throws(StoreError) {
        try connection.run(
            "DELETE FROM depletion WHERE tenant_id = ? AND sequence = ?",
            .integer(depletion.tenant.number), .integer(depletion.sequence))
        hasWritten = true
    }

    private func post(_ mail: Mail) throws(StoreError) {
        try connection.run(
            "INSERT INTO mail (tenant_id, key, body, at_us) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            .integer(mail.place.tenant.number), .text(mail.place.key), .blob(mail.body),
            .integer(mail.at.microseconds))
        hasWritten = true
    }

    func drop(_ place: MailPlace) throws(StoreError) {
        try connection.run(
            "DELETE FROM mail WHERE tenant_id = ? AND key = ?", .integer(place.tenant.number),
            .text(place.key))
        hasWritten = true
    }

    /// Inserts one row for all entries of a commit; the most expensive statement of all.
    private func insert(
        _ entries: [StoredEntry], of commit: RunCommit, charge: Int64, ledgerSequence: Int64
    ) throws(StoreError) {
        guard !entries.isEmpty else { return }
        let (first, last) = (entries[0].sequence, entries[entries.count - 1].sequence)
        // A first commit also inserts the run's row, which conflicts if the run exists.
        if !commit.isStart { try checkIsFree(first, of: commit.run) }
        packed.removeAll(keepingCapacity: true)
        EntryCoding.pack(entries, into: &packed)
        let statement = statements.insertEntries
        let handle = statement.handle
        sqlite3_bind_int64(handle, 1, commit.tenant.number)
        sqlite3_bind_int64(handle, 2, commit.run.number)
        sqlite3_bind_int64(handle, 3, last)
        sqlite3_bind_int64(handle, 5, charge)
        sqlite3_bind_int64(handle, 6, ledgerSequence)
        let code = packed.withUnsafeBytes { bytes in
            // Bound without a copy: the step ends before the bytes can change.
            let code = sqlite3_bind_blob64(handle, 4, bytes.baseAddress, UInt64(bytes.count), nil)
            return code == SQLITE_OK ? sqlite3_step(handle) : code
        }
        let error = code == SQLITE_DONE ? nil : connection.lastError()
        sqlite3_reset(handle)
        if let error {
            if case .exists = error { throw .exists(what: "entry \(first) of \(commit.run)") }
            throw error
        }
        hasWritten = true
    }

    /// Checks that the journal has no entry at or after the first one of a commit (I2).
    private func checkIsFree(_ sequence: Int64, of run: RunID) throws(StoreError) {
        let statement = statements.selectLaterEntries
        sqlite3_bind_int64(statement.handle, 1, run.number)
        sqlite3_bind_int64(statement.handle, 2, sequence)
        defer { statement.reset() }
        guard try !statement.step() else { throw .exists(what: "entry \(sequence) of \(run)") }
    }
}

extension RunCommit {
    /// The sum of the entries' charges.
    ///
    /// - Throws: ``StoreError/outOfRange(what:)`` if a charge is negative or the sum overflows.
    func checkedCharge() throws(StoreError) -> Int64 {
        var sum: Int64 = 0
        for entry in entries where entry.chargeMilliseconds != 0 {
            let (next, overflows) = sum.addingReportingOverflow(entry.chargeMilliseconds)
            guard entry.chargeMilliseconds > 0, !overflows else {
                throw .outOfRange(what: "charge of entry \(entry.key)")
            }
            sum = next
        }
        return sum
    }
}
