import Ports
import StandIns
import Testing
import Values

/// A tenant buys minutes with Stripe; everything goes over sockets.
@Suite("Billing with Stripe")
struct StripeBillingTests {
    @Test("L1, I8: a paid checkout credits once, though its event comes forged, twice, and twice at once")
    func paidCheckoutCreditsOnce() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, session) = try service.buy(60, for: acme)
            #expect(bought["amount_minor"] == 600)
            #expect(bought["currency"] == "EUR")
            let event = try #require(
                service.suite.stripe.pay(session, plan: DeliveryPlan(isForged: true)))
            #expect(service.settleBilling())
            #expect(service.suite.stripe.courier.attempts.map(\.status) == [401])
            #expect(acme.balance == 0)
            service.suite.stripe.deliver(event, plan: DeliveryPlan(copies: 2))
            service.suite.stripe.deliver(event, plan: DeliveryPlan(copies: 4, isParallel: true))
            #expect(service.settleBilling())
            #expect(acme.balance == 3_600_000)
            #expect(acme.credits.count == 1)
            #expect(service.owner.runs("payment-webhook").count == 1)
            #expect(acme.get("/api/balance")["tenant_id"] == .string(acme.tenant))
            service.expectSoundLedgers()
        }
    }
}
