import Ports
import Testing
import Values

/// The internal API by which workflows credit a tenant.
@Suite("Credits")
struct CreditTests {
    private func body(
        _ tenant: String, _ reference: String, minutes: Int64 = 1, _ more: (inout Object) -> Void = { _ in }
    ) -> Value {
        var object = Object()
        object["tenant_id"] = .string(tenant)
        object["minutes"] = .int(minutes)
        object["reference"] = .string(reference)
        more(&object)
        return .object(object)
    }

    @Test("L1, L4: one reference sent 20 times at once under 20 keys is one credit and 19 replays")
    func sameReferenceAtOnceCreditsOnce() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            let answers = Gathered<Reply>()
            for number in 1...20 {
                service.begin(
                    "POST", "/api/internal/billing/credit", key: service.internalKey,
                    body: JSON.bytes(body(acme.tenant, "stripe:pi_1")),
                    headers: [.init("Idempotency-Key", "key-\(number)")], isInternal: true
                ) { answers.add($0) }
            }
            let all = answers.wait(for: 20)
            #expect(all.count { $0.status == 201 && $0["replayed"] == false } == 1)
            #expect(all.count { $0.status == 200 && $0["replayed"] == true } == 19)
            #expect(Set(all.map { $0["sequence"]?.int }) == [1])
            #expect(acme.balance == 60_000)
            service.expectSoundLedgers()
        }
    }

    @Test("L4: 200 credits of four tenants at once add up")
    func concurrentCreditsAddUp() throws {
        try withService { service in
            let tenants = try (1...4).map { try service.tenant("T\($0)", milliseconds: 0) }
            let answers = Gathered<Reply>()
            for number in 0..<200 {
                service.begin(
                    "POST", "/api/internal/billing/credit", key: service.internalKey,
                    body: JSON.bytes(body(tenants[number % 4].tenant, "r\(number)")), isInternal: true
                ) { answers.add($0) }
            }
            #expect(answers.wait(for: 200).allSatisfy { $0.status == 201 })
            #expect(tenants.map(\.balance) == [3_000_000, 3_000_000, 3_000_000, 3_000_000])
            service.expectSoundLedgers()
        }
    }

    @Test("L2: a key with the same body gets the same answer; any other member changes it to 409")
    func keysAreBoundToBodies() throws {
        try withService { service in
            let (acme, other) = (
                try service.tenant(milliseconds: 0), try service.tenant("B", milliseconds: 0)
            )
            let first = body(acme.tenant, "ref:1")
            #expect(service.callInternal("billing/credit", first, idempotencyKey: "k").status == 201)
            let again = service.callInternal("billing/credit", first, idempotencyKey: "k")
            #expect(again.status == 200 && again["replayed"] == true)
            let changed = [
                body(other.tenant, "ref:1"), body(acme.tenant, "ref:2"),
                body(acme.tenant, "ref:1", minutes: 2),
                body(acme.tenant, "ref:1") {
                    $0["purchase_id"] = "pur_0000000000001"
                    $0["paid"] = ["amount_minor": 1, "currency": "EUR"]
                },
                body(acme.tenant, "ref:1") { $0["purchase_id"] = "pur_0000000000001" },
            ]
            for body in changed {
                let answer = service.callInternal("billing/credit", body, idempotencyKey: "k")
                #expect(answer.status == 409 && answer.code == "idempotency_key_reused", "\(answer.text)")
            }
            #expect(acme.balance == 60_000 && other.balance == 0)
        }
    }

    @Test(
        "I8: a reference that has credited another tenant or amount is a conflict, also after a restart of keys"
    )
    func referencesAreBoundToCredits() throws {
        try withService { service in
            let (acme, other) = (
                try service.tenant(milliseconds: 0), try service.tenant("B", milliseconds: 0)
            )
            #expect(service.callInternal("billing/credit", body(acme.tenant, "ref:1")).status == 201)
            for body in [body(other.tenant, "ref:1"), body(acme.tenant, "ref:1", minutes: 2)] {
                let answer = service.callInternal("billing/credit", body)
                #expect(answer.status == 409 && answer.code == "reference_conflict")
            }
            #expect(acme.balance == 60_000 && other.balance == 0)
        }
    }

    @Test(
        "L5: amounts that are no whole numbers above 0, or more than a ledger holds, change nothing",
        arguments: [
            "0", "-1", "-0", "9007199254740992", "9223372036854775807", "9223372036854775808", "1e3", "1.0",
            "1.5",
            "1e400", "NaN", "Infinity", "\"5\"", "null", "true", "[1]", "{}", "-9223372036854775808", "01",
            "+1", "",
        ])
    func amountsOutOfRange(text: String) throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            for name in ["minutes", "ms"] {
                let source = #"{"tenant_id":"\#(acme.tenant)","reference":"r","\#(name)":\#(text)}"#
                let answer = service.call(
                    "POST", "/api/internal/billing/credit", key: service.internalKey,
                    body: Array(source.utf8),
                    isInternal: true)
                #expect([400, 422].contains(answer.status), "\(source): \(answer.status) \(answer.text)")
                #expect(answer.code != nil)
            }
            let bought = acme.send("POST", "/api/billing/purchases", text: #"{"minutes":\#(text)}"#)
            #expect([400, 422].contains(bought.status), "\(text): \(bought.status) \(bought.text)")
            #expect(acme.ledger.isEmpty)
        }
    }

    @Test("L5: a ledger holds 2^53 − 1 ms and not one more; the refusal stays with its key (L8)")
    func balanceHasABound() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            let most: Int64 = 9_007_199_254_740_991
            func ms(_ amount: Int64, _ reference: String) -> Value {
                ["tenant_id": .string(acme.tenant), "ms": .int(amount), "reference": .string(reference)]
            }
            #expect(service.callInternal("billing/credit", ms(most, "all")).status == 201)
            for _ in 1...2 {
                let answer = service.callInternal("billing/credit", ms(1, "more"), idempotencyKey: "k")
                #expect(answer.status == 422 && answer.code == "amount_out_of_range")
            }
            #expect(acme.balance == most)
            service.expectSoundLedgers()
        }
    }

    @Test("A customer is linked to a tenant that exists, once or anew, under a fit id")
    func customersAreLinked() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            func set(_ tenant: String, _ customer: Value) -> Reply {
                service.callInternal(
                    "tenant/set-external-customer",
                    ["tenant_id": .string(tenant), "external_customer_id": customer])
            }
            for customer in ["cus_1", "cst_2"] {
                #expect(set(acme.tenant, .string(customer)).status == 204)
                let tenants = service.owner.get("/api/tenants").items
                let known = tenants.first { $0["tenant_id"]?.text == acme.tenant }
                #expect(known?["external_customer_id"]?.text == customer)
            }
            #expect(set("ten_0000000000009", "cus_1").code == "tenant_not_found")
            #expect(set("operator", "cus_1").code == "tenant_not_found")
            for unfit in [7, "", "a\r\nb", .string(String(repeating: "x", count: 201))] as [Value] {
                #expect(set(acme.tenant, unfit).code == "member_unfit")
            }
            #expect(set(acme.tenant, nil).code == "member_missing")
        }
    }

    @Test("Y3, Y7: unknown, missing, doubled and unfit members are refused with their names")
    func unfitBodiesAreRefused() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            let cases: [(String, Int, String)] = [
                (#"{"minutes":1,"reference":"r"}"#, 422, "member_missing"),
                (#"{"tenant_id":"T","minutes":1}"#, 422, "member_missing"),
                (#"{"tenant_id":"T","minutes":1,"ms":1,"reference":"r"}"#, 422, "amount_missing"),
                (#"{"tenant_id":"T","reference":"r"}"#, 422, "amount_missing"),
                (#"{"tenant_id":"T","minutes":1,"reference":"r","extra":1}"#, 422, "unknown_member"),
                (#"{"tenant_id":"T","minutes":1,"minutes":2,"reference":"r"}"#, 400, "malformed_body"),
                (#"{"tenant_id":"T","minutes":1,"reference":"r",}"#, 400, "malformed_body"),
                (#"{"tenant_id":"T","minutes":1,"reference":""}"#, 422, "member_unfit"),
                (#"{"tenant_id":"T","minutes":1,"reference":"a\nb"}"#, 422, "member_unfit"),
                (#"{"tenant_id":"T","minutes":1,"reference":7}"#, 422, "member_unfit"),
                (#"{"tenant_id":"ten_0000000000000","minutes":1,"reference":"r"}"#, 404, "tenant_not_found"),
                (#"{"tenant_id":"nobody","minutes":1,"reference":"r"}"#, 404, "tenant_not_found"),
                (
                    #"{"tenant_id":"T","minutes":1,"reference":"r","purchase_id":"pur_1"}"#, 404,
                    "purchase_not_found"
                ),
                (#"{"tenant_id":"T","minutes":1,"reference":"r","paid":7}"#, 422, "paid_unfit"),
                (
                    #"{"tenant_id":"T","minutes":1,"reference":"r","paid":{"amount_minor":"1","currency":"EUR"}}"#,
                    422, "paid_unfit"
                ),
                (
                    #"{"tenant_id":"T","minutes":1,"reference":"r","paid":{"amount_minor":1,"currency":"EUR","x":1}}"#,
                    422, "paid_unfit"
                ),
                ("[]", 400, "malformed_body"), ("", 422, "member_missing"), ("{", 400, "malformed_body"),
            ]
            for (source, status, code) in cases {
                let text = source.replacing(#""T""#, with: "\"\(acme.tenant)\"")
                let answer = service.call(
                    "POST", "/api/internal/billing/credit", key: service.internalKey, body: Array(text.utf8),
                    isInternal: true)
                #expect(answer.status == status && answer.code == code, "\(source): \(answer.text)")
            }
            #expect(acme.ledger.isEmpty)
        }
    }
}
