import Storage
import Testing
import Values

@Suite("Store contract: runs that wait")
struct WaitingContractTests {
    private static func wait(_ run: RunID, until: Instant?, _ sequence: Int64 = 2, charge: Int64 = 0)
        -> RunCommit
    {
        RunCommit(
            run: run, tenant: Sample.tenant,
            entries: [Sample.entry("e\(sequence)", sequence, charge: charge)],
            status: .waiting, wakeAt: until, isMetered: true)
    }

    private static func times(_ store: any Store, after: WakeTime? = nil, limit: Int = 9) throws -> [WakeTime]
    {
        try store.waitingRuns(after: after, limit: limit)
    }

    private static func time(_ seconds: Int64, _ number: Int64) -> WakeTime {
        WakeTime(at: Sample.at(seconds), run: Sample.run(number))
    }

    @Test("waiting runs are found in the order of waking, a page at a time", arguments: StoreBackend.allCases)
    func foundInOrder(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        for (number, seconds) in [(1, 30), (2, 10), (3, 20), (4, 10)] as [(Int64, Int64)] {
            _ = try store.commitAndWait(Sample.start(Sample.run(number)))
            _ = try store.commitAndWait(Self.wait(Sample.run(number), until: Sample.at(seconds)))
        }
        // One that only a signal wakes, and one that runs.
        _ = try store.commitAndWait(Sample.start(Sample.run(5)))
        _ = try store.commitAndWait(Self.wait(Sample.run(5), until: nil))
        _ = try store.commitAndWait(Sample.start(Sample.run(6)))
        let all = [Self.time(10, 2), Self.time(10, 4), Self.time(20, 3), Self.time(30, 1)]
        #expect(try Self.times(store) == all)
        #expect(try Self.times(store, limit: 2) == Array(all.prefix(2)))
        #expect(try Self.times(store, after: all[0], limit: 2) == Array(all[1...2]))
        #expect(try Self.times(store, after: all[3]).isEmpty)
        #expect(try store.waitingRunCount() == 5)
        #expect(try store.openRuns(after: nil, limit: 9).map(\.run) == [Sample.run(6)])
        let waiting = try store.runs(of: Sample.tenant, RunQuery(status: .waiting))
        #expect(waiting.map(\.run) == [5, 4, 3, 2, 1].map(Sample.run))
        #expect(try store.runs(of: Sample.other, RunQuery(status: .waiting)).isEmpty)
        #expect(try store.runs(of: Sample.tenant, RunQuery(status: .running)).map(\.run) == [Sample.run(6)])
    }

    @Test(
        "a run waits from its first commit, goes on, waits again and ends", arguments: StoreBackend.allCases)
    func waitsAndGoesOn(backend: StoreBackend) throws {
        let harness = try backend.start()
        let run = Sample.run(1)
        var start = Sample.start(run)
        (start.status, start.wakeAt) = (.waiting, Sample.at(5))
        _ = try harness.store.commitAndWait(start)
        try harness.reopen()
        let store = harness.store
        let record = try #require(try store.waitingRun(run))
        #expect(record.status == .waiting && record.wakeAt == Sample.at(5) && record.tenant == Sample.tenant)
        #expect(try store.run(run, of: Sample.tenant) == record)
        #expect(try Self.times(store) == [Self.time(5, 1)])

        var step = Sample.step(run, "a", charge: 7)
        step.status = .running
        _ = try store.commitAndWait(step)
        #expect(try store.waitingRun(run) == nil)
        #expect(try Self.times(store).isEmpty && store.waitingRunCount() == 0)
        let running = try #require(try store.run(run, of: Sample.tenant))
        #expect(running.status == .running && running.wakeAt == nil && running.chargedMilliseconds == 7)
        #expect(try store.openRuns(after: nil, limit: 9).map(\.run) == [run])

        _ = try store.commitAndWait(Self.wait(run, until: Sample.at(8), 3, charge: 2))
        #expect(try store.waitingRun(run)?.chargedMilliseconds == 9)
        _ = try store.commitAndWait(Self.wait(run, until: Sample.at(6), 4))
        #expect(try Self.times(store) == [Self.time(6, 1)])
        _ = try store.commitAndWait(Sample.finish(run))
        let over = try #require(try store.run(run, of: Sample.tenant))
        #expect(over.status == .succeeded && over.wakeAt == nil && over.chargedMilliseconds == 9)
        #expect(try Self.times(store).isEmpty && store.waitingRun(run) == nil)
    }

    @Test("a refused commit leaves the wait as it was", arguments: StoreBackend.allCases)
    func refusedCommitChangesNothing(backend: StoreBackend) throws {
        let harness = try backend.start()
        let (store, run) = (harness.store, Sample.run(1))
        _ = try store.commitAndWait(Sample.start(run))
        _ = try store.commitAndWait(Self.wait(run, until: Sample.at(5)))
        var again = Sample.step(run, "a", 2)
        again.status = .running
        #expect(throws: StoreError.exists(what: "entry 2 of \(run)")) { try store.commitAndWait(again) }
        #expect(try Self.times(store) == [Self.time(5, 1)])
        var foreign = Sample.step(run, "x", 3, tenant: Sample.other)
        foreign.status = .running
        #expect(throws: StoreError.missing(what: "run \(run)")) { try store.commitAndWait(foreign) }
        #expect(try store.waitingRun(run)?.status == .waiting)
    }

    @Test(
        "a waiting run that was made out of another is not found by its trigger, and keeps its origin",
        arguments: StoreBackend.allCases)
    func forksAreNotFoundByTrigger(backend: StoreBackend) throws {
        let harness = try backend.start()
        for number in Int64(1)...3 {
            var start = Sample.start(Sample.run(number))
            start.start?.trigger = "schedule"
            if number == 2 { start.start?.origin = Sample.run(1) }
            start.status = .waiting
            _ = try harness.store.commitAndWait(start)
        }
        for _ in 0..<2 {
            let store = harness.store
            #expect(
                try store.waitingRuns(startedBy: "schedule").map(\.run) == [Sample.run(1), Sample.run(3)])
            let records = try store.runs(of: Sample.tenant, RunQuery(limit: 9)).reversed()
            #expect(records.map(\.origin) == [nil, Sample.run(1), nil])
            #expect(try store.waitingRun(Sample.run(2))?.origin == Sample.run(1))
            #expect(try store.waitingRunCount() == 3)
            try harness.reopen()
        }
    }

    @Test(
        "waiting runs are found by their trigger, and never deleted as old", arguments: StoreBackend.allCases)
    func foundByTrigger(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        for number in Int64(1)...3 {
            var start = Sample.start(Sample.run(number))
            if number != 2 { start.start?.trigger = "schedule" }
            start.status = number == 3 ? .running : .waiting
            _ = try store.commitAndWait(start)
        }
        #expect(try store.waitingRuns(startedBy: "schedule").map(\.run) == [Sample.run(1)])
        #expect(try store.deleteRuns(finishedBefore: Sample.at(1 << 20), startedSince: nil, limit: 9) == 0)
        #expect(try store.waitingRunCount() == 2)
    }
}
