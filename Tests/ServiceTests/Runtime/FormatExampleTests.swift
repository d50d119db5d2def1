import Engine
import Foundation
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values
import ZoneFiles

/// What one run alone cannot show of the examples in `docs/workflow-format.md`.
@Suite("Examples of the format's page on a whole runtime")
struct FormatExampleTests {
    /// Deploys the example of that name as it stands.
    private static func deploy(_ name: String, in world: RuntimeWorld) throws -> RunPlan {
        let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(
                path: "docs/workflow-format.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let start = try #require(text.range(of: "<!-- example: \(name) -->\n```yaml\n"))
        let end = try #require(text.range(of: "```", range: start.upperBound..<text.endIndex))
        let source = Array(text[start.upperBound..<end.lowerBound].utf8)
        let checked = try #require(world.catalog.check(source).definition)
        _ = try world.catalog.deploy(checked, source: source, of: .operatorTenant, at: world.clock.now())
        return try #require(try world.catalog.plan(named: name, of: .operatorTenant))
    }

    @Test("sync-account: one run of an account at a time, in the order of their starts")
    func syncAccount() throws {
        let world = try RuntimeWorld()
        let plan = try Self.deploy("sync-account", in: world)
        for (id, account) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] as [(Int64, String)] {
            try world.start(plan, body: ["id": .int(id), "account": .string(account)])
        }
        func accounts() -> [Substring] { world.transport.requests.map { $0.url.split(separator: "/")[3] } }
        #expect(accounts() == ["a", "b"])
        #expect(world.runtime.queued(among: world.runs).sorted() == [world.runs[1], world.runs[3]])
        world.transport.succeed(0)
        #expect(world.runtime.queued(among: world.runs) == [world.runs[3]])
        world.transport.succeed(2)
        #expect(accounts() == ["a", "b", "a", "a"])
    }

    @Test(
        "statements: the first of each month at nine in Berlin, and on weekday afternoons every quarter of an hour"
    )
    func statements() throws {
        let world = try RuntimeWorld { _ in ScriptedTransport.ok() }
        let scheduler = Scheduler(runtime: world.runtime, zones: ZoneFiles())
        try scheduler.start()
        _ = try Self.deploy("statements", in: world)
        // 2026-01-01 is a Thursday.
        world.clock.advance(by: .seconds(3 * 86_400))
        let quarters = [0, 15, 30, 45].map { $0 < 10 ? "0\($0)" : "\($0)" }
        let afternoons = [1, 2].flatMap { day in
            (12...17).flatMap { hour in quarters.map { "2026-01-0\(day)T\(hour):\($0)" } }
        }
        #expect(try Self.starts(world) == ["2026-01-01T08:00"] + afternoons)
        withExtendedLifetime(scheduler) {}

        // Nothing ran for three months: each of them is caught up, and while those runs begin the one time of
        // all afternoons is skipped.
        let next = try world.crashed { _ in ScriptedTransport.ok() }
        try next.runtime.recover()
        next.clock.advance(by: .seconds(94 * 86_400))
        let revived = Scheduler(runtime: next.runtime, zones: ZoneFiles())
        try revived.start()
        next.clock.advance(by: .zero)
        let caughtUp = next.transport.requests.map { $0.headers["millrace-run"] ?? "" }
        #expect(Set(caughtUp).count == 3)
        withExtendedLifetime(revived) {}
    }

    @Test("payment-callback: the signal reaches the run that the body names, until that keeps no more")
    func paymentCallback() throws {
        let world = try RuntimeWorld()
        try world.start(
            try world.deploy("steps:\n  - wait: payment_paid\noutput: << steps.step_1.signal.body.state >>"))
        let stuck = try world.deploy(
            "steps:\n  - wait: never\n  - wait: {any: [other, payment_paid]}", name: "stuck")
        try world.start(stuck)
        let callback = try Self.deploy("payment-callback", in: world)
        try world.start(callback, body: ["run": .string("\(world.runs[0])"), "state": "paid"])
        #expect(world.outcomes.items == [RunOutcome(status: .succeeded, output: "paid")])
        for number in 0..<1_000 {
            let signal = RunSignal(id: "\(number)", name: "other", body: .null)
            world.runtime.signal(world.runs[1], of: .operatorTenant, signal) { _ in }
        }
        try world.start(callback, body: ["run": .string("\(world.runs[1])"), "state": "paid"])
        #expect(world.outcomes.items.last?.error?.code == "signal_mailbox_full")
    }

    private static func starts(_ world: RuntimeWorld) throws -> [String] {
        try world.store.runs(of: .operatorTenant, RunQuery(limit: 200)).reversed().map {
            String($0.startedAt.text.prefix(16))
        }
    }
}
