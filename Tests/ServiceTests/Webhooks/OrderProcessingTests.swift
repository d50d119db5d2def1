import Ports
import StandIns
import Testing
import Values

/// The example that charges a card and updates an order, with everything that can go wrong in it.
@Suite("Order processing")
struct OrderProcessingTests {
    private func shop(_ service: TestService, channel: String? = nil) throws -> Client {
        let acme = try service.tenant()
        for (name, value) in [
            ("STRIPE_SECRET_KEY", "sk_test_acme"), ("RESEND_API_KEY", "re_acme_key"),
            ("SLACK_BOT_TOKEN", "xoxb-acme"), ("ORDERS_API_KEY", "acme-orders"),
        ] { acme.setSecret(name, value) }
        var source = try service.source("examples/order-processing/order-processing.yaml")
        if let channel { source = source.replacing("#payments-alerts", with: channel) }
        #expect(acme.deploy(source).status == 201)
        return acme
    }

    private func order(_ id: String, customer: String = "cus_abc") -> Value {
        [
            "orderId": .string(id), "customerId": .string(customer), "amount": 4999, "currency": "usd",
            "email": "customer@example.com",
        ]
    }

    private func charges(_ service: TestService) -> [LoggedRequest] {
        service.suite.stripe.desk.log.filter { $0.path == "/v1/charges" }
    }

    @Test("A paid order: charged once, receipt sent, order updated, nobody alarmed")
    func paidOrder() throws {
        try withService { service in
            let acme = try shop(service)
            let run = try acme.run("order-processing", order("ord_1"))
            #expect(run["status"] == "succeeded", "\(run)")
            #expect(run["output"]?["status"] == "paid")
            #expect(service.suite.orders.order("ord_1")?["status"] == "paid")
            #expect(service.suite.orders.order("ord_1")?["chargeId"] == run["output"]?["charge_id"])
            #expect(service.suite.resend.emails.map { $0["subject"]?.text } == ["Receipt for order ord_1"])
            #expect(service.suite.resend.emails.first?["text"]?.text.contains("49.99 USD") == true)
            #expect(service.suite.slack.messages.isEmpty)
            #expect(charges(service).count == 1)
        }
    }

    @Test("A declined card (402) is a branch: the run succeeds, the team is told, the order updated")
    func declinedCard() throws {
        try withService { service in
            let acme = try shop(service)
            let run = try acme.run("order-processing", order("ord_2", customer: "cus_declined"))
            #expect(run["status"] == "succeeded", "\(run)")
            #expect(run["output"]?["status"] == "payment_failed")
            #expect(service.suite.orders.order("ord_2")?["status"] == "payment_failed")
            #expect(service.suite.resend.emails.isEmpty)
            let told = service.suite.slack.messages.map { $0["message"]?["text"]?.text ?? "" }
            #expect(told.count == 1 && told[0].contains("ord_2"))
            #expect(charges(service).count == 1, "a declined card is not tried again")
        }
    }

    @Test("Slack's ok: false is seen as a failure, and the order is updated all the same")
    func slackFailure() throws {
        try withService { service in
            let acme = try shop(service, channel: "#nobody-is-here")
            let run = try acme.run("order-processing", order("ord_3", customer: "cus_declined"))
            #expect(run["status"] == "succeeded", "\(run)")
            let notify = run["steps"]?.array?.first { $0["id"] == "notify_ops" }
            #expect(notify?["state"] == "failed")
            #expect(service.suite.orders.order("ord_3")?["status"] == "payment_failed")
            #expect(service.suite.slack.desk.requestCount == 1)
        }
    }

    @Test("I3: the provider fails twice, before and after the work; one charge under one Idempotency-Key")
    func providerFailsTwice() throws {
        try withService { service in
            let acme = try shop(service)
            service.suite.stripe.desk.inject(Fault(.status, on: "POST /v1/charges", status: 503))
            service.suite.stripe.desk.inject(Fault(.resetAfterWork, on: "POST /v1/charges"))
            let run = try acme.run("order-processing", order("ord_4"))
            #expect(run["status"] == "succeeded", "\(run)")
            let attempts = charges(service)
            #expect(attempts.map(\.status) == [503, 0, 200])
            #expect(attempts.map(\.isReplay) == [false, false, true])
            #expect(Set(attempts.map(\.idempotencyKey)).count == 1)
            // The transport's library repeats by itself what a kept connection dropped unanswered.
            let counted = run["steps"]?.array?.first { $0["id"] == "charge_card" }?["attempts"]?.int ?? 0
            #expect((2...3).contains(counted))
        }
    }

    @Test(
        "A stored 500 comes with Stripe-Should-Retry: false and is not tried again; the order is not touched")
    func storedFailureIsNotRetried() throws {
        try withService { service in
            let acme = try shop(service)
            service.suite.stripe.desk.inject(Fault(.storedStatus, on: "POST /v1/charges", status: 500))
            let run = try acme.run("order-processing", order("ord_5"))
            #expect(run["status"] == "failed")
            #expect(run["error"]?["step"] == "charge_card")
            #expect(charges(service).count == 1)
            #expect(service.suite.orders.order("ord_5") == nil)
        }
    }

    @Test(
        "429 with Retry-After is waited for; a receipt that cannot be sent does not keep the order from its update"
    )
    func limitsAndLostReceipts() throws {
        try withService { service in
            let acme = try shop(service)
            service.suite.stripe.desk.inject(
                Fault(.rateLimited, on: "POST /v1/charges", retryAfterSeconds: 1))
            service.suite.resend.desk.inject(Fault(.status, on: "POST /emails", status: 500, times: 100))
            let run = try acme.run("order-processing", order("ord_6"))
            #expect(run["status"] == "succeeded", "\(run)")
            #expect(service.suite.orders.order("ord_6")?["status"] == "paid")
            let attempts = charges(service)
            #expect(attempts.map(\.status) == [429, 200])
            #expect(attempts[1].at.milliseconds - attempts[0].at.milliseconds >= 990)
        }
    }

    @Test(
        "Missing or wrong fields fail the run before anything is charged, and say which",
        arguments: [
            (#"{"customerId":"cus_abc","amount":1}"#, "orderId"),
            (#"{"orderId":"o","amount":1}"#, "customerId"),
            (#"{"orderId":"o","customerId":"c"}"#, "amount"),
            (#"{"orderId":7,"customerId":"c","amount":1}"#, "orderId"),
            (#"{"orderId":"o","customerId":"c","amount":0}"#, "amount"),
            (#"{"orderId":"o","customerId":"c","amount":-5}"#, "amount"),
            (#"{"orderId":"o","customerId":"c","amount":1.5}"#, "amount"),
            (#"{"orderId":"o","customerId":"c","amount":"5"}"#, "amount"), ("[]", "orderId"), ("7", ""),
        ])
    func missingFields(body: String, named: String) throws {
        try withService { service in
            let acme = try shop(service)
            let run = try acme.run("order-processing", try JSON.parse(body))
            #expect(run["status"] == "failed")
            #expect(run["error"]?["step"] == "parse_order")
            #expect(run["error"]?["message"]?.text.contains(named) == true || named.isEmpty, "\(run)")
            #expect(charges(service).isEmpty)
        }
    }
}
