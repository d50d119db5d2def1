import Billing
import Storage
import TestSupport
import Testing
import Values

@Suite("Store storms and models")
struct StormTests {
    @Test(
        "I2, I7, I8: eight threads with random duplicates leave exact counts",
        arguments: StoreBackend.allCases)
    func stormLeavesExactCounts(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        try store.addTenant(Sample.tenantRow())
        let (keys, threads) = (Int64(60), 8)
        let workers = (0..<threads).map { thread in
            WorkerThread(name: "storm \(thread)") {
                var random = SeededRandom(seed: UInt64(thread) + 1)
                for key in (0..<keys).shuffled(using: &random) {
                    // Refusals are what a storm of duplicates is about: only the counts at the end matter.
                    _ = try? store.commitAndWait(
                        Sample.step(Sample.run(key), "k", charge: 3),
                        inPlace: Bool.random(using: &random))
                    _ = try? store.commitAndWait(
                        Sample.start(
                            RunID(number: Int64(thread) * 1000 + key),
                            dedupe: RunCommit.Dedupe(key: "d\(key)")))
                    _ = try? store.credit(Sample.credit(5, "ref-\(key)", key: "key-\(thread)-\(key)"))
                }
            }
        }
        for worker in workers { worker.join() }
        let credits = try store.ledger(of: Sample.tenant, before: nil, limit: 10_000).filter {
            $0.kind == .credit
        }
        #expect(credits.count == Int(keys))
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == keys * 5 - keys * 3)
        #expect(try store.openRuns(after: nil, limit: 10_000).count == Int(keys))
        #expect(try (0..<keys).reduce(0) { try $0 + store.entries(of: Sample.run($1)).count } == Int(keys))
        let verified = try store.verifyLedgers()
        #expect(verified.findings.isEmpty)
        #expect(verified.creditedMilliseconds == keys * 5 && verified.usedMilliseconds == keys * 3)
    }

    /// What a store should answer, in the fewest words.
    private struct Model {
        var balances: [Int64: Int64] = [:]
        var references: [Int64: (tenant: Int64, amount: Int64)] = [:]
        var answers: [Int64: (fingerprint: UInt8, answer: String)] = [:]

        mutating func credit(
            _ tenant: Int64, _ amount: Int64, _ reference: Int64, _ key: Int64, _ print: UInt8
        )
            -> String
        {
            if let known = answers[key] {
                guard known.fingerprint == print else { return "reused" }
                return known.answer == "credited" ? "replayed" : known.answer
            }
            let answer = decide(tenant, amount, reference)
            answers[key] = (print, answer)
            return answer
        }

        private mutating func decide(_ tenant: Int64, _ amount: Int64, _ reference: Int64) -> String {
            guard amount > 0 else { return "range" }
            guard tenant <= 3 else { return "unknown" }
            if let first = references[reference] {
                return first == (tenant, amount) ? "replayed" : "conflict"
            }
            references[reference] = (tenant, amount)
            balances[tenant, default: 0] += amount
            return "credited"
        }
    }

    private static func name(_ outcome: CreditOutcome) -> String {
        switch outcome {
        case .credited: "credited"
        case .replayed: "replayed"
        case .keyReused: "reused"
        case .referenceConflict: "conflict"
        case .tenantUnknown: "unknown"
        case .amountOutOfRange: "range"
        case .purchaseMismatch, .purchaseSettled, .purchaseUnknown: "purchase"
        }
    }

    @Test("I6, I8: credits and charges agree with a model", arguments: StoreBackend.allCases, UInt64(1)...5)
    func agreesWithModel(backend: StoreBackend, seed: UInt64) throws {
        let harness = try backend.start()
        let store = harness.store
        for tenant in Int64(1)...3 { try store.addTenant(Sample.tenantRow(TenantID(number: tenant))) }
        var random = SeededRandom(seed: seed)
        var model = Model()
        for step in Int64(0)..<150 {
            let tenant = Int64.random(in: 1...4, using: &random)
            if Bool.random(using: &random) {
                let (amount, reference) = (
                    Int64.random(in: 0...3, using: &random), Int64.random(in: 0...30, using: &random)
                )
                let (key, print) = (
                    Int64.random(in: 0...60, using: &random), UInt8.random(in: 0...1, using: &random)
                )
                let outcome = try store.credit(
                    Sample.credit(
                        amount, "r\(reference)", tenant: TenantID(number: tenant), key: "k\(key)",
                        fingerprint: [print]))
                let expected = model.credit(tenant, amount, reference, key, print)
                #expect(Self.name(outcome) == expected, "seed \(seed), step \(step)")
            } else {
                let charge = Int64.random(in: 0...4, using: &random)
                _ = try store.commitAndWait(
                    Sample.step(
                        Sample.run(tenant), "s\(step)", step + 2, tenant: TenantID(number: tenant),
                        charge: charge),
                    inPlace: Bool.random(using: &random))
                model.balances[tenant, default: 0] -= charge
            }
        }
        for tenant in Int64(1)...4 {
            let balance = try store.account(of: TenantID(number: tenant)).balanceMilliseconds
            #expect(balance == model.balances[tenant] ?? 0, "seed \(seed), tenant \(tenant)")
        }
        #expect(try store.verifyLedgers().findings.isEmpty, "seed \(seed)")
    }
}
