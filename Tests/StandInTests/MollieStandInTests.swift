import Ports
import StandIns
import Testing
import Values

@Suite("Mollie stand-in")
struct MollieStandInTests {
    private let clock = TurnedClock()
    private let receiver = WebhookReceiver()
    private let mollie: MollieStandIn

    init() {
        mollie = MollieStandIn(clock: clock, cryptography: TestCryptography(), transport: receiver)
    }

    private static let payment: Value = [
        "amount": ["currency": "EUR", "value": "10.00"], "description": "60 minutes",
        "redirectUrl": "https://app.example/billing", "webhookUrl": "http://127.0.0.1:9/hooks",
        "metadata": ["tenant_id": "ten_1", "minutes": 60],
    ]

    private func openPayment(_ changes: Value = [:]) throws -> InboundResponse {
        var body = Self.payment.object ?? Object()
        for member in changes.object?.members ?? [] { body[member.name] = member.value }
        return try mollie.call("POST", "/v2/payments", body: JSON.text(.object(body)))
    }

    @Test("a payment is made with its amount as text, its metadata typed, and a checkout address")
    func paymentIsMade() throws {
        let answer = try openPayment()
        #expect(answer.status == 201)
        #expect(answer.headers["Content-Type"] == "application/hal+json")
        #expect(answer.json["id"] == "tr_000001")
        #expect(answer.json["resource"] == "payment")
        #expect(answer.json["status"] == "open")
        #expect(answer.json["amount"] == ["currency": "EUR", "value": "10.00"])
        #expect(answer.json["metadata"]?["minutes"] == 60)
        #expect(answer.json["_links"]?["checkout"]?["href"] == "http://127.0.0.1:4242/checkout/tr_000001")
        #expect(try mollie.call("GET", "/v2/payments/tr_000001").json == answer.json)
    }

