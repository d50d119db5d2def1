import Glibc
import Ingress
import Ports
import Runtime
import Storage
import Testing
import Values

@Suite("Held replies")
struct HeldReplyTests {
    private final class Caller: Sendable {}

    @Test("S15: once a held reply is given, nothing keeps the caller, although its time is not over")
    func callersAreLetGo() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                name: quick
                version: 1
                triggers: [{type: http, reply: result}]
                steps: {a: {lua: return 1}}
                """)
            let id = try #require(TenantID(acme.tenant))
            let tenant = try #require(try service.runtime.store.tenant(id))
            let request = InboundRequest(
                method: "POST", path: "/", segments: [], query: [], headers: [], body: [], peer: "127.0.0.1",
                receivedAt: service.runtime.clock.now())
            let answered = Promise<Bool>()
            var caller: Caller? = Caller()
            weak let seen = caller
            let ingress = Ingress(runtime: service.runtime, replyWait: .seconds(30))
            ingress.trigger(TriggerCall(tenant: tenant, workflow: "quick", source: .key, request: request)) {
                [caller] _ in
                withExtendedLifetime(caller) { answered.fulfil(true) }
            }
            caller = nil
            #expect(answered.wait(atMost: .seconds(5)) == true)
            for _ in 0..<200 where seen != nil { usleep(10_000) }
            #expect(seen == nil)
        }
    }
}
