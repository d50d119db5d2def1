import Billing
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

/// Runs of a metered tenant while the disk fills up, the process dies, funds run out and requests fail, all drawn from one seed.
private struct Storm {
    private static let workflow = """
        steps:
          a: {request: {method: POST, url: https://a.example/, body: << trigger.body >>}}
          b: {on_error: continue, request: {method: POST, url: https://b.example/, body: << trigger.body >>}}
          c: {after: [a], request: {method: POST, url: https://c.example/, body: {a: << steps.a.response.body.n >>}}}
          d: {after: [b, c], lua: "return 1"}
          e: {after: [d], request: {method: POST, url: https://e.example/, body: {d: << steps.d.output >>}}}
        """

    /// Leaves memory between its steps.
    private static let sleeper = """
        steps:
          a: {request: {method: POST, url: https://a.example/, body: << trigger.body >>}}
          nap: {after: [a], sleep: 8s}
          word: {after: [nap], wait: {signal: go, timeout: 20s, on_timeout: continue}}
          b: {after: [word], request: {method: POST, url: https://b.example/}, retry: {max: 9, delay: 7s, jitter: none}}
        """

    struct Sending: Hashable {
        var key: String?
        var body: [UInt8]
    }

    var world: RuntimeWorld
    var random: SeededRandom
    /// What has left, by run and step.
    var sent: [String: Set<Sending>] = [:]
    var started: Set<RunID> = []
    var creditCount = 0
    private var seen = 0
    private var seenRuns = 0

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        world = try RuntimeWorld(completesOnFlush: true)
        try world.deploy(Self.workflow, of: RuntimeWorld.tenant)
        try world.deploy(Self.sleeper, name: "sleeper", of: RuntimeWorld.tenant)
        try credit(400)
    }

    mutating func run(rounds: Int) throws {
        for _ in 0..<rounds { try step() }
        // The faults stop: everything must move on (I11).
        try credit(10_000_000)
        for _ in 0..<400 where world.runtime.load.openRuns > 0 || !world.runtime.load.stuck.isEmpty { calm() }
        // What the disk refused last is tried again.
        for _ in 0..<2 { calm() }
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<12:
            let name = Int.random(in: 0..<3, using: &random) == 0 ? "sleeper" : "flow"
            let plan = try #require(try world.catalog.plan(named: name, of: RuntimeWorld.tenant))
            try world.start(
                plan, of: RuntimeWorld.tenant, body: ["n": .int(Int64.random(in: 0..<1000, using: &random))],
                keepsWithoutFunds: Bool.random(using: &random))
        case 12..<50: world.store.flush()
        case 50..<80: answer()
        case 80..<88: world.clock.advance(by: .milliseconds(Int64.random(in: 1...2000, using: &random)))
        case 88..<91: world.store.failNext(.full)
        case 91..<94: try credit(Int64.random(in: 1...300, using: &random))
        case 94..<96:
            if let run = started.randomElement(using: &random) {
                _ = world.cancel(run, of: RuntimeWorld.tenant, reason: "storm")
            }
        case 96: try crash()
        case 97:
            if let run = started.randomElement(using: &random) {
                let id = "\(Int.random(in: 0..<3, using: &random))"
                world.runtime.signal(run, of: RuntimeWorld.tenant, RunSignal(id: id, name: "go", body: .null))
                { _ in }
            }
        default: world.clock.advance(by: .seconds(10))
        }
        look()
    }

    private mutating func answer() {
        guard let number = world.transport.waiting.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<10, using: &random) {
        case 0: world.transport.answer(number, .failure(.timeout))
        case 1: world.transport.answer(number, .success(OutboundResponse(status: 503, headers: [], body: [])))
        case 2 where Bool.random(using: &random):
            world.transport.answer(number, .success(OutboundResponse(status: 404, headers: [], body: [])))
        default: world.transport.succeed(number, ["n": .int(Int64(number))])
        }
    }

    private mutating func credit(_ milliseconds: Int64) throws {
        creditCount += 1
        let credit = Credit(
            tenant: RuntimeWorld.tenant, milliseconds: milliseconds, reference: "c\(creditCount)",
            fingerprint: [1],
            at: world.clock.now())
        // A full disk refuses it; the caller would try again.
        for _ in 0..<50 {
            do throws(StoreError) {
                _ = try world.store.credit(credit)
                return world.runtime.balanceChanged(of: RuntimeWorld.tenant)
            } catch {}
        }
    }

    private mutating func crash() throws {
        look()
        world = try world.crashed()
        seen = 0
        seenRuns = 0
        try world.runtime.recover()
    }

    private mutating func calm() {
        world.store.flush()
        for number in world.transport.waiting { world.transport.succeed(number) }
        world.clock.advance(by: .seconds(5))
        look()
    }

    /// Notes what has left since the last look.
    private mutating func look() {
        let requests = world.transport.requests
        for request in requests[seen...] {
            let step = "\(request.headers["millrace-run"] ?? "")/\(request.headers["millrace-step"] ?? "")"
            sent[step, default: []].insert(
                Sending(key: request.headers["idempotency-key"], body: request.body))
        }
        seen = requests.count
        let runs = world.runs
        started.formUnion(runs[seenRuns...])
        seenRuns = runs.count
    }
}

@Suite("A storm over the runtime")
struct RuntimeStormTests {
    @Test(
        "full disks, crashes, empty balances and failing requests lose, double and strand nothing",
        arguments: 0..<10)
    func nothingIsLost(group: Int) throws {
        for seed in (UInt64(group) * 12)..<(UInt64(group) * 12 + 12) {
            var storm = try Storm(seed: seed)
            try storm.run(rounds: 250)
            let load = storm.world.runtime.load
            #expect(load.openRuns == 0 && load.stuck.isEmpty && load.sent == 0, "seed \(seed): \(load)")
            for run in storm.started {
                let status = try storm.world.status(of: run, RuntimeWorld.tenant)
                #expect(status?.isFinal == true, "seed \(seed): \(run) is \(String(describing: status))")
                let entries = try storm.world.store.entries(of: run)
                #expect(
                    entries.map(\.sequence) == Array(1...Int64(max(1, entries.count))),
                    "seed \(seed): \(entries.map(\.key))")
            }
            for (step, sent) in storm.sent { #expect(sent.count == 1, "seed \(seed): \(step) (I3)") }
            let ledgers = try storm.world.store.verifyLedgers()
            #expect(ledgers.findings.isEmpty, "seed \(seed): \(ledgers.findings)")
            #expect(try storm.world.store.pendingDepletions().isEmpty, "seed \(seed)")
        }
    }
}
