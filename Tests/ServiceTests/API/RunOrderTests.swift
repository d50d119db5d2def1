import Ports
import Runtime
import StandIns
import Storage
import Testing
import Values

/// What people do to runs by the API: with a real file, real sockets and the providers' stand-ins.
@Suite("API: pause, resume, retry, fork")
struct RunOrderTests {
    /// A payment at Stripe, and a step at the order backend behind it.
    private func payment(_ service: TestService, compensated: Bool = false) -> String {
        let undo =
            "compensate: {request: {method: POST, url: \"\(service.suite.ordersURL)/effects\", body: {item: undo}}}"
        return """
            name: payment
            version: 1
            triggers: [{type: http}]
            steps:
              charge:
                request:
                  method: POST
                  url: "\(service.suite.stripeURL)/v1/charges"
                  auth: {bearer: << secrets.STRIPE_KEY >>}
                  headers: {Content-Type: application/x-www-form-urlencoded}
                  body: {amount: << trigger.body.amount >>, currency: eur, source: tok_visa}
                \(compensated ? undo : "")
              ship:
                after: [charge]
                request:
                  method: POST
                  url: "\(service.suite.ordersURL)/effects"
                  body: {item: "<< steps.charge.response.body.id >>"}
                retry: {max: 0}
            output: << steps.charge.response.body.id >>
            """
    }

    private func charges(_ service: TestService) -> Int {
        service.suite.stripe.desk.log.filter { $0.path == "/v1/charges" }.count
    }

    private func payer(_ service: TestService, compensated: Bool = false) throws -> Client {
        let acme = try service.tenant()
        acme.setSecret("STRIPE_KEY", "sk_test_payment")
        let deployed = acme.deploy(payment(service, compensated: compensated))
        try #require(deployed.status < 300, "\(deployed.text)")
        return acme
    }

    @Test("a payment run that failed after its charge is retried with one charge in all")
    func retryOfAPayment() throws {
        try withService { service in
            let acme = try payer(service)
            service.suite.orders.desk.inject(Fault(.status, on: "POST /effects", status: 500))
            let failed = try acme.run("payment", ["amount": 1250])
            #expect(failed["status"] == "failed" && failed["error"]?["step"] == "ship")
            let path = "/api/runs/\(failed["run_id"]?.text ?? "")"
            let keyed = [HTTPHeader("Idempotency-Key", "again")]
            let first = acme.post("\(path)/retry", headers: keyed)
            #expect(first.status == 202 && first["duplicate"] == false, "\(first.text)")
            let again = acme.post("\(path)/retry", headers: keyed)
            #expect(again["run_id"] == first["run_id"] && again["duplicate"] == true)
            let run = acme.finished(first["run_id"]?.text ?? "")
            #expect(run["status"] == "succeeded" && run["output"]?.string?.hasPrefix("ch_") == true)
            #expect(charges(service) == 1)
            #expect(run["origin"] == ["run": failed["run_id"] ?? .null, "kind": "retry", "step": "ship"])
            #expect(run["digest"] == failed["digest"] && run["trigger_body"] == ["amount": 1250])
            #expect(run["steps"]?.array?.map { $0["copied"] } == [true, false])
            #expect(failed["origin"] == .null && failed["paused_by"] == [])
            let events = acme.get("/api/runs/\(run["run_id"]?.text ?? "")/events").items
            #expect(events.map { $0["kind"] }.prefix(2) == ["run.started", "step.succeeded"])
            #expect(events[1]["charge_ms"] == 0 && events[1]["facts"]?["copied"] == true)
            let ended = acme.post("/api/runs/\(run["run_id"]?.text ?? "")/retry")
            #expect(ended.status == 409 && ended.code == "run_succeeded")
            service.expectSoundLedgers()
        }
    }

    @Test("a charge that was undone is made again by the retry, under the new run's own key")
    func retryOfAnUndonePayment() throws {
        try withService { service in
            let acme = try payer(service, compensated: true)
            service.suite.orders.desk.inject(Fault(.status, on: "POST /effects", status: 500))
            let failed = try acme.run("payment", ["amount": 1250])
            #expect(failed["compensation"] == "succeeded")
            let retried = acme.post("/api/runs/\(failed["run_id"]?.text ?? "")/retry")
            #expect(acme.finished(retried["run_id"]?.text ?? "")["status"] == "succeeded")
            let log = service.suite.stripe.desk.log.filter { $0.path == "/v1/charges" }
            #expect(log.count == 2 && Set(log.map { $0.headers["idempotency-key"] }).count == 2)
        }
    }

    @Test("a fork with another input does its step and all behind again, and keeps what lies before")
    func forkWithInput() throws {
        try withService { service in
            let acme = try payer(service)
            let first = try acme.run("payment", ["amount": 100])
            let path = "/api/runs/\(first["run_id"]?.text ?? "")/fork"
            let kept = acme.post(path, ["step": "ship", "input": ["amount": 200]])
            let run = acme.finished(kept["run_id"]?.text ?? "")
            #expect(run["trigger_body"] == ["amount": 200] && run["output"] == first["output"])
            #expect(charges(service) == 1)
            let whole = acme.post(path, ["step": "charge", "input": ["amount": 200], "version": "current"])
            let other = acme.finished(whole["run_id"]?.text ?? "")
            #expect(other["status"] == "succeeded" && other["output"] != first["output"])
            #expect(charges(service) == 2)
            #expect(other["origin"]?["kind"] == "fork" && other["origin"]?["step"] == "charge")
        }
    }

