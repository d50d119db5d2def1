package import Values

/// A tenant's balance and the end of its ledger, which is all that the next entry needs.
///
/// A plain value. The store holds the true copy, and writes the entries that
/// ``credit(_:reference:at:sha256:)`` and ``charge(_:run:at:sha256:)`` return in the transaction that causes
/// them.
package struct Account: Sendable, Hashable {
    /// 2^53 − 1, which every JSON reader represents exactly.
    package static let amountMillisecondsMax: Int64 = (1 << 53) - 1

    package let tenant: TenantID
    /// The sequence of the last entry; 0 before the first.
    package private(set) var sequence: Int64
    /// May fall below zero by what was in flight when it reached zero; that is bounded when requests are sent
    /// (I12).
    package private(set) var balanceMilliseconds: Int64
    package private(set) var lastHash: [UInt8]

    /// The account as of its last entry.
    package init(tenant: TenantID, sequence: Int64, balanceMilliseconds: Int64, lastHash: [UInt8]) {
        self.tenant = tenant
        self.sequence = sequence
        self.balanceMilliseconds = balanceMilliseconds
        self.lastHash = lastHash
    }

    /// A new account without entries.
    package init(tenant: TenantID) {
        self.init(
            tenant: tenant, sequence: 0, balanceMilliseconds: 0, lastHash: [UInt8](repeating: 0, count: 32))
    }

    /// Whether runs may start and continue.
    package var isFunded: Bool { balanceMilliseconds > 0 }

    /// Adds to the balance.
    ///
    /// - Parameters:
    ///   - milliseconds: 1 to ``amountMillisecondsMax``.
    ///   - reference: The business reference; the store refuses a known one.
    ///   - at: The time of the entry.
    ///   - sha256: The digest of the chain.
    /// - Returns: The entry to write. The account has changed already; discard it if the write fails.
    /// - Throws: ``LedgerError`` if an amount is out of range; the account is unchanged then.
    package mutating func credit(
        _ milliseconds: Int64, reference: String, at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard (1...Self.amountMillisecondsMax).contains(milliseconds) else {
            throw .amountOutOfRange(milliseconds)
        }
        return try append(.credit, milliseconds, reference: reference, run: nil, at: at, sha256: sha256)
    }

    /// Takes run time off the balance; see ``credit(_:reference:at:sha256:)`` for the result.
    ///
    /// The balance may fall below zero, because time that was in flight when it ran out has been used.
    package mutating func charge(
        _ milliseconds: Int64, run: RunID?, at: Instant, sha256: ([UInt8]) -> [UInt8]
    ) throws(LedgerError) -> LedgerEntry {
        guard (1...Self.amountMillisecondsMax).contains(milliseconds) else {
            throw .amountOutOfRange(milliseconds)
        }
        return try append(.usage, -milliseconds, reference: nil, run: run, at: at, sha256: sha256)
    }

    /// Takes back minutes for the operator; see ``credit(_:reference:at:sha256:)`` for the result.
    ///
    /// The balance may fall below zero, because refunded or charged-back minutes may have been used already.
    /// The next credit fills that gap first.
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

/// Checks a ledger from its first entry to its last.
package struct LedgerAudit: Sendable {
    /// The first inconsistency of a ledger.
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

    /// Checks the next entry against all earlier ones.
    ///
    /// - Throws: ``Finding`` if it does not follow from them; the account is unchanged then.
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
