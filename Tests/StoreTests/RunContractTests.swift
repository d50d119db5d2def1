import Billing
import Storage
import Testing
import Values

@Suite("Store contract: runs and journals")
struct RunContractTests {
    @Test("a journal is read in pages, wherever its commits begin and end", arguments: StoreBackend.allCases)
    func pages(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let run = Sample.run(1)
        var next: Int64 = 2
        _ = try store.commitAndWait(Sample.start(run))
        for count in [1, 3, 2] as [Int64] {
            var commit = Sample.step(run, "k\(next)", next)
            commit.entries = (next..<next + count).map { Sample.entry("k\($0)", $0) }
            next += count
            _ = try store.commitAndWait(commit)
        }
        let all = try store.entries(of: run)
        #expect(all.map(\.sequence) == [1, 2, 3, 4, 5, 6, 7])
        for (after, limit) in [
            (0, 7), (0, 100), (1, 2), (2, 1), (3, 3), (5, 2), (6, 9), (7, 9), (0, 0), (.max, 9),
        ]
            as [(Int64, Int)]
        {
            let expected = all.filter { $0.sequence > after }.prefix(limit)
            let page = try store.entries(of: run, after: after, limit: limit, byteCountMax: .max)
            #expect(page.entries == Array(expected))
            #expect(page.isFull == (all.last != expected.last && after < 7), "\(after), \(limit)")
        }
        #expect(
            try store.entries(of: Sample.run(2), after: 0, limit: 9, byteCountMax: .max).entries.isEmpty)
    }

    @Test(
        "a page of a journal ends before it has more bytes than asked for, and has at least one entry",
        arguments: StoreBackend.allCases)
    func pageOfBytes(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let run = Sample.run(1)
        _ = try store.commitAndWait(Sample.start(run))
        let sizes = [40, 60, 500, 30, 70, 3]
        var commit = Sample.step(run, "k", 2)
        commit.entries = zip(2..., sizes).map { sequence, size in
            var entry = Sample.entry("k\(sequence)", Int64(sequence))
            entry.facts = Array("{}".utf8)
            entry.body = [UInt8](repeating: 7, count: size - 2)
            return entry
        }
        _ = try store.commitAndWait(commit)
        let pages: [(after: Int64, max: Int, count: Int)] = [
            (1, 100, 2), (1, 99, 1), (1, 101, 2), (3, 100, 1), (3, 1, 1), (4, 102, 2), (4, 103, 3), (6, 0, 1),
            (1, .max, 6),
        ]
        for (after, max, count) in pages {
            let page = try store.entries(of: run, after: after, limit: 200, byteCountMax: max)
            #expect(page.entries.map(\.sequence) == Array(after + 1..<after + 1 + Int64(count)), "\(max)")
            #expect(page.isFull == (after + Int64(count) < 7), "\(after), \(max)")
        }
    }

    @Test("I4: a journal comes back as it was stored, in sequence order", arguments: StoreBackend.allCases)
    func journalComesBackInOrder(backend: StoreBackend) throws {
        let harness = try backend.start()
        let (store, run) = (harness.store, Sample.run(1))
        _ = try store.commitAndWait(Sample.start(run))
        let late = Sample.entry("b", 3, charge: 4, body: [0, 255, 10])
        let early = Sample.entry("c", 2, body: [])
        _ = try store.commitAndWait(
            RunCommit(run: run, tenant: Sample.tenant, entries: [early, late], isMetered: false))
        #expect(try store.entries(of: run) == [Sample.entry("start"), early, late])
        #expect(try store.entries(of: Sample.run(2)).isEmpty)
    }

    @Test(
        "a run's charge is what its last commit says, or else what its journal adds up to",
        arguments: StoreBackend.allCases)
    func chargeOfTheWholeRun(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        for number in Int64(1)...2 {
            let run = Sample.run(number)
            _ = try store.commitAndWait(Sample.start(run))
            _ = try store.commitAndWait(Sample.step(run, "outcome/charge", charge: 5))
            var end = Sample.finish(run, charge: 2)
            if number == 2 { end.runChargeMilliseconds = 7_000 }
            _ = try store.commitAndWait(end)
        }
        let charged = try (Int64(1)...2).map {
            try store.run(Sample.run($0), of: Sample.tenant)?.chargedMilliseconds
        }
        #expect(charged == [7, 7_000])
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == -14, "by the entries alone")
    }

    @Test(
        "I2: a commit decided on a state that is no more fails alone and leaves nothing",
        arguments: StoreBackend.allCases, [Int64(1), 2, 3])
    func staleCommitFailsAlone(backend: StoreBackend, sequence: Int64) throws {
        let harness = try backend.start()
        let (store, run) = (harness.store, Sample.run(1))
        _ = try store.commitAndWait(Sample.start(run))
        var first = Sample.step(run, "outcome/charge", charge: 5)
        first.entries.append(Sample.entry("outcome/mail", 3))
        _ = try store.commitAndWait(first)
        let again = RunCommit(
            run: run, tenant: Sample.tenant,
            entries: [
                Sample.entry("outcome/charge", sequence, charge: 9), Sample.entry("finish", sequence + 1),
            ],
            status: .failed, finishedAt: Sample.noon, isMetered: true)
        #expect(throws: StoreError.exists(what: "entry \(sequence) of \(run)")) {
            try store.commitAndWait(again)
        }
        #expect(try store.entries(of: run).map(\.key) == ["start", "outcome/charge", "outcome/mail"])
        #expect(try store.run(run, of: Sample.tenant)?.status == .running)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == -5)
    }

    @Test(
        "I5: what was acknowledged is there after the store is opened again", arguments: StoreBackend.allCases
    )
    func acknowledgedSurvives(backend: StoreBackend) throws {
        let harness = try backend.start()
        let epoch = harness.store.epoch
        _ = try harness.store.commitAndWait(Sample.start(Sample.run(1)))
        _ = try harness.store.commitAndWait(Sample.finish(Sample.run(1), charge: 3), inPlace: true)
        try harness.reopen()
        #expect(harness.store.epoch == epoch + 1)
        #expect(try harness.store.entries(of: Sample.run(1)).count == 2)
        let record = try #require(try harness.store.run(Sample.run(1), of: Sample.tenant))
        #expect(record.status == .succeeded)
        #expect(record.finishedAt == Sample.at(9))
        #expect(record.chargedMilliseconds == 3)
        #expect(try harness.store.verifyLedgers().findings.isEmpty)
    }

    @Test(
        "a start under a taken dedupe key stores nothing and names the first",
        arguments: StoreBackend.allCases)
    func takenDedupeKeyNamesTheFirst(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        func start(
            _ number: Int64, _ key: String, _ fingerprint: [UInt8]?, of tenant: TenantID = Sample.tenant
        )
            throws -> CommitReceipt
        {
            try store.commitAndWait(
                Sample.start(
                    Sample.run(number), tenant: tenant,
                    dedupe: RunCommit.Dedupe(key: key, fingerprint: fingerprint)))
        }
        let stored = CommitReceipt.stored(balance: nil, depletion: nil)
        #expect(try start(1, "e\u{301}", [1]) == stored)
        #expect(try start(2, "e\u{301}", [1]) == .duplicate(of: Sample.run(1), isSameContent: true))
        #expect(try start(3, "e\u{301}", [2]) == .duplicate(of: Sample.run(1), isSameContent: false))
        #expect(try start(4, "e\u{301}", nil) == .duplicate(of: Sample.run(1), isSameContent: true))
        // Another spelling of the same character is another key; another tenant's key is its own (I10).
        #expect(try start(5, "\u{e9}", nil) == stored)
        #expect(try start(6, "e\u{301}", nil, of: Sample.other) == stored)
        #expect(try store.run(Sample.run(2), of: Sample.tenant) == nil)
        #expect(try store.entries(of: Sample.run(2)).isEmpty)
        #expect(throws: StoreError.exists(what: "run \(Sample.run(1))")) {
            try store.commitAndWait(Sample.start(Sample.run(1)))
        }
    }

    @Test("I10: a run cannot be seen or moved by another tenant", arguments: StoreBackend.allCases)
    func foreignRunIsUnknown(backend: StoreBackend) throws {
        let harness = try backend.start()
        let (store, run) = (harness.store, Sample.run(1))
        _ = try store.commitAndWait(Sample.start(run))
        #expect(try store.run(run, of: Sample.other) == nil)
        #expect(try store.runs(of: Sample.other, RunQuery()).isEmpty)
        #expect(throws: StoreError.missing(what: "run \(run)")) {
            try store.commitAndWait(Sample.finish(run, tenant: Sample.other, charge: 7))
        }
        #expect(try store.entries(of: run).count == 1)
        #expect(try store.account(of: Sample.other).sequence == 0)
        #expect(try store.run(run, of: Sample.tenant)?.status == .running)
    }

    @Test("runs are listed newest first by workflow, status, time and page", arguments: StoreBackend.allCases)
    func runsAreListed(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let ends: [RunStatus?] = [nil, .failed, .succeeded, .cancelled, .paused, .failed]
        for (index, status) in ends.enumerated() {
            let number = Int64(index)
            _ = try store.commitAndWait(
                Sample.start(
                    Sample.run(number), workflow: index.isMultiple(of: 2) ? "even" : "odd",
                    startedAt: Sample.at(number)))
            guard let status else { continue }
            _ = try store.commitAndWait(Sample.finish(Sample.run(number), status))
        }
        func list(_ query: RunQuery) throws -> [Int64] {
            try store.runs(of: Sample.tenant, query).map { $0.run.number - Sample.run(0).number }
        }
        #expect(try list(RunQuery()) == [5, 4, 3, 2, 1, 0])
        #expect(try list(RunQuery(limit: 2)) == [5, 4])
        #expect(try list(RunQuery(before: Sample.run(4), limit: 2)) == [3, 2])
        #expect(try list(RunQuery(workflow: "odd")) == [5, 3, 1])
        #expect(try list(RunQuery(status: .failed)) == [5, 1])
        #expect(try list(RunQuery(status: .running)) == [0])
        #expect(try list(RunQuery(status: .paused)) == [4])
        #expect(try list(RunQuery(status: .succeeded)) == [2])
        #expect(try list(RunQuery(workflow: "odd", status: .cancelled)) == [3])
        #expect(try list(RunQuery(from: Sample.at(2), to: Sample.at(4))) == [3, 2])
        #expect(try list(RunQuery(status: .failed, to: Sample.at(4))) == [1])
    }

    @Test("open runs are found by rising id, with what they were charged", arguments: StoreBackend.allCases)
    func openRunsAreFound(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        #expect(try store.newestRun() == nil)
        for number in Int64(1)...4 {
            let tenant = number == 2 ? Sample.other : Sample.tenant
            _ = try store.commitAndWait(Sample.start(Sample.run(number), tenant: tenant))
        }
        _ = try store.commitAndWait(Sample.step(Sample.run(4), "a", charge: 6))
        _ = try store.commitAndWait(Sample.finish(Sample.run(3)))
        #expect(try store.openRuns(after: nil, limit: 9).map(\.run) == [1, 2, 4].map(Sample.run))
        #expect(try store.openRuns(after: Sample.run(1), limit: 1).map(\.run) == [Sample.run(2)])
        #expect(try store.openRuns(after: Sample.run(2), limit: 9).map(\.chargedMilliseconds) == [6])
        #expect(try store.run(Sample.run(4), of: Sample.tenant)?.chargedMilliseconds == 6)
        #expect(try store.newestRun() == Sample.run(4))
    }

    @Test("old finished runs are deleted, their ledgers still verify", arguments: StoreBackend.allCases)
    func oldRunsAreDeleted(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        for number in Int64(1)...4 {
            _ = try store.commitAndWait(
                Sample.start(Sample.run(number), dedupe: RunCommit.Dedupe(key: "k\(number)")))
            _ = try store.commitAndWait(Sample.step(Sample.run(number), "a", charge: number))
            guard number != 2 else { continue }
            _ = try store.commitAndWait(Sample.finish(Sample.run(number), at: Sample.at(number), charge: 1))
        }
        #expect(try store.deleteRuns(finishedBefore: Sample.at(1), startedSince: nil, limit: 9) == 0)
        #expect(try store.deleteRuns(finishedBefore: Sample.at(9), startedSince: nil, limit: 1) == 1)
        #expect(try store.deleteRuns(finishedBefore: Sample.at(9), startedSince: nil, limit: 9) == 2)
        #expect(try store.runs(of: Sample.tenant, RunQuery()).map(\.run) == [Sample.run(2)])
        #expect(try store.entries(of: Sample.run(4)).isEmpty)
        #expect(try store.newestRun() == Sample.run(4))
        let again = Sample.start(Sample.run(9), dedupe: RunCommit.Dedupe(key: "k1"))
        #expect(try store.commitAndWait(again) == .duplicate(of: Sample.run(1), isSameContent: true))
        #expect(try store.verifyLedgers().findings.isEmpty)
        #expect(try store.account(of: Sample.tenant).balanceMilliseconds == -13)
    }

    @Test(
        "where older ones are known to be deleted, only recent runs and long ones are looked for",
        arguments: StoreBackend.allCases)
    func recentAndLongRunsAreDeleted(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let day: Int64 = 86_400
        // When each began, and how long it took, in seconds.
        let runs: [(name: Int64, start: Int64, took: Int64)] = [
            (1, 0, 60), (2, 0, day), (3, 0, day + 1), (4, 10, 3 * day), (5, 2 * day, 60), (6, 4 * day, 60),
            (7, 0, 40 * day), (8, 2 * day - 1, 60), (9, 2 * day + 10, day + 5), (10, 0, 3 * day + 20),
        ]
        for (name, start, took) in runs {
            let tenant = name == 4 ? Sample.other : Sample.tenant
            let number = (Sample.at(start).milliseconds - 1_577_836_800_000) << 20 + name
            let run = RunID(number: number)
            _ = try store.commitAndWait(Sample.start(run, tenant: tenant, startedAt: Sample.at(start)))
            _ = try store.commitAndWait(
                Sample.finish(run, tenant: tenant, at: Sample.at(start + took)))
        }
        func delete(_ limit: Int) throws -> Int {
            try store.deleteRuns(
                finishedBefore: Sample.at(4 * day), startedSince: Sample.at(2 * day), limit: limit)
        }
        func left() throws -> [Int64] {
            try [Sample.tenant, Sample.other].flatMap { try store.runs(of: $0, RunQuery()) }
                .map { $0.run.number & 0xFF }.sorted()
        }
        #expect(try delete(1) == 1)
        #expect(try left() == [1, 2, 3, 4, 6, 7, 8, 9, 10])
        #expect(try delete(4) == 4)
        #expect(try left() == [1, 2, 6, 7, 8], "one that is recent and long is one")
        #expect(try delete(9) == 0)
        #expect(
            try store.deleteRuns(finishedBefore: Sample.at(4 * day), startedSince: nil, limit: 9) == 3)
        #expect(try left() == [6, 7])
    }

    @Test("old dedupe keys are forgotten, but the operator's never", arguments: StoreBackend.allCases)
    func oldDedupeKeysAreForgotten(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let tenants = [Sample.tenant, .operatorTenant, Sample.tenant]
        for (index, tenant) in tenants.enumerated() {
            _ = try store.commitAndWait(
                Sample.start(
                    Sample.run(Int64(index)), tenant: tenant, startedAt: Sample.at(Int64(index)),
                    dedupe: RunCommit.Dedupe(key: "k\(index)")))
        }
        #expect(try store.forgetDedupeKeys(before: Sample.at(2), limit: 9) == 1)
        #expect(try store.forgetDedupeKeys(before: Sample.at(9), limit: 0) == 0)
        let repeated = Sample.start(
            Sample.run(9), tenant: .operatorTenant, dedupe: RunCommit.Dedupe(key: "k1"))
        #expect(try store.commitAndWait(repeated) == .duplicate(of: Sample.run(1), isSameContent: true))
        let forgotten = Sample.start(Sample.run(10), dedupe: RunCommit.Dedupe(key: "k0"))
        #expect(try store.commitAndWait(forgotten) == .stored(balance: nil, depletion: nil))
    }

    @Test("a closed store refuses everything", arguments: StoreBackend.allCases)
    func closedStoreRefuses(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        store.close()
        store.close()
        #expect(throws: StoreError.closed) { try store.commitAndWait(Sample.start(Sample.run(1))) }
        #expect(throws: StoreError.closed) { try store.entries(of: Sample.run(1)) }
        #expect(throws: StoreError.closed) { try store.addTenant(Sample.tenantRow()) }
    }
}

