package import Values

/// One entry of a tenant's ledger.
///
/// It is never changed and never deleted (I6). Its hash covers its own fields and the previous entry's hash,
/// so that a changed byte anywhere breaks the chain from there on.
package struct LedgerEntry: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Minutes bought, or given by the operator.
        case credit
        /// Run time used: all charges of one transaction for this tenant.
        case usage
        /// Minutes that the operator took back.
        case takeBack = "take_back"
    }

    package var tenant: TenantID
    /// Per tenant, from 1, without gaps.
    package var sequence: Int64
    package var kind: Kind
    /// Milliseconds of run time; positive for a credit, negative for usage and a take-back, never 0.
    package var amountMilliseconds: Int64
    /// The balance after this entry.
    package var balanceMilliseconds: Int64
    /// For a credit or a take-back: its business reference, such as `stripe:pi_1:purchase`; unique for ever
    /// (I8).
    package var reference: String?
    /// For usage: the charged run, if there is only one.
    package var run: RunID?
    /// For a take-back: the operator's reason.
    package var reason: String?
    package var at: Instant
    /// 32 bytes; zeros for the first entry.
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

    /// The input of the hash: the previous hash, then each field as decimal text or length-prefixed bytes.
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
        // A missing reason adds nothing, because the hashes of such entries are older than the field.
        if let reason {
            JSON.writeInt(Int64(reason.utf8.count), into: &out)
            out.append(UInt8(ascii: ":"))
            out.append(contentsOf: reason.utf8)
        }
        return out
    }
}

/// Why the ledger refused an amount.
package enum LedgerError: Error, Sendable, Hashable {
    /// The amount is not 1 ms to ``Account/amountMillisecondsMax``.
    case amountOutOfRange(Int64)
    /// The balance would leave ±``Account/amountMillisecondsMax``.
    case balanceOutOfRange
}
