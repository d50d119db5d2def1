import Assembly
import Ingress
import Ports
import Runtime
import Testing
import Values

/// A tenant that has as many runs open as one may.
@Suite("API: too many open runs")
struct OpenRunLimitTests {
    @Test("429 too_many_runs for whatever starts a run, counted for its owner, and not for another tenant")
    func answers() throws {
        try withService(change: { $0.runtime.openRunCountPerTenantMax = 1 }) { service in
            let source = """
                name: held
                version: 1
                triggers: [{type: webhook, when: true}, {type: http}]
                concurrency: {key: all, limit: 9}
                steps: [{wait: never}]
                """
            let acme = try service.tenant()
            acme.deploy(source)
            let first = acme.trigger("held")
            let run = first["run_id"]?.string ?? ""
            #expect(first.status == 202)
            for refused in [
                acme.trigger("held"), service.hook("held", of: acme.tenant, "{}"),
                acme.post("/api/runs/\(run)/fork", ["step": "step_1"]),
            ] {
                #expect(refused.status == 429 && refused.code == "too_many_runs", "\(refused.text)")
                #expect(refused.headers["retry-after"] == "5")
            }
            let other = try service.tenant("Other")
            other.deploy(source)
            #expect(other.trigger("held").status == 202)

            service.installation.ingress.refusals.flush()
            let refusals = acme.get("/api/workflows/held")["refusals"]?.array ?? []
            #expect(refusals.contains { $0["reason"] == "open_runs" && $0["count"] == 2 })
            #expect(acme.runs().count == 1)
            #expect(acme.post("/api/runs/\(run)/cancel").status == 202)
            #expect(eventually { acme.trigger("held").status == 202 })
        }
    }
}
