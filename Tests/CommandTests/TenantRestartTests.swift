import Foundation
import Testing
import Values

@testable import Commands

@Suite("Tenants through kill -9", .serialized)
struct TenantRestartTests {
    private func trigger(_ fixture: ServerFixture, _ key: String, _ item: String) throws -> Int {
        try fixture.client(key: key).attempt(
            "POST", "/api/workflows/effects/trigger", body: JSON.bytes(["item": .string(item)]),
            timeout: .seconds(10)
        ).status
    }

    @Test("a suspension outlives the process, and an erasure goes on in the next", .timeLimit(.minutes(1)))
    func orderOutlivesTheProcess() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant(
            between: """
                  pause:
                    after: [first]
                    wait: {signal: never, timeout: 7d}
                """)
        #expect(try trigger(fixture, tenant.key, "a") == 202)
        let place = "/api/tenants/\(tenant.id)"
        let owner = try fixture.client(key: fixture.operatorKey)
        _ = try owner.call("POST", "\(place)/suspend", body: JSON.bytes(["reason": "leaves"]))
        #expect(try trigger(fixture, tenant.key, "b") == 403)
        fixture.kill()
        try fixture.start()
        #expect(try trigger(fixture, tenant.key, "c") == 403)
        _ = try owner.call("POST", "\(place)/erase", body: JSON.bytes(["confirm": .string(tenant.id)]))
        fixture.kill()
        try fixture.start()
        #expect(try trigger(fixture, tenant.key, "d") == 401)
        func state() throws -> Value? { try owner.call("GET", place).value["erasure"]?["state"] }
        let end = ContinuousClock.now + .seconds(20)
        while try state() != "erased", ContinuousClock.now < end { usleep(20_000) }
        #expect(try state() == "erased")
        #expect(try owner.call("GET", "\(place)/runs").value["items"] == [])
        #expect(try owner.call("GET", "/api/ledger/verification").value["findings"] == [])
        #expect(fixture.stop() == 0)
    }
}
