import Billing
import OpenSSLCrypto
import Testing
import Values

@Suite("Account and ledger")
struct AccountTests {
    private static let tenant = TenantID(number: 7)
    private static let noon = Instant(milliseconds: 1_790_000_000_000)
    private static let cryptography = OpenSSLCryptography()
    private static func sha256(_ bytes: [UInt8]) -> [UInt8] { cryptography.sha256(bytes) }

    private func account(balance: Int64) -> Account {
        Account(
            tenant: Self.tenant, sequence: 4, balanceMilliseconds: balance,
            lastHash: [UInt8](repeating: 3, count: 32))
    }

    @Test("a credit and a charge move the balance and chain their entries")
    func entriesAreChained() throws {
        var account = Account(tenant: Self.tenant)
        let credit = try account.credit(60_000, reference: "r", at: Self.noon, sha256: Self.sha256)
        let usage = try account.charge(70_000, run: RunID(number: 5), at: Self.noon, sha256: Self.sha256)
        #expect(credit.sequence == 1 && usage.sequence == 2)
        #expect(credit.previousHash == [UInt8](repeating: 0, count: 32))
        #expect(usage.previousHash == credit.hash && account.lastHash == usage.hash)
        #expect(usage.amountMilliseconds == -70_000 && usage.balanceMilliseconds == -10_000)
        #expect(account.balanceMilliseconds == -10_000 && !account.isFunded)
    }

    @Test(
        "an amount that is not 1 to 2^53 - 1 is refused and changes nothing",
        arguments: [Int64.min, -1, 0, 1 << 53, Int64.max])
    func amountIsBounded(amount: Int64) {
        var account = account(balance: 5)
        #expect(throws: LedgerError.amountOutOfRange(amount)) {
            try account.credit(amount, reference: "r", at: Self.noon, sha256: Self.sha256)
        }
        #expect(throws: LedgerError.amountOutOfRange(amount)) {
            try account.charge(amount, run: nil, at: Self.noon, sha256: Self.sha256)
        }
        #expect(account == self.account(balance: 5))
    }

    @Test("a balance stays within 2^53 - 1 on both sides")
    func balanceIsBounded() throws {
        let limit = Account.amountMillisecondsMax
        var full = account(balance: limit - 1)
        #expect(throws: LedgerError.balanceOutOfRange) {
            try full.credit(2, reference: "r", at: Self.noon, sha256: Self.sha256)
        }
        #expect(full == account(balance: limit - 1))
        _ = try full.credit(1, reference: "r", at: Self.noon, sha256: Self.sha256)
        #expect(full.balanceMilliseconds == limit)
        var empty = account(balance: 1 - limit)
        #expect(throws: LedgerError.balanceOutOfRange) {
            try empty.charge(2, run: nil, at: Self.noon, sha256: Self.sha256)
        }
        _ = try empty.charge(1, run: nil, at: Self.noon, sha256: Self.sha256)
        #expect(empty.balanceMilliseconds == -limit)
    }

    @Test("funded means above zero", arguments: [(1, true), (0, false), (-1, false)] as [(Int64, Bool)])
    func fundedIsAboveZero(balance: Int64, isFunded: Bool) {
        #expect(account(balance: balance).isFunded == isFunded)
    }

    // MARK: - Audit

    private static func ledger() throws -> [LedgerEntry] {
        var account = Account(tenant: tenant)
        return [
            try account.credit(60_000, reference: "stripe:pi_1:purchase", at: noon, sha256: sha256),
            try account.charge(1_500, run: RunID(number: 9), at: noon, sha256: sha256),
            try account.charge(200, run: nil, at: noon, sha256: sha256),
        ]
    }

    private func audit(_ entries: [LedgerEntry]) throws(LedgerAudit.Finding) -> LedgerAudit {
        var audit = LedgerAudit(tenant: Self.tenant)
        for entry in entries { try audit.check(entry, sha256: Self.sha256) }
        return audit
    }

    @Test("I6: an untouched ledger passes, and its balance is the sum of its entries")
    func untouchedLedgerPasses() throws {
        let audit = try audit(Self.ledger())
        #expect(audit.entryCount == 3)
        #expect(audit.account.balanceMilliseconds == 58_300)
    }

    /// A change of one field, as someone with the file in hand might make it.
    struct Change: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var apply: @Sendable (inout LedgerEntry) -> Void
    }

    static let changes: [Change] = [
        Change(testDescription: "tenant") { $0.tenant = TenantID(number: 8) },
        Change(testDescription: "sequence") { $0.sequence += 1 },
        Change(testDescription: "kind") { $0.kind = $0.kind == .credit ? .usage : .credit },
        Change(testDescription: "amount") { $0.amountMilliseconds += 1 },
        Change(testDescription: "balance") { $0.balanceMilliseconds += 1 },
        Change(testDescription: "reference") { $0.reference = "\($0.reference ?? "")x" },
        Change(testDescription: "run") { $0.run = RunID(number: 10) },
        Change(testDescription: "time") { $0.at.microseconds += 1 },
        Change(testDescription: "previous hash") { $0.previousHash[31] ^= 1 },
        Change(testDescription: "hash") { $0.hash[0] ^= 1 },
    ]

    @Test("I6: a change of any one field of any entry is found at that entry", arguments: changes, 0...2)
    func changeIsFound(change: Change, position: Int) throws {
        var ledger = try Self.ledger()
        let sequence = ledger[position].sequence
        change.apply(&ledger[position])
        let finding = #expect(throws: LedgerAudit.Finding.self) { try audit(ledger) }
        #expect(finding?.tenant == Self.tenant)
        #expect(finding?.sequence == (change.testDescription == "sequence" ? sequence + 1 : sequence))
    }

    @Test(
        "I6: a lost, doubled or swapped entry is found",
        arguments: [[0, 2], [1, 2], [0, 0, 1, 2], [0, 2, 1]])
    func orderIsFound(order: [Int]) throws {
        let ledger = try Self.ledger()
        #expect(throws: LedgerAudit.Finding.self) { try audit(order.map { ledger[$0] }) }
    }

    @Test("I6: an entry with a hash of its own, but a wrong sum or sign, is found", arguments: [1, -60_000])
    func forgedEntryIsFound(amount: Int64) throws {
        var ledger = try Self.ledger()
        ledger[0].amountMilliseconds = amount
        ledger[0].hash = Self.sha256(ledger[0].hashedBytes)
        let finding = #expect(throws: LedgerAudit.Finding.self) { try audit(ledger) }
        #expect(finding?.sequence == 1)
    }
}
