import MemoryStore
import SQLiteStore
import Storage
import Values

/// Asks the store in memory and a database the same, and complains where they do not say the same.
final class TwinStore: ForwardingStore, @unchecked Sendable {
    // Unchecked: used by one thread.
    let database: SQLiteStore
    private let memory: MemoryStore
    private let complain: (String) -> Void
    private(set) var comparisonCount: Int
    /// Whether another process has opened the database, or is about to.
    private var isAlone = false

    init(
        _ memory: MemoryStore, _ database: SQLiteStore, comparisonCount: Int,
        complain: @escaping (String) -> Void
    ) {
        self.memory = memory
        self.database = database
        self.comparisonCount = comparisonCount
        self.complain = complain
        super.init(memory)
    }

    /// Closes the database for the next process.
    func leave() {
        isAlone = true
        database.close()
    }

    override func commit(_ commit: RunCommit, inPlace: Bool, completion: @escaping Completion) {
        let answer = Promise<Result<CommitReceipt, StoreError>>()
        memory.commit(commit, inPlace: false) { answer.fulfil($0) }
        // One commit, one group: what a tenant is charged for a group is one entry of its ledger.
        memory.flush()
        let mine = answer.wait()
        if !isAlone {
            let other = Promise<Result<CommitReceipt, StoreError>>()
            database.commit(commit, inPlace: true) { other.fulfil($0) }
            compare("the commit \(commit.entries.map(\.key)) of \(commit.run)", mine, other.wait())
        }
        completion(mine)
    }

    override func reading<Output>(_ body: () throws(StoreError) -> Output) throws(StoreError) -> Output {
        try asking("a question", body)
    }

    override func writing<Output>(
        _ what: String, _ body: () throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        try asking(what, body)
    }

    private func asking<Output>(
        _ what: String, _ body: () throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        let mine = Self.result(of: body)
        if !isAlone {
            inner = database
            let other = Self.result(of: body)
            inner = memory
            compare(what, mine, other)
        }
        return try mine.get()
    }

    private static func result<Output>(
        of body: () throws(StoreError) -> Output
    ) -> Result<Output, StoreError> {
        do throws(StoreError) { return .success(try body()) } catch { return .failure(error) }
    }

    private func compare<Output>(
        _ what: String, _ mine: Result<Output, StoreError>, _ other: Result<Output, StoreError>
    ) {
        comparisonCount += 1
        let (one, two) = ("\(mine)", "\(other)")
        if one != two { complain("the stores do not agree on \(what): \(one) and \(two)") }
    }

    /// Compares all that is kept of runs and money.
    func compareAll(_ runs: [RunID], of tenants: [TenantID]) throws(StoreError) {
        for tenant in tenants {
            for run in runs { _ = try self.run(run, of: tenant) }
            _ = try self.runs(of: tenant, RunQuery(limit: RunQuery.limitMax))
            _ = try account(of: tenant)
            _ = try ledger(of: tenant, before: nil, limit: 10_000)
        }
        for run in runs { _ = try entries(of: run) }
        _ = try openRuns(after: nil, limit: 10_000)
        _ = try waitingRuns(after: nil, limit: 10_000)
        _ = try pendingDepletions()
        _ = try verifyLedgers()
    }
}
