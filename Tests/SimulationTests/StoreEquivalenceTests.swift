import Billing
import Foundation
import MemoryStore
import OpenSSLCrypto
import SQLiteStore
import Storage
import TestSupport
import Testing
import Values

@Suite("The store in memory and the database agree")
struct StoreEquivalenceTests {
    private static let cryptography = OpenSSLCryptography()

    @Test("random operations of the whole contract are answered the same", arguments: UInt64(1)...12)
    func storesAgree(seed: UInt64) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "millrace-pair-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "pair.db").path
        let sha256: @Sendable ([UInt8]) -> [UInt8] = { Self.cryptography.sha256($0) }
        func openDatabase() throws -> SQLiteStore {
            try SQLiteStore.open(
                path: path, sha256: sha256, clock: { Instant(milliseconds: 1_800_000_000_000) })
        }
        var memory = MemoryStore(sha256: sha256)
        var database = try openDatabase()
        defer { database.close() }
        var operations = StoreOperations(seed: seed)
        for number in 0..<240 {
            if operations.reopens() {
                memory.close()
                database.close()
                (memory, database) = (memory.reopened(), try openDatabase())
            }
            let operation = operations.next()
            let (one, other) = (operation.perform(memory), operation.perform(database))
            #expect(one == other, "seed \(seed), operation \(number): \(operation.name)")
            guard one == other else { return }
        }
        for question in operations.questions() + operations.questionsAboutAllRuns() {
            #expect(question.perform(memory) == question.perform(database), "seed \(seed): \(question.name)")
        }
    }

    @Test(
        "the whole service is answered the same, with retries, forks, pauses and crashes",
        arguments: UInt64(1)...6)
    func storesAgreeUnderTheService(seed: UInt64) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "millrace-twin-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let simulation = Simulation(seed: seed, twinPath: folder.appending(path: "twin.db").path).run()
        #expect(simulation.violations.isEmpty, "seed \(seed): \(simulation.violations.map(\.description))")
        let twin = try #require(simulation.twin)
        #expect(twin.comparisonCount > 200)
        try twin.compareAll(simulation.oracle.runs.keys.sorted(), of: simulation.oracle.parties.map(\.tenant))
        #expect(simulation.violations.isEmpty, "seed \(seed): \(simulation.violations.map(\.description))")
        twin.database.close()
    }
}

/// One call of the contract, and its answer as a text that can be compared.
private struct StoreOperation {
    var name: String
    var perform: (any Store) -> String

    init<Answer>(_ name: String, _ body: @escaping (any Store) throws(StoreError) -> Answer) {
        self.name = name
        perform = { store in
            do throws(StoreError) { return "\(try body(store))" } catch { return "refused: \(error)" }
        }
    }
}

/// Makes calls as a runtime would, and now and then as a confused one would.
private struct StoreOperations {
    private var random: SeededRandom
    private let noon = Instant(milliseconds: 1_790_000_000_000)
    private var seconds: Int64 = 0
    private var started: [(run: RunID, tenant: TenantID)] = []
    private var nextSequence: [RunID: Int64] = [:]
    private var ended: Set<RunID> = []
    private var count = 0
    private var erased: Set<TenantID> = []

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func reopens() -> Bool { random.happens(3) }

    /// Tenant 4 does not exist.
    private mutating func tenant() -> TenantID { TenantID(number: Int64(random.number(1...4))) }
    private mutating func name() -> String {
        random.pick(["order", "refund", "bücher", "bu\u{308}cher", "zebra"])
    }
    private mutating func at() -> Instant {
        seconds += Int64(random.number(0...90))
        return noon + .seconds(seconds)
    }
    private mutating func digest() -> [UInt8] { [UInt8](repeating: UInt8(random.number(1...4)), count: 32) }

