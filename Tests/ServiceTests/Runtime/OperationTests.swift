import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("What people do to runs, in the runtime")
struct OperationTests {
    private static let chain = """
        steps:
          a: {request: {url: https://a.example/}, retry: {delay: 10s, jitter: none}}
          z: {request: {url: https://z.example/}}
          s: {sleep: 1h}
          w: {wait: paid}
          b: {after: [a], request: {url: https://b.example/}}
          last: {after: [b, z, s, w], request: {url: https://e.example/}}
        """

    private func pause(_ world: RuntimeWorld, _ run: RunID, of tenant: TenantID = .operatorTenant)
        -> Recorder<OrderResult>
    {
        let results = Recorder<OrderResult>()
        world.runtime.pause(run, of: tenant, reason: "a look") { results.add($0) }
        return results
    }

    private func resume(_ world: RuntimeWorld, _ run: RunID, of tenant: TenantID = .operatorTenant)
        -> Recorder<OrderResult>
    {
        let results = Recorder<OrderResult>()
        world.runtime.resume(run, of: tenant) { results.add($0) }
        return results
    }

    private func fork(
        _ world: RuntimeWorld, _ run: RunID, of tenant: TenantID = .operatorTenant,
        _ kind: RunOrigin.Kind = .retry,
        from step: String? = nil, version: ForkRequest.Version = .same, body: Value? = nil,
        dedupe: RunCommit.Dedupe? = nil
    ) throws -> Recorder<ForkResult> {
        let results = Recorder<ForkResult>()
        let request = ForkRequest(
            tenant: try #require(try world.store.tenant(tenant)),
            record: try #require(try world.store.run(run, of: tenant)), kind: kind, step: step, body: body,
            version: version, dedupe: dedupe)
        world.runtime.fork(request) { results.add($0) }
        return results
    }

    private func started(_ results: Recorder<ForkResult>) throws -> RunID {
        guard case .start(.started(let run)) = results.items.first else {
            throw StoreError.missing(what: "\(results.items)")
        }
        return run
    }

    // MARK: - Pausing

