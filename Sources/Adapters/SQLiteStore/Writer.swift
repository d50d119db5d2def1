import Billing
import CSQLite
import Storage
import Values

/// The write connection, which runs groups of work in one transaction each.
///
/// Used by one thread at a time, the holder of the ``WriteQueue``'s turn.
final class Writer {
    let connection: Connection
    let sha256: @Sendable ([UInt8]) -> [UInt8]
    let clock: @Sendable () -> Instant
    let heldEpoch: Int64
    let statements: WriterStatements
    /// The accounts as of the last committed transaction; only those used since opening.
    private var accounts: [TenantID: Account] = [:]
    /// The file's change counter after the last transaction, which verified the lease; nil before the first
    /// one and after a failure.
    private var leftAt: UInt32?
    /// The changes of the open transaction so far.
    var group = WriteGroup()
    /// Whether the current commit has changed anything yet.
    var hasWritten = false
    /// The buffer for packed entries, kept so that a commit allocates no new one.
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

    /// Runs all of `items` in one transaction and returns the outcome of each, in order.
    ///
    /// When it returns, everything except failed items is synced to disk.
    ///
    /// - Throws: The error that failed all items; the transaction has left nothing behind.
    func perform(_ items: [WriteItem]) throws(StoreError) -> [WriteOutcome] {
        do throws(Interruption) { return try attempt(items, isGuarded: false) } catch {
            if case .failed(let error) = error { throw error }
        }
        // An item failed after it had written, so repeat with a savepoint for each.
        do throws(Interruption) { return try attempt(items, isGuarded: true) } catch {
            guard case .failed(let error) = error else {
                throw .failed(code: SQLITE_INTERNAL, message: "a commit could not be undone alone")
            }
            throw error
        }
    }

    /// Why a transaction was abandoned.
    private enum Interruption: Error {
        /// A commit must be undone but has no savepoint.
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

    /// Opens the transaction and checks that this process still owns the shard.
    private func begin() throws(StoreError) {
        try statements.begin.run()
        // A takeover writes to the file, which changes its counter.
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

    /// Adopts the changed accounts and completes the receipts, after everything is on disk.
    private func settle(_ outcomes: inout [WriteOutcome], of items: [WriteItem]) {
        defer { group = WriteGroup() }
        // No tenant was charged, so no receipt contains a balance.
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
        // Valid even if this transaction fails, because it has not changed the account yet.
        accounts[tenant] = account
        return account
    }
}

/// The changes of one transaction besides rows.
struct WriteGroup {
    /// The time that commits of this transaction charge to one tenant.
    struct Usage {
        var milliseconds: Int64 = 0
        /// The charged run; nil if there are several.
        var run: RunID?
        var at: Instant
        /// The index of the last commit that charged.
        var index: Int
    }

    var accounts: [TenantID: Account] = [:]
    /// Charges that are not in the ledger yet; each tenant gets one entry for all of them.
    var usage: [TenantID: Usage] = [:]
    /// By the index of the commit whose receipt contains it.
    var depletions: [Int: Depletion] = [:]
}

extension StoreError {
    /// Whether the error concerns one commit, so that the transaction can continue without it.
    fileprivate var concernsOneCommit: Bool {
        switch self {
        case .exists, .missing, .outOfRange: true
        case .fenced, .full, .failed, .closed: false
        }
    }
}