    mutating func next() -> StoreOperation {
        count += 1
        if count <= 3 {
            let tenant = Tenant(tenant: TenantID(number: Int64(count)), name: "Mühle", createdAt: at())
            return StoreOperation("addTenant") { store throws(StoreError) in try store.addTenant(tenant) }
        }
        if !erased.isEmpty, random.happens(10) { return erasure(at()) }
        switch random.number(0...99) {
        case ..<16: return start()
        case ..<24: return fork()
        case ..<44: return step()
        case ..<52: return order()
        case ..<64: return credit()
        case ..<70: return purchase()
        case ..<77: return tenantWrite()
        case ..<83: return tenantOperation()
        case ..<89: return workflowWrite()
        case ..<92: return tidy()
        default: return random.pick(questions())
        }
    }

    // MARK: - Runs

    private mutating func start() -> StoreOperation {
        // A number belongs to one run for ever, so a repeat is its own tenant's.
        var repeated = !started.isEmpty && random.happens(6) ? random.pick(started) : nil
        // Of a run that was erased nothing says that there was one.
        if let tenant = repeated?.tenant, erased.contains(tenant) { repeated = nil }
        let at = at()
        let fresh = RunID(number: (at.milliseconds - 1_577_836_800_000) << 20 + Int64(count))
        let (run, tenant) = repeated ?? (fresh, self.tenant())
        let record = RunRecord(
            run: run, tenant: tenant, workflow: name(), digest: digest(), trigger: "http", status: .running,
            startedAt: at, origin: random.happens(20) ? started.last?.0 : nil)
        var commit = RunCommit(
            run: run, tenant: tenant, start: record,
            entries: [entry("start", 1, "run.started", at, charge: 0)], isMetered: tenant != .operatorTenant)
        if random.happens(60) {
            commit.dedupe = RunCommit.Dedupe(
                key: "k\(random.number(1...12))", fingerprint: random.pick([nil, [1], [2]]),
                scope: random.pick([nil, nil, RunCommit.Dedupe.anyWorkflow]))
        }
        if repeated == nil {
            started.append((run, tenant))
            nextSequence[run] = 2
        }
        return self.commit("start", commit)
    }

    private mutating func step() -> StoreOperation {
        guard !started.isEmpty else { return start() }
        let (run, tenant) = random.pick(started)
        if ended.contains(run) { return credit() }
        let at = at()
        var sequence = nextSequence[run] ?? 2
        // Stale: a sequence that is taken, under its key or under another.
        let isStale = random.happens(12)
        if isStale { sequence = max(1, sequence - 1) }
        var entries: [StoredEntry] = []
        for offset in 0..<Int64(random.number(1...3)) {
            let number = sequence + offset
            let key = isStale && random.happens(50) ? "start" : "outcome/s\(number)"
            entries.append(
                entry(key, number, "step.succeeded", at, charge: Int64(random.pick([0, 0, 3, 40, 500]))))
        }
        var commit = RunCommit(
            run: run, tenant: tenant, entries: entries, isMetered: tenant != .operatorTenant)
        if random.happens(20) {
            commit.status = random.pick(RunStatus.allCases)
            if commit.status == .waiting { commit.wakeAt = random.pick([nil, at + .seconds(60)]) }
            if commit.status?.isFinal ?? false {
                commit.finishedAt = at
                // A run that is over gets no more: its machine takes no input.
                if !isStale { ended.insert(run) }
            }
        }
        if random.happens(2) { commit.entries[0].chargeMilliseconds = -1 }
        if !isStale, commit.entries[0].chargeMilliseconds >= 0 {
            nextSequence[run] = sequence + Int64(entries.count)
        }
        return self.commit("step of \(run)", commit)
    }