extension RunContractTests {
    @Test(
        "a key with a scope of its own is one for all workflows of the tenant, and no other tenant's",
        arguments: StoreBackend.allCases)
    func scopedKeys(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let dedupe = RunCommit.Dedupe(key: "call:run_1/c", scope: RunCommit.Dedupe.anyWorkflow)
        #expect(try store.duplicate(of: dedupe, workflow: "order", of: Sample.tenant) == nil)
        _ = try store.commitAndWait(Sample.start(Sample.run(1), dedupe: dedupe))
        let first = CommitReceipt.duplicate(of: Sample.run(1), isSameContent: true)
        let again = Sample.start(Sample.run(2), workflow: "other", dedupe: dedupe)
        #expect(try store.commitAndWait(again) == first)
        #expect(try store.duplicate(of: dedupe, workflow: "third", of: Sample.tenant) == first)
        #expect(try store.duplicate(of: dedupe, workflow: "order", of: Sample.other) == nil)
        let plain = RunCommit.Dedupe(key: "call:run_1/c")
        #expect(try store.duplicate(of: plain, workflow: "order", of: Sample.tenant) == nil)
        try harness.reopen()
        #expect(try harness.store.duplicate(of: dedupe, workflow: "order", of: Sample.tenant) == first)
    }

    @Test("a key is looked up as a start would be answered", arguments: StoreBackend.allCases)
    func lookedUpKeys(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        _ = try store.commitAndWait(
            Sample.start(Sample.run(1), dedupe: RunCommit.Dedupe(key: "k", fingerprint: [1])))
        for (fingerprint, isSame) in [([1], true), ([2], false), (nil, true)] as [([UInt8]?, Bool)] {
            let dedupe = RunCommit.Dedupe(key: "k", fingerprint: fingerprint)
            #expect(
                try store.duplicate(of: dedupe, workflow: "order", of: Sample.tenant)
                    == .duplicate(of: Sample.run(1), isSameContent: isSame))
            #expect(try store.duplicate(of: dedupe, workflow: "Order", of: Sample.tenant) == nil)
        }
    }
}
