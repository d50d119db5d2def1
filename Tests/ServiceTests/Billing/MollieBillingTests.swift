import Assembly
import Ports
import Server
import StandIns
import Testing
import Values

/// A tenant buys minutes with Mollie, whose webhooks are pointers without a signature.
@Suite("Billing with Mollie")
struct MollieBillingTests {
    private func mollieRequests(_ service: TestService) -> [String] {
        service.suite.mollie.desk.log.map { "\($0.method) \($0.path)" }
    }

    @Test(
        "A new customer is made and remembered, a returning one is not made again; each payment credits once")
    func newAndReturningCustomer() throws {
        try withService { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 0)
            let first = try service.buy(60, for: acme).checkout
            #expect(mollieRequests(service) == ["POST /v2/customers", "POST /v2/payments"])
            let known = service.owner.get("/api/tenants").items.first { $0["tenant_id"]?.text == acme.tenant }
            #expect(known?["external_customer_id"]?.text.hasPrefix("cst_") == true)
            service.suite.mollie.bring(first, to: "paid", plan: DeliveryPlan(copies: 5, isParallel: true))
            #expect(service.settleBilling())
            #expect(acme.balance == 3_600_000)
            // Each is answered as Mollie asks, so that none comes again.
            #expect(service.suite.mollie.courier.attempts.map(\.status) == [200, 200, 200, 200, 200])

            let second = try service.buy(1, for: acme).checkout
            #expect(
                mollieRequests(service).filter { $0.hasPrefix("POST") }.suffix(1) == ["POST /v2/payments"])
            #expect(mollieRequests(service).count { $0 == "POST /v2/customers" } == 1)
            service.suite.mollie.bring(second, to: "paid")
            // Refunds and chargebacks leave the status at paid and are told in the same way.
            service.suite.mollie.notify(first, plan: DeliveryPlan(copies: 2))
            #expect(service.settleBilling())
            #expect(acme.balance == 3_660_000)
            #expect(acme.credits.count == 2)
            service.expectSoundLedgers()
        }
    }

    @Test("an amount has the decimals of its currency, there and back", arguments: ["JPY", "SEK"])
    func decimals(currency: String) throws {
        try withService(change: { $0.api.currency = currency }) { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 0)
            let checkout = try service.buy(1, for: acme).checkout
            let payment = service.suite.mollie.desk.log.last { $0.path == "/v2/payments" }
            let amount = try JSON.parse(payment?.body ?? "")["amount"]
            #expect(amount == ["currency": .string(currency), "value": currency == "JPY" ? "10" : "0.10"])
            service.suite.mollie.bring(checkout, to: "paid")
            #expect(service.settleBilling())
            #expect(acme.balance == 60_000)
        }
    }

    @Test("Only paid credits: pending comes first, and what fails, expires or is canceled never credits")
    func onlyPaidCredits() throws {
        try withService { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 0)
            for status in ["failed", "canceled", "expired"] {
                service.suite.mollie.bring(try service.buy(1, for: acme).checkout, to: status)
            }
            let slow = try service.buy(1, for: acme).checkout
            service.suite.mollie.bring(slow, to: "pending", plan: DeliveryPlan(copies: 2))
            #expect(service.settleBilling())
            #expect(acme.credits.isEmpty)
            service.suite.mollie.bring(slow, to: "paid", plan: DeliveryPlan(copies: 2))
            #expect(service.settleBilling())
            #expect(acme.balance == 60_000)
            #expect(service.owner.runs("payment-webhook", status: "failed").isEmpty)
        }
    }

    @Test(
        "L1: a payment of another amount or currency credits nothing and parks the purchase",
        arguments: [["currency": "EUR", "value": "0.01"], ["currency": "USD", "value": "0.10"]] as [Value])
    func mismatchedPaymentIsParked(amount: Value) throws {
        try withService { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 0)
            let (bought, payment) = try service.buy(1, for: acme)
            service.suite.mollie.bring(payment, to: "paid", amount: amount)
            #expect(service.settleBilling())
            #expect(acme.credits.isEmpty)
            #expect(try service.stateOfPurchase(bought["purchase_id"]?.text ?? "") == "parked")
            #expect(service.owner.runs("payment-webhook", status: "failed").count == 1)
        }
    }

    @Test("Mollie's hostile ids: nothing leaves but requests for a payment by its id")
    func hostileIDsNeverLeave() throws {
        try withService { service in
            try service.useMollie()
            let ids = [
                "..%2Fcustomers%2Fx", "tr_1%3Fx=", "tr_1%2F..%2F..", "tr_1/../../v2/customers", "tr_%2e%2e",
                "tr_" + String(repeating: "a", count: 100), "tr_1%0D%0AX-Evil:%201", "tr_%C3%A9", "tr_1%20",
                "%20tr_1", "", "TR_1", "tr_", "tr_1%00", "tr-1", "cst_1",
                "%3C%3C+secrets.MOLLIE_API_KEY+%3E%3E",
                "tr_1%23", "tr_1%26", "tr_%252e", "tr_1%0A", "0", "null", "http://127.0.0.1/",
            ]
            for id in ids {
                let answer = service.hook(
                    "payment-webhook", "id=\(id)", type: "application/x-www-form-urlencoded")
                #expect([400, 401].contains(answer.status), "\(id): \(answer.status) \(answer.text)")
            }
            for body in [
                #"{"id": 1}"#, #"{"id": ["tr_1"]}"#, #"{"id": {"a": 1}}"#, #"{"id": null}"#, "{}", "[]", "7",
                #"{"entityId": "../x", "id": "tr_1"}"#,
            ] {
                let answer = service.hook("payment-webhook", body)
                #expect([401, 500].contains(answer.status), "\(body): \(answer.status) \(answer.text)")
            }
            #expect(service.owner.runs().isEmpty)
            #expect(service.suite.mollie.desk.requestCount == 0)

            // One that fits the pattern and is nobody's ends without a credit and without a failure.
            #expect(
                service.hook("payment-webhook", "id=tr_999", type: "application/x-www-form-urlencoded").status
                    == 200)
            #expect(service.settleBilling())
            #expect(mollieRequests(service) == ["GET /v2/payments/tr_999"])
            #expect(service.owner.runs("payment-webhook", status: "succeeded").count == 1)
        }
    }

    @Test("W1: a signed event must be signed rightly; without our secret it is an error and comes again")
    func signedEvents() throws {
        try withService { service in
            try service.useMollie()
            let hook = "\(service.url)/hooks/operator/payment-webhook"
            service.suite.mollie.setWebhook(url: hook, secret: "mollie_secret_1")
            let acme = try service.tenant(milliseconds: 0)
            let payment = try service.buy(1, for: acme).checkout
            // Its classic webhook goes nowhere, so that the signed one alone is seen.
            service.suite.mollie.bring(payment, to: "pending", plan: DeliveryPlan(isForged: true))
            #expect(service.settleBilling())
            #expect(service.suite.mollie.courier.attempts.map(\.status).contains(401))

            #expect(service.owner.delete("/api/secrets/MOLLIE_WEBHOOK_SECRET").status == 204)
            service.suite.mollie.bring(payment, to: "paid")
            #expect(eventually { service.suite.mollie.courier.attempts.contains { $0.status == 500 } })
            let refusals = service.owner.get("/api/workflows/payment-webhook")["refusals"]?.array ?? []
            #expect(refusals.contains { $0["reason"] == "guard_error" })
            service.owner.setSecret("MOLLIE_WEBHOOK_SECRET", "mollie_secret_1")
            #expect(service.settleBilling())
            #expect(service.suite.mollie.courier.attempts.last?.status == 200)
            #expect(acme.credits.count == 1)
        }
    }

    @Test("I3: Mollie failing twice at each step still makes one customer and one payment")
    func failingProviderIsRetriedUnderOneKey() throws {
        try withService { service in
            try service.useMollie()
            for route in ["POST /v2/customers", "POST /v2/payments", "GET /v2/payments/*"] {
                service.suite.mollie.desk.inject(Fault(.resetAfterWork, on: route, times: 1))
                service.suite.mollie.desk.inject(Fault(.status, on: route, status: 503, times: 1))
            }
            let acme = try service.tenant(milliseconds: 0)
            let payment = try service.buy(1, for: acme).checkout
            service.suite.mollie.bring(payment, to: "paid")
            #expect(service.settleBilling())
            #expect(acme.balance == 60_000)
            let posts = service.suite.mollie.desk.log.filter { $0.method == "POST" }
            #expect(posts.count == 6)
            #expect(Set(posts.map(\.idempotencyKey)).count == 2)
            #expect(payment == "tr_000001")
        }
    }

    @Test("Deploying the other folder switches the provider; nothing else changes")
    func switchingProviders() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            service.suite.stripe.pay(try service.buy(1, for: acme).checkout)
            #expect(service.settleBilling())
            try service.useMollie()
            let (bought, payment) = try service.buy(2, for: acme)
            #expect(bought["checkout_url"]?.text.hasPrefix(service.suite.mollieURL) == true)
            service.suite.mollie.bring(payment, to: "paid")
            #expect(service.settleBilling())
            #expect(acme.balance == 180_000)
            #expect(acme.credits.map { $0["reference"]?.text.prefix(7) ?? "" } == ["mollie:", "stripe:"])
            try service.useStripe()
            service.suite.stripe.pay(try service.buy(1, for: acme).checkout)
            #expect(service.settleBilling())
            #expect(acme.balance == 240_000)
        }
    }
}