    /// A run made out of another one: its first commit holds outcomes that charge nothing, and perhaps its end.
    private mutating func fork() -> StoreOperation {
        guard !started.isEmpty else { return start() }
        let (origin, tenant) = random.pick(started)
        let at = at()
        let run = RunID(number: (at.milliseconds - 1_577_836_800_000) << 20 + Int64(count))
        let status = random.pick([RunStatus.running, .running, .paused, .waiting, .succeeded])
        let record = RunRecord(
            run: run, tenant: tenant, workflow: name(), digest: digest(), trigger: "http", status: status,
            startedAt: at)
        var entries = [entry("start", 1, "run.started", at, charge: 0)]
        for number in 0..<Int64(random.number(0...4)) {
            entries.append(entry("outcome/s\(number)", number + 2, "step.succeeded", at, charge: 0))
        }
        if status == .succeeded {
            let number = Int64(entries.count) + 1
            entries.append(entry("finish", number, "run.finished", at, charge: Int64(random.pick([0, 4]))))
        }
        // Most orders come under a key, often under one that came before, for the same or for another run.
        var commit = RunCommit(
            run: run, tenant: tenant, start: record, entries: entries, status: status,
            finishedAt: status.isFinal ? at : nil, isMetered: tenant != .operatorTenant)
        if status == .waiting { commit.wakeAt = random.pick([nil, at + .seconds(60)]) }
        if random.happens(80) {
            let about = origin.number % 3 + 1
            commit.dedupe = RunCommit.Dedupe(
                key: "order:k\(random.number(1...6))", fingerprint: [UInt8(about)])
        }
        started.append((run, tenant))
        nextSequence[run] = Int64(entries.count) + 1
        if status.isFinal { ended.insert(run) }
        return self.commit("fork of \(origin)", commit)
    }

    /// A pause, a resume or a cancel of a run that is open, or that was.
    private mutating func order() -> StoreOperation {
        guard !started.isEmpty else { return start() }
        let (run, tenant) = random.pick(started)
        let (at, sequence) = (at(), nextSequence[run] ?? 2)
        var commit: RunCommit
        switch random.number(0...3) {
        case 0, 1:
            commit = RunCommit(
                run: run, tenant: tenant,
                entries: [entry("hold/\(sequence)", sequence, "run.held", at, charge: 0)],
                status: .paused, isMetered: tenant != .operatorTenant)
        case 2:
            commit = RunCommit(
                run: run, tenant: tenant,
                entries: [entry("release/\(sequence)", sequence, "run.released", at, charge: 0)],
                status: random.pick([.running, .waiting]), isMetered: tenant != .operatorTenant)
        default:
            commit = RunCommit(
                run: run, tenant: tenant,
                entries: [
                    entry("cancel", sequence, "run.cancel_requested", at, charge: 0),
                    entry("finish", sequence + 1, "run.finished", at, charge: Int64(random.pick([0, 7]))),
                ],
                status: .cancelled, finishedAt: at, isMetered: tenant != .operatorTenant)
        }
        guard !ended.contains(run) else {
            // It comes too late: the number is taken.
            commit.entries = Array(commit.entries.prefix(1))
            commit.entries[0].sequence = 1
            return self.commit("late order to \(run)", commit)
        }
        nextSequence[run] = sequence + Int64(commit.entries.count)
        if commit.status?.isFinal ?? false { ended.insert(run) }
        return self.commit("order to \(run)", commit)
    }

    private mutating func entry(
        _ key: String, _ sequence: Int64, _ kind: String, _ at: Instant, charge: Int64
    ) -> StoredEntry {
        StoredEntry(
            key: key, sequence: sequence, kind: kind, at: at, facts: Array("{\"n\":\(sequence)}".utf8),
            body: random.pick([nil, [], [0, 255, 10], Array("body".utf8)]), chargeMilliseconds: charge)
    }

    private mutating func commit(_ name: String, _ commit: RunCommit) -> StoreOperation {
        let inPlace = random.happens(50)
        var commit = commit
        // A key that is taken, and one that is not there, among them.
        if random.happens(20) {
            let body = Array("mail \(count)".utf8)
            commit.mail = [
                Mail(tenant: commit.tenant, key: "m\(random.number(1...6))", body: body, at: at()),
                Mail(tenant: .operatorTenant, key: "é\(random.number(1...3))", body: [0, 255], at: at()),
            ]
        }
        if random.happens(20) {
            commit.takes = MailPlace(tenant: commit.tenant, key: "m\(random.number(1...6))")
        }
        return StoreOperation(name) { [commit] store throws(StoreError) in
            let promise = Promise<Result<CommitReceipt, StoreError>>()
            store.commit(commit, inPlace: inPlace) { promise.fulfil($0) }
            return try promise.wait().get()
        }
    }

    // MARK: - Money

