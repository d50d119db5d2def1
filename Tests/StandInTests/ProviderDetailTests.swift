import Ports
import StandIns
import Testing
import Values

/// What providers check and answer beyond the main path.
@Suite("Stand-ins: details of providers")
struct ProviderDetailTests {
    private final class World {
        let clock = TurnedClock()
        let receiver = WebhookReceiver()
        let stripe: StripeStandIn
        let mollie: MollieStandIn

        init() {
            let cryptography = TestCryptography()
            stripe = StripeStandIn(clock: clock, cryptography: cryptography, transport: receiver)
            mollie = MollieStandIn(clock: clock, cryptography: cryptography, transport: receiver)
        }

        func call(
            _ handler: some InboundHandler, _ method: String, _ path: String, _ body: String = "",
            query: [(name: String, value: String)] = [], type: String = "application/x-www-form-urlencoded"
        ) -> (status: Int, value: Value) {
            let request = InboundRequest(
                method: method, path: path, segments: path.split(separator: "/").map(String.init),
                query: query,
                headers: [
                    HTTPHeader("authorization", "Bearer key_1"), HTTPHeader("content-type", type),
                    HTTPHeader("host", "127.0.0.1:1"),
                ], body: Array(body.utf8), peer: "127.0.0.1", receivedAt: clock.now())
            let answer = Promise<InboundResponse>()
            handler.handle(request) { answer.fulfil($0) }
            let response = answer.wait(atMost: .seconds(5)) ?? InboundResponse(status: 0)
            return (response.status, (try? JSON.parse(response.body)) ?? .null)
        }

        func session(_ more: String = "&success_url=https://a.example/?s={CHECKOUT_SESSION_ID}") -> (
            status: Int, value: Value
        ) {
            call(
                stripe, "POST", "/v1/checkout/sessions",
                "mode=payment&line_items[0][price]=p&line_items[0][quantity]=1" + more)
        }

        func list(_ query: [(name: String, value: String)]) -> (ids: [String], hasMore: Value?) {
            let page = call(stripe, "GET", "/v1/checkout/sessions", query: query).value
            return (page["data"]?.array?.compactMap { $0["id"]?.string } ?? [], page["has_more"])
        }
    }

    @Test("has_more looks in the direction of the page, forwards and backwards")
    func pagesOfSessions() {
        let world = World()
        let ids = (0..<7).compactMap { _ in world.session().value["id"]?.string }
        #expect(ids.count == 7)
        let newestFirst = Array(ids.reversed())
        var walked: [String] = []
        var after: String?
        while true {
            let page = world.list([("limit", "3")] + (after.map { [("starting_after", $0)] } ?? []))
            walked += page.ids
            #expect(page.hasMore == .bool(walked.count < 7))
            guard page.hasMore == true, let last = page.ids.last else { break }
            after = last
        }
        #expect(walked == newestFirst)
        walked = []
        var before = ids[0]
        while true {
            let page = world.list([("limit", "3"), ("ending_before", before)])
            walked = page.ids + walked
            #expect(page.hasMore == .bool(walked.count < 6))
            guard page.hasMore == true, let first = page.ids.first else { break }
            before = first
        }
        #expect(walked == Array(newestFirst.dropLast()))
        let both = world.call(
            world.stripe, "GET", "/v1/checkout/sessions",
            query: [("starting_after", ids[1]), ("ending_before", ids[0])])
        #expect(both.status == 400)
    }

    @Test("a session expires at its time, is told of, and cannot be paid any more")
    func sessionsExpire() {
        let world = World()
        world.stripe.setWebhook(url: "http://127.0.0.1:9/hook", secrets: ["whsec_1"])
        let now = world.clock.now().seconds
        for (offset, status) in [(1_799, 400), (1_800, 200), (86_400, 200), (86_401, 400), (-5, 400)]
            as [(Int64, Int)]
        {
            let made = world.session("&success_url=https://a.example&expires_at=\(now + offset)")
            #expect(made.status == status, "\(offset): \(made.value)")
            if status == 400 { #expect(made.value["error"]?["param"] == "expires_at") }
        }
        #expect(world.session("&success_url=https://a.example&expires_at=soon").status == 400)
        let session = world.session("&success_url=https://a.example&expires_at=\(now + 1_800)").value
        let id = session["id"]?.string ?? ""
        #expect(session["expires_at"] == .int(now + 1_800) && session["status"] == "open")
        let paid =
            world.session("&success_url=https://a.example&expires_at=\(now + 1_800)").value["id"]?.string
            ?? ""
        #expect(world.stripe.pay(paid) != nil)
        world.clock.advance(by: .seconds(1_801))
        #expect(
            world.stripe.session(id)?["status"] == "expired"
                && world.stripe.session(id)?["url"]?.isNull == true)
        #expect(world.stripe.pay(id) == nil)
        #expect(world.stripe.session(paid)?["status"] == "complete")
        let types = world.stripe.eventBodies.compactMap { (try? JSON.parse($0))?["type"]?.string }
        #expect(types.filter { $0 == "checkout.session.expired" }.count == 2)
    }

