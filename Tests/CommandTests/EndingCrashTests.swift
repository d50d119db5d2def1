import Clocks
import Foundation
import MicroHTTPServer
import Ports
import Testing
import Values

@testable import Commands

/// A shop that takes a charge and leaves its first sender waiting for the answer.
private final class HoldingShop: InboundHandler, @unchecked Sendable {
    // Unchecked: all that changes is read and written under `lock`.
    private let lock = Lock()
    private var keys: [String: [String]] = [:]
    private var held: [@Sendable (InboundResponse) -> Void] = []

    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        let path = request.segments.joined(separator: "/")
        let isFirst = lock.withLock {
            keys[path, default: []].append(request.headers["idempotency-key"] ?? "")
            return keys[path]?.count == 1
        }
        if path == "charges/slow", isFirst { return lock.withLock { held.append(respond) } }
        respond(InboundResponse(status: path == "orders" ? 400 : 200))
    }

    /// The Idempotency-Keys that reached a path, in order.
    func keys(of path: String) -> [String] { lock.withLock { keys[path] ?? [] } }

    /// Nobody waits for these answers any more.
    func letGo() {
        let held = lock.withLock { () -> [@Sendable (InboundResponse) -> Void] in
            defer { self.held = [] }
            return self.held
        }
        for respond in held { respond(InboundResponse(status: 200)) }
    }
}

/// Goal: on the real program, no request that has left is forgotten because its run was ending.
@Suite("A server that dies while runs are ending", .serialized)
struct EndingCrashTests {
    /// What ends the run, or the race, while the charge is under way.
    enum End: String, CaseIterable {
        case failure, cancel, timeout, finish, race

        /// The steps beside the charge.
        var steps: String {
            switch self {
            case .failure: "  order: {request: {method: POST, url: << vars.shop >>/orders}, retry: {max: 0}}"
            case .cancel, .timeout, .race: "  nap: {sleep: 1ms}"
            case .finish: "  nap: {sleep: 1ms}\n  stop: {after: nap, finish: {done: true}}"
            }
        }

        var charge: String {
            let strategy = self == .race ? "    strategy: {type: race, over: [slow, quick]}\n" : ""
            let item = self == .race ? "<< item >>" : "slow"
            return """
                  charge:
                \(strategy)    request: {method: POST, url: "<< vars.shop >>/charges/\(item)"}
                    compensate: {request: {method: POST, url: "<< vars.shop >>/refunds/\(item)"}}
                """
        }

        func workflow(_ shop: String) -> String {
            """
            name: ending
            version: 1
            triggers: [{type: http}]
            vars: {shop: "\(shop)"}
            \(self == .timeout ? "timeout: 1s" : "")
            steps:
            \(charge)
            \(steps)
            """
        }

        var status: String {
            switch self {
            case .failure, .timeout: "failed"
            case .cancel: "cancelled"
            case .finish, .race: "succeeded"
            }
        }
    }

    @Test(
        "kill -9: the charge is sent again under its key, and refunded once where the run does not need it",
        .timeLimit(.minutes(2)), arguments: End.allCases)
    func killed(end: End) throws {
        try check(end) { $0.kill() }
    }

    @Test(
        "SIGTERM, with an answer that does not come in the drain time, forgets it no more than a kill",
        .timeLimit(.minutes(2)), arguments: [End.failure, .race])
    func terminated(end: End) throws {
        try check(end) { #expect($0.stop() == 0) }
    }

    private func check(_ end: End, _ stop: (ServerFixture) -> Void) throws {
        let (clock, shop) = (SystemClock(), HoldingShop())
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() }, handler: shop)
        defer {
            shop.letGo()
            listener.shutDown(drain: .zero)
            clock.shutDown()
        }
        let fixture = try ServerFixture()
        try fixture.start()
        let client = try fixture.client(key: try fixture.makeTenant().key)
        let source = end.workflow("http://127.0.0.1:\(listener.port)")
        _ = try client.call("PUT", "/api/workflows/ending", body: Array(source.utf8))
        let run = try #require(
            try client.call("POST", "/api/workflows/ending/trigger", body: []).value["run_id"]?.string)
        try wait("the charge has not come") { shop.keys(of: "charges/slow").count == 1 }
        if end == .cancel { _ = try client.call("POST", "/api/runs/\(run)/cancel", body: []) }
        try wait("nothing ends while the charge is under way") {
            let events = try client.call("GET", "/api/runs/\(run)/events").value["items"]?.array ?? []
            return events.contains { $0["kind"] == "steps.in_flight" }
        }
        stop(fixture)
        try fixture.start()
        #expect(try fixture.openRunCount(atMost: .seconds(30)) == 0)
        let view = try client.call("GET", "/api/runs/\(run)").value
        #expect(view["status"]?.string == end.status)
        #expect(shop.keys(of: "charges/slow").count == 2 && Set(shop.keys(of: "charges/slow")).count == 1)
        let isRefunded = end != .finish
        #expect(shop.keys(of: "refunds/slow").count == (isRefunded ? 1 : 0))
        #expect(shop.keys(of: "refunds/quick").isEmpty)
        #expect(view["compensation"]?.string == (isRefunded ? "succeeded" : nil))
        #expect(fixture.stop() == 0)
    }

    private func wait(_ failure: Comment, until isSo: () throws -> Bool) throws {
        let end = ContinuousClock.now + .seconds(20)
        while try !isSo() {
            try #require(ContinuousClock.now < end, failure)
            usleep(10_000)
        }
    }
}
