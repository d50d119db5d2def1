import Billing
import Ports
import Storage
import Values

/// Watches everything that leaves and enters the service, and what is on the disk, and says where a promise
/// was not kept.
///
/// It never asks the service: what it knows comes from the disk, the network and the answers.
final class Oracle: @unchecked Sendable {
    // Unchecked: used by one thread.
    /// What a tenant knows that nobody else may see.
    struct Party: Sendable {
        var tenant: TenantID
        var secrets: [String]
    }

    private let timeline: Timeline
    /// Reads the disk under every process.
    let disk: any Store
    private let options: OracleOptions
    private let sha256: ([UInt8]) -> [UInt8]
    var parties: [Party] = []
    private(set) var violations: [Violation] = []
    private(set) var runs: [RunID: KnownRun] = [:]
    private var blueprints: [[UInt8]: Blueprint] = [:]
    /// What was sent under each key.
    private var requests: [String: [UInt8]] = [:]
    /// The longest that an attempt under each key may take.
    private var timeouts: [String: Duration] = [:]
    /// The newest attempt sent of each path, of runs that are not over.
    private var attempts: [RunID: [String: Int]] = [:]
    /// Of requests that were sent although something around them had ended; they do not wait for balance.
    private var settlingKeys: Set<String> = []
    /// The longest of each tenant's.
    private var timeoutMaxes: [TenantID: Duration] = [:]
    /// What each tenant's runs were charged that they could not know before.
    private var unheldMilliseconds: [TenantID: Int64] = [:]
    private var audits: [TenantID: LedgerAudit] = [:]
    private var ledgers: [TenantID: [LedgerEntry]] = [:]
    private(set) var references: Set<String> = []
    /// Ledger entries by which a balance fell to zero or below.
    private(set) var depletionCount = 0
    private(set) var acknowledged: [Acknowledgement] = []
    /// What people have asked for, of runs that are made out of others.
    var forkOrders: [ForkOrder: ForkOrder.Given] = [:]
    /// Whose workflow is to hear of it, and the digest of the version in service then; nil if it may leave it out.
    var postedEnds: [PostedEnd: (TenantID, [UInt8]?)] = [:]
    /// The run that each end has started.
    var heardEnds: [PostedEnd: RunID] = [:]
    var sendCount = 0
    /// Requests sent after the end of something around them, to learn what became of them.
    var settledCount = 0

    struct OracleOptions: Sendable {
        /// Whether each charge can be foretold: not where evaluations take part, or a clock went back.
        var checksCharges: Bool
        /// Whether a process knows which tries were due before it: not if its clock is behind the one before.
        var checksAnswers: Bool
        var runRetention: Duration
    }

    /// What the outside was told is kept.
    enum Acknowledgement: Sendable {
        case run(RunID, TenantID)
        case signal(RunID, TenantID, key: String)
        case cancel(RunID, TenantID)
        /// `entryCount` is what the journal had when it was asked for, of a run that was not paused then.
        case pause(RunID, TenantID, entryCount: Int)
        /// The same of a run that was paused.
        case resume(RunID, TenantID, entryCount: Int)
        case credit(TenantID, reference: String)
    }

    init(
        _ timeline: Timeline, disk: any Store, _ options: OracleOptions,
        sha256: @escaping ([UInt8]) -> [UInt8]
    ) {
        self.timeline = timeline
        self.disk = disk
        self.options = options
        self.sha256 = sha256
    }

    func complain(_ invariant: Invariant, _ text: String) {
        violations.append(Violation(invariant: invariant, text: text, at: timeline.now))
    }

    // MARK: - The disk

