import Billing
import Storage
import Testing
import Values

@Suite("Store contract: ledgers, credits and purchases")
struct LedgerContractTests {
    private func funded(_ backend: StoreBackend, _ milliseconds: Int64) throws -> StoreHarness {
        let harness = try backend.start()
        try harness.store.addTenant(Sample.tenantRow())
        try harness.store.addTenant(Sample.tenantRow(Sample.other))
        if milliseconds > 0 { _ = try harness.store.credit(Sample.credit(milliseconds, "first")) }
        return harness
    }

    @Test("I7: an outcome's charge is in the ledger with it, once", arguments: StoreBackend.allCases)
    func chargeIsTakenOnce(backend: StoreBackend) throws {
        let harness = try funded(backend, 100)
        let (store, run) = (harness.store, Sample.run(1))
        let start = Sample.start(run, dedupe: RunCommit.Dedupe(key: "k"))
        _ = try store.commitAndWait(start)
        let step = Sample.step(run, "a", charge: 30)
        #expect(try store.commitAndWait(step) == .stored(balance: 70, depletion: nil))
        #expect(throws: StoreError.self) { try store.commitAndWait(step) }
        var duplicate = start
        duplicate.run = Sample.run(2)
        duplicate.entries = [Sample.entry("start", charge: 50)]
        #expect(try store.commitAndWait(duplicate) == .duplicate(of: run, isSameContent: true))
        let entry = try #require(try store.ledger(of: Sample.tenant, before: nil, limit: 1).first)
        #expect(entry.kind == .usage && entry.amountMilliseconds == -30 && entry.balanceMilliseconds == 70)
        #expect(entry.run == run && entry.sequence == 2 && entry.reference == nil)
        #expect(try store.ledger(of: Sample.tenant, before: 2, limit: 9).map(\.sequence) == [1])
        #expect(try store.run(run, of: Sample.tenant)?.chargedMilliseconds == 30)
        #expect(try store.verifyLedgers().usedMilliseconds == 30)
    }

    @Test("the operator's time is recorded, but not charged", arguments: StoreBackend.allCases)
    func unmeteredIsNotCharged(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let step = Sample.step(Sample.run(1), "a", tenant: .operatorTenant, charge: 30, isMetered: false)
        #expect(try store.commitAndWait(step) == .stored(balance: nil, depletion: nil))
        #expect(try store.account(of: .operatorTenant) == Account(tenant: .operatorTenant))
        #expect(try store.verifyLedgers().findings.isEmpty)
    }

