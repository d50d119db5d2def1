import Engine
import MemoryStore
import Ports
import Runtime
import Storage
import TestSupport
import Testing
import Values

@Suite("Secrets that change under way")
struct SecretRotationTests {
    private static let flow = """
        steps:
          - id: pay
            request: {method: POST, url: https://a.example/, auth: {bearer: << secrets.PAY_KEY >>}}
        """

    /// An answer to a request that was sent with `value` and tells it back, stored after `change`.
    private func journal(after change: (RuntimeWorld) throws -> Void) throws -> String {
        let world = try RuntimeWorld()
        let now = world.clock.now()
        try world.vault.set("PAY_KEY", "the-first-value", hosts: [], of: .operatorTenant, at: now)
        try world.start(try world.deploy(Self.flow))
        try change(world)
        world.transport.succeed(0, ["seen": "Bearer the-first-value, not the-second-value"])
        let entries = try world.store.entries(of: world.runs[0])
        #expect(entries.map(\.kind) == ["run.started", "step.succeeded", "run.finished"])
        return entries.map { String(decoding: $0.facts + ($0.body ?? []), as: UTF8.self) }.joined()
    }

    @Test("I9: an answer under way does not bring the value that was replaced meanwhile into the journal")
    func replacedValueStaysOut() throws {
        let text = try journal { world in
            let now = world.clock.now()
            try world.vault.set("PAY_KEY", "the-second-value", hosts: [], of: .operatorTenant, at: now)
        }
        #expect(!text.contains("the-first-value") && !text.contains("the-second-value"))
    }

    @Test("I9: nor the value that was deleted meanwhile")
    func deletedValueStaysOut() throws {
        let text = try journal { world in _ = try world.vault.delete("PAY_KEY", of: .operatorTenant) }
        #expect(!text.contains("the-first-value") && text.contains("the-second-value"))
    }
}
