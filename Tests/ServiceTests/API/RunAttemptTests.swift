import Ports
import StandIns
import Testing
import Values

/// What a run has sent is rebuilt from its journal, equal to what had reached the other side.
@Suite("API: what runs have sent")
struct RunAttemptTests {
    private func source(_ url: String) -> String {
        """
        name: sender
        version: 1
        triggers: [{type: http}]
        vars: {url: "\(url)"}
        steps:
          - id: first
            request:
              method: POST
              url: << vars.url >>/effects
              query: {q: << trigger.body.q >>}
              headers: {X-Own: << trigger.body.q >>, X-Api-Key: << secrets.PAY_KEY >>}
              auth: {bearer: << secrets.PAY_KEY >>}
              body: {item: << trigger.body.q >>, note: "<< secrets.PAY_KEY >>!"}
          - id: each
            strategy: {type: fan_out, over: << trigger.body.list >>}
            request:
              method: POST
              url: << vars.url >>/effects
              body: {item: "<< item >> after << steps.first.response.status >>"}
        """
    }

    @Test("each attempt is shown as it was sent, with its key and answer, and without any secret")
    func requestsAreRebuilt() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("PAY_KEY", "sk_live_canary_1")
            #expect(acme.deploy(source(service.suite.ordersURL)).status == 201)
            let run = try acme.run("sender", ["q": "a b&c", "list": [1, 2]])
            #expect(run["status"] == "succeeded", "\(run)")
            let id = run["run_id"]?.text ?? ""
            let reply = acme.get("/api/runs/\(id)/attempts")
            #expect(
                reply.items.map { $0["step"]?.text }.sorted(by: { ($0 ?? "") < ($1 ?? "") }) == [
                    "each/1", "each/2", "first",
                ])
            #expect(!reply.text.contains("canary"), "\(reply.text)")
            let first = try #require(reply.items.first { $0["step"] == "first" })
            #expect(first["attempt"] == 1 && first["outcome"] == "succeeded" && first["error"] == .null)
            let sent = try #require(first["sent"])
            #expect(sent["url"]?.text == "\(service.suite.ordersURL)/effects?q=a%20b%26c")
            let headers = (sent["headers"]?.array ?? []).map { "\($0[0]?.text ?? ""): \($0[1]?.text ?? "")" }
            for header in [
                "X-Own: a b&c", "X-Api-Key: [secret]", "Authorization: Bearer [secret]",
                "Idempotency-Key: \(id)/first", "Content-Type: application/json", "Millrace-Attempt: 1",
            ] { #expect(headers.contains(header), "\(header) in \(headers)") }
            #expect(sent["body"] == #"{"item":"a b&c","note":"[secret]!"}"#)
            #expect(first["received"]?["status"] == 200)
            let second = try #require(reply.items.first { $0["step"] == "each/2" })
            #expect(second["sent"]?["body"] == #"{"item":"2 after 200"}"#)
            // The other side has seen the same bodies, the secret aside.
            let seen = service.suite.orders.desk.log.map(\.body)
            #expect(seen.contains(#"{"item":"2 after 200"}"#), "\(seen)")
        }
    }

    @Test("a page is bounded, goes on behind its cursor, and may be of one step; other tenants see nothing")
    func pagesAndTenants() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("B"))
            acme.setSecret("PAY_KEY", "sk_live_canary_1")
            acme.deploy(source(service.suite.ordersURL))
            let run = try acme.run("sender", ["q": "x", "list": [1, 2, 3]])
            let path = "/api/runs/\(run["run_id"]?.text ?? "")/attempts"
            var (seen, cursor): ([Value], String?) = ([], nil)
            repeat {
                let page = acme.get("\(path)?limit=1" + (cursor.map { "&cursor=\($0)" } ?? ""))
                #expect(page.items.count <= 1)
                seen += page.items
                cursor = page["next"]?.string
            } while cursor != nil
            #expect(seen.count == 4 && Set(seen.compactMap { $0["step"]?.text }).count == 4)
            #expect(acme.get("\(path)?step=each/3").items.map { $0["step"] } == ["each/3"])
            #expect(acme.get("\(path)?step=none").items.isEmpty)
            #expect(acme.get("\(path)?steps=none").code == "unknown_query")
            #expect(acme.send("POST", path).status == 405)
            #expect(other.get(path).code == "run_not_found")
        }
    }

    @Test("repeated attempts, answers that failed, and a rotated or deleted secret are shown")
    func repeatedAttempts() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("PAY_KEY", "sk_live_canary_1")
            acme.deploy(
                """
                name: tried
                version: 1
                triggers: [{type: http}]
                steps:
                  - id: pay
                    retry: {max: 1, delay: 1ms, on: [401]}
                    request:
                      method: POST
                      url: "\(service.suite.ordersURL)/nowhere/<< trigger.body.n >>"
                      headers: {X-Key: << secrets.PAY_KEY >>}
                """)
            let run = try acme.run("tried", ["n": 5])
            #expect(run["error"]?["code"] == "status", "\(run)")
            acme.setSecret("PAY_KEY", "sk_live_canary_2")
            #expect(acme.delete("/api/secrets/PAY_KEY").status == 204)
            let items = acme.get("/api/runs/\(run["run_id"]?.text ?? "")/attempts").items
            #expect(items.map { $0["outcome"] } == ["repeated", "failed"], "\(items)")
            #expect(items.map { $0["attempt"] } == [1, 2] && items[0]["retry_at"]?.isNull == false)
            for item in items {
                #expect(item["sent"]?["url"]?.text.hasSuffix("/nowhere/5") == true, "\(item)")
                let headers = item["sent"]?["headers"]?.array ?? []
                #expect(headers.contains { $0[0] == "X-Key" && $0[1] == "[secret]" })
            }
            #expect(items[0]["received"] == .null && items[1]["received"]?["status"] == 401)
            let step = run["steps"]?[0]
            #expect(step?["status"] == 401 && (step?["duration_ms"]?.int ?? -1) >= 0)
        }
    }

    @Test("a secret that is an address does not keep the request from being shown")
    func secretAddressesAreHidden() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("BASE", service.suite.ordersURL)
            acme.deploy(
                """
                name: hidden
                version: 1
                triggers: [{type: http}]
                steps: [{id: go, request: {method: POST, url: "<< secrets.BASE >>/effects", body: {item: x}}}]
                """)
            let run = try acme.run("hidden")
            let items = acme.get("/api/runs/\(run["run_id"]?.text ?? "")/attempts").items
            #expect(items.first?["sent"]?["url"] == "[secret]/effects", "\(items)")
        }
    }

    @Test("a run's view has durations and outputs of steps, and what guards have read")
    func viewsTellMore() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: viewed
                version: 1
                triggers: [{type: http}]
                vars: {limit: 10}
                steps:
                  - {id: sum, lua: "return {n = trigger.body.n + 1}"}
                  - {id: big, when: steps.sum.output.n > vars.limit, lua: return 1}
                  - {id: long, lua: "return string.rep('x', 2000)"}
                """)
            let run = try acme.run("viewed", ["n": 3])
            let steps = run["steps"]?.array ?? []
            #expect(steps[0]["output"] == ["n": 4] && steps[0]["guard"] == .null)
            #expect(steps[0]["started_at"]?.string != nil && steps[0]["finished_at"]?.string != nil)
            #expect(steps[1]["state"] == "skipped")
            #expect(
                steps[1]["guard"] == [
                    "expression": "steps.sum.output.n > vars.limit", "holds": false,
                    "reads": ["steps.sum.output.n": 4, "vars.limit": 10],
                ], "\(steps[1])")
            #expect(steps[2]["output"] == .null && steps[2]["output_bytes"] == 2002)
        }
    }
}
