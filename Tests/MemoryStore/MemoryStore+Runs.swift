package import Storage
package import Values

extension MemoryStore {
    package func duplicate(
        of dedupe: RunCommit.Dedupe, workflow: String, of tenant: TenantID
    ) throws(StoreError) -> CommitReceipt? {
        try read { tables throws(StoreError) in tables.duplicate(of: dedupe, workflow, tenant) }
    }

    package func run(_ run: RunID, of tenant: TenantID) throws(StoreError) -> RunRecord? {
        try read { tables throws(StoreError) in
            guard let record = tables.runs[run], record.tenant == tenant else { return nil }
            return record
        }
    }

    package func runs(of tenant: TenantID, _ query: RunQuery) throws(StoreError) -> [RunRecord] {
        try read { tables throws(StoreError) in
            let found = tables.runs.values.filter { $0.tenant == tenant && query.admits($0) }
            return Array(found.sorted { $0.run > $1.run }.prefix(max(1, min(RunQuery.limitMax, query.limit))))
        }
    }

    package func entries(of run: RunID) throws(StoreError) -> [StoredEntry] {
        try read { tables throws(StoreError) in
            (tables.journals[run] ?? []).map(\.entry).sorted { $0.sequence < $1.sequence }
        }
    }

    package func openRuns(after: RunID?, limit: Int) throws(StoreError) -> [RunRecord] {
        try read { tables throws(StoreError) in
            let found = tables.runs.values.filter { record in
                (record.status == .running || record.status == .paused)
                    && after.map { record.run > $0 } ?? true
            }
            return Array(found.sorted { $0.run < $1.run }.prefix(max(0, limit)))
        }
    }

    package func waitingRuns(after: WakeTime?, limit: Int) throws(StoreError) -> [WakeTime] {
        try read { tables throws(StoreError) in
            let found = tables.runs.values.compactMap { record -> WakeTime? in
                guard record.status == .waiting, let at = record.wakeAt else { return nil }
                let time = WakeTime(at: at, run: record.run)
                return after.map { time > $0 } ?? true ? time : nil
            }
            return Array(found.sorted().prefix(max(0, limit)))
        }
    }

    package func waitingRun(_ run: RunID) throws(StoreError) -> RunRecord? {
        try read { tables throws(StoreError) in
            guard let record = tables.runs[run], record.status == .waiting else { return nil }
            return record
        }
    }

    package func waitingRuns(startedBy trigger: String) throws(StoreError) -> [RunRecord] {
        try read { tables throws(StoreError) in
            tables.runs.values.filter {
                $0.status == .waiting && $0.origin == nil && $0.trigger.utf8.elementsEqual(trigger.utf8)
            }
            .sorted { $0.run < $1.run }
        }
    }

    package func waitingRunCount() throws(StoreError) -> Int {
        try read { tables throws(StoreError) in tables.runs.values.count { $0.status == .waiting } }
    }

    package func newestRun() throws(StoreError) -> RunID? {
        try read { tables throws(StoreError) in tables.newestRun }
    }

    package func deleteRuns(
        finishedBefore instant: Instant, startedSince: Instant?, limit: Int
    ) throws(StoreError) -> Int {
        try write { tables throws(StoreError) in
            let ended = tables.runs.values.filter { record in
                record.status.isFinal && record.finishedAt.map { $0 < instant } ?? false
            }
            let recent = ended.filter { record in startedSince.map { record.startedAt >= $0 } ?? true }
            var gone = Array(
                recent.sorted { ($0.tenant, $0.run) < ($1.tenant, $1.run) }.prefix(max(0, limit)))
            if let startedSince {
                let long = ended.filter { $0.startedAt < startedSince && $0.isLong }
                let inOrder = long.sorted {
                    ($0.finishedAt ?? instant, $0.tenant, $0.run)
                        < ($1.finishedAt ?? instant, $1.tenant, $1.run)
                }
                gone += inOrder.prefix(max(0, limit - gone.count))
            }
            for record in gone { tables.delete(record.run) }
            return gone.count
        }
    }

    package func forgetDedupeKeys(before instant: Instant, limit: Int) throws(StoreError) -> Int {
        try write { tables throws(StoreError) in
            let old = tables.dedupe.filter { key, row in
                key.tenant != .operatorTenant && row.storedAt < instant
            }
            let gone = old.sorted { $0.value.storedAt < $1.value.storedAt }.prefix(max(0, limit))
            for (key, _) in gone { tables.dedupe[key] = nil }
            return gone.count
        }
    }

    package func pendingMail(after: MailPlace?, limit: Int) throws(StoreError) -> [Mail] {
        try read { tables throws(StoreError) in
            let later = tables.mail.values.filter { mail in after.map { $0 < mail.place } ?? true }
            return Array(later.sorted { $0.place < $1.place }.prefix(max(0, limit)))
        }
    }

    package func dropMail(_ places: [MailPlace]) throws(StoreError) {
        try write { tables throws(StoreError) in for place in places { tables.mail[place] = nil } }
    }

    package func pendingDepletions() throws(StoreError) -> [Depletion] {
        try read { tables throws(StoreError) in
            let sorted = tables.depletions.sorted {
                ($0.at, $0.depletion.tenant, $0.depletion.sequence)
                    < ($1.at, $1.depletion.tenant, $1.depletion.sequence)
            }
            return sorted.map(\.depletion)
        }
    }

    package func dropDepletion(_ depletion: Depletion) throws(StoreError) {
        try write { tables throws(StoreError) in tables.drop(depletion) }
    }
}

extension MemoryTables {
    /// Deletes a run and its journal; what it charged stays known, for the ledger's sake.
    mutating func delete(_ run: RunID) {
        for row in journals[run] ?? [] where row.ledgerSequence > 0 {
            let place = LedgerPlace(tenant: row.tenant, sequence: row.ledgerSequence)
            prunedCharges[place, default: 0] += row.entry.chargeMilliseconds
        }
        journals[run] = nil
        runs[run] = nil
    }
}

extension RunRecord {
    /// Whether it took longer than ``RunRecord/longDuration``.
    fileprivate var isLong: Bool { finishedAt.map { $0 - startedAt > Self.longDuration } ?? false }
}

extension RunQuery {
    fileprivate func admits(_ record: RunRecord) -> Bool {
        (workflow?.utf8.elementsEqual(record.workflow.utf8) ?? true)
            && status.map { $0 == record.status } ?? true
            && from.map { record.startedAt >= $0 } ?? true
            && to.map { record.startedAt < $0 } ?? true
            && before.map { record.run < $0 } ?? true
    }
}
