import Foundation
import MemoryStore
import OpenSSLCrypto
import Storage
import Testing
import Values

@testable import SQLiteStore

/// The stores that keep the contract; every contract test runs on each.
enum StoreBackend: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory
    case sqlite

    var testDescription: String { rawValue }

    /// A new store with nothing in it, in a directory of its own that goes with the harness.
    func start() throws -> StoreHarness { try StoreHarness(self) }
}

/// One store under test and the way to open it again.
final class StoreHarness {
    private(set) var store: any Store
    let directory: TemporaryDirectory

    init(_ backend: StoreBackend) throws {
        directory = try TemporaryDirectory()
        switch backend {
        case .memory: store = MemoryStore(sha256: Digest.sha256)
        case .sqlite: store = try Self.openSQLite(directory.file("store.db"))
        }
    }

    deinit { store.close() }

    static func openSQLite(_ path: String) throws(StoreError) -> SQLiteStore {
        try SQLiteStore.open(
            path: path, sha256: Digest.sha256, clock: { Instant(milliseconds: 1_800_000_000_000) })
    }

    /// Ends the store and opens what it has left behind.
    func reopen() throws {
        let memory = store as? MemoryStore
        store.close()
        store = try memory?.reopened() ?? Self.openSQLite(directory.file("store.db"))
    }
}

enum Digest {
    private static let cryptography = OpenSSLCryptography()

    @Sendable static func sha256(_ bytes: [UInt8]) -> [UInt8] { cryptography.sha256(bytes) }
}

/// A directory that is removed when its owner goes.
final class TemporaryDirectory {
    private let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "millrace-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func file(_ name: String) -> String { url.appending(path: name).path }
}

extension Store {
    /// Stores a commit and waits for its receipt.
    func commitAndWait(_ commit: RunCommit, inPlace: Bool = false) throws(StoreError) -> CommitReceipt {
        let promise = Promise<Result<CommitReceipt, StoreError>>()
        self.commit(commit, inPlace: inPlace) { promise.fulfil($0) }
        return try promise.wait().get()
    }
}

/// Values that tests need over and over.
enum Sample {
    static let tenant = TenantID(number: 7)
    static let other = TenantID(number: 8)
    static let noon = Instant(milliseconds: 1_790_000_000_000)

    static func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

    static func run(_ number: Int64) -> RunID {
        RunID(number: (noon.milliseconds - 1_577_836_800_000) << 20 + number)
    }

    static func entry(_ key: String, _ sequence: Int64 = 1, charge: Int64 = 0, body: [UInt8]? = nil)
        -> StoredEntry
    {
        StoredEntry(
            key: key, sequence: sequence, kind: "step.succeeded", at: at(sequence),
            facts: Array("{\"n\":1}".utf8),
            body: body, chargeMilliseconds: charge)
    }

    static func record(
        _ run: RunID, tenant: TenantID = tenant, workflow: String = "order", startedAt: Instant = noon
    ) -> RunRecord {
        RunRecord(
            run: run, tenant: tenant, workflow: workflow, digest: [UInt8](repeating: 9, count: 32),
            trigger: "http", status: .running, startedAt: startedAt)
    }

    static func start(
        _ run: RunID, tenant: TenantID = tenant, workflow: String = "order", startedAt: Instant = noon,
        dedupe: RunCommit.Dedupe? = nil
    ) -> RunCommit {
        RunCommit(
            run: run, tenant: tenant,
            start: record(run, tenant: tenant, workflow: workflow, startedAt: startedAt), dedupe: dedupe,
            entries: [entry("start")], isMetered: true)
    }

    static func step(
        _ run: RunID, _ key: String, _ sequence: Int64 = 2, tenant: TenantID = tenant, charge: Int64 = 0,
        isMetered: Bool = true
    ) -> RunCommit {
        RunCommit(
            run: run, tenant: tenant, entries: [entry(key, sequence, charge: charge)], isMetered: isMetered)
    }

    static func finish(
        _ run: RunID, _ status: RunStatus = .succeeded, tenant: TenantID = tenant, at: Instant = at(9),
        charge: Int64 = 0
    ) -> RunCommit {
        RunCommit(
            run: run, tenant: tenant, entries: [entry("end", 9, charge: charge)], status: status,
            finishedAt: at,
            isMetered: true)
    }

    static func tenantRow(_ id: TenantID = tenant) -> Tenant {
        Tenant(tenant: id, name: "Mühle", createdAt: noon)
    }

    static func credit(
        _ milliseconds: Int64, _ reference: String, tenant: TenantID = tenant, key: String? = nil,
        fingerprint: [UInt8] = [1], purchase: PurchaseID? = nil, paid: Credit.Paid? = nil
    ) -> Credit {
        Credit(
            tenant: tenant, milliseconds: milliseconds, reference: reference, purchase: purchase, paid: paid,
            idempotencyKey: key, fingerprint: fingerprint, at: noon)
    }
}