    @Test("a paused run says by whom, starts nothing, and goes on")
    func pauseAndResume() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: waiting
                version: 1
                triggers: [{type: http}]
                steps:
                  - {id: w, wait: go}
                  - id: effect
                    request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: a}}
                """)
            let run = acme.trigger("waiting")["run_id"]?.text ?? ""
            let path = "/api/runs/\(run)"
            let paused = acme.post("\(path)/pause", ["reason": "a look at it"])
            #expect(paused.status == 202 && paused["status"] == "paused", "\(paused.text)")
            #expect(acme.post("\(path)/pause").status == 202, "a repeat is no fault")
            #expect(acme.post("\(path)/signals/go").status == 202)
            let shown = acme.get(path)
            #expect(shown["status"] == "paused")
            #expect(shown["paused_by"]?[0]?["by"] == "operator")
            #expect(shown["paused_by"]?[0]?["reason"] == "a look at it")
            #expect(shown["steps"]?[0]?["state"] == "succeeded")
            #expect(shown["steps"]?[1]?["waits_for"]?["kind"] == "operator")
            #expect(acme.runs(status: "paused").count == 1)
            #expect(service.suite.orders.desk.requestCount == 0)
            let resumed = acme.post("\(path)/resume")
            #expect(resumed.status == 202 && resumed["status"] == "running")
            #expect(acme.finished(run)["status"] == "succeeded")
            for order in ["pause", "resume"] {
                let late = acme.post("\(path)/\(order)")
                #expect(late.status == 409 && late.code == "run_over")
            }
        }
    }

    @Test("orders that make no sense are refused by name and start nothing")
    func senselessOrders() throws {
        try withService { service in
            let acme = try payer(service)
            let path = "/api/runs/\(try acme.run("payment", ["amount": 100])["run_id"]?.text ?? "")"
            let refused: [(String, Value, Int, String)] = [
                ("fork", [:], 422, "member_missing"), ("fork", ["step": "nothing"], 422, "step_unknown"),
                ("fork", ["step": "charge/compensate"], 422, "step_unknown"),
                ("fork", ["step": 7], 422, "member_unfit"), ("fork", ["step": ""], 422, "member_unfit"),
                ("fork", ["step": "ship", "version": "next"], 422, "version_unknown"),
                ("fork", ["step": "ship", "body": 1], 422, "unknown_member"),
                ("retry", ["step": "ship"], 422, "unknown_member"), ("retry", [:], 409, "run_succeeded"),
                ("pause", ["reason": 7], 422, "member_unfit"),
                ("resume", ["reason": "x"], 422, "unknown_member"),
                ("pause", [], 400, "malformed_body"),
            ]
            for (order, body, status, code) in refused {
                let answer = acme.post("\(path)/\(order)", body)
                #expect(answer.status == status && answer.code == code, "\(order) \(body): \(answer.text)")
            }
            for key in ["", String(repeating: "k", count: 256)] {
                let unfit = [HTTPHeader("Idempotency-Key", key)]
                #expect(acme.post("\(path)/retry", headers: unfit).code == "idempotency_key_length")
            }
            #expect(acme.post("\(path)/resume", ["reason": "x"]).text.contains("it has none"))
            let keyed = [HTTPHeader("Idempotency-Key", "k")]
            #expect(acme.post("\(path)/fork", ["step": "ship"], headers: keyed).status == 202)
            #expect(
                acme.post("\(path)/fork", ["step": "charge"], headers: keyed).code == "idempotency_key_reused"
            )
            #expect(service.settle())
            #expect(acme.runs().count == 2)
        }
    }

    @Test("without balance a retry is 402 and stores nothing; a paused run says both why")
    func ordersWithoutBalance() throws {
        try withService { service in
            let poor = try service.tenant("Poor", milliseconds: 0)
            poor.deploy(
                """
                name: poor
                version: 1
                triggers: [{type: webhook, when: "true"}]
                steps:
                  - {id: a, request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: a}}}
                """)
            let run = service.hook("poor", of: poor.tenant, "{}")["run_id"]?.text ?? ""
            #expect(poor.post("/api/runs/\(run)/pause")["status"] == "paused")
            let by = poor.get("/api/runs/\(run)")["paused_by"]?.array?.map { $0["by"] }
            #expect(by == ["balance", "operator"])
            #expect(poor.post("/api/runs/\(run)/resume")["status"] == "paused")
            #expect(poor.post("/api/runs/\(run)/cancel").status == 202)
            #expect(poor.finished(run)["status"] == "cancelled")
            let refused = poor.post("/api/runs/\(run)/retry")
            #expect(refused.status == 402 && refused.code == "balance_depleted")
            #expect(poor.runs().count == 1)
        }
    }
}
