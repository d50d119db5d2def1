import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("The runtime")
struct RuntimeTests {
    private static let two = """
        steps:
          - id: a
            request: {method: POST, url: https://a.example/, body: {n: << trigger.body.n >>}}
          - id: b
            request: {method: POST, url: https://b.example/, body: {from: << steps.a.response.body.id >>}}
        output: << steps.b.outcome >>
        """
    private static let parallel = """
        steps:
          a: {request: {url: https://a.example/}}
          b: {request: {url: https://b.example/}}
          join: {after: [a, b], request: {url: https://c.example/}}
        """

    @Test("nothing leaves and nothing is answered before the entries are durable (I1, I5)")
    func nothingLeavesBeforeTheCommit() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.two))
        #expect(world.transport.requests.isEmpty && world.results.items.isEmpty)
        world.store.flush()
        #expect(world.runs.count == 1)
        #expect(world.transport.steps == ["a"])
        world.transport.succeed(0, ["id": "x"])
        #expect(world.transport.steps == ["a"])
        world.store.flush()
        #expect(world.transport.steps == ["a", "b"])
        world.transport.succeed(1)
        #expect(world.outcomes.items.isEmpty)
        world.store.flush()
        #expect(world.outcomes.items == [RunOutcome(status: .succeeded, output: "succeeded")])
        #expect(world.runtime.load.openRuns == 0 && world.runtime.load.sent == 0)
    }

    @Test("a start that was not durable is gone after a crash, and was never answered (I5)")
    func unflushedStartIsGone() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.two))
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 0)
        #expect(world.results.items.isEmpty && next.transport.requests.isEmpty)
    }

    @Test("with a store and a network that answer at once a run ends within the call that starts it")
    func everythingInline() throws {
        let world = try RuntimeWorld { _ in ScriptedTransport.ok(["id": 1]) }
        try world.start(try world.deploy(Self.two))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(
            try world.kinds(of: world.runs[0]) == [
                "run.started", "step.succeeded", "step.succeeded", "run.finished",
            ])
    }

    @Test("a hundred steps in a row end without a deep stack or a lock held twice")
    func longRunInline() throws {
        let world = try RuntimeWorld { _ in ScriptedTransport.ok() }
        let steps = (0..<300).map { "  - {id: s\($0), request: {url: https://a.example/}}" }.joined(
            separator: "\n")
        try world.start(try world.deploy("steps:\n\(steps)"))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a second start under one key is answered with the first run and starts nothing")
    func dedupeAnswersTheFirst() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.two)
        for fingerprint in [[1], [1], [2]] as [[UInt8]] {
            try world.start(
                plan, of: .operatorTenant, dedupe: RunCommit.Dedupe(key: "evt_1", fingerprint: fingerprint))
        }
        #expect(world.runs.count == 1 && world.transport.requests.count == 1)
        guard case .duplicate(let first, let isSame) = world.results.items[1],
            case .duplicate(_, let isSameAgain) = world.results.items[2]
        else { return #expect(Bool(false), "\(world.results.items)") }
        #expect(first == world.runs[0] && isSame && !isSameAgain)
        #expect(world.runtime.load.openRuns == 1)
    }

    @Test("two parallel answers leave a journal without a hole, also where the disk was full between them")
    func noHoleInTheJournal() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.parallel))
        world.store.flush()
        world.store.failNext(.full)
        world.transport.succeed(0)
        world.transport.succeed(1)
        world.store.flush()
        world.store.flush()
        world.clock.advance(by: .seconds(2))
        world.store.flush()
        for number in world.transport.waiting { world.transport.succeed(number) }
        for _ in 0..<6 {
            world.store.flush()
            for number in world.transport.waiting { world.transport.succeed(number) }
        }
        let entries = try world.store.entries(of: world.runs[0])
        #expect(entries.map(\.sequence) == Array(1...Int64(entries.count)))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(world.runtime.load.stuck.isEmpty && world.runtime.load.sent == 0)
    }

    @Test("a full disk holds a run back visibly, and it goes on by itself under the same keys (I3, I11)")
    func fullDiskIsWaitedOut() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.two))
        for _ in 0..<3 { world.store.failNext(.full) }
        world.transport.succeed(0, ["id": "x"])
        #expect(world.runtime.load.stuck[world.runs[0]]?.contains("full") == true)
        #expect(world.runtime.load.openRuns == 1)
        for _ in 0..<5 { world.clock.advance(by: .seconds(10)) }
        #expect(world.runtime.load.stuck.isEmpty)
        #expect(world.transport.steps.last == "b")
        for number in world.transport.waiting { world.transport.succeed(number) }
        #expect(world.outcomes.items.map(\.status) == [.succeeded], "the waiter is told, once")
        let sent = world.transport.requests.filter { $0.headers["millrace-step"] == "a" }
        #expect(
            Set(sent.map { $0.headers["idempotency-key"] }).count == 1 && Set(sent.map(\.body)).count == 1)
        #expect(world.runtime.load.sent == 0)
        #expect(world.fatal.items.isEmpty && world.runtime.readiness.isReady)
    }

    @Test("a cancel that the full disk refused is not forgotten")
    func cancelSurvivesFullDisk() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.two))
        world.store.failNext(.full)
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "x") == nil, "it is not durable yet")
        world.clock.advance(by: .seconds(2))
        for number in world.transport.waiting { world.transport.succeed(number) }
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(world.cancels.items == [true])
    }

    @Test("after a failed disk nothing is decided or sent, and the process is told once")
    func failedDiskStops() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.parallel)
        try world.start(plan)
        world.store.failNext(.failed(code: 10, message: "I/O"))
        world.transport.succeed(0)
        world.transport.succeed(1)
        try world.start(plan)
        world.clock.advance(by: .seconds(100))
        #expect(world.fatal.items == [.failed(code: 10, message: "I/O")])
        #expect(world.transport.steps == ["a", "b"])
        #expect(!world.runtime.readiness.isReady)
        guard case .overloaded = world.results.items.last else {
            return #expect(Bool(false), "\(world.results.items)")
        }
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        #expect(try next.runtime.recover() == 1)
        #expect(try next.status(of: world.runs[0], .operatorTenant) == .succeeded)
    }

    @Test("a process that was taken over can write and send nothing more (I2)")
    func fencedProcessStops() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.two))
        let next = try world.crashed()
        try next.runtime.recover()
        world.transport.succeed(0, ["id": "old"])
        #expect(world.transport.steps == ["a"])
        #expect(world.fatal.items.map(\.label) == ["fenced"])
        next.transport.succeed(0, ["id": "new"])
        #expect(String(decoding: next.transport.requests[1].body, as: UTF8.self).contains("new"))
    }

    @Test("a drain waits for what is in flight, starts and sends nothing more, and the next process goes on")
    func drainStops() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.two)
        try world.start(plan)
        #expect(!world.runtime.drain(atMost: .milliseconds(5)))
        world.transport.succeed(0, ["id": 1])
        #expect(world.runtime.drain(atMost: .seconds(5)))
        #expect(world.transport.steps == ["a"])
        try world.start(plan)
        guard case .overloaded = world.results.items.last else { return #expect(Bool(false)) }
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        try next.runtime.recover()
        #expect(next.transport.steps == ["b"])
        #expect(try next.status(of: world.runs[0], .operatorTenant) == .succeeded)
    }

    @Test("a drain is woken by the last answer")
    func drainIsWoken() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.parallel))
        let thread = WorkerThread(name: "answers") {
            // Answered before the drain, the branches would send their join.
            while world.runtime.readiness.isReady {}
            world.transport.succeed(0)
            world.transport.succeed(1)
        }
        #expect(world.runtime.drain(atMost: .seconds(5)))
        thread.join()
    }

    @Test("a cancel reaches only runs of that tenant that are open, and lets what is in flight finish")
    func cancelIsScoped() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.parallel))
        let run = world.runs[0]
        #expect(world.cancel(run, of: RuntimeWorld.tenant, reason: "x") == false)
        #expect(world.cancel(run, of: .operatorTenant, reason: "x") == true)
        #expect(world.cancel(run, of: .operatorTenant, reason: "again") == true, "it is being let finish")
        world.transport.succeed(0)
        #expect(world.outcomes.items.isEmpty)
        world.transport.answer(1, .failure(.timeout))
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(world.cancel(run, of: .operatorTenant, reason: "x") == false)
        #expect(world.transport.steps == ["a", "b"])
    }

    @Test("a cancel that waited with an answer keeps what that answer would start from being sent")
    func cancelComesBeforeTheNextSend() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(
            "steps:\n  a: {request: {url: https://a.example/}}\n  b: {request: {url: https://b.example/}}\n"
                + "  c: {after: [a], request: {url: https://c.example/}}")
        try world.start(plan)
        world.store.flush()
        world.transport.succeed(1)
        world.transport.succeed(0)
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "x") == nil)
        for _ in 0..<4 { world.store.flush() }
        #expect(world.transport.steps == ["a", "b"])
        #expect(world.cancels.items == [true] && world.outcomes.items.map(\.status) == [.cancelled])
        #expect(try !world.kinds(of: world.runs[0]).contains("run.paused"))
    }

    @Test("whoever waits for a run is told once; one who asks too late is told so")
    func waitersAreToldOnce() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.two))
        let late = Recorder<RunOutcome>()
        #expect(world.runtime.whenOver(world.runs[0]) { late.add($0) })
        world.transport.succeed(0)
        world.transport.succeed(1)
        #expect(late.items.count == 1 && world.outcomes.items.count == 1)
        #expect(!world.runtime.whenOver(world.runs[0]) { late.add($0) })
    }

    @Test("`finish` ends a run once the others in flight are answered, and what it decides with is not sent")
    func finishWaitsForOthers() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "steps:\n  a: {request: {url: https://a.example/}}\n  q: {request: {url: https://q.example/}}\n"
                + "  b: {after: [q], request: {url: https://b.example/}}\n  f: {after: [q], finish: 5}")
        try world.start(plan)
        world.transport.succeed(1)
        #expect(world.outcomes.items.isEmpty)
        world.transport.answer(0, .failure(.timeout))
        #expect(world.outcomes.items == [RunOutcome(status: .succeeded, output: 5)])
        #expect(world.transport.steps == ["a", "q"])
    }

    @Test("retries come at their time and a server's answer to an old attempt changes nothing")
    func retriesComeDue() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "steps:\n  a: {request: {url: https://a.example/}, retry: {delay: 10s, jitter: none}}")
        try world.start(plan)
        world.transport.answer(0, .failure(.connection(reason: "refused")))
        world.clock.advance(by: .seconds(9))
        #expect(world.transport.requests.count == 1)
        world.clock.advance(by: .seconds(1))
        #expect(world.transport.requests.map { $0.headers["millrace-attempt"] } == ["1", "2"])
        world.transport.succeed(1)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }

    @Test("a retry that was waiting when the process died comes due in the next")
    func retrySurvivesCrash() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "steps:\n  a: {request: {url: https://a.example/}, retry: {delay: 1h, max_delay: 1h, jitter: none}}"
        )
        try world.start(plan)
        world.transport.answer(0, .failure(.timeout))
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        try next.runtime.recover()
        #expect(next.transport.requests.isEmpty)
        next.clock.advance(by: .seconds(3600))
        #expect(next.transport.requests.map { $0.headers["millrace-attempt"] } == ["2"])
        #expect(
            next.transport.requests[0].headers["idempotency-key"]
                == world.transport.requests[0].headers["idempotency-key"])
    }

    @Test("every open run is recovered, over several pages, and sent under the key it had (I3)")
    func manyRunsRecover() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.two)
        for number in 0..<1_203 {
            try world.start(plan, of: .operatorTenant, body: ["n": .int(Int64(number))])
        }
        for number in 0..<100 { world.transport.succeed(number) }
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        #expect(try next.runtime.recover() == 1_203)
        #expect(next.transport.requests.count == 1_203 + 1_103)
        #expect(next.runtime.load.openRuns == 0)
        let keys = Set(world.transport.requests.compactMap { $0.headers["idempotency-key"] })
        #expect(
            keys.isSuperset(
                of: next.transport.requests.filter { $0.headers["millrace-step"] == "a" }.compactMap {
                    $0.headers["idempotency-key"]
                }))
        #expect(try world.crashed().runtime.recover() == 0)
    }

    @Test("a run whose journal or workflow cannot be read is shown with the reason; the others go on (I11)")
    func unreadableRunsAreVisible() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.two)
        for _ in 0..<3 { try world.start(plan) }
        let (altered, unknown) = (world.runs[0], RunID(number: 77))
        let strange = StoredEntry(
            key: "strange", sequence: 9, kind: "step.compensated", at: world.clock.now(),
            facts: Array("{}".utf8))
        world.store.commit(
            RunCommit(run: altered, tenant: .operatorTenant, entries: [strange], isMetered: false),
            inPlace: true
        ) { _ in }
        let record = RunRecord(
            run: unknown, tenant: .operatorTenant, workflow: "gone", digest: [9], trigger: "http",
            status: .running,
            startedAt: world.clock.now())
        world.store.commit(
            RunCommit(run: unknown, tenant: .operatorTenant, start: record, entries: [], isMetered: false),
            inPlace: true
        ) { _ in }
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        try next.runtime.recover()
        #expect(next.runtime.load.stuck[altered]?.contains("step.compensated") == true)
        #expect(next.runtime.load.stuck[unknown]?.contains("no longer loads") == true)
        #expect(try next.status(of: world.runs[2], .operatorTenant) == .succeeded)
    }

    @Test("no more runs are open than the bound allows")
    func openRunsAreBounded() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 2
        let world = try RuntimeWorld(options: options)
        let plan = try world.deploy(Self.two)
        for _ in 0..<3 { try world.start(plan) }
        guard case .overloaded = world.results.items[2] else { return #expect(Bool(false)) }
        for number in 0..<2 { world.transport.answer(number, .failure(.destinationRefused)) }
        try world.start(plan)
        #expect(world.runs.count == 3)
    }

    @Test(
        "where a tenant without balance holds every place, the operator still has some: else nobody could pay"
    )
    func operatorHasPlaces() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 8
        options.openRunCountPerTenantMax = 9
        let world = try RuntimeWorld(options: options)
        let poor = try world.deploy(Self.two, of: RuntimeWorld.tenant)
        for _ in 0..<9 { try world.start(poor, of: RuntimeWorld.tenant, keepsWithoutFunds: true) }
        guard case .overloaded = world.results.items[8] else { return #expect(Bool(false)) }
        let billing = try world.deploy(Self.two)
        for _ in 0..<2 { try world.start(billing) }
        guard case .started = world.results.items[9], case .overloaded = world.results.items[10] else {
            return #expect(Bool(false), "\(world.results.items)")
        }
        try world.start(poor, of: RuntimeWorld.tenant, keepsWithoutFunds: true)
        guard case .overloaded = world.results.items[11] else { return #expect(Bool(false)) }
    }

    @Test("runs that are over are deleted after their time, and not before")
    func retentionDeletes() throws {
        var options = RuntimeOptions()
        options.housekeepingInterval = .seconds(86_400)
        let world = try RuntimeWorld(script: { _ in ScriptedTransport.ok() }, options: options)
        let plan = try world.deploy(Self.two)
        try world.runtime.recover()
        for _ in 0..<450 { try world.start(plan) }
        world.clock.advance(by: .seconds(29 * 86_400))
        #expect(try world.status(of: world.runs[0], .operatorTenant) == .succeeded)
        world.clock.advance(by: .seconds(2 * 86_400 + 10))
        let left = try world.runs.filter { try world.store.run($0, of: .operatorTenant) != nil }
        #expect(left.isEmpty, "one day's portions follow each other, and do not wait for the next day")
        #expect(try world.store.newestRun() == world.runs.last)
    }

    @Test("a run that ends after those beside it were deleted is deleted in its time, however long it took")
    func retentionFindsLateEnds() throws {
        var options = RuntimeOptions()
        options.runRetention = .seconds(5 * 86_400)
        options.housekeepingInterval = .seconds(3_600)
        let world = try RuntimeWorld(options: options)
        try world.runtime.recover()
        let began = world.clock.now()
        let naps = [(1, "20h"), (2, "30h"), (3, "9d"), (4, "40d")]
        for (number, nap) in naps {
            try world.start(try world.deploy("steps:\n  - sleep: \(nap)", name: "nap\(number)"))
        }
        func left() throws -> [RunID] {
            try world.runs.filter { try world.store.run($0, of: .operatorTenant) != nil }
        }
        let hour = Duration.seconds(3_600)
        for (index, hours) in [20, 30, 9 * 24, 40 * 24].enumerated() {
            let due = began + hour * (hours + 5 * 24)
            world.clock.advance(to: due + .seconds(-1))
            #expect(try left().count == 4 - index)
            world.clock.advance(to: due + hour * 2)
            #expect(try left().count == 3 - index, "\(hours)")
        }
    }

    @Test("answers from many threads at once neither lock up nor lose a run")
    func manyThreads() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.parallel)
        for _ in 0..<60 { try world.start(plan) }
        // Two branches a run; its join is sent by whichever answer comes last.
        let threads = (0..<4).map { part in
            WorkerThread(name: "answers") {
                for number in stride(from: part, to: 120, by: 4) { world.transport.succeed(number) }
            }
        }
        for thread in threads { thread.join() }
        for number in world.transport.waiting { world.transport.succeed(number) }
        #expect(world.outcomes.items.count == 60)
        #expect(world.runtime.load.openRuns == 0 && world.runtime.load.sent == 0)
    }
}
