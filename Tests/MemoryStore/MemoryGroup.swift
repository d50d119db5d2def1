import Billing
import Storage
import Values

/// One transaction on ``MemoryTables``: commits in order, then one usage entry for each tenant charged.
struct MemoryGroup {
    private struct Usage {
        var milliseconds: Int64
        var run: RunID?
        var at: Instant
        var index: Int
    }

    private(set) var tables: MemoryTables
    private let sha256: ([UInt8]) -> [UInt8]
    private var usage: [TenantID: Usage] = [:]
    private var depletions: [Int: Depletion] = [:]

    init(_ tables: MemoryTables, sha256: @escaping ([UInt8]) -> [UInt8]) {
        self.tables = tables
        self.sha256 = sha256
    }

    /// Stores all commits; one that fails leaves nothing behind and the others as they are.
    mutating func store(_ commits: [RunCommit]) -> [Result<CommitReceipt, StoreError>] {
        var receipts: [Result<CommitReceipt, StoreError>] = []
        for index in commits.indices {
            do throws(StoreError) {
                receipts.append(.success(try store(commits[index], index: index)))
            } catch { receipts.append(.failure(error)) }
        }
        closeAllUsage()
        for index in commits.indices {
            guard case .success(.stored) = receipts[index] else { continue }
            let commit = commits[index]
            guard commit.isMetered, commit.chargeMilliseconds > 0 else { continue }
            receipts[index] = .success(
                .stored(
                    balance: tables.account(of: commit.tenant).balanceMilliseconds,
                    depletion: depletions[index]))
        }
        return receipts
    }

    /// Checks everything first, then changes: so nothing has to be taken back.
    private mutating func store(_ commit: RunCommit, index: Int) throws(StoreError) -> CommitReceipt {
        if let duplicate = duplicate(of: commit) { return duplicate }
        let charge = try checkedCharge(of: commit)
        try check(commit)
        let takes = commit.isMetered && charge > 0
        let sequence = takes ? tables.account(of: commit.tenant).sequence + 1 : 0
        for entry in commit.entries {
            tables.journals[commit.run, default: []].append(
                MemoryTables.JournalRow(
                    entry: entry, tenant: commit.tenant,
                    ledgerSequence: entry.chargeMilliseconds > 0 ? sequence : 0))
        }
        storeRun(of: commit, charge: charge)
        for mail in commit.mail where tables.mail[mail.place] == nil { tables.mail[mail.place] = mail }
        if let place = commit.takes { tables.mail[place] = nil }
        if let depletion = commit.settles { tables.drop(depletion) }
        if takes { add(charge, of: commit, index: index) }
        return .stored(balance: nil, depletion: nil)
    }

    private func duplicate(of commit: RunCommit) -> CommitReceipt? {
        guard let start = commit.start, let dedupe = commit.dedupe else { return nil }
        return tables.duplicate(of: dedupe, start.workflow, commit.tenant)
    }

    private func check(_ commit: RunCommit) throws(StoreError) {
        if commit.start != nil {
            guard tables.runs[commit.run] == nil else { throw .exists(what: "run \(commit.run)") }
        }
        if let first = commit.entries.first, let last = tables.journals[commit.run]?.last,
            first.sequence <= last.entry.sequence
        {
            throw .exists(what: "entry \(first.sequence) of \(commit.run)")
        }
        if commit.start == nil, commit.status != nil {
            guard tables.runs[commit.run]?.tenant == commit.tenant else {
                throw .missing(what: "run \(commit.run)")
            }
        }
    }

    private func checkedCharge(of commit: RunCommit) throws(StoreError) -> Int64 {
        var sum: Int64 = 0
        for entry in commit.entries where entry.chargeMilliseconds != 0 {
            let (next, overflows) = sum.addingReportingOverflow(entry.chargeMilliseconds)
            guard entry.chargeMilliseconds > 0, !overflows else {
                throw .outOfRange(what: "charge of entry \(entry.key)")
            }
            sum = next
        }
        guard commit.isMetered, sum > 0 else { return sum }
        let waiting = usage[commit.tenant]?.milliseconds ?? 0
        let (total, overflows) = waiting.addingReportingOverflow(sum)
        let limit = Account.amountMillisecondsMax
        let balance = tables.account(of: commit.tenant).balanceMilliseconds
        guard !overflows, total <= limit, balance - total >= -limit else {
            throw .outOfRange(what: "balance of \(commit.tenant)")
        }
        return sum
    }

