import Assembly
import Ports
import Server
import Storage
import Testing
import Values

/// What one tenant may have, so that it cannot fill what is everyone's.
@Suite("API: what a tenant may have")
struct TenantLimitTests {
    private static func source(_ name: String, _ output: Int = 1) -> String {
        """
        name: \(name)
        version: 1
        triggers: [{type: http}]
        steps: [{lua: "return \(output)"}]
        """
    }

    @Test("workflows in service and versions kept are bounded; deleting makes room for the former")
    func workflows() throws {
        try withService(change: { ($0.api.workflowCountMax, $0.api.versionCountMax) = (2, 5) }) { service in
            let acme = try service.tenant()
            for name in ["a", "b"] { #expect(acme.deploy(Self.source(name)).status == 201) }
            let refused = acme.deploy(Self.source("c"))
            #expect(refused.status == 422 && refused.code == "too_many_workflows")
            #expect(acme.get("/api/workflows/c").status == 404)
            #expect(acme.deploy(Self.source("a", 2)).status == 201, "a new version is no new workflow")
            #expect(acme.delete("/api/workflows/b").status == 204)
            #expect(acme.deploy(Self.source("c")).status == 201)
            #expect(acme.deploy(Self.source("a", 3)).status == 201)

            let sixth = acme.deploy(Self.source("a", 4))
            #expect(sixth.status == 422 && sixth.code == "too_many_versions")
            #expect(acme.deploy(Self.source("a", 3)).status == 200, "the same source is no new version")
            #expect(acme.get("/api/workflows/a")["number"] == 3)
            #expect(try service.tenant("Other").deploy(Self.source("a")).status == 201)
        }
    }

    @Test("purchases that nobody pays are bounded, and one that is paid makes room")
    func purchases() throws {
        try withService(change: { $0.api.purchaseCountMax = 2 }) { service in
            let acme = try service.tenant()
            let first = try service.addPurchase(minutes: 10, amount: 100, for: acme)
            _ = try service.addPurchase(minutes: 10, amount: 100, for: acme)
            let refused = acme.post("/api/billing/purchases", ["minutes": 10])
            #expect(refused.status == 429 && refused.code == "too_many_purchases")
            #expect(refused.headers["retry-after"] == "3600")
            let other = try service.tenant("Other")
            #expect(other.post("/api/billing/purchases", ["minutes": 10]).code == "billing_not_configured")

            let paid = service.callInternal(
                "billing/credit",
                [
                    "tenant_id": .string(acme.tenant), "minutes": 10, "reference": "pay_1",
                    "purchase_id": .string(first), "paid": ["amount_minor": 100, "currency": "EUR"],
                ])
            #expect(paid.status == 201, "\(paid.text)")
            #expect(acme.post("/api/billing/purchases", ["minutes": 10]).code == "billing_not_configured")
        }
    }

    @Test(
        "the workflows that listen to ends of runs are bounded, and a change of one of them is not one more")
    func runListeners() throws {
        try withService(change: { $0.api.runListenerCountMax = 2 }) { service in
            let acme = try service.tenant()
            func deploy(_ name: String, _ lua: String = "1") -> Reply {
                acme.deploy(
                    "name: \(name)\nversion: 1\ntriggers: [{type: run, on: [failed]}]\nsteps: [{lua: '\(lua)'}]"
                )
            }
            #expect(deploy("one").status == 201 && deploy("two").status == 201)
            let refused = deploy("three")
            #expect(refused.status == 422 && refused.code == "too_many_run_listeners", "\(refused.text)")
            #expect(deploy("two", "2").status == 201)
            #expect(acme.delete("/api/workflows/one").status == 204)
            #expect(deploy("three").status == 201)
        }
    }
}
