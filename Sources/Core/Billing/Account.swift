package import Values

/// A tenant's balance and the end of its ledger: all that is needed to write the next entry.
///
/// A value: the store holds the one true copy and writes what ``credit(_:reference:at:sha256:)``
/// and ``charge(_:run:at:sha256:)`` return in the transaction that causes it.
package struct Account: Sendable, Hashable {
    /// 2^53 − 1: every JSON reader holds it exactly.
    package static let amountMillisecondsMax: Int64 = (1 << 53) - 1

    package let tenant: TenantID
    /// The last entry's; 0 before the first.
    package private(set) var sequence: Int64
    /// May fall below zero by what was in flight when it reached zero, which is bounded by what is sent (I12).
    package private(set) var balanceMilliseconds: Int64
    package private(set) var lastHash: [UInt8]

    /// An account as its last entry left it.
    package init(tenant: TenantID, sequence: Int64, balanceMilliseconds: Int64, lastHash: [UInt8]) {
        self.tenant = tenant
        self.sequence = sequence
        self.balanceMilliseconds = balanceMilliseconds
        self.lastHash = lastHash
    }

    /// A new account: no entries, nothing on it.
    package init(tenant: TenantID) {
        self.init(
            tenant: tenant, sequence: 0, balanceMilliseconds: 0, lastHash: [UInt8](repeating: 0, count: 32))
    }

    /// Whether runs may start and go on.
    package var isFunded: Bool { balanceMilliseconds > 0 }

    /// Adds to the balance.
    ///
    /// - Parameters:
    ///   - milliseconds: 1 to ``amountMillisecondsMax``.
    ///   - reference: What it is for; the store refuses one that it has seen.
    ///   - at: When.
    ///   - sha256: The digest for the chain.
    /// - Returns: The entry to write. The account has moved on; drop it where the write fails.
    /// - Throws: ``LedgerError`` where an amount is out of range; the account is as it was.
    package mutating func credit(
        _ milliseconds: Int64, reference: String, at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard (1...Self.amountMillisecondsMax).contains(milliseconds) else {
            throw .amountOutOfRange(milliseconds)
        }
        return try append(.credit, milliseconds, reference: reference, run: nil, at: at, sha256: sha256)
    }

    /// Takes run time off the balance; see ``credit(_:reference:at:sha256:)`` for what is returned.
    ///
    /// The balance may go below zero: what was in flight when it ran out has been used.
    package mutating func charge(
        _ milliseconds: Int64, run: RunID?, at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard (1...Self.amountMillisecondsMax).contains(milliseconds) else {
            throw .amountOutOfRange(milliseconds)
        }
        return try append(.usage, -milliseconds, reference: nil, run: run, at: at, sha256: sha256)
    }

    /// Takes minutes off the balance that the operator wants back; see ``credit(_:reference:at:sha256:)``.
    ///
    /// The balance may go below zero: what was paid back, or charged back by a bank, may have been used already, and
    /// the next credit fills that first.
    package mutating func takeBack(
        _ milliseconds: Int64, reference: String, reason: String, at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard (1...Self.amountMillisecondsMax).contains(milliseconds) else {
            throw .amountOutOfRange(milliseconds)
        }
        return try append(
            .takeBack, -milliseconds, reference: reference, run: nil, reason: reason, at: at, sha256: sha256)
    }

    private mutating func append(
        _ kind: LedgerEntry.Kind, _ amount: Int64, reference: String?, run: RunID?, reason: String? = nil,
        at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        // Both are within ±2^53, so the sum cannot overflow.
        let balance = balanceMilliseconds + amount
        guard balance.magnitude <= Self.amountMillisecondsMax.magnitude else { throw .balanceOutOfRange }
        var entry = LedgerEntry(
            tenant: tenant, sequence: sequence + 1, kind: kind, amountMilliseconds: amount,
            balanceMilliseconds: balance, reference: reference, run: run, reason: reason, at: at,
            previousHash: lastHash, hash: [])
        entry.hash = sha256(entry.hashedBytes)
        sequence = entry.sequence
        balanceMilliseconds = balance
        lastHash = entry.hash
        return entry
    }
}

/// A ledger read from its first entry to its last, checked as it goes.
package struct LedgerAudit: Sendable {
    /// The first thing that does not agree.
    package struct Finding: Error, Sendable, Hashable {
        package var tenant: TenantID
        package var sequence: Int64
        package var reason: String

        package init(tenant: TenantID, sequence: Int64, reason: String) {
            self.tenant = tenant
            self.sequence = sequence
            self.reason = reason
        }
    }

    package private(set) var account: Account
    package private(set) var entryCount = 0

    package init(tenant: TenantID) { account = Account(tenant: tenant) }

    /// Checks the next entry against all before it.
    package mutating func check(_ entry: LedgerEntry, sha256: ([UInt8]) -> [UInt8]) throws(Finding) {
        func refuse(_ reason: String) -> Finding {
            Finding(tenant: account.tenant, sequence: entry.sequence, reason: reason)
        }
        guard entry.tenant == account.tenant else { throw refuse("belongs to another tenant") }
        guard entry.sequence == account.sequence + 1 else {
            throw refuse("expected sequence \(account.sequence + 1)")
        }
        guard entry.previousHash == account.lastHash else { throw refuse("the chain is broken before it") }
        guard sha256(entry.hashedBytes) == entry.hash else {
            throw refuse("its content does not match its hash")
        }
        guard (entry.amountMilliseconds > 0) == (entry.kind == .credit), entry.amountMilliseconds != 0 else {
            throw refuse("the sign of its amount is wrong")
        }
        let (balance, overflows) = account.balanceMilliseconds.addingReportingOverflow(
            entry.amountMilliseconds)
        guard !overflows, balance == entry.balanceMilliseconds else {
            throw refuse("its balance is not the sum of the amounts")
        }
        account = Account(
            tenant: account.tenant, sequence: entry.sequence, balanceMilliseconds: balance,
            lastHash: entry.hash)
        entryCount += 1
    }
}
