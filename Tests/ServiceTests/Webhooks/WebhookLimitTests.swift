import Assembly
import Ingress
import Ports
import TestSupport
import Testing
import Values

/// A webhook that is called too often is turned away before anything is computed for it (W7).
@Suite("How often a webhook may be called")
struct WebhookLimitTests {
    private static let acme = TenantID(number: 9)

    @Test("a burst is taken at once, then one request for each interval; the answer says when")
    func bucket() {
        let clock = ManualClock()
        let limit = WebhookLimit(perSecond: 10, burst: 3)
        func admit() -> Duration? { limit.admit(Self.acme, "intake", at: clock.now()) }
        #expect((1...3).map { _ in admit() } == [nil, nil, nil])
        #expect(admit() == .milliseconds(100))
        clock.advance(by: .milliseconds(99))
        #expect(admit() == .milliseconds(1))
        clock.advance(by: .milliseconds(1))
        #expect(admit() == nil)
        #expect(admit() == .milliseconds(100), "what was refused took nothing")
        clock.advance(by: .seconds(60))
        #expect((1...4).map { _ in admit() == nil } == [true, true, true, false], "it never holds more")
    }

    @Test("each tenant's workflow has a bucket of its own")
    func apart() {
        let limit = WebhookLimit(perSecond: 1, burst: 1)
        let now = ManualClock().now()
        #expect(limit.admit(Self.acme, "a", at: now) == nil)
        #expect(limit.admit(Self.acme, "a", at: now) != nil)
        #expect(limit.admit(Self.acme, "b", at: now) == nil)
        #expect(limit.admit(TenantID(number: 8), "a", at: now) == nil)
    }

    @Test("what is kept is bounded, and the bucket that was asked for longest ago goes first")
    func bounded() {
        let clock = ManualClock()
        let limit = WebhookLimit(perSecond: 1, burst: 2, endpointCountMax: 100)
        for number in 0..<80 { _ = limit.admit(Self.acme, "w\(number)", at: clock.now()) }
        clock.advance(by: .seconds(2))
        for _ in 0..<2 { _ = limit.admit(Self.acme, "busy", at: clock.now()) }
        for number in 0..<40 { _ = limit.admit(Self.acme, "x\(number)", at: clock.now()) }
        #expect(limit.endpointCount == 100)
        #expect(limit.admit(Self.acme, "busy", at: clock.now()) != nil)
        for number in 0..<10_000 { _ = limit.admit(Self.acme, "y\(number)", at: clock.now()) }
        #expect(limit.endpointCount <= 100)
    }

    @Test("a clock that is set back keeps nobody out for longer than an empty bucket does")
    func clockSetBack() {
        let clock = ManualClock()
        let limit = WebhookLimit(perSecond: 1, burst: 2)
        for _ in 0..<3 { _ = limit.admit(Self.acme, "w", at: clock.now()) }
        clock.step(by: .seconds(-86_400))
        #expect(limit.admit(Self.acme, "w", at: clock.now()) == .seconds(1))
        clock.advance(by: .seconds(1))
        #expect(limit.admit(Self.acme, "w", at: clock.now()) == nil)
    }

    @Test(
        "429 with Retry-After, nothing stored, counted; another webhook, a key and a stranger are as before")
    func answers() throws {
        try withService(change: { ($0.webhookRate, $0.webhookBurst) = (1, 2) }) { service in
            let acme = try service.tenant()
            for name in ["first", "second"] {
                acme.deploy(
                    """
                    name: \(name)
                    version: 1
                    triggers: [{type: webhook, when: true}, {type: http}]
                    steps:
                      done: {lua: "return 1"}
                    """)
            }
            let at = service.now
            func hook(_ name: String, after: Duration = .zero) -> Reply {
                service.handle(
                    "POST", ["hooks", acme.tenant, name], body: [], headers: [], at: at + after)
            }
            #expect((1...2).map { _ in hook("first").status } == [202, 202])
            let refused = hook("first", after: .milliseconds(100))
            #expect(refused.status == 429 && refused.code == "too_many_requests")
            #expect(refused.headers["retry-after"] == "1")
            #expect(hook("second").status == 202)
            #expect(acme.trigger("first").status == 202)
            #expect(hook("nothing").status == 404)
            #expect(hook("first", after: .seconds(1)).status == 202)
            #expect(acme.runs().count == 5)
            service.installation.ingress.refusals.flush()
            let refusals = acme.get("/api/workflows/first")["refusals"]?.array ?? []
            #expect(refusals.contains { $0["reason"] == "rate" && $0["count"] == 1 })
        }
    }
}
