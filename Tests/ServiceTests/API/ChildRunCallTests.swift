import Engine
import Ports
import Runtime
import StandIns
import Testing
import Values

@Suite("API: children and concurrency keys")
struct ChildRunCallTests {
    @Test("A run shows its parent and its children, and what it waits for and since when")
    func familyIsShown() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy("{name: child, version: 1, triggers: [{type: manual}], steps: [{wait: go}]}")
            acme.deploy(
                """
                {name: parent, version: 1, triggers: [{type: http}], output: << steps.c.output >>,
                 steps: {c: {call: child, input: {n: 1}}}}
                """)
            let parent = try #require(acme.trigger("parent")["run_id"]?.string)
            let child = try #require(acme.firstRun("child"), "no child")
            // The child is durable before its parent's entry that names it.
            try #require(eventually { acme.get("/api/runs/\(parent)")["children"] != [] })
            let shown = acme.get("/api/runs/\(child)")
            #expect(shown["trigger"] == "call" && shown["trigger_body"] == ["n": 1])
            #expect(shown["parent"] == ["run": .string(parent), "step": "c"] && shown["children"] == [])
            let waiting = acme.get("/api/runs/\(parent)")
            #expect(waiting["parent"] == .null)
            #expect(waiting["children"] == [["run": .string(child), "step": "c"]])
            let step = waiting["steps"]?[0]
            #expect(step?["state"] == "calling" && step?["run_id"] == .string(child))
            #expect(step?["waits_for"]?["kind"] == "run" && step?["waits_for"]?["run"] == .string(child))
            #expect(step?["waits_for"]?["since"]?.string != nil)
            let foreign = try service.tenant("Other")
            #expect(foreign.get("/api/runs/\(child)").status == 404)
            #expect(acme.post("/api/runs/\(child)/signals/go").status == 202)
            #expect(acme.finished(parent)["status"] == "succeeded")
            #expect(acme.get("/api/runs/\(parent)")["children"]?.array?.count == 1)
        }
    }

    @Test("A queued run is answered 202, shown and listed as queued, and can be cancelled")
    func queueIsShown() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                {name: one, version: 1, triggers: [{type: http}], steps: [{wait: go}],
                 concurrency: {key: << trigger.body.account >>}}
                """)
            let runs = try (0..<3).map { _ in
                let answer = acme.trigger("one", ["account": "a"])
                #expect(answer.status == 202 && answer["skipped"] == nil)
                return try #require(answer["run_id"]?.string)
            }
            let queued = acme.get("/api/runs/\(runs[1])")
            #expect(queued["status"] == "queued" && queued["concurrency_key"] == "a")
            #expect(queued["steps"]?[0]?["waits_for"]?["kind"] == "limit")
            #expect(acme.get("/api/runs/\(runs[0])")["status"] == "running")
            func listed(_ query: String) -> [String] {
                acme.get("/api/runs?\(query)").items.map { $0["run_id"]?.text ?? "" }
            }
            #expect(listed("status=queued") == [runs[2], runs[1]])
            #expect(listed("status=queued&limit=1") == [runs[2]])
            #expect(listed("status=queued&limit=1&cursor=\(runs[2])") == [runs[1]])
            #expect(listed("status=queued&workflow=two").isEmpty)
            #expect(try service.tenant("Other").get("/api/runs?status=queued").items.isEmpty)
            #expect(acme.get("/api/runs").items.map { $0["status"] } == ["queued", "queued", "running"])
            #expect(acme.post("/api/runs/\(runs[1])/cancel").status == 202)
            #expect(acme.finished(runs[1])["status"] == "cancelled")
            #expect(acme.post("/api/runs/\(runs[0])/signals/go").status == 202)
            #expect(acme.finished(runs[0])["status"] == "succeeded")
            #expect(acme.post("/api/runs/\(runs[2])/signals/go").status == 202)
            #expect(acme.finished(runs[2])["status"] == "succeeded")
            #expect(listed("status=queued").isEmpty)
        }
    }

    @Test("A skipped start is answered 202 with the run that goes; a key that is none is a fault")
    func skipIsTold() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                {name: one, version: 1, triggers: [{type: http}, {type: webhook, reply: result}],
                 steps: [{wait: go}], concurrency: {key: << trigger.body.account >>, on_limit: skip}}
                """)
            let first = try #require(acme.trigger("one", ["account": "a"])["run_id"]?.string)
            let second = acme.trigger("one", ["account": "a"])
            #expect(second.status == 202 && second["run_id"] == .string(first) && second["skipped"] == true)
            let held = service.hook("one", of: acme.tenant, #"{"account": "a"}"#)
            #expect(held.status == 202 && held["skipped"] == true, "nobody is held for a run that is not his")
            #expect(acme.runs("one").count == 1)
            #expect(acme.trigger("one", ["account": ["a"]]).status == 500)
            #expect(acme.runs("one").count == 1)
        }
    }

    @Test("Forty parents whose children share one key all get their own child's output")
    func childrenInAQueue() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                {name: child, version: 1, triggers: [{type: manual}], output: << trigger.body.n >>,
                 concurrency: {key: all}, steps: [{request: {method: POST, url: "\(service.suite.ordersURL)/effects"}}]}
                """)
            acme.deploy(
                """
                {name: parent, version: 1, triggers: [{type: http}], output: << steps.c.output >>,
                 steps: {c: {call: child, input: {n: << trigger.body.n >>}}}}
                """)
            let parents = try (0..<40).map { number in
                try #require(acme.trigger("parent", ["n": .int(Int64(number))])["run_id"]?.string)
            }
            for (number, parent) in parents.enumerated() {
                #expect(acme.finished(parent)["output"] == .int(Int64(number)))
            }
            let children = acme.get("/api/runs?workflow=child&limit=200").items
            #expect(children.count == 40 && children.allSatisfy { $0["status"] == "succeeded" })
            #expect(Set(children.compactMap { $0["run_id"]?.string }).count == 40)
        }
    }
}

extension Client {
    /// The first run of a workflow, as soon as there is one.
    fileprivate func firstRun(_ workflow: String) -> String? {
        var run: String?
        _ = eventually {
            run = get("/api/runs?workflow=\(workflow)").items.last?["run_id"]?.string
            return run != nil
        }
        return run
    }
}