    /// A commit came to an end; `isNewest` says whether its process is the one that was opened last.
    func note(_ commit: RunCommit, _ result: Result<CommitReceipt, StoreError>, isNewest: Bool) {
        // Also after a refusal: what was stored may have been handed in a second time.
        defer {
            look(at: commit.run, of: commit.tenant)
            audit(commit.tenant)
        }
        if case .success(.stored) = result { note(commit.mail) }
        if case .success(.stored) = result, !isNewest {
            complain(
                .i2, "a process that was taken over has stored \(commit.entries.map(\.key)) of \(commit.run)")
        }
    }

    /// Reads a run's journal again: what was there must be there, and what is new must fit.
    func look(at run: RunID, of tenant: TenantID) {
        guard let record = (try? disk.run(run, of: tenant)) ?? nil else {
            // Two processes may have thought of the same number; only one of them has stored it.
            return runs[run]?.tenant == tenant ? noteMissing(run) : ()
        }
        var known = runs[run] ?? KnownRun(record: record, blueprint: blueprint(of: record))
        let entries = (try? disk.entries(of: run)) ?? []
        if !entries.starts(with: known.entries) {
            complain(
                .i4, "entries of \(run) have changed: \(known.entries.map(\.key)) and \(entries.map(\.key))")
        }
        for entry in entries.dropFirst(known.entries.count) {
            for (invariant, text) in known.take(entry, at: timeline.now, checksCharges: options.checksCharges)
            {
                complain(invariant, text)
            }
            unheldMilliseconds[tenant, default: 0] += unheldMilliseconds(of: entry, run)
            let place = "entry \(entry.key) of \(run)"
            lookForSecrets(entry.facts + (entry.body ?? []), in: place)
            if tenant != .operatorTenant {
                lookForOthers(entry.facts + (entry.body ?? []), than: tenant, in: place)
            }
        }
        if known.finishedAt != nil { checkAnswers(of: known) }
        if record.chargedMilliseconds != known.charged {
            complain(.i7, "\(run) is charged \(record.chargedMilliseconds), its entries \(known.charged)")
        }
        if record.status.isFinal != (known.finishedAt != nil) {
            complain(.i4, "\(run) is \(record.status), and its journal \(known.entries.map(\.key))")
        }
        let (isNew, wasGoing) = (runs[run] == nil, runs[run].map { !$0.isQueued } ?? false)
        runs[run] = known
        if isNew { checkOrigin(of: known) }
        if isNew { checkCause(of: known) }
        if !wasGoing, !known.isQueued { checkLimit(of: known) }
    }

    /// A run is over: of every request that it sent it has learnt the outcome, but of what lost a race and undoes
    /// nothing.
    private func checkAnswers(of known: KnownRun) {
        guard options.checksAnswers, let sent = attempts.removeValue(forKey: known.run) else { return }
        for (path, attempt) in sent.sorted(by: { $0.key < $1.key }) {
            if known.settled.contains(path) || known.keys.contains("attempt/\(path)#\(attempt)") { continue }
            let around = known.blueprint.place(of: path)?.around ?? []
            if !known.blueprint.canUndo(path), around.contains(where: known.settled.contains) { continue }
            complain(
                .i11, "\(known.run) is over, and what became of attempt \(attempt) of \(path) is unknown")
        }
    }

    /// A run begins, or has its turn: those with its key that go are no more than its file says.
    private func checkLimit(of known: KnownRun) {
        guard let key = known.concurrencyKey, let limit = known.blueprint.limit else { return }
        let going = runs.values.filter {
            $0.tenant == known.tenant && $0.workflow == known.workflow && $0.concurrencyKey == key
                && !$0.isQueued && $0.finishedAt == nil
        }
        if going.count > limit {
            complain(.i11, "\(going.count) runs of \(known.workflow) go at once under \(key), above \(limit)")
        }
    }

    private func noteMissing(_ run: RunID) {
        guard let known = runs[run] else { return }
        let isOld = known.finishedAt.map { $0 + options.runRetention < timeline.now + .seconds(200) } ?? false
        if !isOld { complain(.i5, "\(run) is gone") }
    }