    private mutating func credit() -> StoreOperation {
        var credit = Credit(
            tenant: tenant(), milliseconds: Int64(random.pick([0, 5, 5, 60_000, 60_000])),
            reference: "r\(random.number(1...20))",
            purchase: random.happens(40) ? PurchaseID(number: Int64(random.number(1...6))) : nil,
            paid: random.happens(30)
                ? Credit.Paid(amountMinor: 10, currency: random.pick(["EUR", "USD"])) : nil,
            idempotencyKey: random.happens(60) ? "key-\(random.number(1...15))" : nil,
            fingerprint: [UInt8(random.number(1...2))], at: at())
        if random.happens(25) {
            credit.takeBackReason = random.pick(["charged back", "zurückgebucht"])
            (credit.purchase, credit.paid) = (nil, nil)
        }
        return StoreOperation("credit \(credit)") { [credit] store throws(StoreError) in
            try store.credit(credit)
        }
    }

    private mutating func purchase() -> StoreOperation {
        let purchase = Purchase(
            purchase: PurchaseID(number: Int64(random.number(1...6))), tenant: tenant(), minutes: 1,
            price: Credit.Paid(amountMinor: 10, currency: "EUR"), state: .open, createdAt: at())
        return StoreOperation("addPurchase") { store throws(StoreError) in try store.addPurchase(purchase) }
    }

    // MARK: - Tenants and workflows

    private mutating func tenantWrite() -> StoreOperation {
        let (tenant, at, id) = (tenant(), at(), KeyID(number: Int64(random.number(1...8))))
        let secretName = random.pick(["A", "B_2", "PAY_KEY"])
        switch random.number(0...5) {
        case 0:
            return StoreOperation("setExternalCustomer") { store throws(StoreError) in
                try store.setExternalCustomer("cus_\(at.seconds)", of: tenant)
            }
        case 1:
            let key = APIKey(
                key: id, tenant: tenant, scope: random.pick([.full, .full, .internal]),
                secretHash: digest(), createdAt: at)
            return StoreOperation("addKey") { store throws(StoreError) in try store.addKey(key) }
        case 2:
            return StoreOperation("revokeKey") { store throws(StoreError) in
                try store.revokeKey(id, of: tenant, at: at)
            }
        case 3:
            let secret = SealedSecret(
                tenant: tenant, name: secretName, sealed: digest(), hosts: random.pick([[], ["a.example"]]),
                updatedAt: at)
            return StoreOperation("setSecret") { store throws(StoreError) in try store.setSecret(secret) }
        case 4:
            return StoreOperation("deleteSecret") { store throws(StoreError) in
                try store.deleteSecret(secretName, of: tenant)
            }
        default:
            let value = digest()
            return StoreOperation("setSetting") { store throws(StoreError) in try store.setSetting("s", value)
            }
        }
    }

    /// What an operator does to a tenant, and to the master key.
    private mutating func tenantOperation() -> StoreOperation {
        let (tenant, at) = (tenant(), at())
        switch random.number(0...9) {
        case ..<3:
            let suspension = Tenant.Suspension(
                since: at, reason: random.pick(["unpaid", "bu\u{308}se", ""]),
                webhooks: random.pick(Tenant.Suspension.Webhooks.allCases))
            return StoreOperation("setSuspension of \(tenant)") { store throws(StoreError) in
                try store.setSuspension(suspension, of: tenant)
            }
        case ..<5:
            return StoreOperation("resume of \(tenant)") { store throws(StoreError) in
                try store.setSuspension(nil, of: tenant)
            }
        case ..<7:
            // A rotation takes all there are; a confused one names a secret that nobody has.
            let (value, isConfused) = (digest(), random.happens(20))
            return StoreOperation("reseal") { store throws(StoreError) in
                var secrets = try store.allSecrets()
                for index in secrets.indices { secrets[index].sealed = value }
                if isConfused {
                    secrets.append(
                        SealedSecret(tenant: tenant, name: "NOBODYS", sealed: value, hosts: [], updatedAt: at)
                    )
                }
                try store.reseal(secrets, settings: ["s": value, "generation": [UInt8(value.count)]])
            }
        case 7:
            erased.insert(tenant)
            return StoreOperation("beginErasure of \(tenant)") { store throws(StoreError) in
                try store.beginErasure(of: tenant, at: at)
            }
        default: return erasure(at)
        }
    }

