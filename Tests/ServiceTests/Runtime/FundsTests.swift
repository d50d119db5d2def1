import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Funds, pauses and the depletion hook")
struct FundsTests {
    private static let two = """
        steps:
          - {id: a, request: {url: https://a.example/}}
          - {id: b, request: {url: https://b.example/}}
        """
    private static let parallel = """
        steps:
          a: {request: {url: https://a.example/}}
          b: {request: {url: https://b.example/}}
          join: {after: [a, b], request: {url: https://c.example/}}
        """
    private static let hook =
        "steps:\n  tell: {request: {method: POST, url: https://mail.example/, body: << trigger.body >>}}"

    /// A tenant with a credit, and an operator workflow that listens where `listens`.
    private func world(
        credit: Int64?, listens: Bool = true, completesOnFlush: Bool = false,
        options: RuntimeOptions = RuntimeOptions()
    ) throws -> RuntimeWorld {
        let world = try RuntimeWorld(completesOnFlush: completesOnFlush, options: options)
        if listens {
            try world.deploy(Self.hook, name: "alert", trigger: "{type: hook, event: on_balance_depleted}")
        }
        if let credit { try world.credit(credit, reference: "first") }
        return world
    }

    private func hooks(_ world: RuntimeWorld) throws -> Int {
        try world.store.runs(of: .operatorTenant, RunQuery(workflow: "alert")).count
    }