    private func blueprint(of record: RunRecord) -> Blueprint {
        if let known = blueprints[record.digest] { return known }
        let deployed = (try? disk.workflow(digest: record.digest, of: record.tenant)) ?? nil
        let blueprint = Blueprint.reading(deployed?.source ?? [])
        blueprints[record.digest] = blueprint
        return blueprint
    }

    /// Looks at everything once more: after a crash and at the end.
    func lookAtAll() {
        for known in runs.values.sorted(by: { $0.run < $1.run }) { look(at: known.run, of: known.tenant) }
        for acknowledgement in acknowledged { check(acknowledgement) }
        for party in parties {
            audit(party.tenant)
            let stored = (try? disk.ledger(of: party.tenant, before: nil, limit: .max)) ?? []
            if stored.reversed() != ledgers[party.tenant] ?? [] {
                complain(.i6, "entries in the ledger of \(party.tenant) have changed")
            }
        }
        guard let found = try? disk.verifyLedgers() else { return }
        for finding in found.findings {
            complain(.i6, "ledger of \(finding.tenant), entry \(finding.sequence): \(finding.reason)")
        }
    }

    // MARK: - Ledgers

    private func audit(_ tenant: TenantID) {
        guard let account = try? disk.account(of: tenant) else { return }
        var audit = audits[tenant] ?? LedgerAudit(tenant: tenant)
        let count = Int(account.sequence - audit.account.sequence)
        guard count >= 0 else { return complain(.i6, "the ledger of \(tenant) has lost entries") }
        if count > 0 {
            for entry in ((try? disk.ledger(of: tenant, before: nil, limit: count)) ?? []).reversed() {
                check(entry, &audit)
            }
            audits[tenant] = audit
        }
        if account.balanceMilliseconds != audit.account.balanceMilliseconds {
            complain(.i6, "the balance of \(tenant) is not the sum of its ledger")
        }
    }

    private func check(_ entry: LedgerEntry, _ audit: inout LedgerAudit) {
        let (tenant, before) = (entry.tenant, audit.account.balanceMilliseconds)
        do throws(LedgerAudit.Finding) { try audit.check(entry, sha256: sha256) } catch {
            complain(.i6, "ledger of \(tenant), entry \(entry.sequence): \(error.reason)")
        }
        ledgers[tenant, default: []].append(entry)
        if before > 0, entry.balanceMilliseconds <= 0 { depletionCount += 1 }
        checkOverdraft(entry)
        guard let reference = entry.reference else { return }
        let business = String(reference.prefix { $0 != "#" })
        if !references.insert(business).inserted { complain(.i8, "\(business) has been credited twice") }
    }

    /// A balance falls below zero by the time of one attempt, and by what nobody can foretell.
    private func checkOverdraft(_ entry: LedgerEntry) {
        // One turn of computing beside it, of a run that the oracle has not seen yet.
        let attempt = (timeoutMaxes[entry.tenant]?.milliseconds ?? 0) + 300
        guard entry.kind == .usage, -entry.balanceMilliseconds > attempt else { return }
        // Other runs may have been charged in the same transaction.
        for known in runs.values.sorted(by: { $0.run < $1.run }) where known.tenant == entry.tenant {
            look(at: known.run, of: known.tenant)
        }
        let unheld = unheldMilliseconds[entry.tenant] ?? 0
        guard -entry.balanceMilliseconds > attempt + unheld else { return }
        complain(
            .i12,
            "the balance of \(entry.tenant) is \(entry.balanceMilliseconds) ms; an attempt takes \(attempt) ms, and \(unheld) ms were computing, undoing and late"
        )
    }

