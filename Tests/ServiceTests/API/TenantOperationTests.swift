import Assembly
import Ingress
import Ports
import Runtime
import StandIns
import Storage
import Testing
import Values

/// What an operator does to a tenant, over the API, with runs under way.
@Suite("Operating a tenant")
struct TenantOperationTests {
    private func suspend(_ service: TestService, _ client: Client, _ webhooks: String = "keep") -> Reply {
        service.owner.post(
            "/api/tenants/\(client.tenant)/suspend", ["reason": "abuse", "webhooks": .string(webhooks)])
    }

    private func resume(_ service: TestService, _ client: Client) -> Reply {
        service.owner.post("/api/tenants/\(client.tenant)/resume")
    }

    private func wait(_ client: Client, for status: String, count: Int) -> Bool {
        let end = ContinuousClock.now + .seconds(10)
        while client.runs(status: status).count != count, ContinuousClock.now < end {}
        return client.runs(status: status).count == count
    }

    @Test("a suspended tenant's runs pause before their next step, and go on where they stood")
    func runsPause() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(BalanceTests.twoSteps(service))
            acme.deploy(BalanceTests.twoSteps(service, trigger: "webhook", name: "hooked"))
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 3, delay: .milliseconds(200)))
            for number in 1...3 {
                #expect(acme.trigger("two-steps", ["n": .int(Int64(number))]).status == 202)
            }
            let suspended = suspend(service, acme)
            #expect(suspended.status == 200 && suspended["suspension"]?["reason"] == "abuse")
            #expect(wait(acme, for: "paused", count: 3))
            let effects = service.suite.orders.effectCounts.distinctKeyCount
            #expect(effects == 3, "what was in flight is let finish, and nothing after it: \(effects)")
            // The owner sees why.
            let run = try #require(acme.runs(status: "paused").first?["run_id"]?.string)
            #expect(acme.get("/api/runs/\(run)")["paused_by"]?[0]?["by"] == "suspension")
            let refused = acme.trigger("two-steps")
            #expect(refused.status == 403 && refused.code == "tenant_suspended")
            #expect(acme.post("/api/billing/purchases", ["minutes": 1]).code == "tenant_suspended")
            // A credit is no way out of a suspension.
            _ = service.callInternal(
                "billing/credit", ["tenant_id": .string(acme.tenant), "ms": 1000, "reference": "gift:1"])
            let kept = service.hook("hooked", of: acme.tenant, "{}")
            #expect(kept.status == 202)
            #expect(wait(acme, for: "paused", count: 4))
            #expect(service.suite.orders.effectCounts.distinctKeyCount == 3)
            #expect(suspend(service, acme, "refuse").status == 200)
            #expect(service.hook("hooked", of: acme.tenant, "{}").status == 403)
            #expect(wait(acme, for: "paused", count: 4))
            #expect(resume(service, acme)["suspension"] == .null)
            #expect(wait(acme, for: "succeeded", count: 4))
            #expect(service.suite.orders.effectCounts.distinctKeyCount == 8)
            #expect(acme.trigger("two-steps").status == 202)
            service.installation.ingress.refusals.flush()
            let refusals = acme.get("/api/workflows/hooked")["refusals"]?.array ?? []
            #expect(refusals.contains { $0["reason"] == "suspended" && $0["count"] == 1 }, "\(refusals)")
        }
    }

    @Test("others are not touched by a suspension, and the operator cannot be suspended")
    func suspensionIsOneTenants() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("Other"))
            other.deploy(BalanceTests.twoSteps(service))
            #expect(suspend(service, acme).status == 200)
            #expect(other.trigger("two-steps").status == 202)
            #expect(wait(other, for: "succeeded", count: 1))
            let own = service.owner.post("/api/tenants/operator/suspend", ["reason": "x"])
            #expect(own.status == 422 && own.code == "operator_tenant")
            #expect(other.post("/api/tenants/\(acme.tenant)/resume").code == "operator_only")
            #expect(service.owner.post("/api/tenants/\(acme.tenant)/suspend").code == "member_missing")
            let odd = service.owner.post(
                "/api/tenants/\(acme.tenant)/suspend", ["reason": "x", "webhooks": "drop"])
            #expect(odd.code == "webhooks_unknown")
            #expect(service.owner.get("/api/tenants/\(acme.tenant)/suspend").status == 405)
        }
    }

    @Test("the operator sees a tenant's runs, ledger, usage and balance, and the log says that it looked")
    func operatorSees() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(BalanceTests.twoSteps(service))
            #expect(acme.trigger("two-steps").status == 202)
            #expect(wait(acme, for: "succeeded", count: 1))
            let place = "/api/tenants/\(acme.tenant)"
            let run = try #require(acme.runs().first?["run_id"]?.string)
            #expect(service.owner.get(place)["name"] == "Acme")
            #expect(service.owner.get("\(place)/runs?status=succeeded&limit=5").items == acme.runs())
            #expect(service.owner.get("\(place)/runs/\(run)").text == acme.get("/api/runs/\(run)").text)
            let events = service.owner.get("\(place)/runs/\(run)/events?limit=2")
            #expect(events.items.count == 2)
            #expect(service.owner.get("\(place)/ledger?limit=200").items == acme.ledger)
            #expect(service.owner.get("\(place)/balance")["balance_ms"]?.int == acme.balance)
            let usage = service.owner.get("\(place)/usage")
            #expect(usage["credited_ms"] == 600_000 && usage["days"]?.array?.count == 1)
            #expect(usage["used_ms"]?.int == 600_000 - acme.balance)
            #expect(acme.get("/api/usage")["days"] == usage["days"])
            #expect(service.owner.get("\(place)/usage?from=2020-01-01T00:00:00Z").code == "time_range")
            #expect(service.owner.get("\(place)/ledger?colour=red").code == "unknown_query")
            #expect(service.owner.post("\(place)/runs/\(run)/cancel").status == 405)
            #expect(acme.get("\(place)/runs").code == "operator_only")
            #expect(service.owner.get("/api/tenants/ten_0000000000000/runs").status == 404)
            #expect(service.logged.text.contains("operator.looked"))
            #expect(service.logged.text.contains("\"at\":\"runs/\(run)/events\""))
        }
    }

    @Test("minutes are taken back once; runs pause at the end of the balance, and it is announced")
    func minutesAreTakenBack() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 120_000)
            acme.deploy(BalanceTests.twoSteps(service))
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 1, delay: .milliseconds(200)))
            #expect(acme.trigger("two-steps").status == 202)
            let place = "/api/tenants/\(acme.tenant)/take-back"
            let body: Value = ["minutes": 2, "reference": "refund:1", "reason": "charged back"]
            let taken = service.owner.post(place, body)
            #expect(taken.status == 201 && taken["taken_back_ms"] == 120_000)
            #expect(wait(acme, for: "paused", count: 1))
            #expect(acme.balance < 0)
            #expect(service.owner.post(place, body)["replayed"] == true)
            let entry = acme.ledger.first { $0["kind"] == "take_back" }
            #expect(entry?["reason"] == "charged back" && entry?["reference"] == "refund:1")
            let inner = service.callInternal(
                "billing/take-back",
                ["tenant_id": .string(acme.tenant), "ms": 5, "reference": "refund:2", "reason": "refunded"],
                idempotencyKey: "k")
            #expect(inner.status == 201 && inner["balance_ms"]?.int == acme.balance)
            #expect(acme.post(place, body).code == "operator_only")
            for (part, code) in [
                (["minutes": 1, "reason": "x"], "member_missing"),
                (["minutes": 1, "reference": "r"], "member_missing"),
                (["minutes": -1, "reference": "r", "reason": "x"], "amount_out_of_range"),
                (["reference": "r", "reason": "x"], "amount_missing"),
                (["minutes": 3, "reference": "refund:1", "reason": "x"], "reference_conflict"),
            ] as [(Value, String)] {
                #expect(service.owner.post(place, part).code == code)
            }
            let own = service.owner.post("/api/tenants/operator/take-back", body)
            #expect(own.code == "operator_tenant")
            let end = ContinuousClock.now + .seconds(10)
            let announced = { service.runtime.metrics.count("balance_depletions_total") }
            while announced() == 0, ContinuousClock.now < end {}
            #expect(announced() == 1)
            let verified = service.owner.get("/api/ledger/verification")
            #expect(verified["findings"] == [] && verified["taken_back_ms"] == 120_005)
        }
    }
}
