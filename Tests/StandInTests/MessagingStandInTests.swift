import Ports
import StandIns
import Testing
import Values

@Suite("Resend, Slack and order stand-ins")
struct MessagingStandInTests {
    private let clock = TurnedClock()

    // MARK: - Resend

    private static let email =
        #"{"from":"Shop <a@example.com>","to":"b@example.com","subject":"Hi","text":"Yo"}"#

    @Test("an email is taken, kept and can be read")
    func emailIsTaken() throws {
        let resend = ResendStandIn(clock: clock)
        let sent = try resend.call("POST", "/emails", body: Self.email)
        #expect(sent.status == 200)
        #expect(sent.json == ["id": "00000000-0000-4000-8000-000000000001"])
        let read = try resend.call("GET", "/emails/00000000-0000-4000-8000-000000000001")
        #expect(read.json["last_event"] == "delivered")
        #expect(read.json["subject"] == "Hi")
        #expect(resend.emails.count == 1)
        #expect(try resend.call("GET", "/_standin/emails").json["emails"]?.array?.count == 1)
    }

    @Test("the same key sends one email; another email with it is a 409 for ever")
    func emailKeys() throws {
        let resend = ResendStandIn(clock: clock)
        let first = try resend.call("POST", "/emails", body: Self.email, key: "k")
        #expect(try resend.call("POST", "/emails", body: Self.email, key: "k").body == first.body)
        #expect(resend.emails.count == 1)
        let other = try resend.call("POST", "/emails", body: Self.email.replacing("Hi", with: "Ho"), key: "k")
        #expect(other.status == 409)
        #expect(other.json["name"] == "invalid_idempotent_request")
        #expect(other.json["statusCode"] == 409)
        let long = try resend.call(
            "POST", "/emails", body: Self.email, key: String(repeating: "k", count: 257))
        #expect(long.json["name"] == "invalid_idempotency_key")
    }

    @Test("the same key at the same time is a 409 that passes")
    func concurrentEmails() throws {
        let resend = ResendStandIn(clock: clock)
        resend.desk.inject(Fault(.delay, on: "POST /emails", delay: .seconds(1)))
        let slow = Promise<InboundResponse>()
        resend.begin("POST", "/emails", body: Self.email, key: "k") { slow.fulfil($0) }
        let early = try resend.call("POST", "/emails", body: Self.email, key: "k")
        #expect(early.status == 409)
        #expect(early.json["name"] == "concurrent_idempotent_requests")
        clock.advance(by: .seconds(1))
        #expect(slow.wait(atMost: .seconds(1))?.status == 200)
        #expect(try resend.call("POST", "/emails", body: Self.email, key: "k").status == 200)
    }

    @Test(
        "an email that cannot be sent is refused by name",
        arguments: [
            ("\"to\":\"b@example.com\",", "", 422, "missing_required_field"),
            ("\"subject\":\"Hi\",", "", 422, "missing_required_field"),
            (",\"text\":\"Yo\"", "", 422, "missing_required_field"),
            ("Shop <a@example.com>", "Shop", 422, "invalid_from_address"),
            ("b@example.com", "nobody", 422, "validation_error"),
            ("}", "", 400, "validation_error"),
        ])
    func wrongEmail(part: String, replacement: String, status: Int, name: String) throws {
        let resend = ResendStandIn(clock: clock)
        let answer = try resend.call("POST", "/emails", body: Self.email.replacing(part, with: replacement))
        #expect(answer.status == status)
        #expect(answer.json["name"]?.string == name)
        #expect(resend.emails.isEmpty)
    }

    @Test("up to 50 recipients are taken")
    func manyRecipients() throws {
        let resend = ResendStandIn(clock: clock)
        for (count, status) in [(50, 200), (51, 422)] {
            let list = JSON.text(.array(Array(repeating: "b@example.com", count: count)))
            let body = Self.email.replacing("\"b@example.com\"", with: list)
            #expect(try resend.call("POST", "/emails", body: body).status == status)
        }
    }

    @Test("a missing key is a 401, a wrong one a 403, an unknown email a 404, too many requests a 429")
    func resendRefusals() throws {
        let resend = ResendStandIn(clock: clock, options: StandInOptions(apiKey: "re_1"))
        func name(_ answer: InboundResponse) -> String? { answer.json["name"]?.string }
        let missing = try resend.call("POST", "/emails", body: Self.email, authorization: nil)
        #expect((missing.status, name(missing)) == (401, "missing_api_key"))
        let wrong = try resend.call("POST", "/emails", body: Self.email, authorization: "Bearer re_2")
        #expect((wrong.status, name(wrong)) == (403, "invalid_api_key"))
        let unknown = try resend.call("GET", "/emails/x", authorization: "Bearer re_1")
        #expect((unknown.status, name(unknown)) == (404, "not_found"))
        let method = try resend.call("DELETE", "/emails", authorization: "Bearer re_1")
        #expect((method.status, name(method)) == (405, "method_not_allowed"))
        resend.desk.inject(Fault(.rateLimited, on: "POST /emails", retryAfterSeconds: 3))
        let limited = try resend.call("POST", "/emails", body: Self.email, authorization: "Bearer re_1")
        #expect((limited.status, name(limited)) == (429, "rate_limit_exceeded"))
        #expect(limited.headers["Retry-After"] == "3")
    }

