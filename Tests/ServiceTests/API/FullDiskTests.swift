import Assembly
import MemoryStore
import Runtime
import Storage
import TestSupport
import Testing
import Values

@testable import SQLiteStore

/// A process whose disk is full says that it is not ready, and says by itself when it is again (S18).
@Suite("A full disk")
struct FullDiskTests {
    private static let one = "steps:\n  a: {request: {url: https://a.example/}}"

    @Test(
        "after a commit without room it is not ready; it looks each second, and is ready once there is some")
    func looksForRoom() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.one)
        world.store.failNext(.full)
        try world.start(plan)
        guard case .unavailable(.full)? = world.results.items.first else {
            return #expect(Bool(false), "\(world.results.items)")
        }
        #expect(world.runtime.readiness == (false, "there is no room on the disk"))
        for _ in 0..<3 { world.store.failNext(.full) }
        world.clock.advance(by: .seconds(3))
        #expect(!world.runtime.readiness.isReady)
        world.clock.advance(by: .seconds(1))
        #expect(world.runtime.readiness == (true, "ready"))
    }

    @Test("a commit that finds room says so as well")
    func commitTells() throws {
        let world = try RuntimeWorld()
        let plan = try world.deploy(Self.one)
        world.store.failNext(.full)
        try world.start(plan)
        #expect(!world.runtime.readiness.isReady)
        try world.start(plan)
        #expect(world.runtime.readiness.isReady)
    }

    @Test("on a real file with no page left /readyz is 503 with the reason, and 200 again when there is room")
    func readyPage() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(BalanceTests.twoSteps(service))
            let store = service.installation.store
            func limit(_ pages: Int) throws {
                try store.write { writer throws(StoreError) in
                    try writer.connection.execute("PRAGMA max_page_count = \(pages)")
                }
            }
            #expect(service.call("GET", "/readyz").status == 200)
            try limit(1)
            // Free pages may still hold a start or two.
            #expect(eventually { acme.trigger("two-steps").status == 503 })
            let ready = service.call("GET", "/readyz")
            #expect(ready.status == 503)
            #expect(ready["reason"] == "there is no room on the disk")
            #expect(service.call("GET", "/metrics").text.contains("millrace_ready 0"))
            #expect(service.call("GET", "/healthz").status == 200)
            try limit(1_000_000)
            #expect(eventually { service.call("GET", "/readyz").status == 200 })
            #expect(acme.finished(acme.trigger("two-steps")["run_id"]?.text ?? "")["status"] == "succeeded")
        }
    }
}
