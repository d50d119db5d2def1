import Foundation
import Testing
import Values

@testable import Commands

@Suite("The commands signal and explain")
struct SignalCommandTests {
    private static let workflow = """
        name: waiting
        version: 1
        triggers: [{type: http}]
        steps:
          - {id: paid, wait: {any: [paid, declined]}}
          - {id: shipped, wait: shipped}
        output: << steps.paid.signal.body.n >>
        """

    @Test("explain says what each step waits for, and a signal survives kill -9")
    func signalsSurviveAKill() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        let target = ["--server", client.server, "--key", key]
        _ = try client.call(
            "PUT", "/api/workflows/waiting", body: Array(Self.workflow.utf8))
        let started = try client.call("POST", "/api/workflows/waiting/trigger", body: Array("{}".utf8))
        let run = try #require(started.value["run_id"]?.string)
        let explained = CommandLineRun(["explain", run] + target)
        #expect(explained.code == 0 && explained.output.contains("signal paid or declined, since "))
        #expect(explained.output.contains("steps paid"))
        let early = ["signal", run, "shipped", "--idempotency-key", "k"] + target
        #expect(CommandLineRun(early).output == "shipped is kept\n")
        fixture.kill()
        try fixture.start()
        #expect(CommandLineRun(early + ["--json"]).value == ["duplicate": true])
        let shown = CommandLineRun(["explain", run, "--json"] + target).value
        #expect(shown["steps"]?.array?.map { $0["waits_for"]?["kind"] } == ["signal", "steps"])
        let paid = CommandLineRun(["signal", run, "paid", "--data", "-"] + target, input: "{\"n\": 5}")
        #expect(paid.code == 0, "\(paid.error)")
        let record = try RunCommands.awaitEnd(of: run, with: client)
        #expect(record["status"] == "succeeded" && record["output"] == 5)
        let late = CommandLineRun(["signal", run, "paid", "--json"] + target)
        #expect(late.code == 3 && late.problem["code"] == "run_over")
        #expect(
            CommandLineRun(["explain", run] + target).output
                == "\(run) has succeeded: nothing is wrong, nothing is waited for\n")
    }

    @Test("data that is no JSON and missing names are wrong usage")
    func wrongUsage() {
        #expect(CommandLineRun(["signal", "r", "n", "--data", "{", "--key", "k"]).code == 2)
        #expect(CommandLineRun(["signal", "r"]).code == 2)
        #expect(CommandLineRun(["explain"]).code == 2)
    }
}
