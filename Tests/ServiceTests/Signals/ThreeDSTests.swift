import Engine
import Foundation
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values
import Workflow

@Suite("The example payments/3ds")
struct ThreeDSTests {
    private static func source() throws -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return Array(try Data(contentsOf: folder.appending(path: "examples/payments/3ds/3ds.yaml")))
    }

    /// A world in which the customer stands before the bank's page.
    private func challenged() throws -> RuntimeWorld {
        let world = try RuntimeWorld { _ in ScriptedTransport.ok() }
        let (source, now) = (try Self.source(), world.clock.now())
        let (definition, problems) = world.catalog.check(source)
        let checked = try #require(definition, "\(problems)")
        _ = try world.catalog.deploy(checked, source: source, of: .operatorTenant, at: now)
        let plan = try #require(try world.catalog.plan(named: "payment-3ds", of: .operatorTenant))
        try world.start(plan, body: ["payment_id": "pay_1"])
        #expect(world.transport.steps == ["collect_fingerprint"])
        world.clock.advance(by: .seconds(30))
        #expect(world.transport.steps == ["collect_fingerprint", "challenge"])
        return world
    }

    private func last(_ world: RuntimeWorld) throws -> (url: String, body: Value) {
        let request = try #require(world.transport.requests.last)
        return (request.url, try JSON.parse(request.body))
    }

    @Test("the bank's result authorizes the payment", arguments: ["success", "failed"])
    func resultDecides(status: String) throws {
        let world = try challenged()
        let address = try #require(try last(world).body["result_url"]?.string)
        #expect(address.contains("/signals/\(world.runs[0])/") && address.hasSuffix("/challenge_completed"))
        world.clock.advance(by: .seconds(899))
        let result: Value = ["status": .string(status)]
        world.runtime.signal(
            world.runs[0], of: .operatorTenant, RunSignal(id: "k", name: "challenge_completed", body: result)
        ) { #expect($0 == .stored) }
        let request = try last(world)
        if status == "success" {
            #expect(request.url.hasSuffix("/payments/pay_1/authorize"))
            #expect(request.body == ["authentication": result])
        } else {
            #expect(request.url.hasSuffix("/payments/pay_1/fail"))
        }
        #expect(world.outcomes.items.first?.output["authorized"] == .bool(status == "success"))
    }

    @Test("no result within 15 minutes fails the payment with 3DS_TIMEOUT")
    func timeoutFails() throws {
        let world = try challenged()
        world.clock.advance(by: .seconds(900))
        let request = try last(world)
        #expect(request.url.hasSuffix("/payments/pay_1/fail"))
        #expect(request.body == ["reason": "3DS_TIMEOUT"])
        #expect(world.outcomes.items.map(\.status) == [.succeeded])
    }
}
