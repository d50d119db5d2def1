import Foundation
import Ports
import Runtime
import StandIns
import Testing
import Values

/// Secrets go in and never come out.
@Suite("API: secrets")
struct SecretTests {
    @Test("a tenant has at most a hundred secrets, and may still change and replace them")
    func secretsAreBounded() throws {
        try withService { service in
            let acme = try service.tenant()
            for number in 1...100 { acme.setSecret("S\(number)", "value-\(number)") }
            let refused = acme.put("/api/secrets/ONE_MORE", ["value": "value-101"])
            #expect(refused.status == 422 && refused["error"]?["code"] == "too_many_secrets")
            #expect(acme.put("/api/secrets/S7", ["value": "changed"]).status == 204)
            #expect(try service.tenant().put("/api/secrets/MINE", ["value": "value-1"]).status == 204)
            #expect(acme.send("DELETE", "/api/secrets/S7").status == 204)
            #expect(acme.put("/api/secrets/ONE_MORE", ["value": "value-101"]).status == 204)
        }
    }

    @Test("I9, S9, S11: no secret and no key in any answer, journal, log, metric or file")
    func secretsAreNeverShown() throws {
        try withService { service in
            let secret = "canary \"quoted\"/+&=\u{E9}x"
            let acme = try service.tenant()
            acme.setSecret("CANARY", secret)
            acme.deploy(
                """
                name: leaky
                version: 1
                triggers:
                  - type: http
                  - type: webhook
                    when: trigger.body.mode != 'guard' or error('leak ' .. secrets.CANARY)
                steps:
                  echo:
                    request:
                      method: PATCH
                      url: \(service.suite.ordersURL)/orders/<< secrets.CANARY >>
                      query: {q: << secrets.CANARY >>}
                      headers: {X-Encoded: "<< base64.encode(secrets.CANARY) >>", Authorization: Bearer k}
                      body: {raw: "<< secrets.CANARY >>", coded: "<< base64.encode(secrets.CANARY) >>", mix: "a<< secrets.CANARY >>b"}
                  compute:
                    after: [echo]
                    lua: "return {secret = secrets.CANARY, map = {[secrets.CANARY] = 1}}"
                  fail_loudly:
                    after: [compute]
                    lua: error('leak ' .. secrets.CANARY .. ' ' .. steps.echo.response.body.raw)
                output: << steps.echo.response.body >>
                """)
            // Credentials of the request itself are not kept either.
            let started = service.hook(
                "leaky", of: acme.tenant, "{}",
                headers: [
                    HTTPHeader("Authorization", "Bearer \(acme.key)"), HTTPHeader("Cookie", "s=\(acme.key)"),
                    HTTPHeader("X-Some-Signature", acme.key),
                ])
            #expect(started.status == 202, "\(started.text)")
            #expect(acme.trigger("leaky").status == 202)
            let run = started["run_id"]?.text ?? ""
            let failed = acme.finished(run)
            #expect(failed["error"]?["step"] == "fail_loudly", "\(failed)")
            #expect(service.hook("leaky", of: acme.tenant, #"{"mode":"guard"}"#).status == 500)
            #expect(service.hook("leaky", of: acme.tenant, "{", type: "application/json").status == 400)

            let echoed = service.suite.orders.desk.log.last
            #expect(echoed?.status == 200, "the provider did get the secret")
            var shown: [(String, [UInt8])] = [
                "/api/runs", "/api/runs/\(run)", "/api/runs/\(run)/events", "/api/secrets",
                "/api/workflows/leaky",
                "/api/workflows", "/api/ledger", "/api/balance",
            ].map { ($0, acme.get($0).body) }
            shown.append(("/metrics", service.call("GET", "/metrics").body))
            shown.append(("/readyz", service.call("GET", "/readyz").body))
            shown.append(("the log", service.logged.all.flatMap(\.self)))
            for file in try FileManager.default.contentsOfDirectory(atPath: service.folder.path) {
                shown.append((file, [UInt8](try Data(contentsOf: service.folder.appending(path: file)))))
            }
            #expect(shown.count >= 12)
            let bytes = Array(secret.utf8)
            let needles: [(String, [UInt8])] = [
                ("raw", bytes), ("base64", Array(Data(bytes).base64EncodedString().utf8)),
                ("JSON", Array(JSON.text(.string(secret)).utf8.dropFirst().dropLast())),
                ("percent", Array(secret.utf8).flatMap { byte in Self.percent(byte) }),
                ("the tenant's key", Array(acme.key.utf8.suffix(64))),
                ("the operator's key", Array(service.owner.key.utf8.suffix(64))),
                ("the internal key", Array(service.internalKey.utf8.suffix(64))),
            ]
            for (place, content) in shown {
                for (form, needle) in needles {
                    #expect(Data(content).range(of: Data(needle)) == nil, "\(form) in \(place)")
                }
            }
        }
    }

