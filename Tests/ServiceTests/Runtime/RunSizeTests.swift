import Engine
import MemoryStore
import Ports
import Storage
import TestSupport
import Testing
import Values

@testable import Runtime

/// What one run may keep: its journal is read whole, by whoever looks at it and by each process that starts.
@Suite("Bytes of a run")
struct RunSizeTests {
    private static let byteCountMax = 20_000

    private static let paging = """
        steps:
          pay:
            request: {method: POST, url: https://pay.example/}
            compensate: {request: {method: POST, url: https://pay.example/undo}}
          pages:
            after: [pay]
            strategy: {type: fan_out, over: 40, concurrency: 1}
            request: {method: GET, url: https://a.example/}
        """

    private static func world(_ script: ScriptedTransport.Script? = nil) throws -> RuntimeWorld {
        var options = RuntimeOptions()
        options.runByteCountMax = byteCountMax
        return try RuntimeWorld(script: script, options: options)
    }

    /// An answer of so many bytes in its body, or in a header, which stands among the facts.
    private static func answer(body: Int = 0, header: Int = 0) -> Result<OutboundResponse, TransportFailure> {
        .success(
            OutboundResponse(
                status: 200, headers: [HTTPHeader("x-pad", String(repeating: "h", count: header))],
                body: [UInt8](repeating: 0x62, count: body)))
    }

    private static func byteCount(_ world: RuntimeWorld, _ run: RunID) throws -> Int {
        try world.store.entries(of: run).reduce(0) { $0 + $1.byteCount }
    }

    @Test(
        "a run whose journal has come to more than it may keep fails with run_too_large and undoes its steps",
        arguments: [(2_000, 0), (0, 2_000), (1_000, 1_000)])
    func fails(body: Int, header: Int) throws {
        let world = try Self.world { _ in Self.answer(body: body, header: header) }
        try world.start(try world.deploy(Self.paging))
        let outcome = try #require(world.outcomes.items.first)
        #expect(outcome.status == .failed && outcome.error?.code == "run_too_large")
        #expect(outcome.compensation == .succeeded && outcome.failedStep == nil)
        #expect(world.transport.requests.count <= 12 && world.transport.steps.last == "pay/compensate")
        let kinds = try world.kinds(of: world.runs[0])
        #expect(kinds.filter { $0 == "run.too_large" }.count == 1)
        // Beyond the bound: the answer that crossed it, and the headers of the one that undoes.
        #expect(try Self.byteCount(world, world.runs[0]) < Self.byteCountMax + 2 * 2_500 + 1_000)
    }

    @Test("a run that keeps less is not touched")
    func staysBelow() throws {
        let world = try Self.world { _ in Self.answer(body: 300) }
        try world.start(try world.deploy(Self.paging))
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
        #expect(try Self.byteCount(world, world.runs[0]) < Self.byteCountMax)
    }

    @Test("after a crash between any two answers it fails at the same one", arguments: 1...9)
    func sameAfterCrash(answerCount: Int) throws {
        let script: ScriptedTransport.Script = { _ in Self.answer(body: 1_200, header: 1_200) }
        let whole = try Self.world(script)
        try whole.start(try whole.deploy(Self.paging))
        let expected = try whole.kinds(of: whole.runs[0])
        #expect(expected.contains("run.too_large"))

        let world = try Self.world()
        try world.start(try world.deploy(Self.paging))
        for number in 0..<answerCount where world.transport.waiting.contains(number) {
            world.transport.answer(number, Self.answer(body: 1_200, header: 1_200))
        }
        let next = try world.crashed(script: script)
        try next.runtime.recover()
        #expect(try next.kinds(of: world.runs[0]) == expected)
        #expect(try next.status(of: world.runs[0]) == .failed)
    }

