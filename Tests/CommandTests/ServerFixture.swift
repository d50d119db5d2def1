import Clocks
import CurlTransport
import Foundation
import MicroHTTPServer
import OpenSSLCrypto
import Ports
import Processes
import StandIns
import Testing
import Values

@testable import Commands

/// A fresh installation with the real program, an order backend in this process, and one funded tenant.
final class ServerFixture: @unchecked Sendable {
    // Unchecked: `child` is read and written by the test's own thread alone.
    let folder: TemporaryFolder
    let operatorKey: String
    let internalKey: String
    let orders: OrderStandIn
    let ordersURL: String
    private let clock = SystemClock()
    private let listener: MicroHTTPServer
    private(set) var child: ServerChild?
    private var ports: [String] = []
    private let moreArguments: [String]

    /// Makes the data folder and starts the order backend; `moreArguments` are for `serve`, each time.
    init(_ moreArguments: [String] = []) throws {
        self.moreArguments = moreArguments
        folder = try TemporaryFolder()
        let made = CommandLineRun(["init", "--data", "\(folder.path)/data", "--json"]).value
        operatorKey = try #require(made["operator_key"]?.string)
        internalKey = try #require(made["internal_key"]?.string)
        orders = OrderStandIn(clock: clock)
        let clock = clock
        listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() }, handler: orders)
        ordersURL = "http://127.0.0.1:\(listener.port)"
    }

    deinit {
        if let child {
            child.process.kill()
            _ = child.process.wait()
        }
        listener.shutDown(drain: .zero)
        clock.shutDown()
    }

    var database: String { "\(folder.path)/data/millrace.db" }

    /// Starts the server: the first time on free ports, later on the same.
    ///
    /// `program` stands in place of the program under test, which it then starts.
    func start(program: String = Repository.program) throws {
        let addresses = ports.isEmpty ? ["127.0.0.1:0", "127.0.0.1:0"] : ports
        let child = try ServerChild(
            program: program,
            arguments: [
                "--data", "\(folder.path)/data", "--listen", addresses[0], "--internal-listen", addresses[1],
                "--tenant-egress", "127.0.0.1", "--drain-time", "5s",
            ] + moreArguments, logPath: "\(folder.path)/log")
        ports = [child.url, child.internalURL].map { String($0.dropFirst(7)) }
        self.child = child
    }

    /// SIGKILL, and waits.
    func kill() {
        child?.process.kill()
        _ = child?.process.wait()
        child = nil
    }

    /// Waits for an end that was not asked for: the exit code.
    func waitForEnd() -> Int32 {
        defer { child = nil }
        return child?.process.wait() ?? -1
    }

    /// SIGTERM, and the exit code.
    func stop() -> Int32 {
        child?.process.terminate()
        defer { child = nil }
        return child?.process.wait() ?? -1
    }

    /// A client of the public address.
    func client(key: String) throws -> APIClient { APIClient(server: "http://\(ports[0])", key: key) }

    /// A tenant with an hour of run time and a workflow of two steps that count their effects; returns its id and key.
    ///
    /// `between` are steps that stand between the two, each line indented; the last is called `pause`.
    func makeTenant(between: String = "") throws -> (id: String, key: String) {
        let made = try client(key: operatorKey).call(
            "POST", "/api/tenants", body: JSON.bytes(["name": "Acme"])
        ).value
        let id = try #require(made["tenant_id"]?.string)
        let key = try #require(made["key"]?["secret"]?.string)
        let credit: Value = ["tenant_id": .string(id), "ms": 3_600_000, "reference": "test:1:gift"]
        _ = try APIClient(server: "http://\(ports[1])", key: internalKey).call(
            "POST", "/api/internal/billing/credit", body: JSON.bytes(credit))
        let workflow = """
            name: effects
            version: 1
            triggers:
              - type: http
            vars:
              orders_url: \(ordersURL)
            steps:
              first:
                request:
                  method: POST
                  url: << vars.orders_url >>/effects
                  body:
                    item: << trigger.body.item >>/first
            \(between)
              second:
                after: [\(between.isEmpty ? "first" : "pause")]
                request:
                  method: POST
                  url: << vars.orders_url >>/effects
                  body:
                    item: << trigger.body.item >>/second
            """
        _ = try client(key: key).call("PUT", "/api/workflows/effects", body: Array(workflow.utf8))
        return (id, key)
    }

    /// Waits until no run is open; returns how many are.
    func openRunCount(atMost limit: Duration) throws -> Int64 {
        let client = try client(key: operatorKey)
        let end = ContinuousClock.now + limit
        while true {
            let count = try client.call("GET", "/readyz").value["open_runs"]?.int ?? -1
            if count == 0 || ContinuousClock.now > end { return count }
            usleep(20_000)
        }
    }
}