    /// The deleting goes on in portions, as a runtime asks for it.
    private mutating func erasure(_ at: Instant) -> StoreOperation {
        let limit = random.number(1...5)
        return StoreOperation("eraseData") { store throws(StoreError) in
            guard let first = try store.tenantsBeingErased().first else { return "nothing" }
            let isOver = try store.eraseData(of: first.tenant, limit: limit, at: at)
            return "\(first.tenant) \(isOver)"
        }
    }

    private mutating func workflowWrite() -> StoreOperation {
        let (tenant, name, digest, at) = (tenant(), name(), digest(), at())
        switch random.number(0...3) {
        case 0:
            return StoreOperation("deleteWorkflow") { store throws(StoreError) in
                try store.deleteWorkflow(name, of: tenant)
            }
        case 1:
            let refusal = TriggerRefusal(
                tenant: tenant, workflow: name, reason: random.pick(TriggerRefusal.Reason.allCases),
                count: Int64(random.number(1...3)), lastAt: at, lastDetail: "detail \(count)")
            return StoreOperation("countRefusals") { store throws(StoreError) in
                try store.countRefusals([refusal, refusal])
            }
        default:
            let listens = count % 3 == 0
            return StoreOperation("deployWorkflow \(name)") { store throws(StoreError) in
                try store.deployWorkflow(
                    name, of: tenant, digest: digest, source: Array(name.utf8), at: at,
                    listensToRuns: listens)
            }
        }
    }

    private mutating func tidy() -> StoreOperation {
        let (before, limit) = (
            noon + .seconds(seconds - Int64(random.number(0...4_000))), random.number(0...5)
        )
        switch random.number(0...3) {
        case 3: return StoreOperation("checkRoom") { store throws(StoreError) in try store.checkRoom() }
        case 0:
            let since = random.pick([nil, before + .seconds(-3_600)])
            return StoreOperation("deleteRuns") { store throws(StoreError) in
                try store.deleteRuns(finishedBefore: before, startedSince: since, limit: limit)
            }
        case 1:
            return StoreOperation("forgetDedupeKeys") { store throws(StoreError) in
                try store.forgetDedupeKeys(before: before, limit: 1_000)
            }
        default:
            return StoreOperation("dropDepletion") { store throws(StoreError) in
                guard let first = try store.pendingDepletions().first else { return }
                try store.dropDepletion(first)
            }
        }
    }

    // MARK: - Questions

    /// What is kept of each run that was ever started.
    func questionsAboutAllRuns() -> [StoreOperation] {
        started.flatMap { run, tenant in
            [
                StoreOperation("run \(run)") { store throws(StoreError) in
                    try store.run(run, of: tenant) as Any
                },
                StoreOperation("entries of \(run)") { store throws(StoreError) in try store.entries(of: run)
                },
            ]
        }
    }

