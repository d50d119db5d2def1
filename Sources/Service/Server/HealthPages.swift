import Ports
import Runtime
import Storage
import Values

/// `/healthz`, `/readyz` and `/metrics`.
struct HealthPages {
    let runtime: Runtime

    func answer(_ request: InboundRequest) -> InboundResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return Answer.methodNotAllowed("GET")
        }
        switch request.segments.first {
        case "healthz": return Answer.json(200, ["alive": true])
        case "readyz": return ready
        default:
            return InboundResponse(
                status: 200, headers: [HTTPHeader("Content-Type", "text/plain; version=0.0.4")],
                body: Array(metrics.utf8))
        }
    }

    private var ready: InboundResponse {
        let readiness = runtime.readiness
        let load = runtime.load
        let stuck = load.stuck.sorted { $0.key < $1.key }.prefix(50).map { run, reason -> Value in
            ["run_id": .string("\(run)"), "reason": .string(reason)]
        }
        return Answer.json(
            readiness.isReady ? 200 : 503,
            [
                "ready": .bool(readiness.isReady), "reason": .string(readiness.reason),
                "open_runs": .int(Int64(load.openRuns)),
                "waiting_runs": .int(Int64(load.waitingRuns)), "stuck": .array(Array(stuck)),
            ])
    }

    private var metrics: String {
        let load = runtime.load
        return runtime.metrics.text(gauges: [
            ("open_runs", Int64(load.openRuns)), ("waiting_runs", Int64(load.waitingRuns)),
            ("attempts_in_flight", Int64(load.sent)),
            ("stuck_runs", Int64(load.stuck.count)), ("store_bytes", runtime.store.byteCountOnDisk),
            ("store_flushes", runtime.store.flushCount), ("ready", runtime.readiness.isReady ? 1 : 0),
        ])
    }
}
