import Assembly
import Ports
import Runtime
import SQLiteStore
import StandIns
import Storage
import Testing
import Values

@Suite("API: runs, lists, health")
struct RunCallTests {
    private func shortWorkflow(_ service: TestService, _ name: String) -> String {
        """
        name: \(name)
        version: 1
        triggers: [{type: http}]
        steps:
          ask: {request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: a}}}
          after_it: {after: [ask], lua: "if trigger.body.fails then error('as asked') end return 1"}
        output: {n: << steps.after_it.output >>}
        """
    }

    @Test("A run is shown with its steps, output, error and trigger; its events are the journal")
    func runsAreShown() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(shortWorkflow(service, "short"))
            let good = try acme.run("short", ["a": "b"])
            #expect(good["status"] == "succeeded" && good["output"]?["n"] == 1 && good["error"] == .null)
            #expect(good["workflow"] == "short" && good["trigger"] == "http")
            #expect(good["trigger_body"] == ["a": "b"] && good["digest"]?.text.count == 64)
            #expect(good["finished_at"]?.text.isEmpty == false && good["charged_ms"]?.int != nil)
            #expect(good["steps"]?.array?.map { $0["state"]?.text } == ["succeeded", "succeeded"])
            let bad = try acme.run("short", ["fails": true])
            #expect(bad["status"] == "failed" && bad["error"]?["step"] == "after_it")

