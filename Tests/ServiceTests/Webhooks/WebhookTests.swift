import Ports
import StandIns
import Testing
import Values

/// The public addresses at which anyone may knock.
@Suite("Webhooks")
struct WebhookTests {
    private func deployHook(_ client: Client, _ trigger: String, name: String = "hooked") {
        let deployed = client.deploy(
            """
            name: \(name)
            version: 1
            triggers:
              - type: webhook
            \(trigger)
            steps:
              one: {lua: "return trigger.body"}
            """)
        #expect(deployed.status == 201, "\(deployed.text)")
    }

    @Test("W6, I5: when 202 arrives, the run can be read")
    func acceptedMeansDurable() throws {
        try withService { service in
            let acme = try service.tenant()
            deployHook(acme, "    when: trigger.body.ok == true")
            for _ in 1...20 {
                let answer = service.hook("hooked", of: acme.tenant, #"{"ok": true}"#)
                #expect(answer.status == 202)
                #expect(acme.get("/api/runs/\(answer["run_id"]?.text ?? "")").status == 200)
            }
        }
    }

    @Test("A guard that says no is 401 and counted, one that raises or gives no truth value is 500 and shown")
    func guardsRefuse() throws {
        try withService { service in
            let acme = try service.tenant()
            let cases: [(String, Int)] = [
                ("false", 401), ("null", 401), ("trigger.body.missing.deep", 401),
                ("trigger.body.ok == 1", 401),
                ("'false'", 500), ("0", 500), ("''", 500), ("list{}", 500), ("trigger.body", 500),
                ("error('no')", 500), ("nil + 1", 500), ("secrets.MISSING_ONE == 'x'", 500),
                ("trigger.body.ok == true", 202), ("'a' == 'a'", 202),
            ]
            for (index, (expression, status)) in cases.enumerated() {
                deployHook(acme, "    when: \"\(expression)\"", name: "hook-\(index)")
                let answer = service.hook("hook-\(index)", of: acme.tenant, #"{"ok": true}"#)
                #expect(answer.status == status, "\(expression): \(answer.status) \(answer.text)")
                let refusals = acme.get("/api/workflows/hook-\(index)")["refusals"]?.array ?? []
                let reason = status == 401 ? "guard_false" : "guard_error"
                #expect(
                    refusals.map { $0["reason"]?.text } == (status == 202 ? [] : [reason]), "\(expression)")
            }
            #expect(acme.runs().count == 2)
        }
    }

    @Test("W9: one and the same 404 for every unknown tenant, workflow, and address")
    func unknownAddressesLookAlike() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                "{\"name\":\"by-key\",\"version\":1,\"triggers\":[{\"type\":\"http\"}],\"steps\":{\"a\":{\"lua\":\"return 1\"}}}"
            )
            deployHook(acme, "    when: true")
            let addresses = [
                (acme.tenant, "unknown"), (acme.tenant, "by-key"), ("ten_0000000000009", "hooked"),
                ("ten_x", "hooked"),
                ("..", "hooked"), ("operator", "hooked"), (acme.tenant.uppercased(), "hooked"),
                (acme.tenant, "HOOKED"), (acme.tenant, "hooked%00"), (acme.tenant, "hooked/"),
                (acme.tenant, "%2e%2e"),
                ("%3C%3C", "hooked"),
            ]
            let answers = addresses.map { service.hook($0.1, of: $0.0, "{}") }
            for (address, answer) in zip(addresses, answers) {
                // A NUL in a path is refused by the listener before it gets anywhere.
                if address.1.contains("%00"), answer.status == 400 { continue }
                #expect(answer.status == 404, "\(address)")
                #expect(answer.body == answers[0].body, "\(address)")
                #expect(answer.headers.map(\.name) == answers[0].headers.map(\.name))
            }
            #expect(service.hook("hooked", of: acme.tenant, "{}").status == 202)
            #expect(service.call("GET", "/hooks/\(acme.tenant)/hooked").status == 405)
            #expect(service.call("GET", "/hooks/\(acme.tenant)/unknown").status == 405)
        }
    }

    @Test("W2: the first delivery under a dedupe key starts the run, every other is answered with it")
    func dedupeKeys() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("B"))
            for client in [acme, other] {
                deployHook(client, "    when: true\n    dedupe: << trigger.body.id >>")
            }
            let first = service.hook("hooked", of: acme.tenant, #"{"id": "e1"}"#)
            let second = service.hook("hooked", of: acme.tenant, #"{"id": "e1", "again": true}"#)
            #expect(second["run_id"] == first["run_id"] && second["duplicate"] == true)
            #expect(service.hook("hooked", of: other.tenant, #"{"id": "e1"}"#)["duplicate"] == false)
            #expect(service.hook("hooked", of: acme.tenant, #"{"id": "e2"}"#)["duplicate"] == false)
            // Without a key each delivery is a run of its own; a key that is no text or number is an error.
            #expect(service.hook("hooked", of: acme.tenant, "{}")["duplicate"] == false)
            #expect(service.hook("hooked", of: acme.tenant, "{}")["duplicate"] == false)
            #expect(service.hook("hooked", of: acme.tenant, #"{"id": {"a": 1}}"#).status == 500)
            let long = String(repeating: "x", count: 600)
            #expect(service.hook("hooked", of: acme.tenant, #"{"id": "\#(long)"}"#).status == 500)
            // One character in two encodings is two keys, as for the store.
            #expect(service.hook("hooked", of: acme.tenant, "{\"id\": \"\u{E9}\"}")["duplicate"] == false)
            #expect(service.hook("hooked", of: acme.tenant, "{\"id\": \"e\u{301}\"}")["duplicate"] == false)
        }
    }

    @Test("a key with a part that is missing is refused, and two ids of twenty digits are two keys")
    func dedupeParts() throws {
        try withService { service in
            let acme = try service.tenant()
            deployHook(
                acme, "    when: true\n    dedupe: order-<< trigger.body.id >>-<< trigger.body.kind >>")
            for body in [#"{"kind": "paid"}"#, #"{"id": null, "kind": "paid"}"#, #"{"id": "", "kind": "a"}"#]
            {
                let answer = service.hook("hooked", of: acme.tenant, body)
                #expect(
                    answer.status == 422 && answer.code == "dedupe_key_missing", "\(body): \(answer.text)")
                #expect(answer.text.contains("expression 1"))
            }
            let first = service.hook("hooked", of: acme.tenant, #"{"id": 18446744073709551615, "kind": "a"}"#)
            let other = service.hook("hooked", of: acme.tenant, #"{"id": 18446744073709551614, "kind": "a"}"#)
            #expect(first["duplicate"] == false && other["duplicate"] == false)
            let again = service.hook("hooked", of: acme.tenant, #"{"id": 18446744073709551615, "kind": "a"}"#)
            #expect(again["duplicate"] == true && again["run_id"] == first["run_id"])
        }
    }

    /// A key, with bodies that have none of it and two that have different ones.
    static let composedKeys: [(key: String, without: [String], with: [String])] = [
        ("<< tostring(trigger.body.id) >>", ["{}", #"{"id": null}"#], [#"{"id": 1}"#, #"{"id": 2}"#]),
        ("e-<< trigger.body.id or '' >>", ["{}", #"{"id": ""}"#], [#"{"id": 1}"#, #"{"id": 2}"#]),
        ("e-<< trigger.body.id or 'none' >>", ["{}"], [#"{"id": 1}"#, #"{"id": 2}"#]),
        ("<< string.format('%s', trigger.body.id) >>", ["{}"], [#"{"id": 1}"#, #"{"id": 2}"#]),
        ("<< json.encode({id = trigger.body.id}) >>", ["{}"], [#"{"id": 1}"#, #"{"id": 2}"#]),
        ("<< crypto.sha256(trigger.body.id or '') >>", ["{}"], [#"{"id": "1"}"#, #"{"id": "2"}"#]),
        ("<< table.concat({tostring(trigger.body.id)}) >>", ["{}"], [#"{"id": 1}"#, #"{"id": 2}"#]),
        (
            "<< trigger.body.type .. '-' .. tostring(trigger.body.id) >>",
            ["{}", #"{"type": "paid"}"#, #"{"id": 1}"#],
            [#"{"id": 1, "type": "paid"}"#, #"{"id": 2, "type": "paid"}"#]
        ),
        (
            "<< 'e-' .. (trigger.body.id or trigger.body.number or '') >>", ["{}", #"{"number": ""}"#],
            [#"{"id": 1}"#, #"{"number": 2}"#]
        ),
        (
            "<< (function() local b = trigger.body return 'e' .. tostring(b.id) end)() >>", ["{}"],
            [#"{"id": 1}"#, #"{"id": 2}"#]
        ),
        ("<< tostring(#(trigger.body.items or {})) .. (trigger.body.id or '') >>", ["{}"], [#"{"id": "1"}"#]),
        ("<< 'h' .. tostring(trigger.headers['x-event']) >>", ["{}"], []),
    ]

    @Test("a key that is composed of members that are missing is no key", arguments: composedKeys)
    func composedKey(_ key: (key: String, without: [String], with: [String])) throws {
        try withService { service in
            let acme = try service.tenant()
            deployHook(acme, "    when: true\n    dedupe: \"\(key.key)\"")
            for body in key.without {
                let answer = service.hook("hooked", of: acme.tenant, body)
                #expect(
                    answer.status == 422 && answer.code == "dedupe_key_missing", "\(body): \(answer.text)")
                #expect(answer.text.contains("trigger.") || answer.text.contains("expression 1"))
            }
            for body in key.with {
                let first = service.hook("hooked", of: acme.tenant, body)
                #expect(first["duplicate"] == false, "\(body): \(first.text)")
                #expect(service.hook("hooked", of: acme.tenant, body)["run_id"] == first["run_id"])
            }
            let refusals = acme.get("/api/workflows/hooked")["refusals"]?.array ?? []
            #expect(refusals.map { $0["reason"]?.string } == ["dedupe_key"])
        }
    }

    @Test("a concurrency key with a missing part is refused with 422, and its owner sees it")
    func concurrencyKeyPart() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: queued
                version: 1
                triggers: [{type: webhook, when: true}]
                concurrency: {key: "c-<< trigger.body.customer >>"}
                steps:
                  a: {sleep: 60s}
                """)
            let answer = service.hook("queued", of: acme.tenant, "{}")
            #expect(answer.status == 422 && answer.code == "concurrency_key_missing", "\(answer.text)")
            #expect(service.hook("queued", of: acme.tenant, #"{"customer": 7}"#).status == 202)
            let refusals = acme.get("/api/workflows/queued")["refusals"]?.array ?? []
            #expect(refusals.map { $0["reason"]?.string } == ["concurrency_key"])
        }
    }

    @Test("W10: the body is judged after the guard: not JSON 400, unfit 422, too large 413")
    func bodiesAreJudged() throws {
        try withService { service in
            let acme = try service.tenant()
            deployHook(
                acme,
                """
                    when: trigger.headers['x-let'] == 'in'
                    schema: {type: object, required: [n], properties: {n: {type: integer, minimum: 1}}}
                """)
            func post(_ body: String, isLetIn: Bool = true, type: String = "application/json") -> Reply {
                service.hook(
                    "hooked", of: acme.tenant, body, type: type,
                    headers: isLetIn ? [HTTPHeader("X-Let", "in")] : [])
            }
            for body in ["{", "{\"n\":1,}", "{\"n\":1,\"n\":2}", "nul", "{\"n\":1} x"] {
                #expect(post(body, isLetIn: false).status == 401, "\(body)")
                let answer = post(body)
                #expect(answer.status == 400 && answer.code == "malformed_body", "\(body): \(answer.text)")
            }
            for body in ["{}", "[]", "7", "{\"n\":0}", "{\"n\":\"1\"}", "{\"n\":1.5}"] {
                #expect(post(body, isLetIn: false).status == 401)
                let answer = post(body)
                #expect(answer.status == 422 && answer.code == "body_unfit", "\(body): \(answer.text)")
            }
            #expect(post("{\"n\":1}").status == 202)
            let large = "{\"n\":1,\"x\":\"" + String(repeating: "x", count: 1 << 20) + "\"}"
            #expect(post(large).status == 413)
            #expect(acme.runs().count == 1)
        }
    }

    @Test("L1: 500 events, each five times in parallel: 500 runs, 500 credits, and the ledger agrees")
    func stormCreditsEachOnce() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let events = try (0..<500).map { number in
                let purchase = try service.addPurchase(minutes: 1, amount: 10, for: acme)
                return StripeEvent(
                    id: "evt_\(number)", purchase: purchase, tenant: acme.tenant, minutes: 1, amount: 10,
                    payment: "pi_\(number)")
            }
            let answers = Gathered<Reply>()
            for event in (events + events + events + events + events).shuffled() {
                service.begin(
                    "POST", "/hooks/operator/payment-webhook", body: event.body,
                    headers: event.headers(service)
                ) { answers.add($0) }
            }
            let all = answers.wait(for: 2_500)
            #expect(all.count { $0.status == 202 } == 2_500)
            #expect(all.count { $0["duplicate"] == false } == 500)
            #expect(service.settle(atMost: .seconds(30)))
            #expect(Set(all.compactMap { $0["run_id"]?.text }).count == 500)
            #expect(acme.balance == 500 * 60_000)
            let verified = service.owner.get("/api/ledger/verification")
            #expect(verified["findings"] == [] && verified["entries"] == 500)
            #expect(verified["credited_ms"] == .int(500 * 60_000))
        }
    }
}