    private static func percent(_ byte: UInt8) -> [UInt8] {
        let isUnreserved =
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            || [0x2D, 0x2E, 0x5F, 0x7E].contains(byte)
        return isUnreserved
            ? [byte]
            : Array("%\(String(byte >> 4, radix: 16))\(String(byte & 15, radix: 16))".uppercased().utf8)
    }

    @Test("Secrets: names, lengths and hosts are checked; only names and hosts are listed")
    func secretsAreChecked() throws {
        try withService { service in
            let acme = try service.tenant()
            #expect(
                acme.put("/api/secrets/GOOD_1", ["value": "123456", "hosts": ["api.stripe.com"]]).status
                    == 204)
            let listed = acme.get("/api/secrets").items
            #expect(listed.map { $0["name"]?.text } == ["GOOD_1"] && listed[0]["hosts"] == ["api.stripe.com"])
            #expect(Set(listed[0].object?.members.map(\.name) ?? []) == ["name", "hosts", "updated_at"])
            for name in [
                "lower", "1X", "_X", "A-B", "A%20B", "%C3%89", String(repeating: "A", count: 65), "A%00",
            ] {
                let answer = acme.put("/api/secrets/\(name)", ["value": "123456"])
                #expect([400, 422].contains(answer.status), "\(name): \(answer.status)")
            }
            let bodies: [(Value, String)] = [
                ([:], "member_missing"), (["value": "12345"], "secret_length"),
                (["value": 7], "member_missing"),
                (["value": .string(String(repeating: "x", count: 8_193))], "secret_length"),
                (["value": "123456", "hosts": "x"], "hosts_unfit"),
                (["value": "123456", "hosts": [7]], "hosts_unfit"),
                (["value": "123456", "hosts": ["https://x"]], "hosts_unfit"),
                (["value": "123456", "hosts": [""]], "hosts_unfit"),
                (["value": "123456", "hosts": ["*.stripe.com"]], "hosts_unfit"),
                (["value": "123456", "hosts": ["api.stripe.com:443"]], "hosts_unfit"),
                (["value": "123456", "hosts": [" api.stripe.com"]], "hosts_unfit"),
                (["value": "123456", "hosts": ["api.stripe.com", "b\u{FC}cher.example"]], "hosts_unfit"),
                (["value": "123456", "host": "x"], "unknown_member"),
            ]
            for (body, code) in bodies {
                let answer = acme.put("/api/secrets/GOOD", body)
                #expect(
                    answer.status == 422 && answer.code == code,
                    "\(JSON.text(body).prefix(60)): \(answer.text)")
            }
            #expect(
                acme.put("/api/secrets/MOST", ["value": .string(String(repeating: "x", count: 8_192))]).status
                    == 204)
            #expect(acme.delete("/api/secrets/GOOD_1").status == 204)
            #expect(acme.delete("/api/secrets/GOOD_1").code == "secret_not_found")
        }
    }
}
