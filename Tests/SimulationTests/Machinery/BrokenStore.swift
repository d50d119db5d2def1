import Billing
import MemoryStore
import Storage
import TestSupport
import Values

/// What is broken on purpose, to show that the oracle would see it.
enum Defect: String, CaseIterable, Sendable {
    /// A process that was taken over can still write (I2).
    case fenceOff
    /// Entries whose numbers are taken are stored all the same, behind the others (I2).
    case entryNumbersOff
    /// A second delivery of the same trigger starts a second run (I3).
    case dedupeKeysOff
    /// The same payment is credited as often as it is told (I8).
    case referencesOff
    /// What was decided is carried out, and only then stored (I1).
    case commitAfterSend
    /// A start is acknowledged, and only then stored (I5).
    case startsAnsweredEarly
    /// A secret is stored with what it was sent with (I9).
    case secretsKept
    /// Something of another tenant comes into a journal (I10).
    case tenantsMixed
    /// Run time is recorded nowhere (I7).
    case chargesDropped
    /// A stored entry changes later (I4).
    case entriesRewritten
    /// A balance changes without an entry in the ledger (I6).
    case balancesMoved
    /// The amount of a ledger entry changes later (I6).
    case ledgerRewritten
    /// A ledger entry does not carry the hash of the one before (I6).
    case ledgerUnchained
    /// A retry does not find all that its origin has done, and does it again (I3).
    case copiesForgotten
    /// What a retry takes over is charged once more (I7).
    case copiesCharged
    /// What was under way when something ended is forgotten by the next process (I11).
    case inFlightForgotten
    /// The same order for a retry, said twice, makes two runs (I3).
    case ordersRepeated

    /// Whether it is in what lies on the disk, and not in how the service comes to it.
    var isOfDisk: Bool {
        switch self {
        case .entriesRewritten, .balancesMoved, .ledgerRewritten, .ledgerUnchained: true
        default: false
        }
    }
    /// The balance that the service reads never falls (I12).
    case balanceTooHigh
}

/// A store with one guarantee taken out.
final class BrokenStore: ForwardingStore, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let defect: Defect
    private let own: MemoryStore
    /// The store of the process that was opened last.
    private let newest: @Sendable () -> MemoryStore
    /// What belongs into no journal of that tenant.
    private let leak: @Sendable (Defect, TenantID) -> [UInt8]
    /// Commits that were answered before they are stored.
    private var owed: [RunCommit] = []
    private var count = 0

    init(
        _ own: MemoryStore, _ defect: Defect, newest: @escaping @Sendable () -> MemoryStore,
        leak: @escaping @Sendable (Defect, TenantID) -> [UInt8]
    ) {
        self.leak = leak
        self.defect = defect
        self.own = own
        self.newest = newest
        super.init(own)
    }

    func flush() {
        (defect == .fenceOff ? newest() : own).flush()
    }

    override func commit(_ commit: RunCommit, inPlace: Bool, completion: @escaping Completion) {
        var commit = commit
        switch defect {
        case .fenceOff: return newest().commit(commit, inPlace: false, completion: completion)
        case .entryNumbersOff:
            return own.commit(commit, inPlace: false) { [self, commit] result in
                guard case .failure(.exists) = result else { return completion(result) }
                own.commit(renumbered(commit), inPlace: false, completion: completion)
                own.flush()
            }
        case .dedupeKeysOff: commit.dedupe = nil
        case .commitAfterSend, .startsAnsweredEarly:
            for earlier in owed { own.commit(earlier, inPlace: false) { _ in } }
            owed = []
            if defect == .commitAfterSend || commit.start != nil {
                owed = [commit]
                return completion(.success(.stored(balance: nil, depletion: nil)))
            }
        case .secretsKept, .tenantsMixed:
            for index in commit.entries.indices.dropFirst() {
                commit.entries[index].body = (commit.entries[index].body ?? []) + leak(defect, commit.tenant)
            }
        case .chargesDropped:
            for index in commit.entries.indices { commit.entries[index].chargeMilliseconds = 0 }
        case .copiesCharged:
            if let origin = commit.origin { charge(&commit, asIn: origin) }
        case .ordersRepeated:
            if commit.origin != nil { commit.dedupe = nil }
        case .balanceTooHigh:
            return own.commit(commit, inPlace: false) { result in
                guard case .success(.stored(_, let depletion)) = result else { return completion(result) }
                completion(.success(.stored(balance: nil, depletion: depletion)))
            }
        case .referencesOff, .copiesForgotten, .inFlightForgotten, .entriesRewritten, .balancesMoved,
            .ledgerRewritten,
            .ledgerUnchained:
            break
        }
        own.commit(commit, inPlace: false, completion: completion)
    }

    override func account(of tenant: TenantID) throws(StoreError) -> Account {
        let account = try super.account(of: tenant)
        guard defect == .balanceTooHigh else { return account }
        return Account(
            tenant: tenant, sequence: account.sequence, balanceMilliseconds: Account.amountMillisecondsMax,
            lastHash: account.lastHash)
    }

    override func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        guard defect == .referencesOff else { return try super.credit(credit) }
        count += 1
        var credit = credit
        credit.reference += "#\(count)"
        (credit.idempotencyKey, credit.purchase, credit.paid) = (nil, nil, nil)
        return try super.credit(credit)
    }

    override func entries(of run: RunID) throws(StoreError) -> [StoredEntry] {
        var entries = try super.entries(of: run)
        if defect == .inFlightForgotten {
            for index in entries.indices where entries[index].kind == "steps.in_flight" {
                entries[index].facts = Array("{\"paths\":[]}".utf8)
            }
        }
        guard defect == .copiesForgotten, entries.last?.kind == "run.finished" else { return entries }
        // The request that succeeded last.
        let forgotten = entries.last { $0.kind == "step.succeeded" && $0.body != nil }
        return entries.filter { $0.sequence != forgotten?.sequence }
    }

    /// What is taken over costs what it has cost before.
    private func charge(_ commit: inout RunCommit, asIn origin: RunID) {
        let first = (try? own.entries(of: origin)) ?? []
        for index in commit.entries.indices where commit.entries[index].kind == "step.succeeded" {
            let same = first.first { $0.key == commit.entries[index].key }
            commit.entries[index].chargeMilliseconds = same?.chargeMilliseconds ?? 0
        }
    }

    private func renumbered(_ commit: RunCommit) -> RunCommit {
        var commit = commit
        var sequence = ((try? own.entries(of: commit.run)) ?? []).last?.sequence ?? 0
        for index in commit.entries.indices {
            sequence += 1
            commit.entries[index].sequence = sequence
        }
        return commit
    }
}

extension RunCommit {
    /// The run that this start was made out of; nil for any other commit.
    var origin: RunID? {
        guard start != nil, let first = entries.first, let facts = try? JSON.parse(first.facts) else {
            return nil
        }
        return facts["origin"]?["run"]?.string.flatMap { RunID($0) }
    }
}
