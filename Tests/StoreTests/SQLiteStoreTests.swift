import Billing
import Foundation
import Glibc
import Storage
import Synchronization
import Testing
import Values

@testable import SQLiteStore

@Suite("SQLite store")
struct SQLiteStoreTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("store.db") }

    init() throws { directory = try TemporaryDirectory() }

    private func open() throws -> SQLiteStore { try StoreHarness.openSQLite(path) }

    /// A second owner in the same process, which the file lock would refuse.
    private func takeOver() throws -> SQLiteStore {
        try SQLiteStore.open(path: path, fileLock: nil, sha256: Digest.sha256, clock: { Sample.noon })
    }

    @Test("a file that is in use cannot be opened a second time")
    func secondOpeningIsRefused() throws {
        let store = try open()
        #expect {
            try open()
        } throws: { error in
            guard case .failed(_, let message) = error as? StoreError else { return false }
            return message.contains("in use by another process")
        }
        store.close()
        try open().close()
    }

    @Test("a refused opening closes no descriptor but its own")
    func refusedOpeningClosesOnce() throws {
        let store = try open()
        defer { store.close() }
        let isDone = Atomic(false)
        let strangers = Atomic(0)
        // Takes and checks descriptors all the while: one closed twice would be one of these.
        let bystander = WorkerThread(name: "bystander") {
            while !isDone.load(ordering: .relaxed) {
                let file = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
                for _ in 0..<20 where fcntl(file, F_GETFD) < 0 {
                    strangers.add(1, ordering: .relaxed)
                    break
                }
                Glibc.close(file)
            }
        }
        for _ in 0..<5000 { #expect(throws: StoreError.self) { try open() } }
        isDone.store(true, ordering: .relaxed)
        bystander.join()
        #expect(strangers.load(ordering: .relaxed) == 0)
    }

    @Test("the file and its log are for their owner alone")
    func fileIsPrivate() throws {
        let store = try open()
        try store.setSetting("a", [])
        for file in [path, path + "-wal", path + ".lock"] {
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(file)")
        }
    }

    @Test("I2: a store that was taken over writes nothing, commits and jobs alike")
    func olderEpochIsFenced() throws {
        let older = try open()
        _ = try older.commitAndWait(Sample.start(Sample.run(1)))
        let newer = try takeOver()
        defer { newer.close() }
        let fenced = StoreError.fenced(heldEpoch: older.epoch, currentEpoch: newer.epoch)
        #expect(throws: fenced) { try older.commitAndWait(Sample.step(Sample.run(1), "a")) }
        #expect(throws: fenced) { try older.commitAndWait(Sample.step(Sample.run(1), "a"), inPlace: true) }
        #expect(throws: fenced) { try older.addTenant(Sample.tenantRow()) }
        #expect(try newer.entries(of: Sample.run(1)).count == 1)
        #expect(try newer.tenant(Sample.tenant) == nil)
        _ = try newer.commitAndWait(Sample.step(Sample.run(1), "a"))
    }

    @Test("a file of a newer version is refused and left as it was")
    func newerFileIsRefused() throws {
        try open().close()
        let connection = try Connection(path: path, mode: .writing)
        try connection.execute("INSERT INTO schema_migration VALUES (9999, 'from_the_future', 0)")
        connection.close()
        #expect {
            try open()
        } throws: { error in
            guard case .failed(_, let message) = error as? StoreError else { return false }
            return message.contains("newer version")
        }
        let after = try Connection(path: path, mode: .inspecting)
        #expect(try after.integer("SELECT epoch FROM shard_lease") == 1)
        after.close()
    }

    @Test(
        "I6: the database refuses to change, delete or replace an entry",
        arguments: [
            "UPDATE ledger_entry SET amount_ms = 1", "DELETE FROM ledger_entry",
            "INSERT OR REPLACE INTO ledger_entry SELECT * FROM ledger_entry",
            "UPDATE credit_reference SET sequence = 2",
            "DELETE FROM credit_reference",
            "INSERT OR REPLACE INTO credit_reference SELECT * FROM credit_reference",
        ])
    func ledgerIsAppendOnly(sql: String) throws {
        let store = try open()
        try store.addTenant(Sample.tenantRow())
        _ = try store.credit(Sample.credit(10, "r"))
        store.close()
        let connection = try Connection(path: path, mode: .writing)
        #expect(throws: StoreError.self) { try connection.execute(sql) }
        connection.close()
        let inspected = try SQLiteStore.openForReading(path: path, sha256: Digest.sha256)
        let verified = try inspected.verifyLedgers()
        #expect(verified.findings.isEmpty && verified.creditedMilliseconds == 10)
    }

    @Test("opened for reading: sees a running and a stopped store, and writes nothing")
    func readingNeedsNoLock() throws {
        #expect(throws: StoreError.self) {
            try SQLiteStore.openForReading(path: directory.file("none.db"), sha256: Digest.sha256)
        }
        let store = try open()
        _ = try store.commitAndWait(Sample.start(Sample.run(1)))
        let beside = try SQLiteStore.openForReading(path: path, sha256: Digest.sha256)
        #expect(try beside.entries(of: Sample.run(1)).count == 1)
        #expect(throws: StoreError.self) { try beside.addTenant(Sample.tenantRow()) }
        #expect(throws: StoreError.self) { try beside.commitAndWait(Sample.start(Sample.run(2))) }
        beside.close()
        _ = try store.commitAndWait(Sample.step(Sample.run(1), "a"))
        store.close()
        let stopped = try SQLiteStore.openForReading(path: path, sha256: Digest.sha256)
        #expect(try stopped.entries(of: Sample.run(1)).count == 2)
        #expect(stopped.epoch == 1)
        stopped.close()
        #expect(try open().epoch == 2)
    }

    @Test("I6: one flipped byte in a ledger, a reference or a charge is found and named")
    func flippedByteIsFound() throws {
        let store = try open()
        try store.addTenant(Sample.tenantRow())
        _ = try store.credit(Sample.credit(1000, "stripe:pi_flipped:purchase"))
        _ = try store.commitAndWait(Sample.start(Sample.run(1)))
        _ = try store.commitAndWait(Sample.step(Sample.run(1), "a", charge: 0x1122_3344))
        store.close()
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let needles = [Data("stripe:pi_flipped:purchase".utf8), Data([0x11, 0x22, 0x33, 0x44])]
        var flips = 0
        for needle in needles {
            var from = whole.startIndex
            while let range = whole.range(of: needle, in: from..<whole.endIndex) {
                var damaged = whole
                damaged[range.upperBound - 1] ^= 1
                try damaged.write(to: URL(fileURLWithPath: path))
                let verifier = try SQLiteStore.openForReading(path: path, sha256: Digest.sha256)
                let findings = try verifier.verifyLedgers().findings
                verifier.close()
                #expect(!findings.isEmpty, "byte \(range.upperBound - 1)")
                #expect(findings.allSatisfy { $0.tenant == Sample.tenant && (1...2).contains($0.sequence) })
                flips += 1
                from = range.upperBound
            }
        }
        // The ledger's and the reference's copy of the text, and the journal's charge.
        #expect(flips == 3)
    }

    @Test("I5: a full disk refuses the whole transaction, and goes on when there is room")
    func fullDiskRecovers() throws {
        let store = try open()
        let run = Sample.run(1)
        _ = try store.commitAndWait(Sample.start(run))
        func limit(_ pages: Int) throws {
            try store.write { writer throws(StoreError) in
                try writer.connection.execute("PRAGMA max_page_count = \(pages)")
            }
        }
        try limit(1)
        let big = RunCommit(
            run: run, tenant: Sample.tenant,
            entries: [
                Sample.entry("a", 2, charge: 5),
                Sample.entry("b", 3, body: [UInt8](repeating: 1, count: 200_000)),
            ], isMetered: true)
        #expect(throws: StoreError.full) { try store.commitAndWait(big) }
        #expect(throws: StoreError.full) { try store.commitAndWait(big, inPlace: true) }
        #expect(throws: StoreError.full) { try store.checkRoom() }
        #expect(try store.entries(of: run).map(\.key) == ["start"])
        #expect(try store.account(of: Sample.tenant).sequence == 0)
        try limit(1_000_000)
        try store.checkRoom()
        #expect(try store.commitAndWait(big) == .stored(balance: -5, depletion: nil))
        #expect(try store.entries(of: run).count == 3)
        #expect(try store.verifyLedgers().findings.isEmpty)
    }

    @Test("after a failed disk the store takes nothing more")
    func failedDiskIsFinal() throws {
        let store = try open()
        let broken = StoreError.failed(code: 10, message: "disk I/O error")
        #expect(throws: broken) { try store.write { _ throws(StoreError) in throw broken } }
        #expect(throws: broken) { try store.commitAndWait(Sample.start(Sample.run(1))) }
        #expect(throws: broken) { try store.addTenant(Sample.tenantRow()) }
        #expect(try store.entries(of: Sample.run(1)).isEmpty)
    }
}
