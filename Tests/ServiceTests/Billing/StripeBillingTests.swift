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

    @Test("L1: completed but unpaid credits nothing, the later success credits once, each told twice")
    func delayedPaymentCreditsOnSuccess() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (_, session) = try service.buy(2, for: acme)
            service.suite.stripe.pay(session, isDelayed: true, plan: DeliveryPlan(copies: 2))
            #expect(service.settleBilling())
            #expect(acme.credits.isEmpty)
            service.suite.stripe.settle(session, plan: DeliveryPlan(copies: 2, isParallel: true))
            #expect(service.settleBilling())
            #expect(acme.balance == 120_000)
            #expect(acme.credits.count == 1)
            #expect(service.owner.runs("payment-webhook", status: "succeeded").count == 2)
        }
    }

    @Test("A delayed payment that fails in the end credits nothing")
    func failedDelayedPaymentCreditsNothing() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (_, session) = try service.buy(2, for: acme)
            service.suite.stripe.pay(session, isDelayed: true)
            service.suite.stripe.settle(session, hasSucceeded: false)
            let (_, other) = try service.buy(2, for: acme)
            service.suite.stripe.expire(other)
            #expect(service.settleBilling())
            #expect(acme.credits.isEmpty)
            #expect(service.owner.runs("payment-webhook", status: "succeeded").count == 3)
        }
    }

    @Test("L1: one cent for 10,000 minutes credits nothing, parks the purchase, and is seen everywhere")
    func mismatchedAmountIsParked() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, session) = try service.buy(10_000, for: acme)
            service.suite.stripe.pay(session, amountTotal: 1, plan: DeliveryPlan(copies: 2))
            #expect(service.settleBilling())
            #expect(acme.credits.isEmpty)
            #expect(try service.stateOfPurchase(bought["purchase_id"]?.text ?? "") == "parked")
            let failed = service.owner.runs("payment-webhook", status: "failed")
            #expect(failed.count == 1)
            let shown = service.owner.get("/api/runs/\(failed.first?["run_id"]?.text ?? "")")
            #expect(shown["error"]?["step"] == "credit_balance")
            #expect(service.logged.text.contains("purchase.parked"))
            let metrics = service.call("GET", "/metrics").text
            #expect(metrics.contains("purchases_parked_total{reason=\"purchase_mismatch\"} 1"))
        }
    }

    @Test("L1: a second payment for the same purchase credits nothing and parks it")
    func secondPaymentIsParked() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, session) = try service.buy(1, for: acme)
            service.suite.stripe.pay(session)
            #expect(service.settleBilling())
            let id = bought["purchase_id"]?.text ?? ""
            let event = StripeEvent(
                id: "evt_second", purchase: id, tenant: acme.tenant, minutes: 1, amount: 10,
                payment: "pi_second")
            #expect(event.deliver(to: service).status == 202)
            #expect(service.settleBilling())
            #expect(acme.balance == 60_000)
            #expect(service.owner.runs("payment-webhook", status: "failed").count == 1)
            #expect(try service.stateOfPurchase(id) == "parked")
        }
    }

    @Test("I8: the same payment under other event ids is another run each time and one credit for ever")
    func samePaymentUnderOtherEventsCreditsOnce() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, session) = try service.buy(1, for: acme)
            service.suite.stripe.pay(session)
            #expect(service.settleBilling())
            let payment = service.suite.stripe.session(session)?["payment_intent"]?.text ?? ""
            for number in 1...5 {
                let event = StripeEvent(
                    id: "evt_replay_\(number)", purchase: bought["purchase_id"]?.text ?? "",
                    tenant: acme.tenant, minutes: 1, amount: 10, payment: payment)
                #expect(event.deliver(to: service)["duplicate"] == false)
            }
            #expect(service.settleBilling())
            #expect(acme.credits.count == 1)
            #expect(service.owner.runs("payment-webhook", status: "succeeded").count == 6)
        }
    }

    @Test("I3: a provider that fails twice still opens one checkout, under one Idempotency-Key")
    func checkoutIsRetriedUnderOneKey() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            service.suite.stripe.desk.inject(
                Fault(.status, on: "POST /v1/checkout/sessions", status: 503, times: 2))
            _ = try service.buy(1, for: acme)
            let attempts = service.suite.stripe.desk.log.filter { $0.path == "/v1/checkout/sessions" }
            #expect(attempts.map(\.status) == [503, 503, 200])
            #expect(Set(attempts.map(\.idempotencyKey)).count == 1)
        }
    }

    @Test("A checkout that the provider refuses for good is a 502 that names the run")
    func refusedCheckoutIsTold() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            service.suite.stripe.desk.inject(
                Fault(.storedStatus, on: "POST /v1/checkout/sessions", status: 500))
            let refused = acme.post("/api/billing/purchases", ["minutes": 1])
            #expect(refused.status == 502)
            #expect(refused.code == "checkout_failed")
            #expect(refused["error"]?["details"]?["run_id"] != nil)
            // Told not to try again (Stripe-Should-Retry: false), the step did not.
            #expect(service.suite.stripe.desk.requestCount == 1)
        }
    }

    @Test("Without a listening workflow a purchase is 503, and nothing is owed")
    func unconfiguredBillingIsTold() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 0)
            let refused = acme.post("/api/billing/purchases", ["minutes": 1])
            #expect(refused.status == 503)
            #expect(refused.code == "billing_not_configured")
        }
    }

    @Test("The first payment makes the customer known, the second purchase names it")
    func customerIsRemembered() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            service.suite.stripe.pay(try service.buy(1, for: acme).checkout)
            #expect(service.settleBilling())
            let known = service.owner.get("/api/tenants").items.first { $0["tenant_id"]?.text == acme.tenant }
            let customer = known?["external_customer_id"]?.text ?? ""
            #expect(customer.hasPrefix("cus_"))
            let second = try service.buy(1, for: acme).checkout
            #expect(service.suite.stripe.session(second)?["customer"]?.text == customer)
        }
    }
}
