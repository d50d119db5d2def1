import Ports
import Runtime
import StandIns
import Testing
import Values

/// What strangers write stays data, wherever it passes through.
@Suite("Injection")
struct InjectionTests {
    /// What a webhook's payload can bring into a request.
    private func reflecting(_ service: TestService) -> String {
        """
        name: reflect
        version: 1
        triggers:
          - {type: webhook, when: true}
        steps:
          send:
            request:
              method: PATCH
              url: \(service.suite.ordersURL)/orders/<< trigger.body.id >>
              query: {q: << trigger.body.query >>}
              headers: {Millrace-Note: << trigger.body.note >>, Authorization: Bearer k}
              body: {told: << trigger.body.told >>, mixed: "a << trigger.body.told >> b"}
            retry: {max: 0}
        """
    }

    @Test("O5: payloads stay data: a path segment, a query value, a header's value, or nothing leaves at all")
    func payloadsCannotSteerRequests() throws {
        try withService { service in
            let acme = try service.tenant()
            #expect(acme.deploy(reflecting(service)).status == 201)
            func send(_ id: String, note: String = "n", query: String = "q") throws -> Value {
                let body: Value = [
                    "id": .string(id), "note": .string(note), "query": .string(query), "told": "t",
                ]
                return acme.finished(
                    service.hook("reflect", of: acme.tenant, JSON.text(body))["run_id"]?.text ?? "")
            }
            for id in [
                "../../x", "a/b", "a?b=c", "a#b", "%2e%2e", "a b", "a\r\nX-Evil: 1", "\u{E9}", "a&b", "@evil",
                ";x", "//evil.com",
            ] {
                let run = try send(id)
                guard run["status"] == "succeeded" else { continue }
                let sent = service.suite.orders.desk.log.last
                let path = sent?.path.dropFirst("/orders/".count) ?? "/"
                #expect(
                    sent?.path.hasPrefix("/orders/") == true && !path.contains("/") && !path.contains("?"),
                    "\(id)")
            }
            let before = service.suite.orders.desk.requestCount
            #expect(before > 0)
            for id in ["..", ".", ""] { #expect(try send(id)["status"] == "failed", "\(id)") }
            for note in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b", "a\u{7F}b", "a\u{1B}[2J"] {
                let run = try send("x", note: note)
                #expect(
                    run["status"] == "failed" && run["error"]?["code"] == "invalid_request",
                    "\(run["error"] ?? .null)")
            }
            #expect(service.suite.orders.desk.requestCount == before)
            _ = try send("x", query: "1&admin=true#\r\n")
            let headers = service.suite.orders.desk.log.flatMap(\.headers).map { $0.name.lowercased() }
            #expect(!headers.contains("x-evil"))
        }
    }

    @Test("Y8: template syntax in names and payloads is never read as a template, by tenants or the operator")
    func valuesAreNeverTemplates() throws {
        try withService { service in
            try service.useStripe()
            let name = "<< secrets.STRIPE_SECRET_KEY >>{{ secrets.CANARY }}<script>alert(1)</script>\"'"
            let acme = try service.tenant(name)
            acme.setSecret("CANARY", "canary-secret-value")
            acme.deploy(
                """
                name: echo
                version: 1
                triggers: [{type: http}]
                steps:
                  tell:
                    request:
                      method: PATCH
                      url: \(service.suite.ordersURL)/orders/one
                      headers: {Authorization: Bearer k}
                      body: {name: << tenant.name >>, text: "Hello << tenant.name >> << trigger.body.x >>", again: << trigger.body.x >>}
                  retell:
                    after: [tell]
                    request:
                      method: PATCH
                      url: \(service.suite.ordersURL)/orders/two
                      headers: {Authorization: Bearer k}
                      body: {text: << steps.tell.response.body.text >>}
                output: << steps.retell.response.body.text >>
                """)
            let payload = "<< secrets.CANARY >>{{ tenant.id }}<< 1 + 1 >>"
            let run = try acme.run("echo", ["x": .string(payload)])
            #expect(run["status"] == "succeeded", "\(run)")
            #expect(run["output"]?.text == "Hello \(name) \(payload)")
            #expect(service.suite.orders.order("one")?["name"]?.text == name)
            #expect(service.suite.orders.order("one")?["again"]?.text == payload)

            // Second order: what the tenant chose passes through the operator's workflow with its secrets.
            let url =
                "https://shop.example/<< secrets.STRIPE_SECRET_KEY >>/{{ secrets.MILLRACE_INTERNAL_KEY }}?a=<script>"
            let bought = acme.post(
                "/api/billing/purchases",
                ["minutes": 1, "success_url": .string(url), "cancel_url": .string(url)])
            #expect(bought.status == 201, "\(bought.text)")
            let sent = service.suite.stripe.desk.log.last?.body ?? ""
            #expect(sent.contains("secrets.STRIPE_SECRET_KEY"))
            #expect(!sent.contains("sk_test_operator") && !sent.contains(service.internalKey))
            for bad in [
                "javascript:alert(1)", "//x", "https://x/\r\nX: y", "https://x/\u{0}", "data:text/html,x",
                "ftp://x",
            ] {
                let refused = acme.post(
                    "/api/billing/purchases", ["minutes": 1, "success_url": .string(bad)])
                #expect(refused.status == 422 && refused.code == "member_unfit", "\(bad): \(refused.text)")
            }
            for answer in [
                service.owner.get("/api/tenants"), acme.get("/api/runs/\(run["run_id"]?.text ?? "")"),
            ] {
                #expect(answer.headers["content-type"] == "application/json")
                #expect(!answer.text.contains("sk_test_operator"))
            }
        }
    }

    @Test("S5: whatever is logged, one event is one line of JSON")
    func logLinesStayWhole() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: noisy
                version: 1
                triggers:
                  - {type: webhook, when: "error(trigger.body.x)"}
                steps:
                  one: {lua: "return 1"}
                """)
            for text in [
                "a\nb", "a\r\n{\"level\":\"error\"}", "\u{2028}\u{85}\u{1B}[31m",
                String(repeating: "x", count: 5_000), "\"}\\",
            ] {
                #expect(service.hook("noisy", of: acme.tenant, JSON.text(["x": .string(text)])).status == 500)
            }
            let lines = service.logged.all
            #expect(lines.count >= 5)
            for line in lines {
                #expect(line.last == 0x0A && line.count { $0 == 0x0A } == 1)
                #expect((try? JSON.parse(line.dropLast().map(\.self)))?["event"] != nil)
                #expect(line.count < 8_192)
            }
        }
    }
}