    private mutating func storeRun(of commit: RunCommit, charge: Int64) {
        if var record = commit.start {
            record.run = commit.run
            record.tenant = commit.tenant
            record.status = commit.status ?? record.status
            record.finishedAt = commit.finishedAt ?? record.finishedAt
            record.wakeAt = commit.wakeAt
            record.chargedMilliseconds = charge
            tables.runs[commit.run] = record
            tables.newestRun = max(tables.newestRun ?? commit.run, commit.run)
            if let key = commit.dedupeKey {
                tables.dedupe[key] = MemoryTables.DedupeRow(
                    run: commit.run, fingerprint: commit.dedupe?.fingerprint, storedAt: record.startedAt)
            }
        } else {
            tables.runs[commit.run]?.chargedMilliseconds += charge
            if let status = commit.status {
                tables.runs[commit.run]?.status = status
                tables.runs[commit.run]?.finishedAt = commit.finishedAt
                tables.runs[commit.run]?.wakeAt = commit.wakeAt
                if let charged = commit.runChargeMilliseconds {
                    tables.runs[commit.run]?.chargedMilliseconds = charged
                }
            }
        }
    }

    private mutating func add(_ charge: Int64, of commit: RunCommit, index: Int) {
        let at = commit.entries.last?.at ?? Instant(microseconds: 0)
        guard var waiting = usage[commit.tenant] else {
            usage[commit.tenant] = Usage(milliseconds: charge, run: commit.run, at: at, index: index)
            return
        }
        waiting.milliseconds += charge
        if waiting.run != commit.run { waiting.run = nil }
        waiting.at = max(waiting.at, at)
        waiting.index = index
        usage[commit.tenant] = waiting
    }

    private mutating func closeAllUsage() {
        for tenant in usage.keys.sorted() {
            guard let waiting = usage[tenant] else { continue }
            var account = tables.account(of: tenant)
            do throws(LedgerError) {
                let entry = try account.charge(
                    waiting.milliseconds, run: waiting.run, at: waiting.at, sha256: sha256)
                tables.ledgers[tenant, default: []].append(entry)
                guard let depletion = Depletion(crossedBy: entry) else { continue }
                tables.depletions.append((depletion, entry.at))
                depletions[waiting.index] = depletion
            } catch { preconditionFailure("a charge was checked against the balance before it was taken") }
        }
        usage = [:]
    }
}

extension MemoryTables {
    mutating func drop(_ depletion: Depletion) {
        depletions.removeAll {
            $0.depletion.tenant == depletion.tenant && $0.depletion.sequence == depletion.sequence
        }
    }
}

extension RunCommit {
    fileprivate var dedupeKey: MemoryTables.DedupeKey? {
        guard let start, let dedupe else { return nil }
        return MemoryTables.DedupeKey(dedupe, start.workflow, tenant)
    }
}

extension MemoryTables.DedupeKey {
    fileprivate init(_ dedupe: RunCommit.Dedupe, _ workflow: String, _ tenant: TenantID) {
        self.init(
            tenant: tenant, workflow: Array((dedupe.scope ?? workflow).utf8), key: Array(dedupe.key.utf8))
    }
}

extension MemoryTables {
    func duplicate(of dedupe: RunCommit.Dedupe, _ workflow: String, _ tenant: TenantID) -> CommitReceipt? {
        guard let first = self.dedupe[DedupeKey(dedupe, workflow, tenant)] else { return nil }
        guard let stored = first.fingerprint, let sent = dedupe.fingerprint else {
            return .duplicate(of: first.run, isSameContent: true)
        }
        return .duplicate(of: first.run, isSameContent: stored == sent)
    }
}