    // MARK: - Slack

    @Test("a message to a known channel is posted, as JSON or as a form")
    func messageIsPosted() throws {
        let slack = SlackStandIn(clock: clock)
        let body = ##"{"channel":"#payments-alerts","text":"oops"}"##
        let answer = try slack.call("POST", "/api/chat.postMessage", body: body, key: "k")
        #expect(answer.json["ok"] == true)
        #expect(answer.json["ts"] == "1700000000.000001")
        let form = try slack.call(
            "POST", "/api/chat.postMessage", body: "channel=C0PAYMENTS&text=oops", key: "k")
        #expect(form.json["ok"] == true)
        _ = try slack.call("POST", "/api/chat.postMessage", body: body, key: "k")
        #expect(slack.messages.count == 3, "Slack knows no keys: a repetition is another message")
    }

    @Test(
        "a failure is a 200 that says not ok",
        arguments: [
            (##"{"channel":"#nowhere","text":"x"}"##, "channel_not_found"),
            (#"{"text":"x"}"#, "channel_not_found"),
            (##"{"channel":"#payments-alerts"}"##, "no_text"), ("{", "invalid_json"),
        ])
    func slackFailures(body: String, error: String) throws {
        let slack = SlackStandIn(clock: clock)
        let answer = try slack.call("POST", "/api/chat.postMessage", body: body)
        #expect(answer.status == 200)
        #expect(answer.json == ["ok": false, "error": .string(error)])
        #expect(slack.messages.isEmpty)
    }

    @Test("a missing or wrong token is not ok, and a rate limit is a 429")
    func slackRefusals() throws {
        let slack = SlackStandIn(clock: clock, options: StandInOptions(apiKey: "xoxb-1"))
        let target = "/api/chat.postMessage"
        #expect(try slack.call("POST", target, authorization: nil).json["error"] == "not_authed")
        #expect(try slack.call("POST", target, authorization: "Bearer x").json["error"] == "invalid_auth")
        slack.desk.inject(Fault(.rateLimited, on: "POST /api/*", retryAfterSeconds: 30))
        let limited = try slack.call("POST", target, authorization: "Bearer xoxb-1")
        #expect(limited.status == 429)
        #expect(limited.headers["Retry-After"] == "30")
    }

    // MARK: - Orders

    @Test("an order is changed once for each key and can be read")
    func orderIsChanged() throws {
        let orders = OrderStandIn(clock: clock)
        #expect(try orders.call("GET", "/orders/ord_1").status == 404)
        let paid = #"{"status":"paid","charge_id":"ch_1"}"#
        let first = try orders.call("PATCH", "/orders/ord_1", body: paid, key: "k")
        #expect(first.json == ["id": "ord_1", "status": "paid", "charge_id": "ch_1"])
        #expect(try orders.call("PATCH", "/orders/ord_1", body: paid, key: "k").body == first.body)
        #expect(orders.desk.log.map(\.isReplay) == [false, false, true])
        #expect(try orders.call("PATCH", "/orders/ord_1", body: #"{"status":"x"}"#, key: "k").status == 422)
        #expect(try orders.call("GET", "/orders/ord_1").json["status"] == "paid")
        #expect(orders.order("ord_1")?["status"] == "paid")
        #expect(try orders.call("PATCH", "/orders/ord_1", body: paid, authorization: nil).status == 401)
    }

    @Test("effects are counted by key, and an item under two keys is seen")
    func effectsAreCounted() throws {
        let orders = OrderStandIn(clock: clock)
        for (key, item) in [("a", 1), ("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
            _ = try orders.call("POST", "/effects", body: #"{"item":\#(item)}"#, key: key, authorization: nil)
        }
        _ = try orders.call("POST", "/effects", body: "{}")
        let counts = orders.effectCounts
        #expect(counts.requestCount == 5)
        #expect(counts.distinctKeyCount == 4)
        #expect(counts.repeatedCount == 1)
        #expect(counts.keylessCount == 1)
        #expect(counts.itemsUnderSeveralKeys == 1)
        #expect(try orders.call("GET", "/_standin/effects").json["distinct"] == 4)
    }

    // MARK: - All together

    @Test("a suite starts each stand-in on a port of its own and names the addresses as workflows do")
    func suiteStartsAll() throws {
        let ports = PortCounter()
        let suite = try StandInSuite(
            clock: clock, cryptography: TestCryptography(), transport: WebhookReceiver(),
            start: { _ in ports.next() })
        #expect(suite.stripeURL == "http://127.0.0.1:9001")
        #expect(
            suite.variables.map(\.name) == [
                "stripe_url", "mollie_url", "resend_url", "slack_url", "orders_url",
            ])
        #expect(Set(suite.variables.map(\.value)).count == 5)
    }

    private final class PortCounter: @unchecked Sendable {
        // Unchecked: `last` is read and written under `lock`.
        private let lock = Lock()
        private var last: UInt16 = 9000

        func next() -> UInt16 {
            lock.withLock {
                last += 1
                return last
            }
        }
    }
}
