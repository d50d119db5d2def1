import Ports
import StandIns
import Testing
import Values

@Suite("Stripe stand-in")
struct StripeStandInTests {
    private let clock = TurnedClock()
    private let receiver = WebhookReceiver()
    private let stripe: StripeStandIn

    init() {
        var options = StandInOptions(apiKey: "sk_test_1")
        options.webhookURL = "http://127.0.0.1:9/hooks"
        options.webhookSecrets = ["whsec_new"]
        stripe = StripeStandIn(
            clock: clock, cryptography: TestCryptography(), transport: receiver, options: options)
    }

    private static let checkout =
        "mode=payment&success_url=https%3A%2F%2Fapp.example%2Fbilling%3Fok%3D1"
        + "&line_items[0][price_data][currency]=eur"
        + "&line_items%5B0%5D%5Bprice_data%5D%5Bproduct_data%5D%5Bname%5D=60+minutes"
        + "&line_items[0][price_data][unit_amount]=500&line_items[0][quantity]=2"
        + "&metadata[tenant_id]=ten_1&metadata[minutes]=60"

    private func openSession(_ more: String = "") throws -> String {
        let answer = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout + more)
        return try #require(answer.json["id"]?.string)
    }

    // MARK: - Sessions

    @Test("a session is made from a bracketed form and carries its metadata back as text")
    func sessionIsMade() throws {
        let answer = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout, key: "k1")
        #expect(answer.status == 200)
        #expect(answer.json["id"] == "cs_test_000001")
        #expect(answer.json["amount_total"] == 1000)
        #expect(answer.json["currency"] == "eur")
        #expect(answer.json["payment_status"] == "unpaid")
        #expect(answer.json["status"] == "open")
        #expect(answer.json["metadata"] == ["tenant_id": "ten_1", "minutes": "60"])
        #expect(answer.json["url"] == "http://127.0.0.1:4242/pay/cs_test_000001")
        #expect(answer.headers["Request-Id"] == "req_000001")
        #expect(answer.headers["Idempotency-Key"] == "k1")
        #expect(answer.headers["Idempotent-Replayed"] == nil)
        let read = try stripe.call("GET", "/v1/checkout/sessions/cs_test_000001")
        #expect(read.json == answer.json)
    }

    @Test("sessions are listed newest first, page by page, narrowed by status and time")
    func sessionsAreListed() throws {
        func list(_ query: String) throws -> (ids: [String], hasMore: Value?) {
            let answer = try stripe.call("GET", "/v1/checkout/sessions?\(query)")
            #expect(answer.status == 200 && answer.json["object"] == "list", "\(answer.text)")
            return (
                answer.json["data"]?.array?.compactMap { $0["id"]?.string } ?? [], answer.json["has_more"]
            )
        }
        var ids: [String] = []
        for _ in 0..<5 {
            ids.append(try openSession())
            clock.advance(by: .seconds(10))
        }
        for id in [ids[0], ids[2], ids[3]] { stripe.pay(id) }
        #expect(try list("").ids == ids.reversed())
        #expect(try list("status=complete&limit=2") == ([ids[3], ids[2]], true))
        #expect(try list("status=complete&limit=2&starting_after=\(ids[2])") == ([ids[0]], false))
        #expect(try list("status=complete&starting_after=\(ids[1])").ids == [ids[0]], "one that does not fit")
        #expect(try list("ending_before=\(ids[2])&limit=1").ids == [ids[3]])
        let since = clock.now().seconds - 30
        #expect(try list("created%5Bgte%5D=\(since)").ids == [ids[4], ids[3], ids[2]])
        #expect(try list("created[lt]=\(since)").ids == [ids[1], ids[0]])
    }

    @Test(
        "a wrong list is refused by the parameter's name",
        arguments: [
            ("limit=0", "limit"), ("limit=101", "limit"), ("limit=many", "limit"),
            ("starting_after=", "starting_after"), ("starting_after=cs_test_9", "starting_after"),
            ("page=2", "page"), ("created[gte]=today", "created"),
        ])
    func wrongListIsNamed(query: String, parameter: String) throws {
        _ = try openSession()
        let answer = try stripe.call("GET", "/v1/checkout/sessions?\(query)")
        #expect(answer.status == 400)
        #expect(answer.json["error"]?["param"]?.string == parameter)
    }

    @Test(
        "a wrong parameter is refused by name",
        arguments: [
            ("mode=payment", "mode=", "mode"),
            ("mode=payment", "mode=gift", "mode"),
            ("success_url=", "nothing_url=", "nothing_url"),
            ("success_url=https", "success_url=ftp", "success_url"),
            ("[unit_amount]=500", "[unit_amount]=5.00", "line_items[0][price_data][unit_amount]"),
            ("[unit_amount]=500", "[unit_amount]=", "line_items[0][price_data][unit_amount]"),
            ("[currency]=eur", "[currency]=euro", "line_items[0][price_data][currency]"),
            ("[quantity]=2", "[quantity]=0", "line_items[0][quantity]"),
            ("metadata[minutes]=60", "customer=cus_nobody", "customer"),
            ("metadata[minutes]=60", "customer=", "customer"),
        ])
    func wrongParameterIsNamed(part: String, replacement: String, parameter: String) throws {
        let body = Self.checkout.replacing(part, with: replacement)
        #expect(body != Self.checkout)
        let answer = try stripe.call("POST", "/v1/checkout/sessions", body: body, key: "k1")
        #expect(answer.status == 400)
        #expect(answer.json["error"]?["type"] == "invalid_request_error")
        #expect(answer.json["error"]?["param"]?.string == parameter)
        // What fails validation never began: the key is free for a right request.
        #expect(
            try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout, key: "k1").status == 200)
    }

    @Test("line items are required for a payment and not for a setup")
    func lineItemsAreRequired() throws {
        let bare = "success_url=https://app.example&mode="
        let payment = try stripe.call("POST", "/v1/checkout/sessions", body: bare + "payment")
        #expect(payment.json["error"]?["param"] == "line_items")
        #expect(try stripe.call("POST", "/v1/checkout/sessions", body: bare + "setup").status == 200)
    }

    @Test("a request without a key, or with another, is refused")
    func keyIsRequired() throws {
        let target = "/v1/customers/cus_abc"
        #expect(try stripe.call("GET", target, authorization: nil).status == 401)
        #expect(try stripe.call("GET", target, authorization: "Bearer sk_other").status == 401)
        let basic = "Basic " + Base64.encode(Array("sk_test_1:".utf8))
        #expect(try stripe.call("GET", target, authorization: basic).json["email"] == "ada@example.com")
    }

    @Test("an unknown customer, session or path is a 404")
    func unknownIsNotFound() throws {
        for target in ["/v1/customers/cus_x", "/v1/checkout/sessions/cs_x", "/v1/nothing", "/"] {
            #expect(try stripe.call("GET", target).status == 404)
        }
    }

    @Test("a customer that was made can be read")
    func customerIsMade() throws {
        let made = try stripe.call("POST", "/v1/customers", body: "email=eve%40example.com&metadata[a]=b")
        #expect(made.json["id"] == "cus_000001")
        #expect(try stripe.call("GET", "/v1/customers/cus_000001").json["email"] == "eve@example.com")
        #expect(
            try stripe.call("POST", "/v1/customers", body: "email=eve").json["error"]?["param"] == "email")
    }

    // MARK: - Charges

    @Test("a charge succeeds, and a declined card is a 402 that its key keeps")
    func chargesArePaidOrDeclined() throws {
        let paid = try stripe.call("POST", "/v1/charges", body: "amount=4999&currency=usd&customer=cus_abc")
        #expect(paid.status == 200)
        #expect(paid.json["paid"] == true)
        #expect(paid.json["amount"] == 4999)
        let form = "amount=4999&currency=usd&customer=cus_declined"
        let declined = try stripe.call("POST", "/v1/charges", body: form, key: "k1")
        #expect(declined.status == 402)
        #expect(declined.json["error"]?["type"] == "card_error")
        #expect(declined.json["error"]?["code"] == "card_declined")
        let again = try stripe.call("POST", "/v1/charges", body: form, key: "k1")
        #expect(again.status == 402)
        #expect(again.body == declined.body)
        #expect(again.headers["Idempotent-Replayed"] == "true")
        let token = "amount=1&currency=usd&source=tok_chargeDeclined"
        #expect(try stripe.call("POST", "/v1/charges", body: token).status == 402)
    }

    @Test(
        "a charge without its parameters is refused by name",
        arguments: [
            ("currency=usd&customer=cus_abc", "amount"), ("amount=0&currency=usd&customer=cus_abc", "amount"),
            ("amount=5&customer=cus_abc", "currency"), ("amount=5&currency=usd", "source"),
            ("amount=99999999999999999999&currency=usd&customer=cus_abc", "amount"),
            ("amount=5&currency=usd&customer=cus_abc&colour=red", "colour"),
        ])
    func chargeParametersAreChecked(body: String, parameter: String) throws {
        let answer = try stripe.call("POST", "/v1/charges", body: body)
        #expect(answer.status == 400)
        #expect(answer.json["error"]?["param"]?.string == parameter)
    }

    @Test(
        "a body that is no form is refused and nothing crashes",
        arguments: ["a[b=1", "a]=1", "a=%zz", "a=1&a[b]=2", "[x]=1"])
    func brokenFormIsRefused(body: String) throws {
        #expect(try stripe.call("POST", "/v1/charges", body: body).status == 400)
    }

    // MARK: - Events

    private func signature(_ request: OutboundRequest) throws -> String {
        try #require(request.headers["Stripe-Signature"])
    }

    private func event(_ request: OutboundRequest) throws -> Value { try JSON.parse(request.body) }

    private func isSigned(_ request: OutboundRequest, with secret: String, offset: Int64 = 0) throws -> Bool {
        let seconds = clock.now().seconds + offset
        let data = Array("\(seconds).".utf8) + request.body
        let digest = try #require(TestCryptography().hmac("sha256", key: Array(secret.utf8), data: data))
        let header = try signature(request)
        return header.hasPrefix("t=\(seconds),") && header.contains("v1=\(Hex.encode(digest))")
    }

    @Test("paying a session sends one signed event that says paid, with a customer where one was asked for")
    func payingSendsEvent() throws {
        let id = try openSession("&customer_creation=always")
        #expect(stripe.pay(id) == "evt_000001")
        #expect(receiver.received.count == 1)
        let sent = receiver.received[0]
        let object = try event(sent)["data"]?["object"]
        #expect(try event(sent)["type"] == "checkout.session.completed")
        #expect(object?["payment_status"] == "paid")
        #expect(object?["status"] == "complete")
        #expect(object?["customer"] == "cus_000001")
        #expect(object?["payment_intent"] == "pi_000001")
        #expect(object?["metadata"]?["minutes"] == "60")
        #expect(try isSigned(sent, with: "whsec_new"))
        #expect(stripe.pay(id) == nil, "a session is paid once")
    }

    @Test("without being asked for, a payment makes no customer")
    func noCustomerByDefault() throws {
        stripe.pay(try openSession())
        #expect(try event(receiver.received[0])["data"]?["object"]?["customer"] == .null)
    }

    @Test("a delayed payment completes as unpaid and succeeds later")
    func delayedPaymentSettlesLater() throws {
        let id = try openSession()
        let control = try stripe.call("POST", "/_standin/sessions/\(id)/pay", body: #"{"delayed":true}"#)
        #expect(control.json["session"]?["payment_status"] == "unpaid")
        #expect(try stripe.call("POST", "/_standin/sessions/\(id)/settle").status == 200)
        let events = try receiver.received.map(event)
        #expect(
            events.map { $0["type"] } == [
                "checkout.session.completed", "checkout.session.async_payment_succeeded",
            ])
        #expect(events.map { $0["data"]?["object"]?["payment_status"] } == ["unpaid", "paid"])
        #expect(try stripe.call("POST", "/_standin/sessions/\(id)/settle").status == 409)
    }

    @Test("a delayed payment can fail, and an open session can expire")
    func delayedPaymentFails() throws {
        let id = try openSession()
        stripe.pay(id, isDelayed: true)
        stripe.settle(id, hasSucceeded: false)
        stripe.expire(try openSession())
        let types = try receiver.received.map { try event($0)["type"]?.string ?? "" }
        #expect(types.suffix(2) == ["checkout.session.async_payment_failed", "checkout.session.expired"])
    }

    @Test("the amount paid can differ from the amount asked for")
    func amountCanDiffer() throws {
        stripe.pay(try openSession(), amountTotal: 1)
        #expect(try event(receiver.received[0])["data"]?["object"]?["amount_total"] == 1)
    }

    @Test("an event is delivered twice with the same id and body")
    func deliveredTwice() throws {
        stripe.pay(try openSession(), plan: DeliveryPlan(copies: 2))
        #expect(receiver.received.count == 2)
        #expect(receiver.received[0].body == receiver.received[1].body)
    }

    @Test("parallel copies leave together, copies in turn wait for each other")
    func parallelCopiesLeaveTogether() throws {
        for (isParallel, expected) in [(true, 5), (false, 1)] {
            let slow = WebhookReceiver(holdsBack: true)
            let stripe = StripeStandIn(clock: clock, cryptography: TestCryptography(), transport: slow)
            stripe.setWebhook(url: "http://127.0.0.1:9/hooks", secrets: ["whsec_new"])
            let id = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout).json["id"]?.string
            stripe.pay(try #require(id), plan: DeliveryPlan(copies: 5, isParallel: isParallel))
            #expect(slow.received.count == expected)
            for _ in 0..<5 { slow.answerAll() }
            #expect(slow.received.count == 5)
            #expect(stripe.courier.waitUntilIdle(atMost: .seconds(1)))
        }
    }

    @Test("held events are delivered later in any order")
    func heldEventsInAnyOrder() throws {
        let id = try openSession()
        let first = try #require(stripe.pay(id, isDelayed: true, plan: DeliveryPlan(isHeld: true)))
        let second = try #require(stripe.settle(id, plan: DeliveryPlan(isHeld: true)))
        #expect(receiver.received.isEmpty)
        stripe.deliver(second)
        #expect(try stripe.call("POST", "/_standin/events/\(first)/deliver").status == 200)
        #expect(try receiver.received.map { try event($0)["id"]?.string } == [second, first])
        #expect(try stripe.call("POST", "/_standin/events/evt_x/deliver").status == 404)
    }

    @Test("a forged event carries a signature that the secret did not make and is not repeated")
    func forgedEvent() throws {
        let refusing = WebhookReceiver(statuses: [401])
        let stripe = StripeStandIn(clock: clock, cryptography: TestCryptography(), transport: refusing)
        stripe.setWebhook(url: "http://127.0.0.1:9/hooks", secrets: ["whsec_new"])
        let id = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout).json["id"]?.string
        stripe.pay(try #require(id), plan: DeliveryPlan(isForged: true))
        clock.advance(by: .seconds(3600))
        #expect(refusing.received.count == 1)
        #expect(try !isSigned(refusing.received[0], with: "whsec_new", offset: -3600))
    }

    @Test("while a secret is rolled, events carry a signature of each")
    func rolledSecretSignsTwice() throws {
        stripe.setWebhook(url: "http://127.0.0.1:9/hooks", secrets: ["whsec_old", "whsec_new"])
        stripe.pay(try openSession())
        let sent = receiver.received[0]
        #expect(try isSigned(sent, with: "whsec_old"))
        #expect(try isSigned(sent, with: "whsec_new"))
        #expect(try signature(sent).split(separator: ",").count == 3)
    }

    @Test("a signature can carry a time that is too old or too new")
    func timestampOffset() throws {
        stripe.pay(try openSession(), plan: DeliveryPlan(timestampOffset: -301))
        #expect(try isSigned(receiver.received[0], with: "whsec_new", offset: -301))
    }

    @Test(
        "the digest is that of the official vectors",
        arguments: [
            ("", "f7f9bd47fb987337b5796fdc1fdb9ba221d0d5396814bfcaf9521f43fd8927fd"),
            (
                #"{"obj1":"hello","obj2":"world"}"#,
                "bebb1a643997f419b315ddba19e6f5411e1ce7f810ba6d3617ce72823092f363"
            ),
            ("\u{1F600}", "837da296d05c4fe31f61d5d7ead035099d9585a5bcde87de952012a78f0b0c43"),
        ])
    func officialVectors(text: String, digest: String) {
        let made = TestCryptography().hmac("sha256", key: Array("test_secret".utf8), data: Array(text.utf8))
        #expect(made.map { Hex.encode($0) } == digest)
    }

    @Test("the signed text is the timestamp, a full stop and the body, under the whole secret")
    func signedText() throws {
        let body = Array("{}".utf8)
        let header = StripeSignature.header(
            body, seconds: 12, secrets: ["whsec_a"], cryptography: TestCryptography())
        let digest = try #require(
            TestCryptography().hmac("sha256", key: Array("whsec_a".utf8), data: Array("12.{}".utf8)))
        #expect(header == "t=12,v1=" + Hex.encode(digest))
    }

    @Test("the hosted page pays and leads back to the success URL")
    func hostedPage() throws {
        let id = try openSession()
        let page = try stripe.call("GET", "/pay/\(id)", authorization: nil)
        #expect(page.status == 200)
        #expect(page.text.contains("1000 eur"))
        let paid = try stripe.call("POST", "/pay/\(id)", authorization: nil)
        #expect(paid.status == 303)
        #expect(paid.headers["Location"] == "https://app.example/billing?ok=1")
        #expect(stripe.session(id)?["payment_status"] == "paid")
    }

    @Test("a webhook that is refused is repeated with a fresh timestamp until it is accepted")
    func refusedWebhookIsRepeated() throws {
        let flaky = WebhookReceiver(statuses: [500, 503, 202])
        let stripe = StripeStandIn(clock: clock, cryptography: TestCryptography(), transport: flaky)
        let set = try stripe.call(
            "POST", "/_standin/webhook", body: #"{"url":"http://127.0.0.1:9/h","secrets":["whsec_new"]}"#)
        #expect(set.status == 200)
        let id = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout).json["id"]?.string
        stripe.pay(try #require(id))
        #expect(flaky.received.count == 1)
        clock.advance(by: .seconds(1))
        #expect(flaky.received.count == 2)
        #expect(try isSigned(flaky.received[1], with: "whsec_new"))
        clock.advance(by: .seconds(3600))
        #expect(flaky.received.count == 3)
        #expect(stripe.courier.attempts.map(\.status) == [500, 503, 202])
        #expect(stripe.courier.waitUntilIdle(atMost: .seconds(1)))
    }

    @Test("a webhook that is never accepted is given up after a bounded number of attempts")
    func repetitionIsBounded() throws {
        let deaf = WebhookReceiver(statuses: [500])
        let stripe = StripeStandIn(clock: clock, cryptography: TestCryptography(), transport: deaf)
        stripe.setWebhook(url: "http://127.0.0.1:9/h", secrets: ["whsec_new"])
        let id = try stripe.call("POST", "/v1/checkout/sessions", body: Self.checkout).json["id"]?.string
        stripe.pay(try #require(id))
        clock.advance(by: .seconds(86_400))
        #expect(deaf.received.count == StandInOptions().webhookDelays.count + 1)
    }
}
