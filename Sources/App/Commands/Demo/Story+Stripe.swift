import Ports
import StandIns
import Values

extension Story {
    func buyWithStripe(_ acme: Person, _ owner: Person) throws(CommandFailure) {
        transcript.chapter("Acme buys a minute of run time: the webhook comes twice, and once forged")
        transcript.expect("balance before", 0, balance(acme))
        let session = try buy(acme)
        transcript.say("a stranger sends the same event with a forged signature, then Stripe sends it twice:")
        let stripe = stage.suite.stripe
        let event = stripe.pay(session, email: "acme@example.com", plan: DeliveryPlan(isForged: true))
        _ = stripe.courier.waitUntilIdle(atMost: .seconds(10))
        transcript.expect("answer to the forged event", 401, stripe.courier.attempts.last?.status ?? 0)
        transcript.expect("runs that it started", 0, runs(owner, workflow: "payment-webhook").count)
        stripe.deliver(event ?? "", plan: DeliveryPlan(copies: 2))
        _ = stripe.courier.waitUntilIdle(atMost: .seconds(10))
        let answers = stripe.courier.attempts.suffix(2).map { "\($0.status ?? 0) \($0.answer)" }
        for answer in answers { transcript.say("answer: \(answer)") }
        transcript.expect("balance after paying, in ms", 60_000, try balance(acme, reaching: 60_000))
        transcript.expect("runs of the two deliveries", 1, runs(owner, workflow: "payment-webhook").count)
        transcript.expect("credits on the ledger", 1, credits(acme).count)
        let known = try stage.eventually(
            atMost: 10, { customer(acme, owner) }, until: { $0.hasPrefix("cus_") })
        transcript.expect(
            "customer that the operator knows", "cus_…", isMet: known.hasPrefix("cus_"), seen: known)
    }

    private func customer(_ person: Person, _ owner: Person) -> String {
        let tenants =
            stage.run(["tenants", "list"], key: owner.key, isShown: false).value["items"]?.array ?? []
        return tenants.first { $0["tenant_id"]?.string == person.tenant }?["external_customer_id"]?.text ?? ""
    }

    // MARK: - Orders

    func processOrders(_ acme: Person) throws(CommandFailure) {
        transcript.chapter("Acme processes orders: one paid, one declined, one while Stripe fails twice")
        let secrets = [
            ("STRIPE_SECRET_KEY", "sk_test_acme"), ("RESEND_API_KEY", "re_acme_key"),
            ("SLACK_BOT_TOKEN", "xoxb-acme"), ("ORDERS_API_KEY", "acme-orders"),
        ]
        for (name, value) in secrets {
            stage.run(
                ["secrets", "set", name], key: acme.key, input: value, isShown: name == "STRIPE_SECRET_KEY")
        }
        let flags = stage.suite.variables.filter { $0.name != "mollie_url" }.flatMap {
            ["--var", "\($0.name)=\($0.value)"]
        }
        stage.run(["deploy", "\(stage.repository)/examples/order-processing"] + flags, key: acme.key)

        stage.suite.stripe.desk.inject(
            Fault(.status, on: "POST /v1/charges", status: 503, times: 2, bodyContains: "ord_troubled"))
        let troubled = trigger("ord_troubled", acme)
        let paid = try finished(trigger("ord_paid", acme), acme)
        expectOrder("ord_paid", status: "paid", paid)
        transcript.expect("receipts for ord_paid", 1, emails("Receipt for order ord_paid").count)

        let declined = try finished(trigger("ord_declined", acme, customer: "cus_declined"), acme)
        expectOrder("ord_declined", status: "payment_failed", declined)
        let alerts = stage.suite.slack.messages.filter { JSON.text($0).contains("ord_declined") }
        transcript.expect("Slack messages about ord_declined", 1, alerts.count)

        transcript.say("waiting for the order that met two failures (retried after up to 5 s and 10 s) …")
        expectOrder("ord_troubled", status: "paid", try finished(troubled, acme, within: 40))
        let attempts = charges("ord_troubled")
        transcript.expect("statuses Stripe answered", [503, 503, 200], attempts.map { $0.status ?? 0 })
        transcript.expect(
            "idempotency keys of the three", 1, Set(attempts.map { $0.idempotencyKey ?? "" }).count)
    }

