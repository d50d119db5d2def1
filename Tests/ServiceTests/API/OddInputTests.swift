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

    @Test("a query that an address does not know, or that says something twice, is refused and not ignored")
    func unknownQueries() throws {
        try withService { service in
            func code(_ path: String) -> String? {
                let answer = service.owner.get("/api/\(path)")
                return answer.status == 400 ? answer.code : "\(answer.status)"
            }
            for path in [
                "runs?stauts=failed", "ledger?status=failed", "workflows?from=2024-02-29", "balance?a=b",
            ] {
                #expect(code(path) == "unknown_query", "\(path)")
            }
            #expect(code("runs?status=failed&status=running") == "repeated_query")
            #expect(service.owner.get("/api/runs?stauts=x").text.contains("cursor, from, limit, status, to"))
            for path in [
                "runs?status=failed&limit=3&workflow=", "runs?", "ledger?limit=2", "tenants?cursor=",
            ] {
                #expect(code(path) == "200", "\(path)")
            }
        }
    }

    @Test("the query of a trigger is the workflow's to read")
    func queriesOfTriggers() throws {
        try withService { service in
            let acme = try service.tenant()
            #expect(
                acme.send("POST", "/api/workflows/none/trigger?any=1&any=2", text: "{}").code
                    == "workflow_not_found")
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