    @Test("crossing zero is announced once, until a run answers it", arguments: StoreBackend.allCases)
    func depletionIsAnnouncedOnce(backend: StoreBackend) throws {
        let harness = try funded(backend, 10)
        let (store, run) = (harness.store, Sample.run(1))
        let first = Depletion(tenant: Sample.tenant, sequence: 2, balanceMilliseconds: -5)
        #expect(
            try store.commitAndWait(Sample.step(run, "a", charge: 15))
                == .stored(balance: -5, depletion: first))
        #expect(
            try store.commitAndWait(Sample.step(run, "b", 3, charge: 1))
                == .stored(balance: -6, depletion: nil))
        #expect(try store.pendingDepletions() == [first])
        _ = try store.credit(Sample.credit(6, "second"))
        _ = try store.credit(Sample.credit(1, "third"))
        let second = Depletion(tenant: Sample.tenant, sequence: 6, balanceMilliseconds: 0)
        #expect(
            try store.commitAndWait(Sample.step(run, "c", 4, charge: 1))
                == .stored(balance: 0, depletion: second))
        #expect(try store.pendingDepletions().sorted { $0.sequence < $1.sequence } == [first, second])
        var answer = Sample.start(Sample.run(2), tenant: .operatorTenant)
        answer.settles = first
        _ = try store.commitAndWait(answer)
        #expect(try store.pendingDepletions() == [second])
        try store.dropDepletion(second)
        #expect(try store.pendingDepletions().isEmpty)
    }

    @Test("I8: a reference credits once, whatever key comes with it", arguments: StoreBackend.allCases)
    func referenceCreditsOnce(backend: StoreBackend) throws {
        let harness = try funded(backend, 0)
        let store = harness.store
        guard
            case .credited(let entry) = try store.credit(Sample.credit(60, "stripe:pi_1:purchase", key: "a"))
        else { return #expect(Bool(false), "the first credit is taken") }
        #expect(try store.credit(Sample.credit(60, "stripe:pi_1:purchase", key: "b")) == .replayed(entry))
        #expect(try store.credit(Sample.credit(60, "stripe:pi_1:purchase")) == .replayed(entry))
        #expect(try store.credit(Sample.credit(61, "stripe:pi_1:purchase")) == .referenceConflict)
        #expect(
            try store.credit(Sample.credit(60, "stripe:pi_1:purchase", tenant: Sample.other))
                == .referenceConflict)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == 60)
        #expect(try store.account(of: Sample.other).sequence == 0)
    }

    @Test(
        "a key answers the same request the same way for ever, refusals too", arguments: StoreBackend.allCases
    )
    func keyIsSticky(backend: StoreBackend) throws {
        let harness = try funded(backend, 0)
        let store = harness.store
        let unknown = Sample.credit(5, "r1", tenant: TenantID(number: 99), key: "k1")
        #expect(try store.credit(unknown) == .tenantUnknown)
        try store.addTenant(Sample.tenantRow(TenantID(number: 99)))
        #expect(try store.credit(unknown) == .tenantUnknown)
        #expect(try store.credit(Sample.credit(5, "r1", key: "k1", fingerprint: [2])) == .keyReused)
        let good = Sample.credit(5, "r1", key: "k2")
        guard case .credited(let entry) = try store.credit(good) else { return #expect(Bool(false)) }
        #expect(try store.credit(good) == .replayed(entry))
        #expect(try store.credit(Sample.credit(0, "r2", key: "k3")) == .amountOutOfRange)
        #expect(try store.credit(Sample.credit(0, "r2", key: "k3")) == .amountOutOfRange)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == 5)
    }

    @Test(
        "an amount outside 1 to 2^53 - 1, or a balance past it, is refused",
        arguments: StoreBackend.allCases, [Int64.min, -1, 0, 1 << 53, Int64.max])
    func amountIsBounded(backend: StoreBackend, amount: Int64) throws {
        let harness = try funded(backend, 10)
        let store = harness.store
        #expect(try store.credit(Sample.credit(amount, "r")) == .amountOutOfRange)
        #expect(try store.credit(Sample.credit(Account.amountMillisecondsMax, "r")) == .amountOutOfRange)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == 10)
        #expect(throws: StoreError.outOfRange(what: "balance of \(Sample.tenant)")) {
            try store.commitAndWait(Sample.step(Sample.run(1), "a", charge: Int64.max))
        }
        #expect(throws: StoreError.outOfRange(what: "charge of entry a")) {
            try store.commitAndWait(Sample.step(Sample.run(1), "a", charge: -1))
        }
        #expect(try store.entries(of: Sample.run(1)).isEmpty)
        #expect(try store.verifyLedgers().findings.isEmpty)
    }

    @Test("a payment that is not the purchase's parks it", arguments: StoreBackend.allCases)
    func purchaseIsCompared(backend: StoreBackend) throws {
        let harness = try funded(backend, 0)
        let store = harness.store
        let price = Credit.Paid(amountMinor: 500, currency: "EUR")
        func open(_ number: Int64) throws -> Purchase {
            let purchase = Purchase(
                purchase: PurchaseID(number: number), tenant: Sample.tenant, minutes: 2, price: price,
                state: .open,
                createdAt: Sample.noon)
            try store.addPurchase(purchase)
            return purchase
        }
        func pay(
            _ number: Int64, _ paid: Credit.Paid?, _ ms: Int64 = 120_000, of tenant: TenantID = Sample.tenant
        )
            throws -> CreditOutcome
        {
            try store.credit(
                Sample.credit(
                    ms, "pay-\(number)-\(ms)-\(tenant.number)", tenant: tenant, key: "key-\(number)-\(ms)",
                    purchase: PurchaseID(number: number), paid: paid))
        }
        var good = try open(1)
        guard case .credited = try pay(1, price) else { return #expect(Bool(false)) }
        good.state = .credited
        #expect(try store.purchase(good.purchase) == good)
        var cheap = try open(2)
        cheap.state = .parked
        #expect(try pay(2, Credit.Paid(amountMinor: 499, currency: "EUR")) == .purchaseMismatch(cheap))
        #expect(try pay(2, Credit.Paid(amountMinor: 499, currency: "EUR")) == .purchaseMismatch(cheap))
        #expect(try pay(2, price, 120_001) == .purchaseMismatch(cheap))
        func openCount(_ since: Instant, of tenant: TenantID = Sample.tenant) throws -> Int {
            try store.openPurchaseCount(of: tenant, since: since)
        }
        #expect(try openCount(Sample.noon) == 0)
        var foreign = try open(3)
        #expect(try openCount(Sample.noon) == 1 && openCount(Sample.at(1)) == 0)
        #expect(try openCount(Sample.noon, of: Sample.other) == 0)
        foreign.state = .parked
        #expect(try pay(3, price, of: Sample.other) == .purchaseMismatch(foreign))
        good.state = .parked
        #expect(
            try store.credit(Sample.credit(120_000, "other", purchase: good.purchase, paid: price))
                == .purchaseSettled(good))
        #expect(try store.purchase(good.purchase)?.state == .parked)
        #expect(try pay(4, price) == .purchaseUnknown)
        #expect(throws: StoreError.exists(what: "purchase \(good.purchase)")) { try store.addPurchase(good) }
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == 120_000)
        #expect(try store.account(of: Sample.other).sequence == 0)
    }
}
