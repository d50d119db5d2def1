import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Runs that call runs")
struct ChildRunTests {
    private static let request =
        "steps:\n  r: {request: {url: https://a.example/}}\noutput: << trigger.body >>"
    private static let parent = """
        steps:
          c: {call: child, input: {n: << trigger.body.n >>}}
        output: {out: << steps.c.output >>, run: << steps.c.run_id >>}
        """

    /// The parent's workflow with its child's, both in service.
    private func deployed(_ world: RuntimeWorld, child: String = request) throws {
        try world.deploy(child, name: "child", trigger: "type: manual")
        try world.start(try world.deploy(Self.parent, name: "parent"), body: ["n": 5])
    }

    private func children(
        _ world: RuntimeWorld, of tenant: TenantID = .operatorTenant, _ workflow: String = "child"
    ) throws -> [RunRecord] {
        try world.store.runs(of: tenant, RunQuery(workflow: workflow, limit: 200)).reversed()
    }

    private func drain(_ world: RuntimeWorld) { for _ in 0..<20 { world.store.flush() } }

    // MARK: - Results

    @Test("a child runs by its own workflow with the input, and its output comes back")
    func childRuns() throws {
        let world = try RuntimeWorld(script: { _ in ScriptedTransport.ok() })
        try deployed(world)
        let child = try #require(try children(world).first)
        #expect(child.status == .succeeded && child.trigger == "call")
        #expect(
            world.outcomes.items == [
                RunOutcome(
                    status: .succeeded, output: ["out": ["n": 5], "run": .string("\(child.run)")])
            ])
        #expect(
            try world.kinds(of: world.runs[0]) == [
                "run.started", "step.calling", "step.succeeded", "run.finished",
            ])
        let view = try world.runtime.view(of: child)
        #expect(view["parent"] == ["run": .string("\(world.runs[0])"), "step": "c"])
        #expect(world.runtime.load.openRuns == 0)
    }

    @Test("a child that fails fails the step; the error names the child's run and its own error")
    func childFails() throws {
        let world = try RuntimeWorld(script: { _ in
            .success(OutboundResponse(status: 404, headers: [], body: []))
        })
        try deployed(world)
        let child = try #require(try children(world).first)
        let error = try #require(world.outcomes.items.first?.error)
        #expect(error.code == "child_failed")
        #expect(error.message.hasPrefix("run \(child.run) failed in step r: status: status 404"))
    }

    @Test("a child cancelled by hand fails the step with a code of its own")
    func childIsCancelled() throws {
        let world = try RuntimeWorld()
        try deployed(world, child: "steps:\n  - wait: never")
        let child = try #require(try children(world).first)
        #expect(world.cancel(child.run, of: .operatorTenant, reason: "by hand") == true)
        #expect(world.outcomes.items.first?.error?.code == "child_cancelled")
        #expect(world.outcomes.items.first?.error?.message.contains("by hand") == true)
    }

    @Test("a workflow that is not in service fails the step, also where another tenant has one (I10)")
    func unknownWorkflow() throws {
        let world = try RuntimeWorld()
        try world.deploy(Self.request, name: "child", of: RuntimeWorld.tenant)
        try world.start(try world.deploy(Self.parent, name: "parent"))
        #expect(world.outcomes.items.first?.error?.code == "unknown_workflow")
        #expect(try children(world, of: RuntimeWorld.tenant).isEmpty && world.runs.count == 1)
    }

    @Test("of two tenants with a workflow of one name each calls its own (I10)")
    func tenantsCallTheirOwn() throws {
        let world = try RuntimeWorld()
        for tenant in [TenantID.operatorTenant, RuntimeWorld.tenant] {
            try world.deploy("steps:\n  - finish: \"\(tenant)\"", name: "child", of: tenant)
            let plan = try world.deploy(Self.parent, name: "parent", of: tenant)
            try world.credit(1_000, reference: "gift \(tenant)")
            try world.start(plan, of: tenant)
            #expect(world.outcomes.items.last?.output["out"] == .string("\(tenant)"))
            #expect(try children(world, of: tenant).count == 1)
        }
    }

    @Test("a detached child outlives its parent, also one that is cancelled")
    func detached() throws {
        let world = try RuntimeWorld()
        try world.deploy("steps:\n  - wait: go", name: "child")
        try world.start(
            try world.deploy(
                "steps:\n  c: {call: child, detach: true}\n  w: {after: c, wait: never}", name: "parent"))
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "x") == true)
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        let child = try #require(try children(world).first)
        #expect(child.status == .waiting)
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(try next.status(of: child.run) == .waiting, "nor does a restart take it for an orphan")
    }

    @Test("a run that calls itself ends at the sixteenth call, and all above fail with it")
    func depthIsBounded() throws {
        let world = try RuntimeWorld()
        try world.start(try world.deploy("steps:\n  c: {call: flow}"))
        let runs = try children(world, "flow")
        #expect(runs.count == 17 && runs.allSatisfy { $0.status == .failed })
        let deepest = try #require(runs.last)
        #expect(try world.runtime.view(of: deepest)["error"]?["code"] == "call_too_deep")
    }

    @Test("waiting for a child costs its parent nothing")
    func waitingIsFree() throws {
        let world = try RuntimeWorld()
        try world.credit(60_000, reference: "gift")
        try world.deploy("steps:\n  - sleep: 75d", name: "child", of: RuntimeWorld.tenant)
        try world.start(
            try world.deploy(Self.parent, name: "parent", of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .seconds(75 * 86_400))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(try world.store.account(of: RuntimeWorld.tenant).balanceMilliseconds == 60_000)
    }

    @Test("a parent's call waits while the engine is full, and children go where strangers may not")
    func overload() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 2
        let world = try RuntimeWorld(options: options)
        let stranger = try world.deploy(
            "steps:\n  - request: {method: GET, url: https://slow.example/}", name: "stranger")
        try world.start(stranger)
        try world.deploy("steps:\n  - finish: 1", name: "d")
        for (name, below) in [("c", "d"), ("b", "c")] {
            try world.deploy("steps:\n  - call: \(below)", name: name)
        }
        try world.start(try world.deploy("steps:\n  - call: b", name: "a"))
        #expect(try children(world, "c").count == 1, "twice the limit: the stranger, a, b and c")
        #expect(try children(world, "d").isEmpty && world.outcomes.items.isEmpty)
        try world.start(stranger)
        guard case .overloaded = world.results.items.last else { return #expect(Bool(false)) }
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(2))
        #expect(world.outcomes.items.map(\.status) == [.succeeded, .succeeded])
    }

    // MARK: - Going down

    @Test("cancelling goes down through all levels, and each ends after those below it")
    func cancelGoesDown() throws {
        let world = try RuntimeWorld()
        try world.deploy("steps:\n  - wait: never", name: "grandchild")
        try deployed(world, child: "steps:\n  - call: grandchild\n  - wait: never")
        let middle = try #require(try children(world).first)
        let last = try #require(try children(world, "grandchild").first)
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "enough") == true)
        for run in [world.runs[0], middle.run, last.run] {
            #expect(try world.status(of: run) == .cancelled)
        }
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(world.runtime.load.openRuns == 0)
        let reason = try world.runtime.view(of: last)["error"]?["message"]?.text ?? ""
        #expect(reason.contains("\(middle.run)"))
    }

    private static let waitsAtTheEnd = "steps:\n  - wait: never\nfinally:\n  last: {wait: done}"

    @Test(
        "the finally steps of a called run outlive a cancel of its caller and a restart; a second cancel cuts them"
    )
    func finallyOfChildren() throws {
        let world = try RuntimeWorld()
        try world.deploy(Self.waitsAtTheEnd, name: "grandchild", trigger: "type: manual")
        try deployed(world, child: "steps:\n  c: {call: grandchild}")
        let parent = world.runs[0]
        #expect(world.cancel(parent, of: .operatorTenant, reason: "enough") == true)
        let last = try #require(try children(world, "grandchild").first).run
        #expect(try world.kinds(of: last).contains("run.finalizing"))
        // The next process asks the child to end once more.
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(try !next.kinds(of: last).contains("run.finally_cut"))
        #expect(try next.status(of: parent)?.isFinal == false)
        #expect(next.cancel(parent, of: .operatorTenant, reason: "at once") == true)
        #expect(try next.kinds(of: last).contains("run.finally_cut"))
        #expect(try next.status(of: last) == .cancelled && next.status(of: parent) == .cancelled)
        #expect(next.runtime.load.openRuns == 0)
    }

    @Test("a child that is in its finally steps by itself keeps them when its caller is cancelled")
    func finallyIsNotCut() throws {
        let world = try RuntimeWorld()
        try deployed(world, child: "steps:\n  - lua: '1'\nfinally:\n  last: {wait: done}")
        let parent = world.runs[0]
        let child = try #require(try children(world).first).run
        #expect(world.cancel(parent, of: .operatorTenant, reason: "enough") == true)
        #expect(try !world.kinds(of: child).contains("run.finally_cut"))
        #expect(world.cancel(parent, of: .operatorTenant, reason: "at once") == true)
        #expect(try world.kinds(of: child).contains("run.finally_cut"))
        #expect(try world.status(of: child) == .succeeded && world.status(of: parent) == .cancelled)
    }

    @Test("a parent does not end before the request of its cancelled child is answered")
    func endIsAwaited() throws {
        let world = try RuntimeWorld()
        try deployed(world)
        #expect(world.cancel(world.runs[0], of: .operatorTenant, reason: "x") == true)
        #expect(world.outcomes.items.isEmpty)
        #expect(try world.status(of: world.runs[0]) == .running)
        world.transport.succeed(0)
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
        #expect(try children(world).map(\.status) == [.cancelled])
    }

    @Test("a cancel that comes while the child's start is on its way to the disk ends the child too")
    func cancelWhileStarting() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try deployed(world, child: "steps:\n  - wait: never")
        world.store.flush()
        world.runtime.cancel(world.runs[0], of: .operatorTenant, reason: "x")
        drain(world)
        #expect(try children(world).map(\.status) == [.cancelled])
        #expect(try world.status(of: world.runs[0]) == .cancelled)
    }

    // MARK: - Crashes

    /// A world on a store that keeps nothing before it is told to, with the parent durable.
    private func flushingWorld(child: String = request) throws -> RuntimeWorld {
        let world = try RuntimeWorld(completesOnFlush: true)
        try deployed(world, child: child)
        world.store.flush()
        return world
    }

    @Test("nothing of a child exists before its parent's start is durable (I1)")
    func childComesAfterTheParent() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try deployed(world)
        #expect(world.runtime.load.openRuns == 1)
        world.store.flush()
        #expect(world.runtime.load.openRuns == 2)
    }

    @Test("a crash after the child's start and before its parent's entry finds the same child")
    func crashBeforeTheEntry() throws {
        let world = try flushingWorld()
        world.store.flush()
        let child = try #require(try children(world).first)
        #expect(try world.kinds(of: world.runs[0]) == ["run.started"])
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        drain(next)
        #expect(try children(next).map(\.run) == [child.run])
        #expect(try next.status(of: world.runs[0]) == .succeeded)
        #expect(try next.kinds(of: world.runs[0]).filter { $0 == "step.calling" }.count == 1)
    }

    @Test("a crash before the child's start was durable starts one")
    func crashBeforeTheStart() throws {
        let world = try flushingWorld()
        #expect(try children(world).isEmpty)
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        drain(next)
        #expect(try children(next).count == 1)
        #expect(try next.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a child that ended while nobody ran its parent is asked for, with its output")
    func crashAfterTheChildsEnd() throws {
        let world = try flushingWorld()
        for _ in 0..<3 { world.store.flush() }
        world.transport.succeed(0)
        world.store.flush()
        #expect(try children(world).map(\.status) == [.succeeded])
        #expect(try world.kinds(of: world.runs[0]) == ["run.started", "step.calling"])
        let next = try world.crashed()
        try next.runtime.recover()
        drain(next)
        #expect(try next.status(of: world.runs[0]) == .succeeded)
        let record = try #require(try next.store.run(world.runs[0], of: .operatorTenant))
        #expect(try next.runtime.view(of: record)["output"]?["out"] == ["n": 5])
    }

    @Test("a parent that waits is told of its child's end across a restart")
    func restartWhileCalling() throws {
        let world = try RuntimeWorld()
        try deployed(world, child: "steps:\n  - sleep: 30d\n  - finish: 8")
        let next = try world.crashed()
        #expect(try next.runtime.recover() == 2)
        next.clock.advance(by: .seconds(30 * 86_400))
        let record = try #require(try next.store.run(world.runs[0], of: .operatorTenant))
        #expect(record.status == .succeeded)
        #expect(try next.runtime.view(of: record)["output"]?["out"] == 8)
    }

    @Test("a crash between a cancel and its way down ends parent and child after the restart")
    func crashWhileCancelling() throws {
        let world = try flushingWorld(child: "steps:\n  - wait: never")
        for _ in 0..<3 { world.store.flush() }
        world.runtime.cancel(world.runs[0], of: .operatorTenant, reason: "x")
        world.store.flush()
        #expect(try children(world).map(\.status) == [.running])
        let next = try world.crashed()
        try next.runtime.recover()
        drain(next)
        #expect(try children(next).map(\.status) == [.cancelled])
        #expect(try next.status(of: world.runs[0]) == .cancelled)
    }

    @Test("a child whose parent's entry and cancel a crash set apart is ended, and its end awaited")
    func crashOrphans() throws {
        let world = try flushingWorld(child: "steps:\n  - wait: never")
        // The cancel is stored with the child's start, the entry of the call is not.
        world.runtime.cancel(world.runs[0], of: .operatorTenant, reason: "x")
        world.store.flush()
        #expect(try children(world).map(\.status) == [.running])
        #expect(try world.kinds(of: world.runs[0]) == ["run.started", "run.cancel_requested"])
        let next = try world.crashed()
        try next.runtime.recover()
        drain(next)
        #expect(try children(next).map(\.status) == [.cancelled])
        #expect(try next.status(of: world.runs[0]) == .cancelled)
        #expect(next.runtime.load.openRuns == 0)
    }

    /// How a parent comes to its end while the start of its child is on its way to the disk.
    enum Ending: CaseIterable { case cancelled, failed, groupFailed }

    @Test(
        "a child that has started and ended before its ending parent heard of it is found by a restart and undone",
        arguments: Ending.allCases)
    func endedChildIsFound(ending: Ending) throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        try world.deploy("steps:\n  - lua: return 1", name: "child", trigger: "type: manual")
        let undo = "compensate: {request: {url: https://undo.example/}}"
        let yaml =
            switch ending {
            case .cancelled: "steps:\n  c: {call: child, \(undo)}"
            case .failed: "steps:\n  r: {request: {url: https://r.example/}}\n  c: {call: child, \(undo)}"
            case .groupFailed:
                """
                steps:
                  g:
                    on_error: continue
                    steps:
                      r: {request: {url: https://r.example/}}
                      c: {call: child, \(undo)}
                  fail: {after: [g], fail: enough}
                """
            }
        try world.start(try world.deploy(yaml, name: "parent"))
        world.store.flush()
        // The end is stored together with the child's whole life, the entry of the call is not.
        if ending == .cancelled {
            world.runtime.cancel(world.runs[0], of: .operatorTenant, reason: "x")
        } else {
            world.transport.answer(0, .success(OutboundResponse(status: 404, headers: [], body: [])))
        }
        world.store.flush()
        #expect(try children(world).map(\.status) == [.succeeded])
        #expect(try !world.kinds(of: world.runs[0]).contains("step.calling"))
        let next = try world.crashed(script: { _ in ScriptedTransport.ok() })
        try next.runtime.recover()
        drain(next)
        #expect(next.transport.requests.map(\.url) == ["https://undo.example/"])
        #expect(try children(next).count == 1)
        let status = try next.status(of: world.runs[0])
        #expect(status == (ending == .cancelled ? .cancelled : .failed))
        #expect(next.runtime.load.openRuns == 0)
    }

    @Test("an attached child whose parent is over is ended at the next start")
    func orphanIsEnded() throws {
        let world = try RuntimeWorld()
        try deployed(world, child: "steps:\n  - wait: never")
        let parent = world.runs[0]
        let sequence = Int64(try world.store.entries(of: parent).count) + 1
        // As no version of ours leaves it: the parent over, its child open.
        let end = JournalRecord(
            sequence: sequence, at: world.clock.now(), chargeMilliseconds: 0,
            entry: .runFinished(RunOutcome(status: .failed)))
        world.store.commit(
            RunCommit(
                run: parent, tenant: .operatorTenant, entries: [end.stored], status: .failed,
                finishedAt: world.clock.now(), isMetered: false), inPlace: false
        ) { _ in }
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(try children(next).map(\.status) == [.cancelled])
    }

    @Test("a store that refuses the entry for a while loses neither parent nor child")
    func refusedEntry() throws {
        let world = try flushingWorld()
        world.store.flush()
        world.store.failNext(.full)
        world.store.flush()
        world.clock.advance(by: .seconds(2))
        drain(world)
        world.transport.succeed(0)
        drain(world)
        #expect(try children(world).map(\.status) == [.succeeded])
        #expect(try world.status(of: world.runs[0]) == .succeeded)
    }

    @Test("a child's start that the disk refuses is tried again until it is durable")
    func refusedStart() throws {
        let world = try flushingWorld(child: "steps:\n  - finish: 3")
        world.store.failNext(.full)
        world.store.flush()
        #expect(try children(world).isEmpty)
        world.clock.advance(by: .seconds(2))
        drain(world)
        #expect(try children(world).count == 1)
        #expect(try world.status(of: world.runs[0]) == .succeeded)
    }

    @Test("without balance a parent pauses before its call; a child may pause too, and both go on")
    func unfunded() throws {
        let world = try RuntimeWorld()
        let tenant = RuntimeWorld.tenant
        try world.deploy(Self.request, name: "child", of: tenant)
        let plan = try world.deploy(Self.parent, name: "parent", of: tenant)
        try world.start(plan, of: tenant, keepsWithoutFunds: true)
        #expect(try world.status(of: world.runs[0], tenant) == .paused)
        #expect(try children(world, of: tenant).isEmpty)
        try world.credit(1_000, reference: "a")
        world.runtime.balanceChanged(of: tenant)
        #expect(try children(world, of: tenant).map(\.status) == [.running])
        world.transport.succeed(0)
        #expect(try world.status(of: world.runs[0], tenant) == .succeeded)
    }
}
