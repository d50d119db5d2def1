import Foundation
import StandIns
import Testing
import Values

@testable import Commands

@Suite("The commands pause, resume, retry and fork")
struct OrderCommandTests {
    private static func workflow(_ ordersURL: String) -> String {
        """
        name: ordered
        version: 1
        triggers: [{type: http}]
        steps:
          first: {request: {method: POST, url: "\(ordersURL)/effects", body: {item: first}}}
          go: {after: [first], wait: go}
          second:
            after: [go]
            request: {method: POST, url: "\(ordersURL)/effects", body: {item: << trigger.body >>}}
            retry: {max: 0}
          never: {after: [second], when: "trigger.body == 'x'", lua: return 1}
        """
    }

    /// A server with the workflow, and what every command line needs.
    private func fixture() throws -> (fixture: ServerFixture, client: APIClient, target: [String]) {
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        _ = try client.call(
            "PUT", "/api/workflows/ordered", body: Array(Self.workflow(fixture.ordersURL).utf8))
        return (fixture, client, ["--server", client.server, "--key", key])
    }

    private func trigger(_ client: APIClient) throws -> String {
        let started = try client.call("POST", "/api/workflows/ordered/trigger", body: Array("\"a\"".utf8))
        return try #require(started.value["run_id"]?.string)
    }

    /// Waits until a step of the run is in that state.
    private func wait(_ client: APIClient, _ run: String, _ step: Int, _ state: Value) throws {
        let end = ContinuousClock.now + .seconds(10)
        while try client.call("GET", RunCommands.path(run)).value["steps"]?[step]?["state"] != state {
            try #require(ContinuousClock.now < end, "step \(step) is never \(state)")
            usleep(5_000)
        }
    }

    @Test("a paused run stays paused through kill -9, says so, and goes on where it was")
    func pauseSurvivesAKill() throws {
        let (fixture, client, target) = try fixture()
        let run = try trigger(client)
        try wait(client, run, 1, "waiting")
        #expect(CommandLineRun(["pause", run, "--reason", "a look"] + target).output == "\(run) is paused\n")
        fixture.kill()
        try fixture.start()
        #expect(CommandLineRun(["signal", run, "go"] + target).code == 0)
        let explained = CommandLineRun(["explain", run] + target)
        #expect(explained.output.hasPrefix("\(run) is paused\npaused by hand, since "))
        #expect(explained.output.contains(": a look\n"))
        #expect(explained.output.contains("`millrace resume`, since "))
        #expect(explained.output.contains("steps second, since "))
        let value = CommandLineRun(["explain", run, "--json"] + target).value
        #expect(value["paused_by"]?[0]?["by"] == "operator")
        #expect(value["steps"]?.array?.allSatisfy { $0["waits_for"]?["since"]?.string != nil } == true)
        #expect(fixture.orders.effectCounts.requestCount == 1)
        #expect(CommandLineRun(["resume", run] + target).output == "\(run) is running\n")
        #expect(try RunCommands.awaitEnd(of: run, with: client)["status"] == "succeeded")
        let late = CommandLineRun(["resume", run, "--json"] + target)
        #expect(late.code == 3 && late.problem["code"] == "run_over")
    }

    @Test("a failed run is retried and forked from the command line, through kill -9")
    func retryAndFork() throws {
        let (fixture, client, target) = try fixture()
        let run = try trigger(client)
        try wait(client, run, 1, "waiting")
        fixture.orders.desk.inject(Fault(.status, on: "POST /effects", status: 500, times: 1))
        #expect(CommandLineRun(["signal", run, "go"] + target).code == 0)
        #expect(try RunCommands.awaitEnd(of: run, with: client)["status"] == "failed")
        let early = fixture.orders.effectCounts.distinctKeyCount
        let retry = ["retry", run, "--idempotency-key", "k"] + target
        let retried = CommandLineRun(retry)
        let second = retried.output.trimmingCharacters(in: .newlines)
        #expect(retried.code == 0 && second.hasPrefix("run_"), "\(retried.error)")
        fixture.kill()
        try fixture.start()
        #expect(CommandLineRun(retry).output == "\(second) (the first run of this key)\n")
        #expect(try RunCommands.awaitEnd(of: second, with: client)["status"] == "succeeded")
        #expect(fixture.orders.effectCounts.distinctKeyCount == early + 1, "only the failed step was sent")
        let shown = CommandLineRun(["run", second] + target).output
        #expect(shown.contains("origin:       retry of \(run) from step second"))
        #expect(shown.contains("succeeded (copied)"))

        let forked = CommandLineRun(
            ["fork", second, "--from", "second", "--input", "\"x\"", "--wait", "--json"] + target)
        #expect(forked.code == 0 && forked.value["trigger_body"] == "x", "\(forked.error)")
        #expect(forked.value["steps"]?[3]?["state"] == "succeeded")
        let unknown = CommandLineRun(["fork", second, "--from", "nothing", "--json"] + target)
        #expect(unknown.code == 3 && unknown.problem["code"] == "step_unknown")
    }

    @Test("a run is cancelled from the command line, also while it is paused")
    func cancel() throws {
        let (fixture, client, target) = try fixture()
        let run = try trigger(client)
        try wait(client, run, 1, "waiting")
        _ = CommandLineRun(["pause", run] + target)
        let cancelled = CommandLineRun(["run", run, "--cancel", "--reason", "no more", "--json"] + target)
        #expect(cancelled.code == 0, "\(cancelled.error)")
        let record = try RunCommands.awaitEnd(of: run, with: client)
        #expect(record["status"] == "cancelled" && record["error"]?["message"] == "no more")
        #expect(fixture.stop() == 0)
    }

    @Test("missing operands, unknown versions and data that is no JSON are wrong usage")
    func wrongUsage() {
        #expect(CommandLineRun(["pause"]).code == 2)
        #expect(CommandLineRun(["fork", "r", "--key", "k"]).code == 2)
        #expect(CommandLineRun(["fork", "r", "--from", "s", "--version", "old", "--key", "k"]).code == 2)
        #expect(CommandLineRun(["fork", "r", "--from", "s", "--input", "{", "--key", "k"]).code == 2)
    }
}
