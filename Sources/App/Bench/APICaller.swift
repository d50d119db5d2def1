import Assembly
import Clocks
import CurlTransport
import Engine
import MicroHTTPServer
import Ports
import Runtime
import Server
import Storage
import Values

/// Starts runs as a tenant does: a POST with a key to a real listener.
final class APICaller: Sendable {
    private let bench: BenchInstallation
    private let listener: MicroHTTPServer
    private let transport: CurlTransport
    private let headers: [HTTPHeader]

    init(_ bench: BenchInstallation) throws {
        self.bench = bench
        let clock = bench.installation.clock
        listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() },
            handler: bench.installation.api)
        transport = CurlTransport { clock.now() }
        let secret = try bench.installation.keys.make(for: bench.tenant.tenant, scope: .full, at: clock.now())
            .secret
        headers = [
            HTTPHeader("Authorization", "Bearer \(secret)"), HTTPHeader("Content-Type", "application/json"),
        ]
    }

    /// Signals `go` to a run; `done` hears whether it was stored.
    func signal(_ run: RunID, _ number: Int, _ done: @escaping @Sendable (Bool) -> Void) {
        let request = OutboundRequest(
            method: "POST", url: "http://127.0.0.1:\(listener.port)/api/runs/\(run)/signals/go",
            headers: headers, body: Array("{\"n\":\(number)}".utf8),
            egress: EgressPolicy(allowed: [.init(range: "127.0.0.1", port: nil)]))
        transport.send(request) { outcome in
            guard case .success(let response) = outcome.result else { return done(false) }
            done(response.status == 202)
        }
    }

    func trigger(_ number: Int, over: @escaping @Sendable (RunOutcome) -> Void) {
        let request = OutboundRequest(
            method: "POST", url: "http://127.0.0.1:\(listener.port)/api/workflows/bench/trigger",
            headers: headers,
            body: Array("{\"kind\":\"order\",\"order\":\(number)}".utf8),
            egress: EgressPolicy(allowed: [.init(range: "127.0.0.1", port: nil)]))
        transport.send(request) { [bench] outcome in
            guard case .success(let response) = outcome.result, response.status == 202,
                let text = (try? JSON.parse(response.body))?["run_id"]?.string, let run = RunID(text)
            else {
                return over(RunOutcome(status: .failed))
            }
            let isOpen = bench.installation.runtime.whenOver(run) { outcome in
                bench.stopwatch.finish(run)
                over(outcome)
            }
            if !isOpen {
                bench.stopwatch.finish(run)
                over(RunOutcome(status: .succeeded))
            }
        }
    }
}
