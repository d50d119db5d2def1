import Ports
import Runtime
import StandIns
import Testing
import Values

/// Keys, and what each may see and do.
@Suite("API: access")
struct AccessTests {
    private static let calls: [(method: String, path: String, body: String)] = [
        ("GET", "/api/workflows", ""), ("PUT", "/api/workflows/x", "name: x"),
        ("GET", "/api/workflows/x", ""),
        ("DELETE", "/api/workflows/x", ""), ("POST", "/api/workflows/validate", "x"),
        ("POST", "/api/workflows/x/trigger", "{}"), ("GET", "/api/runs", ""),
        ("GET", "/api/runs/run_0000000000001", ""), ("GET", "/api/runs/run_0000000000001/events", ""),
        ("POST", "/api/runs/run_0000000000001/cancel", ""),
        ("POST", "/api/runs/run_0000000000001/pause", ""),
        ("POST", "/api/runs/run_0000000000001/resume", ""),
        ("POST", "/api/runs/run_0000000000001/retry", ""),
        ("POST", "/api/runs/run_0000000000001/fork", #"{"step":"one"}"#),
        ("PUT", "/api/secrets/X", #"{"value":"123456"}"#),
        ("GET", "/api/secrets", ""), ("DELETE", "/api/secrets/X", ""), ("GET", "/api/balance", ""),
        ("GET", "/api/ledger", ""), ("POST", "/api/billing/purchases", #"{"minutes":1}"#),
    ]
    private static let operatorCalls: [(method: String, path: String, body: String)] = [
        ("POST", "/api/tenants", #"{"name":"x"}"#), ("GET", "/api/tenants", ""),
        ("POST", "/api/tenants/TENANT/keys", "{}"), ("GET", "/api/tenants/TENANT/keys", ""),
        ("DELETE", "/api/tenants/TENANT/keys/key_0000000000001", ""), ("GET", "/api/ledger/verification", ""),
        ("POST", "/api/tenants/operator/keys", #"{"scope":"internal"}"#),
        ("GET", "/api/tenants/operator/keys", ""),
    ]

    @Test("S13: no key, a wrong or a revoked one is 401 everywhere; an internal key 403")
    func keysAreRequired() throws {
        try withService { service in
            let acme = try service.tenant()
            let made = service.owner.post("/api/tenants/\(acme.tenant)/keys")
            #expect(made.status == 201 && made["scope"] == "full")
            let revoked = made["secret"]?.text ?? ""
            #expect(service.call("GET", "/api/balance", key: revoked).status == 200)
            let id = made["key_id"]?.text ?? ""
            #expect(service.owner.delete("/api/tenants/\(acme.tenant)/keys/\(id)").status == 204)
            #expect(service.owner.delete("/api/tenants/\(acme.tenant)/keys/\(id)").code == "key_not_found")
            let listed = service.owner.get("/api/tenants/\(acme.tenant)/keys").items
            #expect(listed.first { $0["key_id"]?.text == id }?["revoked_at"]?.string != nil)

            let last = acme.key.last == "0" ? "1" : "0"
            let wrong = [
                "", revoked, String(acme.key.dropLast()) + last, String(acme.key.dropLast()), acme.key + "0",
                acme.key.uppercased(), "mk__", "mk_", "x",
                "mk_0000000000000_" + String(repeating: "0", count: 64),
                "mk_\u{E9}_x",
            ]
            for call in Self.calls + Self.operatorCalls {
                for key in [nil] + wrong.map(Optional.some) {
                    let answer = service.call(call.method, call.path, key: key, body: Array(call.body.utf8))
                    #expect(
                        answer.status == 401, "\(call.method) \(call.path) \(key ?? "none"): \(answer.status)"
                    )
                    #expect(answer.headers["www-authenticate"] == "Bearer")
                }
                let answer = service.call(
                    call.method, call.path, key: service.internalKey, body: Array(call.body.utf8))
                #expect(answer.status == 403 && answer.code == "scope", "\(call.path)")
            }
            func status(_ authorization: String) -> Int {
                service.call("GET", "/api/balance", headers: [HTTPHeader("Authorization", authorization)])
                    .status
            }
            for header in ["Basic \(acme.key)", "Bearer  \(acme.key)", "Bearer\(acme.key)", acme.key] {
                #expect(status(header) == 401, "\(header.prefix(12))")
            }
            #expect(status("bearer \(acme.key)") == 200 && status("BEARER \(acme.key)") == 200)
        }
    }

    @Test("S13: a tenant's key opens none of the operator's calls and nothing of the internal address")
    func tenantsAreNoOperators() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("Other"))
            for call in Self.operatorCalls {
                for tenant in [acme.tenant, other.tenant] {
                    let answer = acme.send(
                        call.method, call.path.replacing("TENANT", with: tenant), text: call.body)
                    #expect(
                        answer.status == 403 && answer.code == "operator_only", "\(call.path): \(answer.text)"
                    )
                }
            }
            let credit: Value = ["tenant_id": .string(acme.tenant), "minutes": 9, "reference": "free"]
            #expect(service.callInternal("billing/credit", credit, key: acme.key).status == 403)
            for key in [nil, "", "mk_x"] as [String?] {
                let answer = service.call(
                    "POST", "/api/internal/billing/credit", key: key, body: JSON.bytes(credit),
                    isInternal: true)
                #expect(answer.status == 401)
            }
            // The public address has no internal calls, whatever the key; the internal one no others.
            for key in [service.owner.key, service.internalKey, acme.key] {
                let answer = service.call(
                    "POST", "/api/internal/billing/credit", key: key, body: JSON.bytes(credit))
                #expect(answer.status == 404)
                #expect(service.call("GET", "/api/balance", key: key, isInternal: true).status == 404)
                #expect(
                    service.call("GET", "/api/internal/billing/credit", key: key, isInternal: true).status
                        != 200)
            }
            #expect(service.callInternal("billing/credit", credit, key: service.owner.key).status == 201)
            let scope = service.owner.post("/api/tenants/\(acme.tenant)/keys", ["scope": "internal"])
            #expect(scope.status == 422 && scope.code == "scope_unknown")
            #expect(
                service.owner.post("/api/tenants/\(acme.tenant)/keys", ["scope": "root"]).code
                    == "scope_unknown")
        }
    }

    /// What belongs to the one tenant and must stay unseen and untouched by the other.
    private func furnish(_ client: Client, _ service: TestService) throws -> (run: String, paused: String) {
        client.setSecret("CANARY_SECRET", "canary-secret-value")
        client.deploy(
            """
            name: private-work
            version: 1
            description: canary-description
            triggers:
              - {type: http}
              - {type: webhook, when: "trigger.headers['x-pass'] == 'canary-pass'"}
            steps:
              one:
                request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: canary-item}}
                retry: {max: 1, delay: 1h}
            output: canary-output
            """)
        let run = try client.run("private-work", ["x": "canary-body"])["run_id"]?.text ?? ""
        service.suite.orders.desk.inject(Fault(.status, on: "POST /effects", status: 503))
        let waiting = client.trigger("private-work", ["x": "canary-body"])["run_id"]?.text ?? ""
        #expect(eventually { client.get("/api/runs/\(waiting)")["steps"]?[0]?["state"] == "waiting_retry" })
        return (run, waiting)
    }

    @Test(
        "I10, S12: every operation with another tenant's ids is 404 or 403, shows nothing and changes nothing"
    )
    func foreignIDsAreUnknown() throws {
        try withService { service in
            let (acme, stranger) = (try service.tenant("canary-name"), try service.tenant("Stranger"))
            let (run, waiting) = try furnish(acme, service)
            let before = (
                acme.ledger, acme.runs(), acme.get("/api/workflows/private-work").value,
                acme.get("/api/secrets").items
            )
            let keys = service.owner.get("/api/tenants/\(acme.tenant)/keys").items.map {
                $0["key_id"]?.text ?? ""
            }

            var attempts: [(String, String, String)] = [
                ("GET", "/api/workflows/private-work", ""), ("DELETE", "/api/workflows/private-work", ""),
                ("POST", "/api/workflows/private-work/trigger", "{}"),
                ("DELETE", "/api/secrets/CANARY_SECRET", ""),
                ("GET", "/api/tenants", ""), ("GET", "/api/tenants/\(acme.tenant)/keys", ""),
                ("POST", "/api/tenants/\(acme.tenant)/keys", "{}"), ("GET", "/api/ledger/verification", ""),
                ("POST", "/hooks/\(acme.tenant)/private-work", "{}"),
            ]
            for id in [run, waiting] {
                attempts += [
                    ("GET", "/api/runs/\(id)", ""), ("GET", "/api/runs/\(id)/events", ""),
                    ("POST", "/api/runs/\(id)/cancel", ""), ("POST", "/api/runs/\(id)/pause", ""),
                    ("POST", "/api/runs/\(id)/resume", ""), ("POST", "/api/runs/\(id)/retry", ""),
                    ("POST", "/api/runs/\(id)/fork", #"{"step":"one"}"#),
                    ("GET", "/api/runs/\(id)?tenant_id=\(acme.tenant)", ""),
                ]
            }
            for key in keys { attempts.append(("DELETE", "/api/tenants/\(acme.tenant)/keys/\(key)", "")) }
            for (method, path, body) in attempts {
                let answer = stranger.send(method, path, text: body)
                let allowed =
                    path.hasPrefix("/hooks") ? [401] : path.contains("tenant_id=") ? [400] : [403, 404]
                #expect(allowed.contains(answer.status), "\(method) \(path): \(answer.status)")
                #expect(!answer.text.contains("canary"), "\(method) \(path): \(answer.text)")
            }
            let lists = [
                "/api/workflows", "/api/runs", "/api/runs?workflow=private-work", "/api/secrets",
                "/api/ledger",
                "/api/runs?cursor=run_7zzzzzzzzzzzz", "/api/workflows?cursor=a", "/api/balance",
                "/api/ledger?tenant_id=\(acme.tenant)", "/api/balance?tenant_id=\(acme.tenant)",
            ]
            for path in lists {
                let answer = stranger.get(path)
                #expect(answer.status == (path.contains("tenant_id=") ? 400 : 200), "\(path)")
                for mark in ["canary", "private-work", "CANARY", acme.tenant, run] {
                    #expect(!answer.text.contains(mark), "\(path): \(answer.text)")
                }
            }
            // A stranger's workflow of the same name sees the stranger's secrets only.
            stranger.deploy(
                "{\"name\":\"private-work\",\"version\":1,\"triggers\":[{\"type\":\"http\"}],\"steps\":{\"a\":{\"lua\":\"return secrets.CANARY_SECRET\"}}}"
            )
            let thieving = try stranger.run("private-work")
            #expect(thieving["status"] == "failed" && !JSON.text(thieving).contains("canary-secret"))

            let after = (
                acme.ledger, acme.runs(), acme.get("/api/workflows/private-work").value,
                acme.get("/api/secrets").items
            )
            #expect(before.0 == after.0 && before.1 == after.1 && before.3 == after.3)
            #expect(after.2["digest"] == before.2["digest"] && after.2["number"] == 1)
            #expect(acme.post("/api/runs/\(waiting)/cancel").status == 202)
        }
    }

    @Test("Tenants are made, listed by pages, and shown their key once")
    func tenantsAreMade() throws {
        try withService { service in
            let made = service.owner.post("/api/tenants", ["name": "Grün & Co <b>"])
            #expect(made.status == 201 && made["name"] == "Grün & Co <b>")
            #expect(made["key"]?["secret"]?.text.hasPrefix("mk_") == true)
            for number in 1...4 { _ = try service.tenant("T\(number)", milliseconds: 0) }
            var names: [String] = []
            var cursor = ""
            repeat {
                let page = service.owner.get("/api/tenants?limit=2\(cursor)")
                #expect(!page.text.contains("secret"))
                names += page.items.map { $0["name"]?.text ?? "" }
                cursor = page["next"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty && names.count < 20
            #expect(Set(names) == ["operator", "Grün & Co <b>", "T1", "T2", "T3", "T4"] && names.count == 6)
            let refused: [(Value, Int, String)] = [
                ([:], 422, "member_missing"), (["name": ""], 422, "member_unfit"),
                (["name": 7], 422, "member_unfit"),
                (["name": "a\r\nb"], 422, "member_unfit"),
                (["name": "x", "plan": "y"], 422, "unknown_member"),
                (["name": .string(String(repeating: "x", count: 201))], 422, "member_unfit"),
                ([], 400, "malformed_body"),
            ]
            for (body, status, code) in refused {
                let answer = service.owner.post("/api/tenants", body)
                #expect(answer.status == status && answer.code == code, "\(answer.text)")
            }
            for id in ["ten_0000000000009", "x", "..", "%00"] {
                #expect([400, 404].contains(service.owner.get("/api/tenants/\(id)/keys").status))
            }
        }
    }
}
