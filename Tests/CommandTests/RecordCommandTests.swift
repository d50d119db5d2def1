import Foundation
import Glibc
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

    private static let ending = """
        name: ending
        version: 1
        triggers: [{type: http}]
        steps:
          first:
            strategy: {type: race, over: << trigger.body.ports >>}
            request: {method: POST, url: "http://127.0.0.1:<< item >>/effects", body: {item: race}}
            response: {timeout: 30s}
          paid: {after: first, when: trigger.body.waits, wait: {signal: paid, timeout: 4h}}
        output: {winner: << steps.first.winner >>}
        finally:
          last: {when: trigger.body.ends, wait: {signal: done, timeout: 4h}}
        """

    @Test(
        "a race, a cancel and a cancel of the last steps are recorded, and the recorded test passes",
        arguments: [
            (waits: false, waitsAtTheEnd: false, cancelCount: 0, outcome: "succeeded"),
            (true, false, 1, "cancelled"), (true, true, 2, "cancelled"), (false, true, 1, "succeeded"),
        ])
    func endings(waits: Bool, waitsAtTheEnd: Bool, cancelCount: Int, outcome: String) throws {
        // Accepts connections and never answers.
        let silent = try SilentListener()
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        let target = ["--server", client.server, "--key", key]
        let folder = try TemporaryFolder()
        let file = try folder.write("ending.yaml", Self.ending)
        let deployed = CommandLineRun(["deploy", file] + target)
        #expect(deployed.code == 0, "\(deployed.error)")
        let orders = try #require(fixture.ordersURL.split(separator: ":").last)
        let body = #"{"ports": [\#(orders), \#(silent.port)], "waits": \#(waits), "ends": \#(waitsAtTheEnd)}"#
        let run = CommandLineRun(["trigger", "ending", body] + target).output.trimmed
        for number in 0..<cancelCount {
            let path = number > 0 || !waits ? "finally/last" : "paid"
            try awaitSignal(run, path, client)
            #expect(
                CommandLineRun(["run", run, "--cancel", "--reason", "enough \(number)"] + target).code == 0)
        }
        let end = try RunCommands.awaitEnd(of: run, with: client)
        #expect(end["status"]?.text == outcome, "\(end)")
        let recorded = CommandLineRun(["test", "--record", run] + target)
        #expect(recorded.code == 0, "\(recorded.error)")
        let test = CommandLineRun(["test", try folder.write("ending.test.yaml", recorded.output)])
        #expect(test.code == 0, "\(recorded.output)\(test.output)")
    }

    /// Waits until a step waits for its signal; at most 10 s.
    private func awaitSignal(_ run: String, _ path: String, _ client: APIClient) throws {
        for _ in 0..<500 {
            let steps = try client.call(.run, [run]).value["steps"]?.array ?? []
            if steps.contains(where: { $0["id"]?.text == path && $0["state"]?.text == "waiting" }) { return }
            usleep(20_000)
        }
        Issue.record("\(path) does not wait")
    }

    @Test("a key of two lines is told as that, and not as a server that is away")
    func keysAreChecked() {
        let run = CommandLineRun(["runs", "--key", "mk_1\nmk_2", "--json"])
        #expect(run.code == 2)
        #expect(run.problem["code"] == "key_malformed")
    }
}

/// A port of loopback that accepts connections and never answers.
private final class SilentListener {
    private let socket: Int32
    let port: UInt16

    init() throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.socket = socket
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isOpen = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && listen(socket, 8) == 0 && getsockname(socket, $0, &size) == 0
            }
        }
        try #require(isOpen)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(socket) }
}
