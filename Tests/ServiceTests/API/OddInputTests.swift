import Ports
import Testing
import Values

@Suite("Odd input")
struct OddInputTests {
    @Test("what was paid without a purchase to compare it with credits nothing", arguments: [false, true])
    func paidNeedsAPurchase(isNamedNull: Bool) throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            var credit = Object()
            credit["tenant_id"] = .string(acme.tenant)
            credit["minutes"] = 5
            credit["reference"] = "mollie:tr_1:purchase"
            credit["paid"] = ["amount_minor": 1, "currency": "EUR"]
            if isNamedNull { credit["purchase_id"] = .null }
            let answer = service.callInternal("billing/credit", .object(credit), key: service.internalKey)
            #expect(answer.status == 422 && answer.code == "purchase_missing", "\(answer.text)")
            #expect(acme.balance == 0)
        }
    }

    @Test("below a tenant there is nothing but its keys")
    func belowATenant() throws {
        try withService { service in
            let path = "/api/tenants/\(try service.tenant().tenant)"
            #expect(service.owner.get("\(path)/secrets").status == 404)
            let answer = service.owner.get("\(path)/keys/key_0000000000001")
            #expect(answer.status == 405 && answer.headers["allow"] == "DELETE")
        }
    }

    @Test(
        "a day that a month does not have is refused", arguments: ["2026-02-30", "2025-02-29", "2026-04-31"])
    func daysThatAreNone(day: String) throws {
        try withService { service in
            #expect(service.owner.get("/api/runs?from=\(day)T00:00:00Z").code == "time_malformed")
            #expect(service.owner.get("/api/runs?from=2024-02-29").status == 200)
        }
    }
}
