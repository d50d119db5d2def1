import Assembly
import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import Testing
import Values

@Suite("Runs that cannot be read")
struct UnreadableRunTests {
    /// An entry as only another version would write it, behind all that the journal holds.
    private static func spoil(_ run: RunID, of tenant: TenantID, in store: any Store) throws {
        let strange = StoredEntry(
            key: "strange", sequence: (try store.entries(of: run).last?.sequence ?? 0) + 1,
            kind: "step.unheard_of", at: Instant(milliseconds: 1_767_225_600_000), facts: Array("{}".utf8))
        let stored = Promise<Bool>()
        store.commit(
            RunCommit(run: run, tenant: tenant, entries: [strange], isMetered: false), inPlace: false
        ) {
            if case .success = $0 { stored.fulfil(true) } else { stored.fulfil(false) }
        }
        try #require(stored.wait(atMost: .seconds(10)) == true)
    }

    @Test("a parked one is shown with what to do, refuses what it cannot do, and is ended by a cancel")
    func parked() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy("name: w\nversion: 1\ntriggers: [{type: http}]\nsteps: [{id: go, wait: go}]")
            let run = try #require(acme.trigger("w")["run_id"]?.string)
            let path = "/api/runs/\(run)"
            try #require(eventually { acme.get(path)["status"] == "waiting" })
            try Self.spoil(
                try #require(RunID(run)), of: try #require(TenantID(acme.tenant)),
                in: service.installation.store)

            #expect(acme.get(path)["note"]?.text.contains("cancel the run") == true)
            let signal = acme.post("\(path)/signals/go")
            #expect(signal.status == 409 && signal.code == "run_unreadable", "\(signal.text)")
            let stuck = service.call("GET", "/readyz").value["stuck"]?[0]
            #expect(stuck?["run_id"]?.text == run && stuck?["reason"]?.text.contains("cancel") == true)
            for order in ["pause", "resume", "retry"] {
                let reply = acme.post("\(path)/\(order)")
                #expect(reply.status == 409 && reply.code == "run_unreadable", "\(order): \(reply.text)")
                #expect(reply.text.contains("step.unheard_of"))
            }

            let cancelled = acme.post("\(path)/cancel", ["reason": "no longer needed"])
            #expect(cancelled.status == 202, "\(cancelled.text)")
            let shown = acme.get(path)
            #expect(shown["status"] == "cancelled" && shown["error"]?["code"] == "cancelled", "\(shown.text)")
            #expect(shown["error"]?["message"]?.text.hasPrefix("no longer needed") == true)
            #expect(service.call("GET", "/readyz").value["stuck"] == [])
            #expect(service.runtime.load.openRuns == 0)
            #expect(acme.post("\(path)/cancel").code == "run_over")
        }
    }

    @Test("one of which the process has learnt at its start is ended by a cancel, and its caller is told")
    func atStart() throws {
        let world = try RuntimeWorld()
        try world.deploy("steps:\n  - request: {url: https://a.example/}", name: "child")
        try world.start(
            try world.deploy(
                "steps:\n  c: {call: child, on_error: continue}\noutput: << steps.c.error.code >>",
                name: "parent"))
        let child = try #require(try world.store.newestRun())
        try Self.spoil(child, of: .operatorTenant, in: world.store)
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(next.runtime.load.stuck[child]?.contains("step.unheard_of") == true)
        #expect(next.cancel(child, of: .operatorTenant, reason: "enough") == true)
        #expect(try next.status(of: child) == .cancelled)
        #expect(next.runtime.load.stuck.isEmpty)
        #expect(try next.status(of: world.runs[0]) == .succeeded, "its caller goes on")
        #expect(next.cancel(child, of: .operatorTenant, reason: "again") == false)
        #expect(next.cancel(child, of: RuntimeWorld.tenant, reason: "not theirs") == false)
    }

    @Test("one that goes keeps its place under its concurrency key across a restart, until it is cancelled")
    func placeAcrossARestart() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(
            "concurrency: {key: k, limit: 1}\nsteps:\n  - request: {url: https://a.example/}")
        for _ in 0..<3 { try world.start(plan) }
        try Self.spoil(world.runs[0], of: .operatorTenant, in: world.store)
        try Self.spoil(world.runs[1], of: .operatorTenant, in: world.store)
        let next = try world.crashed()
        try next.runtime.recover()
        #expect(Set(next.runtime.load.stuck.keys) == Set(world.runs.prefix(2)))
        #expect(next.transport.requests.isEmpty, "the third waits for the first, which had its turn")
        #expect(next.cancel(world.runs[0], of: .operatorTenant, reason: "enough") == true)
        #expect(next.transport.requests.count == 1, "the second waited, and has no place to keep")
        next.transport.succeed(0)
        #expect(try next.status(of: world.runs[2]) == .succeeded)
    }

    @Test("one that was given up leaves its place under its concurrency key when it is cancelled")
    func concurrencyPlace() throws {
        let world = try RuntimeWorld(completesOnFlush: true)
        let plan = try world.deploy(
            "concurrency: {key: k, limit: 1}\nsteps:\n  - request: {url: https://a.example/}\n  - wait: never"
        )
        try world.start(plan)
        for _ in 0..<3 { world.store.flush() }
        world.store.failNext(.outOfRange(what: "a charge"))
        world.transport.succeed(0)
        for _ in 0..<8 { world.store.flush() }
        try #require(world.runtime.load.stuck[world.runs[0]] != nil)
        let answer = Recorder<Bool>()
        world.runtime.cancel(world.runs[0], of: .operatorTenant, reason: "enough") { answer.add($0) }
        for _ in 0..<8 { world.store.flush() }
        #expect(answer.items == [true])
        let sentBefore = world.transport.requests.count
        try world.start(plan)
        for _ in 0..<8 { world.store.flush() }
        #expect(world.transport.requests.count == sentBefore + 1, "the next has its turn")
    }
}