    @Test("payments are listed newest first; the link to the next page names the one that it begins with")
    func paymentsAreListed() throws {
        func list(_ query: String) throws -> (ids: [String], next: String?) {
            let answer = try mollie.call("GET", "/v2/payments?\(query)")
            #expect(answer.status == 200, "\(answer.text)")
            let payments = answer.json["_embedded"]?["payments"]?.array ?? []
            #expect(answer.json["count"] == .int(Int64(payments.count)))
            return (
                payments.compactMap { $0["id"]?.string }, answer.json["_links"]?["next"]?["href"]?.string
            )
        }
        let ids = try (0..<5).map { _ in try #require(try openPayment().json["id"]?.string) }
        let first = try list("limit=2")
        #expect(first.ids == [ids[4], ids[3]])
        #expect(first.next == "http://127.0.0.1:4242/v2/payments?from=\(ids[2])&limit=2")
        #expect(try list("from=\(ids[2])&limit=2").ids == [ids[2], ids[1]])
        let last = try list("from=\(ids[0])&limit=2")
        #expect(last.ids == [ids[0]] && last.next == nil)
        #expect(try list("sort=asc&limit=1").ids == [ids[0]])
        #expect(try list("").ids == ids.reversed())
        for (query, status) in [("limit=251", 422), ("sort=up", 422), ("page=2", 422), ("from=tr_9", 404)] {
            #expect(try mollie.call("GET", "/v2/payments?\(query)").status == status, "\(query)")
        }
    }

    @Test(
        "a wrong field is a 422 that names it",
        arguments: [
            (["amount": nil], "amount"), (["amount": ["currency": "EUR", "value": 10]], "amount.value"),
            (["amount": ["currency": "EUR", "value": "10"]], "amount.value"),
            (["amount": ["currency": "EUR", "value": "10.0"]], "amount.value"),
            (["amount": ["currency": "EUR", "value": "0.00"]], "amount.value"),
            (["amount": ["currency": "EUR", "value": "-1.00"]], "amount.value"),
            (["amount": ["currency": "JPY", "value": "10.00"]], "amount.value"),
            (["amount": ["currency": "eur", "value": "10.00"]], "amount.currency"),
            (["description": ""], "description"), (["redirectUrl": nil], "redirectUrl"),
            (["webhookUrl": "localhost"], "webhookUrl"), (["customerId": "cst_x"], "customerId"),
            (["sequenceType": "often"], "sequenceType"),
            (["metadata": .string(String(repeating: "x", count: 1100))], "metadata"),
        ] as [(Value, String)])
    func wrongFieldIsNamed(changes: Value, field: String) throws {
        let answer = try openPayment(changes)
        #expect(answer.status == 422)
        #expect(answer.json["status"] == 422)
        #expect(answer.json["field"]?.string == field)
        #expect(answer.json["_links"]?["documentation"] != nil)
    }

    @Test("refusals carry their status: 400, 401, 404")
    func refusals() throws {
        #expect(try mollie.call("POST", "/v2/payments", body: "{").status == 400)
        #expect(try mollie.call("GET", "/v2/payments/tr_1", authorization: nil).json["status"] == 401)
        for path in ["/v2/payments/tr_1", "/v2/customers/cst_1", "/v2/nothing", "/", "/v2/payments/tr_1/x"] {
            #expect(try mollie.call("GET", path).json["status"] == 404)
        }
        mollie.desk.inject(Fault(.status, on: "POST /v2/payments", status: 503))
        let down = try openPayment()
        #expect(down.status == 503)
        #expect(down.json["title"] == "Service Unavailable")
    }

    @Test("a customer is made, read, and paid for")
    func customerIsMade() throws {
        let made = try mollie.call("POST", "/v2/customers", body: #"{"metadata":{"tenant_id":"ten_1"}}"#)
        #expect(made.status == 201)
        #expect(made.json["id"] == "cst_000001")
        #expect(try mollie.call("GET", "/v2/customers/cst_000001").json["metadata"]?["tenant_id"] == "ten_1")
        #expect(try openPayment(["customerId": "cst_000001"]).json["customerId"] == "cst_000001")
    }

    @Test("the same key gives the same payment, and another request with it is refused")
    func keys() throws {
        let body = JSON.text(Self.payment)
        let first = try mollie.call("POST", "/v2/payments", body: body, key: "k1")
        #expect(try mollie.call("POST", "/v2/payments", body: body, key: "k1").body == first.body)
        #expect(try mollie.call("POST", "/v2/customers", body: "{}", key: "k1").status == 422)
        clock.advance(by: .seconds(3600))
        #expect(try mollie.call("POST", "/v2/payments", body: body, key: "k1").json["id"] == "tr_000002")
    }

    @Test(
        "each final status sends the unsigned form and nothing changes after it",
        arguments: ["paid", "canceled", "expired", "failed"])
    func classicWebhook(status: String) throws {
        _ = try openPayment()
        let changed = try mollie.call("POST", "/_standin/payments/tr_000001/\(status)")
        #expect(changed.json["status"]?.string == status)
        #expect(changed.json["\(status)At"] != nil)
        #expect(changed.json["_links"]?["checkout"] == nil)
        #expect(receiver.received.count == 1)
        let sent = receiver.received[0]
        #expect(sent.url == "http://127.0.0.1:9/hooks")
        #expect(String(decoding: sent.body, as: UTF8.self) == "id=tr_000001")
        #expect(sent.headers["Content-Type"] == "application/x-www-form-urlencoded")
        #expect(sent.headers["X-Mollie-Signature"] == nil)
        #expect(try mollie.call("POST", "/_standin/payments/tr_000001/paid").status == 409)
    }

    @Test("the same id comes with each change of status")
    func eachChangeIsTold() throws {
        _ = try openPayment()
        mollie.bring("tr_000001", to: "pending")
        mollie.bring("tr_000001", to: "paid", plan: DeliveryPlan(copies: 2))
        mollie.notify("tr_000001")
        #expect(
            receiver.received.map { String(decoding: $0.body, as: UTF8.self) }
                == Array(repeating: "id=tr_000001", count: 4))
        #expect(mollie.payment("tr_000001")?["status"] == "paid")
        #expect(!mollie.bring("tr_000001", to: "dancing"))
        #expect(!mollie.notify("tr_x"))
    }

    @Test("the amount paid can differ from the amount asked for")
    func amountCanDiffer() throws {
        _ = try openPayment()
        let body = #"{"amount":{"currency":"EUR","value":"0.01"}}"#
        #expect(try mollie.call("POST", "/_standin/payments/tr_000001/paid", body: body).status == 200)
        #expect(mollie.payment("tr_000001")?["amount"]?["value"] == "0.01")
    }

    @Test("a registered address gets events signed with the secret it was given once")
    func signedEvents() throws {
        let hook = try mollie.call(
            "POST", "/v2/webhooks",
            body: #"{"name":"all","url":"http://127.0.0.1:9/next","eventTypes":["*"]}"#)
        #expect(hook.status == 201)
        let secret = try #require(hook.json["webhookSecret"]?.string)
        _ = try openPayment(["webhookUrl": nil])
        mollie.bring("tr_000001", to: "paid")
        #expect(receiver.received.count == 1)
        let sent = receiver.received[0]
        let event = try JSON.parse(sent.body)
        #expect(event["resource"] == "event")
        #expect(event["type"] == "payment.paid")
        #expect(event["entityId"] == "tr_000001")
        #expect(event["_embedded"]?["entity"]?["status"] == "paid")
        let digest = try #require(TestCryptography().hmac("sha256", key: Array(secret.utf8), data: sent.body))
        #expect(sent.headers["X-Mollie-Signature"] == "sha256=" + Hex.encode(digest))
        let id = try #require(event["id"]?.string)
        #expect(try mollie.call("GET", "/v2/events/\(id)").json == event)
    }

    @Test("a forged event carries another signature")
    func forgedEvent() throws {
        mollie.setWebhook(url: "http://127.0.0.1:9/next", secret: "s")
        _ = try openPayment(["webhookUrl": nil])
        mollie.bring("tr_000001", to: "paid", plan: DeliveryPlan(isForged: true))
        let sent = receiver.received[0]
        let digest = try #require(TestCryptography().hmac("sha256", key: Array("s".utf8), data: sent.body))
        #expect(sent.headers["X-Mollie-Signature"] != "sha256=" + Hex.encode(digest))
    }

    @Test("a webhook is repeated until it is accepted, and nothing but 200 accepts it")
    func repeatedUntilAccepted() throws {
        let flaky = WebhookReceiver(statuses: [500, 202, 200])
        let mollie = MollieStandIn(clock: clock, cryptography: TestCryptography(), transport: flaky)
        _ = try mollie.call("POST", "/v2/payments", body: JSON.text(Self.payment))
        mollie.bring("tr_000001", to: "paid")
        clock.advance(by: .seconds(600))
        #expect(mollie.courier.attempts.map(\.status) == [500, 202, 200])
        let shown = try mollie.call("GET", "/_standin/deliveries").json["deliveries"]
        #expect(shown?[2]?["attempt"] == 3)
        #expect(shown?[2]?["subject"] == "tr_000001")
    }

    @Test("the checkout page pays and leads back")
    func checkoutPage() throws {
        _ = try openPayment()
        #expect(try mollie.call("GET", "/checkout/tr_000001", authorization: nil).text.contains("10.00 EUR"))
        let paid = try mollie.call("POST", "/checkout/tr_000001", authorization: nil)
        #expect(paid.headers["Location"] == "https://app.example/billing")
        #expect(mollie.payment("tr_000001")?["status"] == "paid")
    }
}
