import Billing
import CSQLite
import Storage
import Testing
import Values

@testable import SQLiteStore

@Suite("SQLite group commit")
struct GroupCommitTests {
    private typealias Receipt = Result<CommitReceipt, StoreError>

    /// Collects receipts in the order in which they come.
    private final class Receipts: @unchecked Sendable {
        // Unchecked: `taken` is guarded by `lock`.
        private let lock = Lock()
        private var taken: [(String, Receipt)] = []

        func add(_ name: String, _ receipt: Receipt) { lock.withLock { taken.append((name, receipt)) } }
        var all: [(String, Receipt)] { lock.withLock { taken } }
    }

    /// Holds the writer while `submit` lines up work, so that all of it becomes one transaction.
    private func inOneGroup(_ store: SQLiteStore, _ submit: (WriteQueue) throws -> Void) throws {
        let queue = try #require(store.queue)
        let (entered, release) = (Promise<Bool>(), Promise<Bool>())
        let holder = WorkerThread(name: "holder") {
            let job = AwaitedJob<Bool> { _ in
                entered.fulfil(true)
                return release.wait()
            }
            queue.submit(.job(job), inPlace: true)
        }
        _ = entered.wait()
        try submit(queue)
        release.fulfil(true)
        holder.join()
    }

    @Test("I7: a group charges each tenant with one entry, and a credit stands where it came")
    func groupChargesOnce() throws {
        let harness = try StoreHarness(.sqlite)
        let store = try #require(harness.store as? SQLiteStore)
        try store.addTenant(Sample.tenantRow())
        _ = try store.credit(Sample.credit(10, "first"))
        let receipts = Receipts()
        let credit = AwaitedJob { writer throws(StoreError) in try writer.credit(Sample.credit(100, "second"))
        }
        try inOneGroup(store) { queue in
            func submit(_ name: String, _ commit: RunCommit) {
                queue.submit(.commit(commit) { receipts.add(name, $0) }, inPlace: false)
            }
            submit("a", Sample.step(Sample.run(1), "a", charge: 4))
            submit("again", Sample.step(Sample.run(1), "a", charge: 50))
            submit("b", Sample.step(Sample.run(2), "b", charge: 8))
            queue.submit(.job(credit), inPlace: false)
            submit("c", Sample.step(Sample.run(3), "c", charge: 1))
            submit("other", Sample.step(Sample.run(4), "d", tenant: Sample.other, charge: 2))
            var half = Sample.step(Sample.run(3), "e", charge: 70)
            half.entries.append(Sample.entry("f", 3))
            submit("half", half)
        }
        guard case .credited = try credit.wait() else { return #expect(Bool(false)) }
        try store.setSetting("after", [])
        let ledger = try store.ledger(of: Sample.tenant, before: nil, limit: 9).reversed()
        #expect(ledger.map(\.amountMilliseconds) == [10, -12, 100, -1])
        #expect(ledger.map(\.run) == [nil, nil, nil, Sample.run(3)])
        let crossed = Depletion(tenant: Sample.tenant, sequence: 2, balanceMilliseconds: -2)
        let expected: [(String, Receipt)] = [
            ("a", .success(.stored(balance: 97, depletion: nil))),
            ("again", .failure(.exists(what: "entry 2 of \(Sample.run(1))"))),
            ("b", .success(.stored(balance: 97, depletion: crossed))),
            ("c", .success(.stored(balance: 97, depletion: nil))),
            ("other", .success(.stored(balance: -2, depletion: nil))),
            ("half", .failure(.exists(what: "entry 2 of \(Sample.run(3))"))),
        ]
        #expect(receipts.all.map(\.0) == expected.map(\.0))
        #expect(receipts.all.map(\.1) == expected.map(\.1))
        #expect(try store.entries(of: Sample.run(3)).map(\.key) == ["c"])
        #expect(try store.verifyLedgers().findings.isEmpty)
    }

    @Test("a job that fails in a group takes its own writes back and no other's")
    func failedJobIsAlone() throws {
        let harness = try StoreHarness(.sqlite)
        let store = try #require(harness.store as? SQLiteStore)
        let failing = AwaitedJob<Bool> { writer throws(StoreError) in
            try writer.connection.run("INSERT INTO setting (name, value) VALUES ('lost', x'')")
            throw .missing(what: "something")
        }
        let receipts = Receipts()
        try inOneGroup(store) { queue in
            queue.submit(.commit(Sample.start(Sample.run(1))) { receipts.add("1", $0) }, inPlace: false)
            queue.submit(.job(failing), inPlace: false)
            queue.submit(.commit(Sample.start(Sample.run(2))) { receipts.add("2", $0) }, inPlace: false)
        }
        #expect(throws: StoreError.missing(what: "something")) { try failing.wait() }
        try store.setSetting("after", [])
        #expect(try store.setting("lost") == nil)
        #expect(receipts.all.count == 2)
        #expect(try store.openRuns(after: nil, limit: 9).count == 2)
    }

    @Test("a commit larger than a row can be is refused alone, and the store goes on")
    func tooLargeForARow() throws {
        let harness = try StoreHarness(.sqlite)
        let store = try #require(harness.store as? SQLiteStore)
        try store.write { writer throws(StoreError) in
            _ = sqlite3_limit(writer.connection.handle, SQLITE_LIMIT_LENGTH, 100_000)
        }
        let receipts = Receipts()
        try inOneGroup(store) { queue in
            var large = Sample.start(Sample.run(1))
            large.entries[0].body = [UInt8](repeating: 7, count: 200_000)
            queue.submit(.commit(large) { [large] in receipts.add("\(large.run)", $0) }, inPlace: false)
            queue.submit(.commit(Sample.start(Sample.run(2))) { receipts.add("2", $0) }, inPlace: false)
        }
        try store.setSetting("after", [])
        guard case .failure(.outOfRange)? = receipts.all.first?.1 else {
            return #expect(Bool(false), "\(receipts.all)")
        }
        #expect(try store.openRuns(after: nil, limit: 9).map(\.run) == [Sample.run(2)])
    }

    @Test("work asked for by a completion is done, in place and without end")
    func completionsMayCommit() throws {
        let harness = try StoreHarness(.sqlite)
        let store = harness.store
        let done = Promise<Bool>()
        @Sendable func next(_ number: Int64) {
            guard number <= 100 else { return done.fulfil(true) }
            store.commit(Sample.step(Sample.run(1), "k\(number)", number), inPlace: true) { _ in
                next(number + 1)
            }
        }
        next(1)
        #expect(done.wait())
        #expect(try store.entries(of: Sample.run(1)).count == 100)
    }
}
