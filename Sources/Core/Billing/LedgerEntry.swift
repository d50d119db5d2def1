package import Values

/// One line of a tenant's ledger.
///
/// Never changed and never deleted once stored (I6).
///
/// Each entry's hash covers its own fields and the hash of the entry before it, so that a changed
/// byte anywhere breaks the chain from there on.
package struct LedgerEntry: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Minutes bought, or given by the operator.
        case credit
        /// Run time used: every charge that one commit held for this tenant.
        case usage
        /// Minutes that the operator took back.
        case takeBack = "take_back"
    }

    package var tenant: TenantID
    /// From 1, without gaps, for each tenant.
    package var sequence: Int64
    package var kind: Kind
    /// Milliseconds of run time: positive for a credit, negative for usage and for what is taken back, never 0.
    package var amountMilliseconds: Int64
    /// The balance with this entry.
    package var balanceMilliseconds: Int64
    /// For a credit or a take-back: what it was for, such as `stripe:pi_1:purchase`; unique for ever (I8).
    package var reference: String?
    /// For usage: the run charged, where the commit charged only one.
    package var run: RunID?
    /// For a take-back: why, in the operator's words.
    package var reason: String?
    package var at: Instant
    /// 32 bytes; zeros before the first entry.
    package var previousHash: [UInt8]
    /// 32 bytes.
    package var hash: [UInt8]

    package init(
        tenant: TenantID, sequence: Int64, kind: Kind, amountMilliseconds: Int64, balanceMilliseconds: Int64,
        reference: String?, run: RunID?, reason: String? = nil, at: Instant, previousHash: [UInt8],
        hash: [UInt8]
    ) {
        self.tenant = tenant
        self.sequence = sequence
        self.kind = kind
        self.amountMilliseconds = amountMilliseconds
        self.balanceMilliseconds = balanceMilliseconds
        self.reference = reference
        self.run = run
        self.reason = reason
        self.at = at
        self.previousHash = previousHash
        self.hash = hash
    }

    /// What the hash covers: the previous hash, then each field as decimal text or length-prefixed bytes.
    package var hashedBytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(192)
        out += previousHash
        for number in [tenant.number, sequence, amountMilliseconds, balanceMilliseconds, at.microseconds] {
            JSON.writeInt(number, into: &out)
            out.append(UInt8(ascii: "|"))
        }
        for text in [kind.rawValue, reference ?? "", run.map { String($0.number) } ?? ""] {
            JSON.writeInt(Int64(text.utf8.count), into: &out)
            out.append(UInt8(ascii: ":"))
            out.append(contentsOf: text.utf8)
        }
        // Not an empty text for none: the hashes of entries without one are older than reasons are.
        if let reason {
            JSON.writeInt(Int64(reason.utf8.count), into: &out)
            out.append(UInt8(ascii: ":"))
            out.append(contentsOf: reason.utf8)
        }
        return out
    }
}

/// Why the ledger did not take an amount.
package enum LedgerError: Error, Sendable, Hashable {
    /// An amount is 1 ms to ``Account/amountMillisecondsMax``.
    case amountOutOfRange(Int64)
    /// The balance would leave ±``Account/amountMillisecondsMax``.
    case balanceOutOfRange
}