    @Test("an embedded form has a client secret and a return address in place of a page")
    func embeddedForms() {
        let world = World()
        for mode in ["embedded", "embedded_page"] {
            let made = world.session(
                "&ui_mode=\(mode)&return_url=https://a.example/back?s={CHECKOUT_SESSION_ID}"
            ).value
            #expect(made["ui_mode"] == .string(mode) && made["url"]?.isNull == true)
            #expect(made["client_secret"]?.string?.hasPrefix("\(made["id"]?.text ?? "")_secret_") == true)
            #expect(made["success_url"]?.isNull == true)
            #expect(world.session("&ui_mode=\(mode)").value["error"]?["param"] == "return_url")
            #expect(
                world.session("&ui_mode=\(mode)&return_url=https://a&success_url=https://b").value["error"]?[
                    "param"]
                    == "success_url")
            #expect(world.session("&ui_mode=\(mode)&redirect_on_completion=never").status == 200)
        }
        for mode in ["hosted", "hosted_page"] {
            let made = world.session("&ui_mode=\(mode)&success_url=https://a.example").value
            #expect(made["ui_mode"] == .string(mode) && made["url"]?.string != nil)
            #expect(made["client_secret"]?.isNull == true)
            #expect(
                world.session("&ui_mode=\(mode)&success_url=https://a&return_url=https://b").value["error"]?[
                    "param"]
                    == "return_url")
        }
        #expect(world.session("&ui_mode=popup&success_url=https://a").value["error"]?["param"] == "ui_mode")
    }

    @Test("a customer has the fields of a customer")
    func customersAreWhole() {
        let world = World()
        let made = world.call(
            world.stripe, "POST", "/v1/customers",
            "email=a@example.com&name=Ada&phone=%2B49&description=d&address[city]=Berlin&metadata[k]=v"
        ).value
        #expect(made["name"] == "Ada" && made["phone"] == "+49" && made["description"] == "d")
        #expect(made["address"] == ["city": "Berlin"] && made["metadata"] == ["k": "v"])
        for name in [
            "balance", "created", "currency", "default_source", "delinquent", "discount", "invoice_prefix",
            "invoice_settings", "livemode", "preferred_locales", "shipping", "tax_exempt", "test_clock",
        ] { #expect(made[name] != nil, "\(name)") }
        let session =
            world.session("&success_url=https://a.example&customer_creation=always").value["id"]?.string ?? ""
        world.stripe.pay(session)
        #expect(world.stripe.session(session)?["customer_details"]?["email"] == "buyer@example.com")
    }

    @Test("a webhook of Mollie's names what it is told of, and is told of that alone")
    func eventTypes() {
        let world = World()
        func hook(_ body: String) -> (status: Int, value: Value) {
            world.call(world.mollie, "POST", "/v2/webhooks", body, type: "application/json")
        }
        let base = #""name":"n","url":"http://127.0.0.1:9/h""#
        for types in [
            "", #","eventTypes":[]"#, #","eventTypes":["payment.payed"]"#, #","eventTypes":[7]"#,
            #","eventTypes":null"#,
        ] {
            let refused = hook("{\(base)\(types)}")
            #expect(refused.status == 422 && refused.value["field"] == "eventTypes", "\(types)")
        }
        let made = hook("{\(base),\"eventTypes\":[\"payment.failed\"]}")
        #expect(made.status == 201 && made.value["eventTypes"] == ["payment.failed"])
        let payment = world.call(
            world.mollie, "POST", "/v2/payments",
            #"{"amount":{"currency":"EUR","value":"1.00"},"description":"d","redirectUrl":"https://a.example"}"#,
            type: "application/json"
        ).value
        world.mollie.bring(payment["id"]?.string ?? "", to: "paid")
        #expect(world.receiver.received.isEmpty)
        #expect(hook("{\(base),\"eventTypes\":\"*\"}").status == 201)
        world.mollie.notify(payment["id"]?.string ?? "")
        #expect(world.receiver.received.count == 1)
    }

    @Test("Mollie writes times in whole seconds, with the offset in digits")
    func timesOfMollie() throws {
        let world = World()
        let made = world.call(
            world.mollie, "POST", "/v2/payments",
            #"{"amount":{"currency":"EUR","value":"1.00"},"description":"d","redirectUrl":"https://a.example"}"#,
            type: "application/json"
        ).value
        world.mollie.bring(made["id"]?.string ?? "", to: "paid")
        let paid = world.mollie.payment(made["id"]?.string ?? "") ?? .null
        for time in [made["createdAt"], made["expiresAt"], paid["paidAt"]] {
            let text = try #require(time?.string)
            #expect(text.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00/#) != nil, "\(text)")
        }
        #expect(made["createdAt"] == "2023-11-14T22:13:20+00:00")
    }

    @Test("names of a form are read by their bytes: a combining character behind a bracket joins nothing")
    func combiningCharacters() {
        let world = World()
        let made = world.session("&success_url=https://a.example&metadata[%CC%81a]=1&metadata[b%CC%81]=2")
        #expect(made.status == 200, "\(made.value)")
        #expect(made.value["metadata"] == ["\u{301}a": "1", "b\u{301}": "2"])
        let apart = world.session("&success_url=https://a.example&metadata[%C3%A9]=1&metadata[e%CC%81]=2")
        #expect(apart.value["metadata"]?.object?.count == 2)
    }
}