            let path = "/api/runs/\(good["run_id"]?.text ?? "")/events"
            let events = acme.get(path).items
            #expect(events.map { $0["sequence"]?.int } == (1...Int64(events.count)).map { $0 })
            #expect(events.first?["kind"] == "run.started")
            #expect(
                events.allSatisfy { $0["facts"]?.object != nil && $0["at"] != nil && $0["charge_ms"] != nil })
            var collected: [Value] = []
            var cursor = ""
            repeat {
                let page = acme.get("\(path)?limit=1\(cursor)")
                collected += page.items
                cursor = page["next"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty && collected.count < 20
            #expect(collected == events)
        }
    }

    @Test("A page of events ends before it has more than 2 MiB, and the pages are the journal all the same")
    func eventsPageByBytes() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: large
                version: 1
                triggers: [{type: http}]
                steps:
                  each: {strategy: {type: fan_out, over: 5}, lua: "return ('x'):rep(900000)"}
                """)
            let run = try acme.run("large")["run_id"]?.text ?? ""
            var collected: [Value] = []
            var counts: [Int] = []
            var cursor = ""
            repeat {
                let page = acme.get("/api/runs/\(run)/events?limit=200\(cursor)")
                collected += page.items
                counts.append(page.items.count)
                #expect(page.text.utf8.count < 2 << 20)
                cursor = page["next"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty && counts.count < 20
            let journal = try service.installation.store.entries(of: try #require(RunID(run)))
            #expect(collected.map { $0["sequence"]?.int } == journal.map(\.sequence))
            #expect(counts.count == 3 && counts.allSatisfy { $0 > 1 }, "\(counts)")
        }
    }

    @Test("Lists filter by workflow, status and time, and their pages hold each item once")
    func listsPageAndFilter() throws {
        try withService { service in
            let acme = try service.tenant()
            for name in ["one", "two"] { acme.deploy(shortWorkflow(service, name)) }
            for number in 0..<10 {
                _ = try acme.run(number % 2 == 0 ? "one" : "two", number < 4 ? ["fails": true] : [:])
            }
            #expect(acme.runs("one").count == 5)
            #expect(acme.runs(status: "failed").count == 4)
            #expect(acme.runs("two", status: "failed").count == 2)
            #expect(acme.get("/api/runs?from=2999-01-01").items.isEmpty)
            #expect(acme.get("/api/runs?to=2000-01-01T00:00:00Z").items.isEmpty)
            #expect(acme.get("/api/runs?from=2000-01-01&to=2999-01-01T00:00:00%2B01:00").items.count == 10)

            for limit in [1, 3, 5, 10] {
                for path in ["/api/runs", "/api/workflows", "/api/ledger"] {
                    let whole = acme.get("\(path)?limit=200")
                    #expect(whole["next"] == .null)
                    var pages: [[Value]] = []
                    var cursor = ""
                    repeat {
                        let page = acme.get("\(path)?limit=\(limit)\(cursor)")
                        #expect(page.status == 200)
                        pages.append(page.items)
                        cursor = page["next"]?.string.map { "&cursor=\($0)" } ?? ""
                    } while !cursor.isEmpty && pages.count < 50
                    #expect(pages.flatMap(\.self) == whole.items, "\(path) by \(limit)")
                    #expect(pages.last?.isEmpty == false, "\(path) by \(limit): no empty last page")
                }
            }
        }
    }

    @Test("Limits, cursors, times and states that make no sense are 400 with their own codes")
    func senselessQueries() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(shortWorkflow(service, "one"))
            let run = try acme.run("one")["run_id"]?.text ?? ""
            for path in ["/api/runs", "/api/workflows", "/api/ledger", "/api/runs/\(run)/events"] {
                for limit in ["0", "-1", "201", "x", "1e2", "1.0", "99999999999999999999", "%00", "+5", " 5"]
                {
                    let answer = acme.get(
                        "\(path)?limit=\(limit.replacing(" ", with: "%20").replacing("+", with: "%2B"))")
                    // The listener refuses a NUL itself.
                    #expect(answer.status == 400, "\(path) \(limit): \(answer.text)")
                }
            }
            for path in ["/api/runs", "/api/ledger", "/api/runs/\(run)/events"] {
                for cursor in ["x", "-", "1e9", "99999999999999999999", "run_", "%F0%9F%98%80"] {
                    let answer = acme.get("\(path)?cursor=\(cursor)")
                    #expect(
                        answer.status == 400 && answer.code == "cursor_malformed",
                        "\(path) \(cursor): \(answer.text)")
                }
            }
            for cursor in ["x", "ten_", "1"] {
                let answer = service.owner.get("/api/tenants?cursor=\(cursor)")
                #expect(answer.status == 400 && answer.code == "cursor_malformed")
            }
            for time in [
                "yesterday", "2026-13-01", "2026-01-32", "20260101", "2026-01-01T25:00:00Z", "9999999",
                "2026-01-01T00:00:00",
            ] {
                #expect(acme.get("/api/runs?from=\(time)").code == "time_malformed", "\(time)")
            }
            #expect(acme.get("/api/runs?status=sleeping").code == "status_unknown")
        }
    }

    @Test("A run under way is cancelled once; one that is over is 409")
    func runsAreCancelled() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(shortWorkflow(service, "slow"))
            service.suite.orders.desk.inject(Fault(.delay, on: "POST /effects", delay: .milliseconds(200)))
            let run = acme.trigger("slow")["run_id"]?.text ?? ""
            #expect(eventually { service.suite.orders.desk.requestCount == 1 })
            let cancelled = acme.post("/api/runs/\(run)/cancel", ["reason": "changed my mind"])
            #expect(cancelled.status == 202 && cancelled["run_id"]?.text == run)
            #expect(acme.finished(run)["status"] == "cancelled")
            let again = acme.post("/api/runs/\(run)/cancel")
            #expect(again.status == 409 && again.code == "run_over")
            #expect(acme.post("/api/runs/\(run)/cancel", ["why": "x"]).code == "unknown_member")
            #expect(acme.post("/api/runs/\(run)/cancel", ["reason": 7]).code == "member_unfit")
        }
    }

    @Test("Health pages: alive, ready, and metrics that a scraper can read")
    func healthPages() throws {
        try withService { service in
            #expect(service.call("GET", "/healthz").status == 200)
            let ready = service.call("GET", "/readyz")
            #expect(ready.status == 200 && ready["ready"] == true && ready["stuck"] == [])
            let metrics = service.call("GET", "/metrics")
            #expect(metrics.status == 200)
            for line in metrics.text.split(separator: "\n") where !line.hasPrefix("#") {
                let parts = line.split(separator: " ")
                #expect(
                    parts.count == 2 && parts[0].hasPrefix("millrace_") && Int(parts[1]) != nil, "\(line)")
            }
            #expect(service.call("POST", "/metrics").status == 405)
            service.runtime.drain(atMost: .zero)
            let stopping = service.call("GET", "/readyz")
            #expect(stopping.status == 503 && stopping["ready"] == false)
        }
    }

    @Test("While the process stops, triggers are 503 with Retry-After and nothing is stored")
    func stoppingRefusesWork() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(shortWorkflow(service, "one"))
            service.runtime.drain(atMost: .zero)
            let refused = acme.trigger("one")
            #expect(refused.status == 503 && refused.code == "unavailable")
            #expect(refused.headers["retry-after"] != nil)
            #expect(acme.runs().isEmpty)
        }
    }

    @Test("Every known path answers other methods with 405 and Allow, every unknown path with 404")
    func methodsAndPaths() throws {
        try withService { service in
            let acme = try service.tenant()
            let known = [
                ("DELETE", "/api/workflows"), ("PATCH", "/api/workflows/x"),
                ("GET", "/api/workflows/x/trigger"),
                ("POST", "/api/runs"), ("DELETE", "/api/runs/run_0000000000001"),
                ("GET", "/api/runs/run_0000000000001/cancel"),
                ("GET", "/api/runs/run_0000000000001/fork"), ("PUT", "/api/runs/run_0000000000001/pause"),
                ("POST", "/api/runs/run_0000000000001/events"),
                ("POST", "/api/secrets"), ("GET", "/api/secrets/X"), ("POST", "/api/balance"),
                ("PUT", "/api/ledger"),
                ("GET", "/api/billing/purchases"),
            ]
            for (method, path) in known {
                let answer = acme.send(method, path)
                #expect(answer.status == 405, "\(method) \(path): \(answer.status) \(answer.text)")
                #expect(answer.headers["allow"] != nil && answer.code == "method_not_allowed")
            }
            for path in [
                "/", "/api", "/api/", "/api/nothing", "/api/workflows/a/b", "/api/workflows/a/trigger/b",
                "/api//runs",
                "/api/runs/run_0000000000001/x", "/API/runs", "/api/%72uns/x", "/api/internal/billing/credit",
                "/hooks",
                "/hooks/a", "/hooks/a/b/c", "/api/..%2Fhealthz", "/healthz/..", "/favicon.ico",
            ] {
                let answer = acme.get(path)
                #expect([404, 405].contains(answer.status), "\(path): \(answer.status) \(answer.text)")
                #expect(answer.code != nil, "\(path)")
            }
        }
    }
}