    /// What an entry charges beyond what its run could hold for it: computing, undoing, and what an attempt took
    /// longer than its timeout, because nothing ran meanwhile.
    private func unheldMilliseconds(of entry: StoredEntry, _ run: RunID) -> Int64 {
        guard entry.chargeMilliseconds > 0 else { return 0 }
        let facts = (try? JSON.parse(entry.facts)) ?? .null
        let path = facts["path"]?.string ?? ""
        guard !path.hasSuffix("/compensate"), !settlingKeys.contains("\(run)/\(path)"),
            let timeout = timeouts["\(run)/\(path)"],
            let start = facts["start"]?.int, let end = facts["end"]?.int
        else { return entry.chargeMilliseconds }
        return max(0, (end - start) / 1000 - timeout.milliseconds) + 1
    }

    func hasCredited(_ reference: String) -> Bool { references.contains(reference) }
}

// MARK: - The network

extension Oracle {
    /// A request leaves a process.
    func noteSend(_ request: OutboundRequest, isNewest: Bool) {
        sendCount += 1
        guard let runText = request.headers["millrace-run"], let run = RunID(runText),
            let path = request.headers["millrace-step"], let key = request.headers["idempotency-key"]
        else { return complain(.i3, "a request to \(request.url) names no run, step or key") }
        guard let known = runs[run], known.keys.contains("start") else {
            return complain(.i1, "\(runText)/\(path) was sent, and no start of the run is durable")
        }
        checkJustification(request, known, path, isNewest: isNewest)
        let content = Array("\(request.method) \(request.url)\n".utf8) + request.body
        if key != "\(runText)/\(path)" { complain(.i3, "\(runText)/\(path) was sent under the key \(key)") }
        if let first = requests[key], first != content {
            complain(.i3, "the key \(key) was used for two different requests")
        }
        requests[key] = content
        timeouts[key] = request.timeout
        if known.listed.contains(path) { settlingKeys.insert(key) }
        if isNewest {
            let attempt = request.headers["millrace-attempt"].flatMap { Int($0) } ?? 1
            attempts[run, default: [:]][path] = max(attempts[run]?[path] ?? 0, attempt)
        }
        timeoutMaxes[known.tenant] = max(timeoutMaxes[known.tenant] ?? .zero, request.timeout)
        checkTenant(request, known)
    }

    private func checkJustification(
        _ request: OutboundRequest, _ known: KnownRun, _ path: String, isNewest: Bool
    ) {
        let name = "\(known.run)/\(path)"
        guard let place = known.blueprint.place(of: path) else {
            return complain(.i1, "\(name) was sent, and the workflow has no such step")
        }
        for opened in place.around where !known.keys.contains("open/" + opened) {
            complain(.i1, "\(name) was sent, and that \(opened) is open is not durable")
        }
        for needed in place.needs where !known.settled.contains(needed) {
            complain(.i1, "\(name) was sent, and no outcome of \(needed) is durable")
        }
        let attempt = request.headers["millrace-attempt"].flatMap { Int($0) } ?? 1
        if attempt > 1, !known.keys.contains("attempt/\(path)#\(attempt - 1)") {
            complain(.i1, "attempt \(attempt) of \(name) was sent, and the one before is not durable")
        }
        // One that was taken over may still carry out what it had stored before.
        guard isNewest else { return }
        let isPartOfSettled = place.around.contains(where: { known.settled.contains($0) })
        if known.settled.contains(path) { complain(.i2, "\(name) was sent after its outcome was durable") }
        if path.hasSuffix("/compensate") {
            // What is undone lies in groups that are over, or has lost a race.
            let isLost = known.lost.contains(String(path.dropLast("/compensate".count)))
            if !known.isEnding, !isLost {
                complain(.i1, "\(name) was sent, and nothing durable ends the run")
            }
            if known.copied.contains(String(path.dropLast("/compensate".count))) {
                complain(.i3, "\(name) was sent, which undoes what another run has done")
            }
        } else if known.isFinalizing, !path.hasPrefix("finally/") {
            complain(.i11, "\(name) was sent once only what comes at the end was left")
        } else if known.listed.contains(path), known.isEnding || isPartOfSettled {
            // Its outcome is to be learnt: it may have left before.
            settledCount += 1
        } else if isPartOfSettled {
            complain(.i2, "\(name) was sent after the outcome of what it is part of")
        } else if known.mustEnd {
            complain(
                .i1, "\(name) was sent while the run was ending, and nothing says that it had left before")
        } else if let at = known.pausedAt, at < timeline.now {
            complain(.i1, "\(name) was sent while the run was paused")
        }
        if known.isQueued { complain(.i1, "\(name) was sent while the run waited for its turn") }
        if let at = known.heldAt, at < timeline.now {
            complain(.i1, "\(name) was sent while a person had paused the run")
        }
    }

