import Billing
import Foundation
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

    /// A tenant with all that there is, and another that must keep its own.
    private func populated(_ backend: StoreBackend) throws -> StoreHarness {
        let harness = try funded(backend, 1000)
        let store = harness.store
        for (tenant, first) in [(Sample.tenant, Int64(1)), (Sample.other, Int64(11))] {
            try store.addKey(
                APIKey(
                    key: KeyID(number: first), tenant: tenant, scope: .full, secretHash: [1],
                    createdAt: Sample.noon))
            try store.setSecret(
                SealedSecret(
                    tenant: tenant, name: "A", sealed: [1, 2], hosts: [], updatedAt: Sample.noon))
            for source in ["one", "two"] {
                _ = try store.deployWorkflow(
                    "order", of: tenant, digest: Array(source.utf8), source: Array(source.utf8),
                    at: Sample.noon, listensToRuns: true)
            }
            _ = try store.deleteWorkflow("order", of: tenant)
            try store.countRefusals([
                TriggerRefusal(
                    tenant: tenant, workflow: "order", reason: .schema, count: 1, lastAt: Sample.noon,
                    lastDetail: "x")
            ])
            for number in 0..<5 {
                let run = Sample.run(first + Int64(number))
                _ = try store.commitAndWait(
                    Sample.start(run, tenant: tenant, dedupe: RunCommit.Dedupe(key: "k\(number)")))
                _ = try store.commitAndWait(Sample.step(run, "a", tenant: tenant, charge: 3))
                if number < 3 {
                    var finish = Sample.finish(run, tenant: tenant)
                    finish.mail = [Mail(tenant: tenant, key: "m", body: [1], at: Sample.noon)]
                    _ = try store.commitAndWait(finish)
                }
            }
        }
        try store.setExternalCustomer("cus_1", of: Sample.tenant)
        return harness
    }

    @Test("versions are listed through, deleted workflows among them", arguments: StoreBackend.allCases)
    func versionsAreListedThrough(backend: StoreBackend) throws {
        let harness = try populated(backend)
        let store = harness.store
        _ = try store.deployWorkflow(
            "bill", of: Sample.tenant, digest: [3], source: [3], at: Sample.noon, listensToRuns: false)
        var seen: [String] = []
        var after: (name: String, number: Int64)?
        while let next = try store.allVersions(of: Sample.tenant, after: after, limit: 1).first {
            seen.append("\(next.name) \(next.number)")
            after = (next.name, next.number)
        }
        #expect(seen == ["bill 1", "order 1", "order 2"])
        #expect(try store.allVersions(of: Sample.tenant, after: nil, limit: 9).count == 3)
    }

    @Test(
        "an erased tenant leaves its ledger, which can still be verified, and nothing else",
        arguments: StoreBackend.allCases)
    func erasureLeavesTheLedger(backend: StoreBackend) throws {
        let harness = try populated(backend)
        var store = harness.store
        let ledger = try store.ledger(of: Sample.tenant, before: nil, limit: 99)
        try store.beginErasure(of: Sample.tenant, at: Sample.at(1))
        try store.beginErasure(of: Sample.tenant, at: Sample.at(2))
        #expect(try store.keys(of: Sample.tenant).isEmpty, "no key opens from then on")
        #expect(try store.tenantsBeingErased().map(\.tenant) == [Sample.tenant])
        let row = try #require(try store.tenant(Sample.tenant))
        #expect(row.erasure == Tenant.Erasure(since: Sample.at(1)) && row.suspension?.webhooks == .refuse)
        // In portions, through a restart.
        #expect(try !store.eraseData(of: Sample.tenant, limit: 2, at: Sample.at(3)))
        try harness.reopen()
        store = harness.store
        while try !store.eraseData(of: Sample.tenant, limit: 2, at: Sample.at(3)) {}
        #expect(try store.tenantsBeingErased().isEmpty)
        let erased = try #require(try store.tenant(Sample.tenant))
        #expect(erased.name == "erased" && erased.externalCustomerID == nil)
        #expect(erased.erasure == Tenant.Erasure(since: Sample.at(1), endedAt: Sample.at(3)))
        #expect(try store.runs(of: Sample.tenant, RunQuery()).isEmpty)
        #expect(try store.entries(of: Sample.run(1)).isEmpty)
        #expect(try store.secrets(of: Sample.tenant).isEmpty)
        #expect(try store.allVersions(of: Sample.tenant, after: nil, limit: 9).isEmpty)
        #expect(try store.refusals(of: "order", of: Sample.tenant).isEmpty)
        let key = RunCommit.Dedupe(key: "k0")
        #expect(try store.duplicate(of: key, workflow: "order", of: Sample.tenant) == nil)
        #expect(try store.ledger(of: Sample.tenant, before: nil, limit: 99) == ledger)
        #expect(try store.verifyLedgers().findings.isEmpty)
        #expect(try store.newestRun().map { $0 >= Sample.run(5) } == true, "numbers are not given twice")
        #expect(try store.pendingMail(after: nil, limit: 9).map(\.place.tenant) == [Sample.other])
        // The other one has lost nothing.
        #expect(try store.runs(of: Sample.other, RunQuery()).count == 5)
        #expect(try store.keys(of: Sample.other).count == 1 && store.secrets(of: Sample.other).count == 1)
        #expect(try store.allVersions(of: Sample.other, after: nil, limit: 9).count == 2)
        #expect(try store.duplicate(of: key, workflow: "order", of: Sample.other) != nil)
        #expect(throws: StoreError.missing(what: "tenant \(TenantID(number: 9))")) {
            try store.beginErasure(of: TenantID(number: 9), at: Sample.noon)
        }
    }

    @Test("what was erased is not in the file any more")
    func erasedBytesAreOverwritten() throws {
        let harness = try funded(.sqlite, 0)
        let body = Array("a body that nobody else has 4711".utf8)
        let run = Sample.run(1)
        _ = try harness.store.commitAndWait(Sample.start(run))
        var step = Sample.step(run, "a")
        step.entries[0].body = body
        _ = try harness.store.commitAndWait(step)
        let path = harness.directory.file("store.db")
        func isInFile() throws -> Bool {
            harness.store.close()
            let bytes = try Data(contentsOf: URL(filePath: path))
            try harness.reopen()
            return bytes.range(of: Data(body)) != nil
        }
        #expect(try isInFile())
        try harness.store.beginErasure(of: Sample.tenant, at: Sample.noon)
        while try !harness.store.eraseData(of: Sample.tenant, limit: 9, at: Sample.noon) {}
        #expect(try !isInFile())
    }
}
