import Foundation
import Testing
import Values

@Suite("API: versions of workflows")
struct WorkflowVersionTests {
    @Test("versions are listed page by page, shown with their source, and kept after a deletion")
    func versionsAreListed() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("B"))
            for version in 1...3 { acme.deploy(WorkflowCallTests.source(version: version)) }
            let page = acme.get("/api/workflows/plain/versions?limit=2")
            #expect(
                page.items.map { $0["number"] } == [3, 2]
                    && page.items.map { $0["is_live"] } == [true, false])
            let rest = acme.get("/api/workflows/plain/versions?limit=2&cursor=\(page["next"]?.text ?? "")")
            #expect(rest.items.map { $0["number"] } == [1] && rest["next"] == .null)
            let first = acme.get("/api/workflows/plain/versions/1")
            #expect(first["source"]?.text == WorkflowCallTests.source(version: 1))
            #expect(first["digest"] == rest.items.first?["digest"])
            #expect(acme.get("/api/workflows/plain/versions/4").code == "version_not_found")
            #expect(acme.get("/api/workflows/plain/versions/x").status == 404)
            #expect(acme.get("/api/workflows/none/versions").code == "workflow_not_found")
            #expect(acme.get("/api/workflows/plain/versions?limit=0").code == "limit_out_of_range")
            #expect(acme.get("/api/workflows/plain/versions?number=1").code == "unknown_query")
            #expect(acme.send("POST", "/api/workflows/plain/versions").status == 405)
            // Nothing of it is another tenant's (I10).
            #expect(other.get("/api/workflows/plain/versions").code == "workflow_not_found")
            #expect(other.get("/api/workflows/plain/versions/1").code == "workflow_not_found")
            #expect(other.post("/api/workflows/plain/rollback", ["to": 1]).code == "workflow_not_found")

            #expect(acme.delete("/api/workflows/plain").status == 204)
            let kept = acme.get("/api/workflows/plain/versions").items
            #expect(kept.count == 3 && kept.allSatisfy { $0["is_live"] == false })
        }
    }

    @Test("a rollback puts an earlier source back under the next number, also after a deletion")
    func rollbackBringsBack() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(WorkflowCallTests.source(version: 1))
            acme.deploy(WorkflowCallTests.source(version: 2))
            let back = acme.post("/api/workflows/plain/rollback", ["to": 1])
            #expect(back.status == 201 && back["number"] == 3)
            #expect(acme.get("/api/workflows/plain")["source"]?.text == WorkflowCallTests.source(version: 1))
            #expect(acme.post("/api/workflows/plain/rollback", ["to": 3]).status == 200, "it is in service")
            for body: Value in [[:], ["to": 0], ["to": "1"], ["to": 1, "more": 2]] {
                #expect(acme.post("/api/workflows/plain/rollback", body).status == 422, "\(body)")
            }
            #expect(acme.post("/api/workflows/plain/rollback", ["to": 9]).code == "version_not_found")
            #expect(acme.delete("/api/workflows/plain").status == 204)
            #expect(acme.post("/api/workflows/plain/rollback", ["to": 2])["number"] == 4)
            #expect(try acme.run("plain", ["n": 1])["status"] == "succeeded")
        }
    }

    @Test("a change is refused if another version is in service than the caller has seen")
    func digestsAreCompared() throws {
        try withService { service in
            let acme = try service.tenant()
            func deploy(_ version: Int, _ digest: String) -> Reply {
                acme.send(
                    "PUT", "/api/workflows/plain?if_digest=\(digest)",
                    text: WorkflowCallTests.source(version: version))
            }
            let absent = String(repeating: "0", count: 64)
            let missing = deploy(1, absent)
            #expect(missing.status == 409 && missing.code == "digest_differs")
            #expect(missing["error"]?["details"] == ["number": .null, "digest": .null])
            let first = deploy(1, "none")
            #expect(first.status == 201)
            let digest = first["digest"]?.text ?? ""
            #expect(deploy(2, "none").code == "digest_differs")
            #expect(deploy(2, digest.uppercased()).status == 201)
            let late = deploy(3, digest)
            #expect(late.status == 409 && late["error"]?["details"]?["number"] == 2)
            #expect(acme.post("/api/workflows/plain/rollback?if_digest=\(digest)", ["to": 1]).status == 409)
            #expect(acme.delete("/api/workflows/plain?if_digest=\(digest)").status == 409)
            #expect(acme.get("/api/workflows/plain")["number"] == 2)
            // An empty variable of a script protects nothing, so it is refused.
            for bad in ["", "1", digest + "0", "latest"] {
                #expect(deploy(3, bad).code == "digest_malformed", "\(bad)")
            }
            #expect(acme.get("/api/workflows/plain?if_digest=none").code == "unknown_query")
            let live = late["error"]?["details"]?["digest"]?.text ?? ""
            #expect(acme.delete("/api/workflows/plain?if_digest=\(live)").status == 204)
        }
    }

    @Test("of two that deploy over the same version at once, one is refused")
    func racingDeploysAreSeen() throws {
        try withService { service in
            let acme = try service.tenant()
            let digest = acme.deploy(WorkflowCallTests.source(version: 1))["digest"]?.text ?? ""
            let statuses = Gathered<Int>()
            DispatchQueue.concurrentPerform(iterations: 8) { index in
                let text = WorkflowCallTests.source(version: 2 + index)
                statuses.add(
                    acme.send("PUT", "/api/workflows/plain?if_digest=\(digest)", text: text).status)
            }
            #expect(statuses.wait(for: 8).sorted() == [201] + Array(repeating: 409, count: 7))
            #expect(acme.get("/api/workflows/plain")["number"] == 2)
        }
    }

    @Test("a deployment says where its webhook is, and a misspelt name which was meant")
    func addressesAndNamesAreTold() throws {
        try withService { service in
            let acme = try service.tenant()
            let hooked = acme.deploy(WorkflowCallTests.source("hooked", type: "webhook"))
            let path = "/hooks/\(acme.tenant)/hooked"
            #expect(hooked["hook_path"]?.text == path && hooked["hook_url"]?.text == service.url + path)
            #expect(acme.get("/api/workflows/hooked")["hook_url"]?.text == service.url + path)
            #expect(acme.deploy(WorkflowCallTests.source())["hook_url"] == .null)
            for reply in [
                acme.get("/api/workflows/hoked"), acme.trigger("hoked"), acme.delete("/api/workflows/hoked"),
            ] {
                #expect(reply.status == 404 && reply.text.contains("did you mean `hooked`?"), "\(reply.text)")
            }
            let other = try service.tenant("B")
            #expect(!other.trigger("hoked").text.contains("hooked"), "names are a tenant's own (I10)")
        }
    }

    @Test("secrets and keys are listed page by page, as every list")
    func shortListsHavePages() throws {
        try withService { service in
            let acme = try service.tenant()
            for name in ["A_KEY", "B_KEY", "C_KEY"] { acme.setSecret(name, "value-\(name)") }
            let page = acme.get("/api/secrets?limit=2")
            #expect(
                page.items.map { $0["name"]?.text } == ["A_KEY", "B_KEY"] && page["next"]?.text == "B_KEY")
            #expect(acme.get("/api/secrets?limit=2&cursor=B_KEY").items.map { $0["name"]?.text } == ["C_KEY"])
            #expect(acme.get("/api/secrets?limit=x").code == "limit_out_of_range")
            let keys = "/api/tenants/\(acme.tenant)/keys"
            for _ in 1...2 { #expect(service.owner.post(keys).status == 201) }
            var seen: [String] = []
            var next: String? = ""
            while let cursor = next {
                let page = service.owner.get("\(keys)?limit=1" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"))
                seen += page.items.compactMap { $0["key_id"]?.string }
                next = page["next"]?.string
            }
            #expect(seen.count == 3 && Set(seen).count == 3)
            #expect(service.owner.get("\(keys)?cursor=x").code == "cursor_malformed")
        }
    }
}
