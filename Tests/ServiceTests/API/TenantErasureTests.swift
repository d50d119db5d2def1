import Ports
import Runtime
import StandIns
import Storage
import Testing
import Values

@Suite("Exporting and erasing a tenant")
struct TenantErasureTests {
    /// All lines of a tenant's export.
    private func export(_ service: TestService, _ client: Client) -> [Value] {
        var items: [Value] = []
        var query = ""
        while true {
            let page = service.owner.get("/api/tenants/\(client.tenant)/export\(query)")
            guard page.status == 200 else {
                Issue.record("\(page.text)")
                return items
            }
            items += page.items
            guard let next = page["next"]?.string else { return items }
            query = "?cursor=\(next)"
        }
    }

    private func erase(_ service: TestService, _ client: Client, confirm: String? = nil) -> Reply {
        service.owner.post(
            "/api/tenants/\(client.tenant)/erase", confirm.map { ["confirm": .string($0)] } ?? [:])
    }

    /// One step, its undoing, and a wait without end.
    private func waiting(_ service: TestService) -> String {
        """
        name: waiting
        version: 1
        triggers:
          - type: http
        steps:
          first:
            request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: first}}
            compensate:
              request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: undone}}
          hold:
            after: [first]
            wait: {signal: never, timeout: 7d}
        """
    }

    @Test("an export has every line of a tenant, in pages, and no value of a secret")
    func exportIsWhole() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("API_KEY", "a secret value 4711")
            for number in 1...6 {
                acme.deploy(BalanceTests.twoSteps(service) + "\n# version \(number)\n")
            }
            for _ in 1...70 { _ = try acme.run("two-steps", ["item": "x"]) }
            let lines = export(service, acme)
            func count(_ type: String) -> Int { lines.count { $0["type"] == .string(type) } }
            #expect(count("tenant") == 1 && count("key") == 1 && count("secret") == 1)
            #expect(count("workflow") == 6 && count("run") == 70)
            #expect(count("ledger_entry") == acme.ledger.count || count("ledger_entry") > 70)
            let runs = Set(lines.filter { $0["type"] == "run" }.compactMap { $0["run_id"]?.string })
            #expect(runs.count == 70)
            let events = lines.filter { $0["type"] == "event" }
            #expect(Set(events.compactMap { $0["run_id"]?.string }) == runs)
            let finished = events.count { $0["kind"] == "run.finished" }
            #expect(finished == 70 && events.count { $0["kind"] == "step.succeeded" } == 140)
            #expect(!lines.contains { JSON.text($0).contains("a secret value 4711") })
            #expect(
                service.owner.get("/api/tenants/\(acme.tenant)/export?cursor=x").code == "cursor_malformed")
            #expect(acme.get("/api/tenants/\(acme.tenant)/export").code == "operator_only")
            #expect(service.logged.text.contains("tenant.exported"))
        }
    }

    @Test("erasing takes two steps, ends open runs with their undoing, and leaves the ledger")
    func erasureIsWhole() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("Other"))
            for client in [acme, other] {
                client.deploy(waiting(service))
                client.deploy(BalanceTests.twoSteps(service))
                client.setSecret("API_KEY", "a secret value 4711")
                _ = try client.run("two-steps")
                #expect(client.trigger("waiting").status == 202)
            }
            let end = ContinuousClock.now + .seconds(10)
            while service.suite.orders.effectCounts.distinctKeyCount < 6, ContinuousClock.now < end {}
            #expect(erase(service, acme, confirm: acme.tenant).code == "not_suspended")
            let suspended = service.owner.post(
                "/api/tenants/\(acme.tenant)/suspend", ["reason": "they leave"])
            #expect(suspended.status == 200)
            let asked = erase(service, acme)
            #expect(asked.status == 409 && asked.code == "confirmation_needed")
            #expect(asked["error"]?["details"]?["workflows"] == 2)
            #expect(erase(service, acme, confirm: other.tenant).code == "confirmation_needed")
            #expect(acme.get("/api/balance").status == 200, "nothing was changed")
            let begun = erase(service, acme, confirm: acme.tenant)
            #expect(begun.status == 202)
            #expect(acme.get("/api/balance").status == 401, "its keys are gone at once")
            // Asked again, it goes on, without another confirmation.
            #expect(erase(service, acme).status == 202)
            func state() -> Value? {
                service.owner.get("/api/tenants/\(acme.tenant)")["erasure"]?["state"]
            }
            while state() != "erased", ContinuousClock.now < end {}
            #expect(state() == "erased")
            #expect(service.suite.orders.effectCounts.distinctKeyCount == 7, "the open run was undone")
            let tenant = service.owner.get("/api/tenants/\(acme.tenant)")
            #expect(tenant["name"] == "erased" && tenant["external_customer_id"] == .null)
            #expect(service.owner.get("/api/tenants/\(acme.tenant)/runs").items.isEmpty)
            #expect(!service.owner.get("/api/tenants/\(acme.tenant)/ledger").items.isEmpty)
            let lines = export(service, acme)
            #expect(Set(lines.compactMap { $0["type"]?.string }) == ["tenant", "ledger_entry"])
            #expect(service.owner.get("/api/ledger/verification")["findings"] == [])
            for order in ["resume", "keys"] {
                #expect(service.owner.post("/api/tenants/\(acme.tenant)/\(order)").code == "tenant_erased")
            }
            #expect(service.owner.post("/api/tenants/operator/erase").code == "operator_tenant")
            #expect(service.runtime.load.stuck.isEmpty)
            #expect(other.runs(status: "waiting").count == 1 && other.runs().count == 2)
        }
    }
}
