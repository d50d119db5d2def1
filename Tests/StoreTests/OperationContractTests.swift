import Billing
import Storage
import Testing
import Values

@Suite("Store contract: what an operator does to a tenant")
struct OperationContractTests {
    private func funded(_ backend: StoreBackend, _ milliseconds: Int64) throws -> StoreHarness {
        let harness = try backend.start()
        try harness.store.addTenant(Sample.tenantRow())
        try harness.store.addTenant(Sample.tenantRow(Sample.other))
        if milliseconds > 0 { _ = try harness.store.credit(Sample.credit(milliseconds, "first")) }
        return harness
    }

    private func takeBack(
        _ milliseconds: Int64, _ reference: String, of tenant: TenantID = Sample.tenant, key: String? = nil
    ) -> Credit {
        var debit = Sample.credit(milliseconds, reference, tenant: tenant, key: key)
        debit.takeBackReason = "charged back"
        return debit
    }

    @Test(
        "minutes are taken back once for each reference, in the hash chain, with the reason",
        arguments: StoreBackend.allCases)
    func takenBackOnce(backend: StoreBackend) throws {
        let harness = try funded(backend, 100)
        let store = harness.store
        guard case .credited(let entry) = try store.credit(takeBack(30, "refund:1")) else {
            Issue.record("not taken back")
            return
        }
        #expect(entry.kind == .takeBack && entry.amountMilliseconds == -30 && entry.balanceMilliseconds == 70)
        #expect(entry.reason == "charged back" && entry.reference == "refund:1")
        #expect(try store.credit(takeBack(30, "refund:1")) == .replayed(entry))
        #expect(try store.credit(takeBack(31, "refund:1")) == .referenceConflict)
        #expect(try store.credit(takeBack(30, "refund:1", of: Sample.other)) == .referenceConflict)
        // A reference stands for one entry, whichever direction.
        #expect(try store.credit(takeBack(100, "first")) == .referenceConflict)
        #expect(try store.credit(Sample.credit(30, "refund:1")) == .referenceConflict)
        #expect(try store.credit(takeBack(1, "refund:2", of: TenantID(number: 99))) == .tenantUnknown)
        #expect(try store.credit(takeBack(0, "refund:3")) == .amountOutOfRange)
        try harness.reopen()
        #expect(try harness.store.ledger(of: Sample.tenant, before: nil, limit: 1) == [entry])
        let found = try harness.store.verifyLedgers()
        #expect(
            found.findings.isEmpty && found.creditedMilliseconds == 100 && found.takenBackMilliseconds == 30)
    }

    @Test(
        "what is taken back may leave less than nothing, and raises a depletion where it crosses zero",
        arguments: StoreBackend.allCases)
    func takenBelowZero(backend: StoreBackend) throws {
        let harness = try funded(backend, 100)
        let store = harness.store
        _ = try store.credit(takeBack(150, "refund:1"))
        let depletion = Depletion(tenant: Sample.tenant, sequence: 2, balanceMilliseconds: -50)
        #expect(try store.pendingDepletions() == [depletion])
        _ = try store.credit(takeBack(1, "refund:2"))
        #expect(try store.pendingDepletions() == [depletion], "it crosses zero once")
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == -51)
        _ = try store.credit(Sample.credit(51, "second"))
        #expect(try !store.account(of: Sample.tenant).isFunded)
        #expect(try store.verifyLedgers().findings.isEmpty)
        // The next charge stands on the account that the take-back left.
        let charged = try store.commitAndWait(Sample.step(Sample.run(1), "a", charge: 4))
        #expect(charged == .stored(balance: -4, depletion: nil))
    }

    @Test(
        "an Idempotency-Key answers a take-back again, and tells another request apart",
        arguments: StoreBackend.allCases)
    func keysGuardTakeBacks(backend: StoreBackend) throws {
        let harness = try funded(backend, 100)
        let store = harness.store
        guard case .credited(let entry) = try store.credit(takeBack(30, "refund:1", key: "k")) else {
            Issue.record("not taken back")
            return
        }
        #expect(try store.credit(takeBack(30, "refund:1", key: "k")) == .replayed(entry))
        var other = takeBack(30, "refund:2", key: "k")
        other.fingerprint = [2]
        #expect(try store.credit(other) == .keyReused)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == 70)
    }

    @Test("a ledger is added up by days of UTC", arguments: StoreBackend.allCases)
    func ledgersAreAddedUpByDay(backend: StoreBackend) throws {
        let harness = try funded(backend, 100)
        let store = harness.store
        _ = try store.commitAndWait(Sample.step(Sample.run(1), "a", charge: 5))
        _ = try store.commitAndWait(Sample.step(Sample.run(1), "b", 3, charge: 2))
        var later = takeBack(10, "refund:1")
        later.at = Sample.at(86_400)
        _ = try store.credit(later)
        let day = Sample.noon.microseconds / LedgerDay.microseconds
        let all = try store.ledgerDays(of: Sample.tenant, from: Sample.at(-1), to: Sample.at(100_000))
        #expect(
            all == [
                LedgerDay(
                    day: day, creditedMilliseconds: 100, takenBackMilliseconds: 0, usedMilliseconds: 7),
                LedgerDay(
                    day: day + 1, creditedMilliseconds: 0, takenBackMilliseconds: 10, usedMilliseconds: 0),
            ])
        #expect(try store.ledgerDays(of: Sample.tenant, from: Sample.at(4), to: Sample.at(86_400)).isEmpty)
        #expect(try store.ledgerDays(of: Sample.other, from: Sample.at(-1), to: Sample.at(9)).isEmpty)
    }

    @Test("a suspension is kept with its reason and rule, and ends", arguments: StoreBackend.allCases)
    func suspensionsAreKept(backend: StoreBackend) throws {
        let harness = try funded(backend, 0)
        let suspension = Tenant.Suspension(since: Sample.noon, reason: "abuse", webhooks: .refuse)
        try harness.store.setSuspension(suspension, of: Sample.tenant)
        try harness.reopen()
        let store = harness.store
        #expect(try store.tenant(Sample.tenant)?.suspension == suspension)
        #expect(try store.suspendedTenants().map(\.tenant) == [Sample.tenant])
        #expect(try store.tenants(after: nil, limit: 9).map(\.suspension) == [suspension, nil])
        try store.setSuspension(nil, of: Sample.tenant)
        #expect(try store.suspendedTenants().isEmpty)
        #expect(try store.tenant(Sample.tenant) == Sample.tenantRow())
        #expect(throws: StoreError.missing(what: "tenant \(TenantID(number: 9))")) {
            try store.setSuspension(suspension, of: TenantID(number: 9))
        }
    }
}
