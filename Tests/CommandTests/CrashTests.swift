import Billing
import Foundation
import OpenSSLCrypto
import Ports
import Processes
import SQLiteStore
import StandIns
import Storage
import Testing
import Values

@testable import Commands

@Suite("Crashes", .serialized)
struct CrashTests {
    /// Goal: I1 to I7 together, on the real program: SIGKILL at any instant loses and doubles nothing.
    @Test("thirty rounds of kill -9 under load lose and double nothing", .timeLimit(.minutes(4)))
    func killedServersLoseNothing() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        let load = Load(client: try fixture.client(key: tenant.key))
        for round in 1...30 {
            load.begin(threadCount: 4)
            // Another instant each round, from the first requests to hundreds in flight.
            usleep(UInt32(60_000 + round * 7_919 % 340 * 1000))
            fixture.kill()
            load.end()
            try fixture.start()
        }
        load.retryUnanswered()
        #expect(load.acknowledged.count > 300, "hardly any load: \(load.acknowledged.count)")
        #expect(try fixture.openRunCount(atMost: .seconds(60)) == 0)
        #expect(fixture.stop() == 0)
        try expectConsistency(of: fixture, tenant: tenant.id, load: load)
    }

    /// Goal: the same with runs that leave memory between their steps, and are woken by their time, or by none.
    @Test(
        "fifteen rounds of kill -9 lose no wake-up of sleeping runs and double nothing",
        .timeLimit(.minutes(4)))
    func killedServersWakeEveryRun() throws {
        let fixture = try ServerFixture(["--park-after", "0s"])
        try fixture.start()
        let tenant = try fixture.makeTenant(
            between: """
                  nap:
                    after: [first]
                    sleep: 150ms
                  pause:
                    after: [nap]
                    wait: {signal: never, timeout: 100ms, on_timeout: continue}
                """)
        let load = Load(client: try fixture.client(key: tenant.key))
        for round in 1...15 {
            load.begin(threadCount: 3)
            usleep(UInt32(60_000 + round * 7_919 % 340 * 1000))
            fixture.kill()
            load.end()
            try fixture.start()
        }
        load.retryUnanswered()
        #expect(load.acknowledged.count > 100, "hardly any load: \(load.acknowledged.count)")
        #expect(try fixture.openRunCount(atMost: .seconds(60)) == 0)
        #expect(fixture.stop() == 0)
        try expectConsistency(of: fixture, tenant: tenant.id, load: load, stepCount: 4)
    }

    @Test("SIGTERM under load exits with 0 and loses nothing", .timeLimit(.minutes(1)))
    func terminatedServerLosesNothing() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        fixture.orders.desk.inject(Fault(.delay, on: "POST /effects", times: 20, delay: .milliseconds(300)))
        let load = Load(client: try fixture.client(key: tenant.key))
        load.begin(threadCount: 4)
        usleep(200_000)
        #expect(fixture.stop() == 0)
        load.end()
        try fixture.start()
        load.retryUnanswered()
        #expect(load.acknowledged.count > 20)
        #expect(try fixture.openRunCount(atMost: .seconds(30)) == 0)
        #expect(fixture.stop() == 0)
        try expectConsistency(of: fixture, tenant: tenant.id, load: load)
        #expect(fixture.orders.effectCounts.repeatedCount == 0, "what was in flight was waited for")
    }

    @Test(
        "a database that may not grow ends the server with 75, and nothing is lost", .timeLimit(.minutes(1)))
    func failedDatabaseEndsTheServer() throws {
        let fixture = try ServerFixture()
        // A limit on the size of files (8 MiB) stands for a disk that fails.
        let limited = try fixture.folder.write(
            "limited", "#!/bin/sh\nulimit -f 16384\nexec '\(Repository.program)' \"$@\"\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: limited)
        try fixture.start(program: limited)
        let tenant = try fixture.makeTenant()
        let load = Load(client: try fixture.client(key: tenant.key), padding: 8_000)
        load.begin(threadCount: 4)
        #expect(fixture.waitForEnd() == 75)
        load.end()
        try fixture.start()
        load.retryUnanswered()
        #expect(try fixture.openRunCount(atMost: .seconds(30)) == 0)
        #expect(fixture.stop() == 0)
        try expectConsistency(of: fixture, tenant: tenant.id, load: load)
    }

    @Test("a second signal ends the server at once with 130", .timeLimit(.minutes(1)))
    func secondSignalEndsAtOnce() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        fixture.orders.desk.inject(Fault(.delay, on: "POST /effects", delay: .seconds(4)))
        let load = Load(client: try fixture.client(key: tenant.key))
        load.trigger(1)
        let child = try #require(fixture.child)
        child.process.terminate()
        let end = ContinuousClock.now + .seconds(5)
        let log = {
            (try? Files.read("\(fixture.folder.path)/log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        while !log().contains("server.stopping"), ContinuousClock.now < end { usleep(5_000) }
        child.process.terminate()
        #expect(fixture.waitForEnd() == 130)
    }

    private func expectConsistency(
        of fixture: ServerFixture, tenant: String, load: Load, stepCount: Int = 2
    ) throws {
        let tenant = try #require(TenantID(tenant))
        let cryptography = OpenSSLCryptography()
        let store = try SQLiteStore.openForReading(path: fixture.database) { cryptography.sha256($0) }
        defer { store.close() }
        let runs = try allRuns(of: tenant, in: store)
        let known = Dictionary(uniqueKeysWithValues: runs.map { ("\($0.run)", $0) })

        let lost = load.acknowledged.values.filter { known[$0]?.status != .succeeded }
        #expect(lost.isEmpty, "acknowledged, but lost or not succeeded: \(lost.prefix(5))")
        #expect(runs.count == load.acknowledged.count, "an item has started a second run")

        let outcomes = try runs.map { run in
            try store.entries(of: run.run).filter { $0.kind == "step.succeeded" }.map(\.key)
        }
        #expect(
            outcomes.allSatisfy { $0.count == stepCount && Set($0).count == stepCount },
            "an outcome is missing or there twice")

        let effects = fixture.orders.effectCounts
        #expect(effects.distinctKeyCount == runs.count * 2)
        #expect(effects.itemsUnderSeveralKeys == 0, "a second effect came under another key")
        #expect(effects.keylessCount == 0)

        let verification = try store.verifyLedgers()
        #expect(verification.findings.isEmpty, "\(verification.findings)")
        let used = runs.reduce(0) { $0 + $1.chargedMilliseconds }
        #expect(verification.usedMilliseconds == used)
        #expect(try store.account(of: tenant).balanceMilliseconds == 3_600_000 - used)
    }

    private func allRuns(of tenant: TenantID, in store: SQLiteStore) throws -> [RunRecord] {
        var runs: [RunRecord] = []
        while true {
            let page = try store.runs(of: tenant, RunQuery(before: runs.last?.run, limit: 200))
            if page.isEmpty { return runs }
            runs += page
        }
    }
}

/// Triggers from several threads, each item under its own key, remembering what was acknowledged.
final class Load: @unchecked Sendable {
    // Unchecked: everything mutable is read and written under `lock`.
    private let client: APIClient
    private let lock = Lock()
    private var nextItem = 0
    private var isRunning = false
    private var runByItem: [Int: String] = [:]
    private var unanswered: [Int] = []
    private var threads: [WorkerThread] = []

    private let padding: String

    /// - Parameters:
    ///   - client: Sends the triggers, with a tenant's key.
    ///   - padding: Bytes that each trigger carries beside its item.
    init(client: APIClient, padding: Int = 0) {
        self.client = client
        self.padding = String(repeating: "x", count: padding)
    }

    /// Run ids that the server answered, by item.
    var acknowledged: [Int: String] { lock.withLock { runByItem } }

    func begin(threadCount: Int) {
        lock.withLock { isRunning = true }
        threads = (0..<threadCount).map { _ in
            WorkerThread(name: "load") { while let item = self.take() { self.trigger(item) } }
        }
    }

    func end() {
        lock.withLock { isRunning = false }
        for thread in threads { thread.join() }
    }

    /// Sends again, under the same keys, what no answer came for.
    func retryUnanswered() {
        for item in lock.withLock({ unanswered }) { trigger(item) }
    }

    /// The next item: one that no answer came for, else a new one; nil when the load ends.
    private func take() -> Int? {
        lock.withLock {
            guard isRunning else { return nil }
            if let item = unanswered.popLast() { return item }
            nextItem += 1
            return nextItem
        }
    }

    /// Starts the run of an item, or finds the one that it started before.
    func trigger(_ item: Int) {
        let answer = try? client.attempt(
            "POST", "/api/workflows/effects/trigger",
            body: JSON.bytes(["item": .string("item \(item)"), "padding": .string(padding)]),
            headers: [HTTPHeader("Idempotency-Key", "item-\(item)")], timeout: .seconds(10))
        lock.withLock {
            if answer?.status == 202, let run = answer?.value["run_id"]?.string {
                runByItem[item] = run
                unanswered.removeAll { $0 == item }
            } else {
                if !unanswered.contains(item) { unanswered.append(item) }
            }
        }
        if answer == nil { usleep(5_000) }
    }
}