    @Test("a balance that ran out in a commit whose answer was lost is announced, once")
    func lostReceiptIsAnnounced() throws {
        let world = try world(credit: 20)
        let plan = try world.deploy("steps:\n  - request: {url: https://a.example/}", of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        try world.finishUnheard(plan, world.runs[0], of: RuntimeWorld.tenant, after: .milliseconds(50))
        #expect(try world.store.pendingDepletions().count == 1)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(2))
        #expect(try hooks(world) == 1)
        #expect(try world.store.pendingDepletions().isEmpty)
    }

    @Test("without funds a call is refused and nothing is stored; what must not be lost is kept, paused")
    func unfundedStart() throws {
        let world = try world(credit: nil)
        let plan = try world.deploy(Self.two, of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant)
        guard case .unfunded = world.results.items[0] else {
            return #expect(Bool(false), "\(world.results.items)")
        }
        #expect(try world.store.runs(of: RuntimeWorld.tenant, RunQuery()).isEmpty)
        try world.start(plan, of: RuntimeWorld.tenant, keepsWithoutFunds: true)
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .paused)
        #expect(world.transport.requests.isEmpty)
        try world.credit(1000, reference: "c")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        #expect(world.transport.steps == ["a"])
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .running)
    }

    @Test("a credit that comes while an unfunded start is being stored is not missed (I11)")
    func creditDuringStart() throws {
        let world = try world(credit: nil, completesOnFlush: true)
        let plan = try world.deploy(Self.two, of: RuntimeWorld.tenant)
        try world.start(plan, of: RuntimeWorld.tenant, keepsWithoutFunds: true)
        // Storing the credit also stores the start; the runtime hears of the start after the credit.
        try world.credit(1000, reference: "c")
        for _ in 0..<3 { world.store.flush() }
        #expect(world.transport.steps == ["a"])
    }

    @Test("at zero the run pauses before its next step, the hook is raised once, and a credit resumes it")
    func depletionAndReturn() throws {
        let world = try world(credit: 100)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        #expect(try world.store.account(of: RuntimeWorld.tenant).balanceMilliseconds == -150)
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .paused)
        world.clock.advance(by: .zero)
        #expect(world.transport.steps == ["a", "tell"])
        #expect(try JSON.parse(world.transport.requests[1].body)["balance_ms"] == -150)
        #expect(try world.store.pendingDepletions().isEmpty)
        #expect(try hooks(world) == 1)

        try world.credit(200, reference: "second")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        #expect(world.transport.steps == ["a", "tell", "b"])
        world.clock.advance(by: .milliseconds(60))
        world.transport.succeed(2)
        world.clock.advance(by: .seconds(60))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(try hooks(world) == 2, "it was re-armed by the credit and crossed zero again")
        #expect(try world.store.verifyLedgers().findings.isEmpty)
    }

    @Test("a credit too small to lift the balance above zero resumes nothing")
    func smallCredit() throws {
        let world = try world(credit: 100)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        try world.credit(150, reference: "second")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        #expect(!world.transport.steps.contains("b"))
        #expect(
            world.cancel(world.runs[0], of: RuntimeWorld.tenant, reason: "x") == true,
            "a paused run can be cancelled")
        #expect(world.outcomes.items.map(\.status) == [.cancelled])
    }

    @Test("a credit between the last charge and the next send is seen: the run does not pause")
    func creditBeforeSend() throws {
        let world = try world(credit: 100, completesOnFlush: true)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.store.flush()
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        try world.credit(1000, reference: "second")
        world.store.flush()
        #expect(world.transport.steps == ["a", "b"])
        #expect(try !world.kinds(of: world.runs[0]).contains("run.paused"))
    }

    @Test("a credit while the pause is being stored resumes the run once that is durable")
    func creditDuringPause() throws {
        let world = try world(credit: 100, completesOnFlush: true)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.store.flush()
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        world.store.flush()
        // The pause waits for its flush; the credit's transaction stores it and the credit.
        try world.credit(1000, reference: "second")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        for _ in 0..<3 { world.store.flush() }
        #expect(world.transport.steps.contains("b"))
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .running)
    }

    @Test("parallel steps in flight at zero are let finish and taken down; only the next one waits")
    func parallelAtZero() throws {
        let world = try world(credit: 100)
        try world.start(try world.deploy(Self.parallel, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(150))
        world.transport.succeed(0)
        world.clock.advance(by: .milliseconds(50))
        world.transport.succeed(1)
        #expect(
            try world.store.account(of: RuntimeWorld.tenant).balanceMilliseconds == -100,
            "200 ms in flight, once")
        #expect(try world.status(of: world.runs[0], RuntimeWorld.tenant) == .paused)
        #expect(!world.transport.steps.contains("join"))
    }

    @Test("a crash between the charge and the hook raises it in the next process, once")
    func hookSurvivesCrash() throws {
        let world = try world(credit: 100)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        #expect(try world.store.pendingDepletions().count == 1 && hooks(world) == 0)
        let next = try world.crashed()
        try next.runtime.recover()
        next.clock.advance(by: .zero)
        #expect(next.transport.steps == ["tell"], "the paused run sends nothing")
        let again = try next.crashed()
        try again.runtime.recover()
        #expect(try again.store.pendingDepletions().isEmpty && hooks(again) == 1)
        try again.credit(1000, reference: "second")
        again.runtime.balanceChanged(of: RuntimeWorld.tenant)
        #expect(again.transport.steps == ["tell", "b"])
    }

    @Test("a depletion that nobody listens to is dropped, and does not wait for the store on its own thread")
    func nobodyListens() throws {
        let world = try world(credit: 100, listens: false)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        #expect(try world.store.pendingDepletions().count == 1)
        world.clock.advance(by: .zero)
        #expect(try world.store.pendingDepletions().isEmpty)
        #expect(world.runtime.metrics.count("hooks_unheard_total", "hook=\"on_balance_depleted\"") == 1)
    }

    @Test("a guard that lets no depletion pass is a listener all the same")
    func guardedListener() throws {
        let world = try world(credit: 100, listens: false)
        try world.deploy(
            Self.hook, name: "alert", trigger: "{type: hook, event: on_balance_depleted, when: false}")
        try deplete(world)
        #expect(try world.store.pendingDepletions().isEmpty && hooks(world) == 0)
        #expect(world.runtime.metrics.count("hooks_unheard_total", "hook=\"on_balance_depleted\"") == 0)
    }

    @Test("a listener behind hundreds of other workflows hears, and so does one that is deployed later")
    func lateListener() throws {
        let world = try world(credit: 100, listens: false)
        for number in 0..<260 {
            try world.deploy("steps:\n  - {lua: return 1}", name: "w\(number)")
        }
        try world.deploy(Self.hook, name: "x-quiet", trigger: "{type: hook, event: on_purchase_requested}")
        try world.deploy(Self.hook, name: "z-alert", trigger: "{type: hook, event: on_balance_depleted}")
        try deplete(world)
        #expect(try listenerRuns(world) == ["z-alert"])
        try world.deploy(Self.hook, name: "a-alert", trigger: "{type: hook, event: on_balance_depleted}")
        _ = try world.catalog.delete("z-alert", of: .operatorTenant)
        try world.credit(200, reference: "second")
        world.runtime.balanceChanged(of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(world.transport.requests.count - 1)
        world.clock.advance(by: .zero)
        #expect(try listenerRuns(world) == ["a-alert", "z-alert"])
    }

    @Test("every listener gets its run before the depletion leaves the outbox")
    func allListeners() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 2
        let world = try world(credit: 100, options: options)
        try world.deploy(Self.hook, name: "later", trigger: "{type: hook, event: on_balance_depleted}")
        try deplete(world)
        // One place is left beside the paused run.
        #expect(try listenerRuns(world).count == 1 && world.store.pendingDepletions().count == 1)
        #expect(world.cancel(world.runs[0], of: RuntimeWorld.tenant, reason: "x") == true)
        world.clock.advance(by: .seconds(6))
        #expect(try listenerRuns(world).count == 2 && world.store.pendingDepletions().isEmpty)
        world.clock.advance(by: .seconds(60))
        #expect(try listenerRuns(world).count == 2)
        #expect(world.runtime.metrics.count("balance_depletions_total", "") == 1)
    }

    /// The workflows whose runs the hook has started, newest first.
    private func listenerRuns(_ world: RuntimeWorld) throws -> [String] {
        try world.store.runs(of: .operatorTenant, RunQuery(limit: 9)).map(\.workflow)
    }

    /// Runs the tenant out of its 100 ms.
    private func deplete(_ world: RuntimeWorld) throws {
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        world.clock.advance(by: .zero)
    }

    @Test("a hook that could not start, because too much was open, is raised again")
    func hookIsRaisedAgain() throws {
        var options = RuntimeOptions()
        options.openRunCountMax = 1
        let world = try world(credit: 100, options: options)
        try world.start(try world.deploy(Self.two, of: RuntimeWorld.tenant), of: RuntimeWorld.tenant)
        world.clock.advance(by: .milliseconds(250))
        world.transport.succeed(0)
        world.clock.advance(by: .zero)
        #expect(try hooks(world) == 0)
        #expect(world.cancel(world.runs[0], of: RuntimeWorld.tenant, reason: "x") == true)
        world.clock.advance(by: .seconds(6))
        #expect(try hooks(world) == 1)
        #expect(try world.store.pendingDepletions().isEmpty)
    }

    @Test("the operator is not metered: it runs on nothing and is charged nothing")
    func operatorIsFree() throws {
        let world = try world(credit: nil, listens: false)
        try world.start(try world.deploy(Self.two))
        world.clock.advance(by: .seconds(5))
        world.transport.succeed(0)
        world.transport.succeed(1)
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(try world.store.account(of: .operatorTenant).sequence == 0)
    }
}
