import Assembly
import Ingress
import Ports
import Runtime
import StandIns
import Testing
import Values

@Suite("API: workflows and triggers")
struct WorkflowCallTests {
    static func source(_ name: String = "plain", version: Int = 1, more: String = "", type: String = "http")
        -> String
    {
        """
        name: \(name)
        version: \(version)
        description: Says hello.
        triggers:
          - type: \(type)
        \(more)
        steps:
          one: {lua: "return trigger.body"}
        output: << steps.one.output >>
        """
    }

    @Test("A workflow is deployed, shown with source and versions, listed, redeployed unchanged, and deleted")
    func lifeOfAWorkflow() throws {
        try withService { service in
            let acme = try service.tenant()
            let first = acme.deploy(Self.source())
            #expect(first.status == 201)
            #expect(first["name"] == "plain" && first["number"] == 1 && first["warnings"] == [])
            #expect(first["digest"]?.text.count == 64 && first["deployed_at"]?.text.hasSuffix("Z") == true)
            let again = acme.deploy(Self.source())
            #expect(again.status == 200 && again["number"] == 1 && again["digest"] == first["digest"])
            let second = acme.deploy(Self.source(version: 2))
            #expect(second.status == 201 && second["number"] == 2)

            let shown = acme.get("/api/workflows/plain")
            #expect(shown.status == 200)
            #expect(shown["source"]?.text == Self.source(version: 2))
            #expect(
                shown["versions"]?.array?.map { $0["number"]?.int } == [2, 1]
                    || shown["versions"]?.array?.map { $0["number"]?.int } == [1, 2])
            #expect(shown["hook_path"] == .null && shown["refusals"] == [])
            #expect(shown["triggers"] == ["http"] && shown["description"] == "Says hello.")
            #expect(acme.get("/api/workflows").items.map { $0["name"]?.text } == ["plain"])

            #expect(acme.delete("/api/workflows/plain").status == 204)
            #expect(acme.delete("/api/workflows/plain").code == "workflow_not_found")
            #expect(acme.get("/api/workflows/plain").status == 404)
            #expect(acme.trigger("plain").code == "workflow_not_found")
            #expect(acme.get("/api/workflows").items.isEmpty)
        }
    }

    @Test("JSON is taken as well as YAML, and a webhook's address is shown")
    func jsonSource() throws {
        try withService { service in
            let acme = try service.tenant()
            let source =
                #"{"name":"js","version":1,"triggers":[{"type":"webhook"}],"steps":{"a":{"lua":"return 1"}}}"#
            let deployed = acme.deploy(source)
            #expect(deployed.status == 201)
            #expect(deployed["warnings"]?.array?.isEmpty == false, "a webhook without a guard is warned of")
            #expect(acme.get("/api/workflows/js")["hook_path"]?.text == "/hooks/\(acme.tenant)/js")
        }
    }

    @Test("An invalid file is 422 with every problem, and validate says the same with 200")
    func invalidFiles() throws {
        try withService { service in
            let acme = try service.tenant()
            let source = "name: Bad Name\nversion: 0\nstep: {}\n"
            let refused = acme.send("PUT", "/api/workflows/bad", text: source)
            #expect(refused.status == 422 && refused.code == "invalid_workflow")
            let details = refused["error"]?["details"]?.array ?? []
            #expect(details.count >= 4)
            for problem in details {
                #expect((problem["line"]?.int ?? 0) >= 1 && (problem["column"]?.int ?? 0) >= 1)
                #expect(
                    problem["code"]?.text.hasPrefix("MR") == true && problem["message"]?.text.isEmpty == false
                )
            }
            let checked = acme.send("POST", "/api/workflows/validate", text: source)
            #expect(checked.status == 200 && checked["valid"] == false)
            #expect(checked["problems"] == refused["error"]?["details"])
            let good = acme.send("POST", "/api/workflows/validate", text: Self.source())
            #expect(good["valid"] == true)
            #expect(acme.get("/api/workflows").items.isEmpty, "neither deploys anything")
        }
    }

    @Test("The name in the file and in the address must agree, and hooks are the operator's alone")
    func namesAndHooks() throws {
        try withService { service in
            let acme = try service.tenant()
            #expect(acme.send("PUT", "/api/workflows/other", text: Self.source()).code == "name_mismatch")
            let hook = Self.source("hooked", type: "hook\n    event: on_purchase_requested")
            let refused = acme.deploy(hook)
            #expect(refused.status == 403 && refused.code == "hook_for_operator_only")
            #expect(service.owner.deploy(hook).status == 201)
            // Not startable by key or from outside.
            #expect(service.owner.trigger("hooked").code == "not_triggerable")
            #expect(service.hook("hooked", "{}").status == 404)
        }
    }

    @Test("A trigger is 202 with the run; the same key and body the same run, another body 409")
    func triggersAreIdempotent() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("B"))
            for client in [acme, other] {
                client.deploy(Self.source())
                client.deploy(Self.source("second"))
            }
            let first = acme.trigger("plain", ["n": 1], key: "k1")
            #expect(first.status == 202 && first["duplicate"] == false)
            let again = acme.trigger("plain", ["n": 1], key: "k1")
            #expect(again.status == 202 && again["duplicate"] == true && again["run_id"] == first["run_id"])
            let reused = acme.trigger("plain", ["n": 2], key: "k1")
            #expect(reused.status == 409 && reused.code == "idempotency_key_reused")
            #expect(reused["error"]?["details"]?["run_id"] == first["run_id"])
            // The key belongs to this workflow of this tenant.
            #expect(acme.trigger("second", ["n": 1], key: "k1")["duplicate"] == false)
            #expect(other.trigger("plain", ["n": 1], key: "k1")["duplicate"] == false)
            for key in ["", String(repeating: "k", count: 256)] {
                let unfit = acme.trigger("plain", ["n": 1], key: key)
                #expect(unfit.status == 400 && unfit.code == "idempotency_key_length")
            }
            #expect(acme.runs().count == 2)
        }
    }

    @Test("20 triggers at once under one key are one run")
    func concurrentTriggersUnderOneKey() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(Self.source())
            let answers = Gathered<Reply>()
            for _ in 1...20 {
                service.begin(
                    "POST", "/api/workflows/plain/trigger", key: acme.key, body: Array("{}".utf8),
                    headers: [HTTPHeader("Idempotency-Key", "k")]
                ) { answers.add($0) }
            }
            let all = answers.wait(for: 20)
            #expect(all.allSatisfy { $0.status == 202 })
            #expect(Set(all.map { $0["run_id"]?.text }).count == 1)
            #expect(all.count { $0["duplicate"] == false } == 1)
            #expect(acme.runs().count == 1)
        }
    }

    @Test("reply: result answers with the output, also of a run that takes a while or fails")
    func repliesWithResults() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: answer
                version: 1
                triggers:
                  - {type: http, reply: result}
                steps:
                  ask:
                    request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: a}}
                  check:
                    after: [ask]
                    lua: if trigger.body.fails then error('as asked') end return {n = 7}
                output: << steps.check.output.n >>
                """)
            let quick = acme.trigger("answer")
            #expect(quick.status == 200 && quick["status"] == "succeeded" && quick["output"] == 7)
            #expect(quick["error"] == .null)
            service.suite.orders.desk.inject(Fault(.delay, on: "POST /effects", delay: .milliseconds(400)))
            let slow = acme.trigger("answer")
            #expect(slow.status == 200 && slow["output"] == 7)
            let failed = acme.trigger("answer", ["fails": true])
            #expect(failed.status == 200 && failed["status"] == "failed")
            #expect(failed["error"]?["step"] == "check")
            #expect(failed["error"]?["message"]?.text.contains("as asked") == true)
            // A repeat under a key is answered at once, with the run to look at.
            _ = acme.trigger("answer", key: "k")
            let repeated = acme.trigger("answer", key: "k")
            #expect(repeated.status == 202 && repeated["duplicate"] == true)
        }
    }

    @Test("reply: result is 202 with the run to look at once the wait is over, and the run goes on")
    func repliesWhenTheWaitIsOver() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: slow
                version: 1
                triggers: [{type: http, reply: result}]
                steps:
                  ask: {request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: a}}}
                output: done
                """)
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", delay: .milliseconds(400)))
            let ingress = Ingress(runtime: service.runtime, replyWait: .milliseconds(50))
            let reply = try service.trigger("slow", of: acme, through: ingress)
            guard case .pending(let run)? = reply else {
                Issue.record("\(String(describing: reply))")
                return
            }
            #expect(acme.get("/api/runs/\(run)")["status"] == "running")
            #expect(acme.finished("\(run)")["output"] == "done")
        }
    }

    @Test(
        "A trigger's body: not JSON 400, unfit 422 with what does not fit, too large 413; guard 401 and 500")
    func triggerBodies() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: strict
                version: 1
                triggers:
                  - type: http
                    when: trigger.body.pass != 'no' and (trigger.body.pass != 'raise' or error('x'))
                    schema: {type: object, required: [n], properties: {n: {type: integer}}}
                steps:
                  one: {lua: "return 1"}
                """)
            func post(_ body: String) -> Reply {
                acme.send("POST", "/api/workflows/strict/trigger", text: body)
            }
            #expect(post("{").code == "malformed_body")
            #expect(post(String(repeating: "[", count: 200)).code == "malformed_body")
            let unfit = post(#"{"n":"x"}"#)
            #expect(unfit.status == 422 && unfit.code == "body_unfit")
            #expect(unfit["error"]?["details"]?.array?.isEmpty == false)
            #expect(post(#"{"n":1,"pass":"no"}"#).status == 401)
            let failed = post(#"{"n":1,"pass":"raise"}"#)
            #expect(failed.status == 500 && failed.code == "guard_failed")
            // What it was stands where the answer says.
            #expect(failed.text.contains("refusals of GET /api/workflows/"))
            let refusals = acme.get("/api/workflows/strict")["refusals"]?.array
            let error = refusals?.first { $0["reason"] == "guard_error" }
            #expect(error?["last_detail"]?.string?.hasSuffix("x") == true)
            #expect(post(#"{"n":1,"x":""# + String(repeating: "x", count: 1 << 20) + #""}"#).status == 413)
            #expect(post(#"{"n":1}"#).status == 202)
            #expect(acme.runs().count == 1)
        }
    }

    @Test("A workflow shows its schedules in the order of its file, with the next time of each")
    func schedulesAreShown() throws {
        try withService { service in
            try service.installation.scheduler.start()
            let acme = try service.tenant()
            acme.deploy(
                """
                name: nightly
                version: 1
                triggers:
                  - {type: schedule, cron: "30 2 * * *", timezone: Europe/Amsterdam}
                  - {type: http}
                  - {type: schedule, cron: "0 * * * *", overlap: allow}
                steps:
                  one: {lua: "return 1"}
                """)
            let shown = acme.get("/api/workflows/nightly")["schedules"]?.array ?? []
            #expect(shown.map { $0["cron"] } == ["30 2 * * *", "0 * * * *"])
            #expect(shown.map { $0["timezone"] } == ["Europe/Amsterdam", "UTC"])
            let next = try #require(shown.first?["next_at"]?.string.flatMap { Instant(rfc3339: $0) })
            #expect(next > service.now && next <= service.now + .seconds(25 * 3600))
            #expect(next.text.hasSuffix(":30:00.000Z"), "\(next.text)")
            #expect(shown.last?["next_at"]?.string?.hasSuffix(":00:00.000Z") == true)
            acme.deploy(
                "name: nightly\nversion: 1\ntriggers: [{type: http}]\nsteps:\n  one: {lua: 'return 1'}")
            #expect(acme.get("/api/workflows/nightly")["schedules"] == .array([]))
        }
    }
}
