import Billing
import CSQLite
import Storage
import Values

/// The write connection: carries out groups of work, each in one transaction.
///
/// Used by one thread at a time, the one that holds the ``WriteQueue``'s turn.
final class Writer {
    let connection: Connection
    let sha256: @Sendable ([UInt8]) -> [UInt8]
    let clock: @Sendable () -> Instant
    let heldEpoch: Int64
    let statements: WriterStatements
    /// As the last committed transaction left them; only what was used since opening.
    private var accounts: [TenantID: Account] = [:]
    /// Changes of the file after the last transaction, which found the lease to be its own; nil where there is none.
    private var leftAt: UInt32?
    /// What the open transaction has changed so far.
    var group = WriteGroup()
    /// Whether the commit at hand has changed anything yet.
    var hasWritten = false
    /// Where a commit's entries are packed, kept so that no commit asks for memory anew.
    var packed: [UInt8] = []
    let checkpoints: Checkpoints

    init(
        connection: Connection, epoch: Int64, sha256: @escaping @Sendable ([UInt8]) -> [UInt8],
        clock: @escaping @Sendable () -> Instant
    ) throws(StoreError) {
        self.connection = connection
        self.heldEpoch = epoch
        self.sha256 = sha256
        self.clock = clock
        statements = try WriterStatements(connection)
        checkpoints = Checkpoints(connection)
    }

    /// Does all of `items` in one transaction and says what became of each, in order.
    ///
    /// When it returns, what is not a failure is synced to disk.
    ///
    /// - Throws: What failed them all; the transaction has left nothing behind.
    func perform(_ items: [WriteItem]) throws(StoreError) -> [WriteOutcome] {
        do throws(Interruption) { return try attempt(items, isGuarded: false) } catch {
            if case .failed(let error) = error { throw error }
        }
        // One of them failed after it had written something: once more, each behind a savepoint.
        do throws(Interruption) { return try attempt(items, isGuarded: true) } catch {
            guard case .failed(let error) = error else {
                throw .failed(code: SQLITE_INTERNAL, message: "a commit could not be undone alone")
            }
            throw error
        }
    }

    /// Why a transaction was given up.
    private enum Interruption: Error {
        /// A commit must be undone, but has no savepoint to go back to.
        case conflict
        case failed(StoreError)
    }

    private func attempt(_ items: [WriteItem], isGuarded: Bool) throws(Interruption) -> [WriteOutcome] {
        group = WriteGroup()
        do throws(Interruption) {
            var outcomes: [WriteOutcome] = []
            outcomes.reserveCapacity(items.count)
            try orFail { () throws(StoreError) in try begin() }
            for index in items.indices {
                outcomes.append(try attempt(items[index], index: index, isGuarded: isGuarded))
            }
            try orFail { () throws(StoreError) in
                try closeAllUsage()
                try statements.commit.run()
            }
            leftAt = connection.changeCount
            checkpoints.countCommit()
            settle(&outcomes, of: items)
            return outcomes
        } catch {
            group = WriteGroup()
            accounts.removeAll(keepingCapacity: true)
            leftAt = nil
            if !connection.isInAutocommit {
                try orFail { () throws(StoreError) in try statements.rollback.run() }
            }
            throw error
        }
    }

    private func orFail<Result>(_ body: () throws(StoreError) -> Result) throws(Interruption) -> Result {
        do throws(StoreError) { return try body() } catch { throw .failed(error) }
    }

    /// Opens the transaction and makes sure that this process is still the shard's owner.
    private func begin() throws(StoreError) {
        try statements.begin.run()
        // Whoever takes the shard over writes to the file, which is then not as this connection left it.
        guard leftAt == nil || connection.changeCount != leftAt else { return }
        let lease = statements.epoch
        defer { lease.reset() }
        let current = try lease.step() ? lease.integer(0) : -1
        guard current == heldEpoch else { throw .fenced(heldEpoch: heldEpoch, currentEpoch: current) }
    }

    private func attempt(
        _ item: WriteItem, index: Int, isGuarded: Bool
    ) throws(Interruption) -> WriteOutcome {
        let needsSavepoint = isGuarded || item.isJob
        let before = group
        hasWritten = false
        if needsSavepoint { try orFail { () throws(StoreError) in try statements.savepoint.run() } }
        let outcome: WriteOutcome
        do throws(StoreError) {
            switch item {
            case .commit(let commit, _): outcome = try store(commit, index: index)
            case .job(let job):
                hasWritten = true
                try job.run(self)
                outcome = .done
            }
        } catch {
            guard error.concernsOneCommit, !connection.isInAutocommit else { throw .failed(error) }
            if hasWritten && !needsSavepoint { throw .conflict }
            group = before
            if needsSavepoint { try orFail { () throws(StoreError) in try statements.undo.run() } }
            return .failed(error)
        }
        if needsSavepoint { try orFail { () throws(StoreError) in try statements.release.run() } }
        return outcome
    }

    /// Takes the changed accounts over and completes the receipts, now that all is on disk.
    private func settle(_ outcomes: inout [WriteOutcome], of items: [WriteItem]) {
        defer { group = WriteGroup() }
        // Nobody was charged, so no receipt tells a balance.
        guard !group.accounts.isEmpty else { return }
        for (tenant, account) in group.accounts { accounts[tenant] = account }
        for index in items.indices {
            guard case .stored = outcomes[index], case .commit(let commit, _) = items[index] else { continue }
            guard commit.isMetered, commit.chargeMilliseconds > 0 else { continue }
            outcomes[index] = .stored(
                balance: accounts[commit.tenant]?.balanceMilliseconds, depletion: group.depletions[index])
        }
    }

    /// A tenant's account as the open transaction sees it.
    func account(of tenant: TenantID) throws(StoreError) -> Account {
        if let account = group.accounts[tenant] ?? accounts[tenant] { return account }
        let account = try Rows.account(of: tenant, connection)
        // Right also where this transaction fails: it has not been changed yet.
        accounts[tenant] = account
        return account
    }
}

/// What one transaction has changed besides rows.
struct WriteGroup {
    /// The time that commits of this transaction charged to one tenant.
    struct Usage {
        var milliseconds: Int64 = 0
        /// The run charged; nil where there were several.
        var run: RunID?
        var at: Instant
        /// The position of the last commit that charged.
        var index: Int
    }

    var accounts: [TenantID: Account] = [:]
    /// Not in the ledger yet: one entry for all of a tenant's charges.
    var usage: [TenantID: Usage] = [:]
    /// By the position of the commit whose receipt tells it.
    var depletions: [Int: Depletion] = [:]
}

extension StoreError {
    /// Whether the transaction can go on without the commit that met it.
    fileprivate var concernsOneCommit: Bool {
        switch self {
        case .exists, .missing, .outOfRange: true
        case .fenced, .full, .failed, .closed: false
        }
    }
}