    @Test("what was in flight is known to have happened and is undone, but its bodies are not kept")
    func inFlight() throws {
        let world = try Self.world()
        let plan = try world.deploy(
            """
            steps:
              pay:
                strategy: {type: fan_out, over: 20, concurrency: 20}
                request: {method: POST, url: https://pay.example/}
                compensate: {request: {method: POST, url: https://pay.example/undo}}
            """)
        try world.start(plan)
        #expect(world.transport.requests.count == 20)
        for number in 0..<20 { world.transport.answer(number, Self.answer(body: 8_000)) }
        world.transport.answerAll { _ in Self.answer(body: 8_000) }
        for number in world.transport.waiting { world.transport.answer(number, Self.answer(body: 8_000)) }
        let outcome = try #require(world.outcomes.items.first)
        #expect(outcome.error?.code == "run_too_large" && outcome.compensation == .succeeded)
        #expect(world.transport.requests.count == 40)
        let bodies = try world.store.entries(of: world.runs[0]).compactMap { $0.body?.count }
        #expect(bodies.filter { $0 == 8_000 }.count == 3, "the third crosses the bound")
        #expect(try Self.byteCount(world, world.runs[0]) < Self.byteCountMax + 8_000 + 40 * 250)
    }

    @Test("one that is paused for want of balance ends as well, and is shown to run while it undoes")
    func paused() throws {
        let world = try Self.world()
        let tenant = RuntimeWorld.tenant
        try world.credit(10_000, reference: "gift")
        let plan = try world.deploy(
            """
            steps:
              pay:
                request: {method: POST, url: https://pay.example/}
                compensate: {request: {method: POST, url: https://pay.example/undo}}
              a: {after: [pay], request: {url: https://a.example/}}
              b: {after: [pay], request: {url: https://b.example/}}
              c: {after: [a], request: {url: https://c.example/}}
            """, of: tenant)
        try world.start(plan, of: tenant)
        world.transport.succeed(0)
        world.clock.advance(by: .seconds(20))
        world.transport.succeed(1)
        #expect(try world.status(of: world.runs[0], tenant) == .paused)
        world.transport.answer(2, Self.answer(body: Self.byteCountMax + 1))
        #expect(world.transport.steps.last == "pay/compensate")
        #expect(try world.status(of: world.runs[0], tenant) == .running)
        world.transport.succeed(3)
        #expect(world.outcomes.items.map(\.error?.code) == ["run_too_large"])
    }

    @Test("signals count as well, and one that came too late is told so")
    func signals() throws {
        let world = try Self.world()
        try world.start(try world.deploy("steps:\n  - wait: never\n  - wait: other"))
        let run = world.runs[0]
        let results = Recorder<SignalResult>()
        for number in 0..<12 {
            let text = String(repeating: "s", count: 3_000)
            world.runtime.signal(
                run, of: .operatorTenant, RunSignal(id: "\(number)", name: "other", body: .string(text))
            ) { results.add($0) }
        }
        #expect(world.outcomes.items.map(\.error?.code) == ["run_too_large"])
        #expect(results.items.filter { $0 == .stored }.count == 8)
        #expect(results.items.last == .runOver)
    }

    static let beforeFinally = [
        "a: {strategy: {type: fan_out, over: 6, concurrency: 1}, request: {url: https://a.example/}}",
        "a: {lua: \"return ('x'):rep(12000)\"}",
    ]

    @Test(
        "what the steps kept does not count against `finally`, whether or not the process dies meanwhile",
        arguments: beforeFinally, [false, true])
    func finallyHasItsOwn(step: String, dies: Bool) throws {
        let script: ScriptedTransport.Script = { _ in Self.answer(header: 2_000) }
        var world = try Self.world(script)
        let plan = try world.deploy(
            """
            steps:
              \(step)
            finally:
              f: {sleep: 3s}
              g: {after: [f], request: {url: https://a.example/unlock}}
            """)
        try world.start(plan)
        let run = world.runs[0]
        #expect(try Self.byteCount(world, run) > Self.byteCountMax / 2)
        if dies {
            world = try world.crashed(script: script)
            try world.runtime.recover()
        }
        world.clock.advance(by: .seconds(4))
        #expect(world.transport.requests.last?.url == "https://a.example/unlock")
        #expect(try world.status(of: run) == .succeeded)
        #expect(try !world.kinds(of: run).contains("run.finally_cut"))
    }
}