    func trigger(
        _ order: String, _ person: Person, customer: String = "cus_abc", isShown: Bool = true
    ) -> String {
        let data: Value = [
            "orderId": .string(order), "customerId": .string(customer), "amount": 4999, "currency": "usd",
            "email": "customer@example.com",
        ]
        let started = stage.run(
            ["trigger", "order-processing", JSON.text(data)], key: person.key, isShown: isShown)
        return started.value["run_id"]?.text ?? ""
    }

    func expectOrder(_ order: String, status: String, _ record: Value) {
        transcript.expect("run of \(order)", "succeeded", record["status"]?.text ?? "unknown")
        transcript.expect(
            "state of \(order) in the shop", status,
            stage.suite.orders.order(order)?["status"]?.text ?? "none")
    }

    func emails(_ subject: String) -> [Value] {
        stage.suite.resend.emails.filter { $0["subject"]?.text == subject }
    }

    /// Requests for the charge of an order, as they reached Stripe.
    func charges(_ order: String) -> [LoggedRequest] {
        stage.suite.stripe.desk.log.filter { $0.path == "/v1/charges" && $0.body.contains(order) }
    }

    // MARK: - An empty balance

    func runDry(_ acme: Person) throws(CommandFailure) {
        transcript.chapter("Acme's balance runs out: an email, paused runs, a top-up, and they go on")
        let before = balance(acme)
        transcript.expect(
            "balance after three orders", "a little under 60000", isMet: (40_000..<60_000).contains(before),
            seen: "\(before)")
        transcript.say("twelve orders at once, each kept waiting 6 s by Stripe: 72 s of run time")
        stage.suite.stripe.desk.inject(
            Fault(.delay, on: "POST /v1/charges", times: 12, delay: .seconds(6), bodyContains: "bulk_"))
        let orders = (1...12).map { "bulk_\($0)" }
        var started: [String] = []
        for order in orders { started.append(trigger(order, acme, isShown: order == "bulk_1")) }
        let subject = "Your Millrace balance is empty"
        let alerts = try stage.eventually(atMost: 20, { emails(subject) }, until: { !$0.isEmpty })
        let recipient = alerts.first?["to"].map { JSON.text($0) } ?? "nobody"
        transcript.expect(
            "the alert goes to", "acme@example.com", isMet: recipient.contains("acme@example.com"),
            seen: recipient)
        let paused = try stage.eventually(
            atMost: 10, { runs(acme, status: "paused").count }, until: { $0 > 0 })
        transcript.expect("paused runs", "some", isMet: paused > 0, seen: "\(paused)")
        let empty = balance(acme)
        transcript.expect("balance", "zero or below", isMet: empty <= 0, seen: "\(empty)")
        let refused = stage.run(["trigger", "order-processing", "{}"], key: acme.key)
        transcript.expect("exit code of a trigger without balance", 3, refused.code)

        let session = try buy(acme)
        stage.suite.stripe.pay(session, email: "acme@example.com")
        var succeeded = 0
        for run in started where try finished(run, acme)["status"]?.string == "succeeded" { succeeded += 1 }
        transcript.expect("bulk orders that succeeded after the top-up", 12, succeeded)
        transcript.expect(
            "charges made for them", 12,
            Set(orders.flatMap { charges($0) }.compactMap(\.idempotencyKey)).count)
        transcript.expect("alerts that were sent", 1, emails(subject).count)
        transcript.expect("credits on the ledger", 2, credits(acme).count)
    }
}