    /// Every member that only reads.
    mutating func questions() -> [StoreOperation] {
        let (tenant, name, digest) = (tenant(), name(), digest())
        let run = started.isEmpty ? RunID(number: 1) : random.pick(started).run
        let (limit, after) = (random.number(1...6), random.pick([nil, run]))
        let query = RunQuery(
            workflow: random.pick([nil, name]), status: random.pick([nil, .running, .succeeded]),
            before: after,
            limit: limit)
        return [
            StoreOperation("run") { store throws(StoreError) in try store.run(run, of: tenant) as Any },
            StoreOperation("runs") { store throws(StoreError) in try store.runs(of: tenant, query) },
            StoreOperation("entries") { store throws(StoreError) in try store.entries(of: run) },
            StoreOperation("workflowCounts") { store throws(StoreError) in
                try store.workflowCounts(of: tenant)
            },
            StoreOperation("openRuns") { store throws(StoreError) in
                try store.openRuns(after: after, limit: limit)
            },
            StoreOperation("waitingRuns") { store throws(StoreError) in
                try store.waitingRuns(after: nil, limit: limit)
            },
            StoreOperation("waitingRun") { store throws(StoreError) in try store.waitingRun(run) as Any },
            StoreOperation("waitingRuns by trigger") { store throws(StoreError) in
                try store.waitingRuns(startedBy: "http")
            },
            StoreOperation("waitingRunCount") { store throws(StoreError) in try store.waitingRunCount() },
            StoreOperation("duplicate") { store throws(StoreError) in
                try store.duplicate(of: RunCommit.Dedupe(key: "k3"), workflow: name, of: tenant) as Any
            },
            StoreOperation("newestRun") { store throws(StoreError) in try store.newestRun() as Any },
            StoreOperation("pendingMail") { store throws(StoreError) in
                try store.pendingMail(after: nil, limit: 3)
            },
            StoreOperation("runListeners") { store throws(StoreError) in try store.runListeners() },
            StoreOperation("suspendedTenants") { store throws(StoreError) in try store.suspendedTenants() },
            StoreOperation("tenantsBeingErased") { store throws(StoreError) in
                try store.tenantsBeingErased()
            },
            StoreOperation("allSecrets") { store throws(StoreError) in try store.allSecrets() },
            StoreOperation("ledgerDays") { [noon] store throws(StoreError) in
                try store.ledgerDays(of: tenant, from: noon, to: noon + .seconds(3 * 86_400))
            },
            StoreOperation("openPurchaseCount") { [noon, seconds] store throws(StoreError) in
                try store.openPurchaseCount(of: tenant, since: noon + .seconds(seconds / 2))
            },
            StoreOperation("entries by page") { store throws(StoreError) in
                try store.entries(of: run, after: Int64(limit) - 1, limit: limit, byteCountMax: 20)
            },
            StoreOperation("pendingDepletions") { store throws(StoreError) in try store.pendingDepletions() },
            StoreOperation("account") { store throws(StoreError) in try store.account(of: tenant) },
            StoreOperation("ledger") { store throws(StoreError) in
                try store.ledger(of: tenant, before: nil, limit: 50)
            },
            StoreOperation("purchase") { store throws(StoreError) in
                try (1...6).map { number throws(StoreError) in try store.purchase(PurchaseID(number: number))
                }
            },
            StoreOperation("verifyLedgers") { store throws(StoreError) in try store.verifyLedgers() },
            StoreOperation("tenant") { store throws(StoreError) in try store.tenant(tenant) as Any },
            StoreOperation("tenants") { store throws(StoreError) in
                try store.tenants(after: tenant, limit: limit)
            },
            StoreOperation("keys") { store throws(StoreError) in try store.keys(of: tenant) },
            StoreOperation("key") { store throws(StoreError) in try store.key(KeyID(number: 3)) as Any },
            StoreOperation("secrets") { store throws(StoreError) in try store.secrets(of: tenant) },
            StoreOperation("secret") { store throws(StoreError) in
                try store.secret("PAY_KEY", of: tenant) as Any
            },
            StoreOperation("setting") { store throws(StoreError) in try store.setting("s") as Any },
            StoreOperation("workflow") { store throws(StoreError) in
                try store.workflow(name, of: tenant) as Any
            },
            StoreOperation("workflow by digest") { store throws(StoreError) in
                try store.workflow(digest: digest, of: tenant).map(\.digest) as Any
            },
            StoreOperation("workflows") { store throws(StoreError) in
                try store.workflows(of: tenant, after: nil, limit: limit)
            },
            StoreOperation("versions") { store throws(StoreError) in
                try store.versions(of: name, of: tenant, before: nil, limit: limit)
            },
            StoreOperation("version") { store throws(StoreError) in
                try store.version(Int64(limit), of: name, of: tenant) as Any
            },
            StoreOperation("workflowNames") { store throws(StoreError) in try store.workflowNames(of: tenant)
            },
            StoreOperation("currentWorkflows") { store throws(StoreError) in try store.currentWorkflows() },
            StoreOperation("refusals") { store throws(StoreError) in
                try store.refusals(of: name, of: tenant)
            },
        ]
    }
}