    private func checkTenant(_ request: OutboundRequest, _ known: KnownRun) {
        if request.egress.pool != known.tenant.number {
            complain(.i10, "a request of \(known.tenant) shares connections with \(request.egress.pool)")
        }
        guard known.tenant != .operatorTenant else { return }
        var text = Array(request.url.utf8) + request.body
        for header in request.headers { text += Array(header.value.utf8) + [10] }
        lookForOthers(text, than: known.tenant, in: "a request of \(known.run)")
    }

    private func lookForOthers(_ bytes: [UInt8], than tenant: TenantID, in place: String) {
        for party in parties where party.tenant != tenant {
            if Bytes.contains(bytes, "\(party.tenant)")
                || party.secrets.contains(where: { Bytes.contains(bytes, $0) })
            {
                complain(.i10, "\(place), of \(tenant), holds something of \(party.tenant)")
            }
        }
    }

    /// Looks for secrets where none may be.
    func lookForSecrets(_ bytes: [UInt8], in place: String) {
        for party in parties {
            for secret in party.secrets where Bytes.contains(bytes, secret) {
                complain(.i9, "\(place) holds a secret of \(party.tenant)")
            }
        }
    }
}

// MARK: - Answers

extension Oracle {
    /// The outside has been told that something is kept.
    func note(_ acknowledgement: Acknowledgement) {
        acknowledged.append(acknowledgement)
        check(acknowledgement)
    }

    private func check(_ acknowledgement: Acknowledgement) {
        switch acknowledgement {
        case .run(let run, let tenant):
            if ((try? disk.run(run, of: tenant)) ?? nil) == nil, runs[run]?.finishedAt == nil {
                complain(.i5, "\(run) was acknowledged and is not there")
            }
        case .signal(let run, let tenant, let key):
            look(at: run, of: tenant)
            if let known = runs[run], !known.keys.contains("signal/key:" + key) {
                complain(.i5, "the signal \(key) to \(run) was acknowledged and is not there")
            }
        case .cancel(let run, let tenant):
            look(at: run, of: tenant)
            if let known = runs[run], !known.keys.contains("cancel"), known.finishedAt == nil,
                !known.isEnding, !known.isCut
            {
                complain(.i5, "the cancel of \(run) was acknowledged and is not there")
            }
        case .pause(let run, let tenant, let entryCount):
            look(at: run, of: tenant)
            if let known = runs[run],
                !known.entries.dropFirst(entryCount).contains(where: { $0.kind == "run.held" })
            {
                complain(.i5, "the pause of \(run) was acknowledged and is not there")
            }
        case .resume(let run, let tenant, let entryCount):
            look(at: run, of: tenant)
            let ends: Set = ["run.released", "run.cancel_requested", "run.finished"]
            if let known = runs[run],
                !known.entries.dropFirst(entryCount).contains(where: { ends.contains($0.kind) })
            {
                complain(.i5, "the resume of \(run) was acknowledged and is not there")
            }
        case .credit(let tenant, let reference):
            audit(tenant)
            if !references.contains(String(reference.prefix { $0 != "#" })) {
                complain(.i5, "the credit \(reference) was acknowledged and is not there")
            }
        }
    }
}