    @Test("a pause is answered once it is durable, and a crash before that leaves the run running (I5)")
    func pauseIsDurable() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.chain))
        world.store.flush()
        let run = world.runs[0]
        let paused = pause(world, run)
        #expect(paused.items.isEmpty)
        world.store.flush()
        #expect(paused.items == [.done(status: .paused)])
        #expect(try world.crashed().status(of: run) == .paused)

        let dying = try RuntimeWorld(completesOnFlush: true)
        try dying.start(try dying.deploy(Self.chain))
        dying.store.flush()
        #expect(pause(dying, dying.runs[0]).items.isEmpty)
        #expect(try dying.crashed().status(of: dying.runs[0]) == .running)
    }

    @Test("a pause taken together with a step's end holds the next request back")
    func pauseGoesBeforeASend() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.start(try world.deploy(Self.chain))
        world.store.flush()
        #expect(world.transport.steps == ["a", "z"])
        // The commit of z's end is under way: a's end and the pause wait, and are decided together.
        world.transport.succeed(1)
        world.transport.succeed(0)
        let paused = pause(world, world.runs[0])
        for _ in 0..<4 { world.store.flush() }
        #expect(paused.items == [.done(status: .paused)])
        #expect(world.transport.steps == ["a", "z"], "b was decided and not sent")
        #expect(try !world.kinds(of: world.runs[0]).contains("run.paused"))
        let resumed = resume(world, world.runs[0])
        for _ in 0..<4 { world.store.flush() }
        #expect(resumed.items == [.done(status: .running)])
        #expect(world.transport.steps == ["a", "z", "b"])
    }

    @Test("a pause survives a restart in each state of a step, and the run then goes on to its end")
    func pauseSurvivesRestarts() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.chain))
        let run = world.runs[0]
        world.transport.answer(
            0, .success(OutboundResponse(status: 503, headers: [], body: [])))
        // In flight (z), between two tries (a), asleep (s), waiting (w), pending (b, last).
        #expect(pause(world, run).items == [.done(status: .paused)])
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(try next.status(of: run) == .paused)
        next.clock.advance(by: .seconds(3700))
        next.runtime.signal(run, of: .operatorTenant, RunSignal(id: "k", name: "paid", body: 1)) { _ in }
        #expect(next.transport.requests.isEmpty, "nothing new starts")
        let settled = try next.store.entries(of: run).filter { $0.key.hasPrefix("outcome/") }.map(\.key)
        #expect(settled == ["outcome/s", "outcome/w"], "sleeps and waits go on")
        let last = try next.crashed { _ in ScriptedTransport.ok() }
        try last.runtime.recover()
        last.clock.advance(by: .seconds(1))
        #expect(last.transport.requests.isEmpty)
        #expect(resume(last, run).items == [.done(status: .running)])
        #expect(try last.status(of: run) == .succeeded)
        #expect(Set(last.transport.steps) == ["a", "b", "z", "last"])
        #expect(pause(last, run).items == [.over] && resume(last, run).items == [.over])
    }

    @Test("a run that only waits is paused and resumed as any other, also where it is not in memory")
    func waitingRunsArePaused() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  - {id: w, wait: go}\n  - {id: x, lua: return 1}"))
        let run = world.runs[0]
        #expect(try world.status(of: run) == .waiting)
        #expect(pause(world, run).items == [.done(status: .paused)])
        #expect(try world.status(of: run) == .paused)
        #expect(resume(world, run).items == [.done(status: .running)])
        #expect(try world.status(of: run) == .waiting, "it has left memory again")
        _ = pause(world, run)
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(pause(next, run, of: RuntimeWorld.tenant).items == [.over])
        next.runtime.signal(run, of: .operatorTenant, RunSignal(id: "k", name: "go", body: 1)) { _ in }
        #expect(try next.status(of: run) == .paused)
        #expect(try next.kinds(of: run).last == "step.succeeded")
        #expect(resume(next, run).items == [.done(status: .succeeded)], "in the same turn")
        #expect(try next.status(of: run) == .succeeded)
    }

    @Test("a credit does not release what a person holds, and a release does not fund what has no balance")
    func pausesAreIndependent() throws {
        let world = try RuntimeWorld()
        let tenant = RuntimeWorld.tenant
        let plan = try world.deploy("steps:\n  - request: {url: https://a.example/}", of: tenant)
        try world.start(plan, of: tenant, keepsWithoutFunds: true)
        let run = world.runs[0]
        #expect(pause(world, run, of: tenant).items == [.done(status: .paused)])
        try world.credit(1_000, reference: "c")
        world.runtime.balanceChanged(of: tenant)
        #expect(try world.status(of: run, tenant) == .paused && world.transport.requests.isEmpty)
        #expect(resume(world, run, of: tenant).items == [.done(status: .running)])
        #expect(world.transport.requests.count == 1)

        let other = try RuntimeWorld()
        let same = try other.deploy("steps:\n  - request: {url: https://a.example/}", of: tenant)
        try other.start(same, of: tenant, keepsWithoutFunds: true)
        #expect(pause(other, other.runs[0], of: tenant).items == [.done(status: .paused)])
        #expect(resume(other, other.runs[0], of: tenant).items == [.done(status: .paused)])
        let next = try other.crashed { _ in ScriptedTransport.ok() }
        try next.runtime.recover()
        #expect(try next.status(of: other.runs[0], tenant) == .paused)
        try next.credit(1_000, reference: "c")
        next.runtime.balanceChanged(of: tenant)
        #expect(try next.status(of: other.runs[0], tenant) == .succeeded)
    }

    @Test("a cancel ends a paused run; another tenant can neither pause nor resume it (I10)")
    func otherOrders() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.chain))
        let run = world.runs[0]
        #expect(pause(world, run, of: RuntimeWorld.tenant).items == [.over])
        #expect(try world.status(of: run) == .running)
        _ = pause(world, run)
        #expect(resume(world, run, of: RuntimeWorld.tenant).items == [.over])
        #expect(try world.status(of: run) == .paused)
        #expect(world.cancel(run, of: .operatorTenant, reason: "x") == true)
        #expect(try world.status(of: run) == .running, "it is ending, and only waits for what is in flight")
        for number in world.transport.waiting { world.transport.succeed(number) }
        #expect(try world.status(of: run) == .cancelled)
    }

    // MARK: - Retry and fork

    private static let order = """
        steps:
          - {id: charge, request: {method: POST, url: https://pay.example/}}
          - {id: ship, request: {method: POST, url: https://ship.example/}, retry: {max: 0}}
        """

    /// A run of ``order`` whose second step has failed, after 400 ms of the first and 100 of its own.
    private func failedRun(_ world: RuntimeWorld, of tenant: TenantID = .operatorTenant) throws -> RunID {
        try world.start(try world.deploy(Self.order, of: tenant), of: tenant)
        world.clock.advance(by: .milliseconds(400))
        world.transport.succeed(0, ["id": "ch_1"])
        world.clock.advance(by: .milliseconds(100))
        world.transport.answer(1, .success(OutboundResponse(status: 500, headers: [], body: [])))
        #expect(try world.status(of: world.runs[0], tenant) == .failed)
        return world.runs[0]
    }

    @Test("a retry charges once, survives a crash before anything was sent, and pays for its own steps alone")
    func retryChargesOnce() throws {
        let world = try RuntimeWorld()
        let tenant = RuntimeWorld.tenant
        try world.credit(60_000, reference: "gift")
        let first = try failedRun(world, of: tenant)
        let second = try started(try fork(world, first, of: tenant))
        #expect(try world.store.run(second, of: tenant)?.digest == world.store.run(first, of: tenant)?.digest)
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(next.transport.steps == ["ship"])
        #expect(next.transport.requests[0].headers["idempotency-key"] == "\(second)/ship")
        next.clock.advance(by: .milliseconds(30))
        next.transport.succeed(0)
        #expect(try next.status(of: second, tenant) == .succeeded)
        #expect(world.transport.steps.filter { $0 == "charge" }.count == 1)
        #expect(try next.store.run(first, of: tenant)?.chargedMilliseconds == 500)
        #expect(try next.store.run(second, of: tenant)?.chargedMilliseconds == 30)
        #expect(try next.store.verifyLedgers().findings == [])
    }

    @Test("a retry is durable before it is answered, and the same key starts one run (I5)")
    func retryIsDurableAndDeduplicated() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy("steps:\n  - {id: a, fail: no}")
        try world.start(plan)
        world.store.flush()
        let key = RunCommit.Dedupe(key: "order:k", fingerprint: [1])
        let results = try fork(world, world.runs[0], dedupe: key)
        #expect(results.items.isEmpty)
        world.store.flush()
        let second = try started(results)
        let again = try fork(world, world.runs[0], dedupe: key)
        world.store.flush()
        guard case .start(.duplicate(of: second, isSameContent: true)) = again.items[0] else {
            return #expect(Bool(false), "\(again.items)")
        }
    }

    @Test("a run that cannot be paid for is not made; nothing is stored")
    func unfundedRetry() throws {
        let world = try RuntimeWorld()
        let tenant = RuntimeWorld.tenant
        try world.credit(500, reference: "gift")
        let first = try failedRun(world, of: tenant)
        guard case .start(.unfunded) = try fork(world, first, of: tenant).items[0] else {
            return #expect(Bool(false), "it was started")
        }
        #expect(try world.store.runs(of: tenant, RunQuery()).count == 1)
    }

    @Test(
        "a run under way is forked and goes on beside its fork; a version that is out of service is still known"
    )
    func forkBesideARunningRun() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy(Self.order))
        world.transport.succeed(0, ["id": "ch_1"])
        let first = world.runs[0]
        guard case .refused(.notOver) = try fork(world, first).items[0] else {
            return #expect(Bool(false), "a running run was retried")
        }
        _ = try world.catalog.delete("flow", of: .operatorTenant)
        guard case .workflowUnknown = try fork(world, first, .fork, from: "ship", version: .current).items[0]
        else { return #expect(Bool(false), "a deleted workflow was found") }
        let second = try started(try fork(world, first, .fork, from: "ship"))
        #expect(world.transport.steps == ["charge", "ship", "ship"])
        world.transport.succeed(1)
        world.transport.succeed(2)
        #expect(try world.status(of: first) == .succeeded && world.status(of: second) == .succeeded)
    }

    @Test("a fork onto the version in service runs that one, and its new input must fit that one's schema")
    func forkOntoTheCurrentVersion() throws {
        let world = try RuntimeWorld()
        let first = try failedRun(world)
        let schema = "{type: http, schema: {type: object, required: [n]}}"
        let newer = try world.deploy(
            Self.order + "\n  - {id: tell, lua: return trigger.body.n}\noutput: << steps.tell.output >>",
            trigger: schema)
        guard
            case .bodyUnfit = try fork(world, first, .fork, from: "ship", version: .current, body: [:]).items[
                0]
        else { return #expect(Bool(false), "an unfit body was taken") }
        let results = try fork(world, first, .fork, from: "ship", version: .current, body: ["n": 3])
        let second = try started(results)
        #expect(try world.store.run(second, of: .operatorTenant)?.digest == newer.digest)
        world.transport.succeed(2)
        let record = try #require(try world.store.run(second, of: .operatorTenant))
        #expect(try world.runtime.view(of: record)["output"] == 3)
        #expect(world.transport.steps == ["charge", "ship", "ship"])
    }

    // MARK: - With others

    @Test("a paused parent calls nobody; a child that is retried answers no parent")
    func pausedParent() throws {
        let world = try RuntimeWorld()
        try world.deploy("steps:\n  - {id: r, fail: no}", name: "child", trigger: "type: manual")
        try world.start(
            try world.deploy("steps:\n  - {id: w, wait: go}\n  - {id: c, call: child}", name: "parent"))
        let parent = world.runs[0]
        _ = pause(world, parent)
        world.runtime.signal(parent, of: .operatorTenant, RunSignal(id: "k", name: "go", body: 1)) { _ in }
        #expect(try world.store.runs(of: .operatorTenant, RunQuery(workflow: "child")).isEmpty)
        _ = resume(world, parent)
        #expect(try world.status(of: parent) == .failed)
        let child = try #require(try world.store.runs(of: .operatorTenant, RunQuery(workflow: "child")).first)
        let again = try started(try fork(world, child.run))
        let record = try #require(try world.store.run(again, of: .operatorTenant))
        #expect(record.status == .failed && record.trigger == "call")
        #expect(try world.runtime.view(of: record)["parent"] == .null)
        #expect(try world.kinds(of: parent).filter { $0 == "step.failed" }.count == 1)
    }

    @Test("a fork counts under its concurrency key: it waits for its turn")
    func forkIsQueued() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "concurrency: {key: << trigger.body >>, limit: 1}\nsteps:\n  - {id: w, wait: go}")
        try world.start(plan, body: "k")
        let again = try started(try fork(world, world.runs[0], .fork, from: "w"))
        #expect(world.runtime.queued(among: [again]) == [again])
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "x") == true)
        #expect(world.runtime.queued(among: [again]) == [])
        #expect(try world.kinds(of: again).suffix(2) == ["run.admitted", "step.waiting"])
    }
}
