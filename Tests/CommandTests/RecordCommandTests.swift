import Foundation
import Testing
import Values

@testable import Commands

@Suite("millrace test --record")
struct RecordCommandTests {
    private static let workflow = """
        name: waiting
        version: 1
        triggers: [{type: http}]
        vars: {orders_url: "https://orders.example.com"}
        steps:
          - id: place
            request: {method: POST, url: << vars.orders_url >>/effects, body: {item: << trigger.body.item >>}}
          - {id: paid, wait: {signal: paid, timeout: 4h}}
        output: {paid: << steps.paid.signal.body.n >>, repeated: << steps.place.response.body.repeated >>}
        """

    @Test("a run of a real server becomes a test that passes, once it is over")
    func recordedRunPasses() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        let target = ["--server", client.server, "--key", key]
        let folder = try TemporaryFolder()
        let file = try folder.write("waiting.yaml", Self.workflow)
        let orders = ["--var", "orders_url=\(fixture.ordersURL)"]
        #expect(CommandLineRun(["deploy", file] + orders + target).code == 0)
        let run = CommandLineRun(["trigger", "waiting", #"{"item": "label"}"#] + target).output.trimmed

        let open = CommandLineRun(["test", "--record", run, "--json"] + target)
        #expect(open.code == 1 && open.problem["code"] == "run_open", "\(open.output)\(open.error)")

        #expect(CommandLineRun(["signal", run, "paid", "--data", #"{"n": 5}"#] + target).code == 0)
        _ = try RunCommands.awaitEnd(of: run, with: client)
        let recorded = CommandLineRun(["test", "--record", run] + target)
        #expect(recorded.code == 0, "\(recorded.error)")
        let test = CommandLineRun(["test", try folder.write("waiting.test.yaml", recorded.output)])
        #expect(test.code == 0, "\(recorded.output)\(test.output)")
        #expect(recorded.output.contains("n: 5"))
    }

    @Test("a key of two lines is told as that, and not as a server that is away")
    func keysAreChecked() {
        let run = CommandLineRun(["runs", "--key", "mk_1\nmk_2", "--json"])
        #expect(run.code == 2)
        #expect(run.problem["code"] == "key_malformed")
    }
}
