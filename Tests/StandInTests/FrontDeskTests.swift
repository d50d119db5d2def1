import Ports
import StandIns
import Testing
import Values

@Suite("Front desk of a stand-in")
struct FrontDeskTests {
    private let clock = TurnedClock()
    private let stripe: StripeStandIn
    private static let charge = "amount=4999&currency=usd&customer=cus_abc"

    init() {
        stripe = StripeStandIn(
            clock: clock, cryptography: TestCryptography(), transport: WebhookReceiver(),
            options: StandInOptions())
    }

    private func charge(_ body: String = Self.charge, key: String? = "k1") throws -> InboundResponse {
        try stripe.call("POST", "/v1/charges", body: body, key: key)
    }

    // MARK: - Controls

    @Test("a control is JSON whatever its content type says, as curl sends it")
    func controlsAreJSON() throws {
        let form = "application/x-www-form-urlencoded"
        let set = try stripe.call(
            "POST", "/_standin/faults", body: #"{"match":"POST /v1/charges","kind":"status"}"#, type: form)
        #expect(set.status == 201)
        #expect(try charge().status == 500)
        for body in ["match=x", "[]", "{"] {
            #expect(
                try stripe.call("POST", "/_standin/faults", body: body, type: form).status == 400, "\(body)")
        }
    }

    @Test(
        "a webhook is set to an address or to null, never by forgetting one",
        arguments: ["", #"{"uri":"x"}"#, #"{"url":7}"#])
    func webhookNeedsAnAddress(body: String) throws {
        let mollie = MollieStandIn(
            clock: clock, cryptography: TestCryptography(), transport: WebhookReceiver())
        for provider in [stripe, mollie] as [any InboundHandler] {
            #expect(try provider.call("POST", "/_standin/webhook", body: body).status == 400)
            #expect(try provider.call("POST", "/_standin/webhook", body: #"{"url":null}"#).status == 200)
        }
    }

    // MARK: - Keys

    @Test("the same key and request are answered from memory and nothing is done again")
    func sameKeyIsReplayed() throws {
        let first = try charge()
        let second = try charge()
        #expect(second.body == first.body)
        #expect(second.headers["Idempotent-Replayed"] == "true")
        #expect(try charge(key: "k2").json["id"] == "ch_000002")
        #expect(stripe.desk.log.map(\.isReplay) == [false, true, false])
    }

    @Test("the same key with other parameters is an idempotency error")
    func sameKeyWithOtherBody() throws {
        _ = try charge()
        let answer = try charge(Self.charge + "&description=x")
        #expect(answer.status == 400)
        #expect(answer.json["error"]?["type"] == "idempotency_error")
    }

    @Test("a key whose first request is still under way is a conflict that may be retried")
    func keyInProgress() throws {
        stripe.desk.inject(Fault(.delay, on: "POST /v1/charges", delay: .seconds(5)))
        let slow = Promise<InboundResponse>()
        stripe.begin("POST", "/v1/charges", body: Self.charge, key: "k1") { slow.fulfil($0) }
        let early = try charge()
        #expect(early.status == 409)
        #expect(early.json["error"]?["code"] == "idempotency_key_in_use")
        #expect(early.headers["Stripe-Should-Retry"] == "true")
        #expect(slow.wait(atMost: .zero) == nil)
        clock.advance(by: .seconds(5))
        #expect(slow.wait(atMost: .seconds(1))?.status == 200)
        #expect(try charge().headers["Idempotent-Replayed"] == "true")
    }

    @Test("a key is forgotten after a day")
    func keyIsForgotten() throws {
        _ = try charge()
        clock.advance(by: .seconds(24 * 3600))
        #expect(try charge().json["id"] == "ch_000002")
    }

    @Test("a key on a GET means nothing, and one that is too long is refused")
    func keyBounds() throws {
        for id in ["cus_abc", "cus_declined"] {
            #expect(try stripe.call("GET", "/v1/customers/\(id)", key: "k1").json["id"]?.string == id)
        }
        #expect(try charge(key: String(repeating: "k", count: 255)).status == 200)
        #expect(try charge(key: String(repeating: "k", count: 256)).status == 400)
    }

    // MARK: - Faults

    @Test("a status fault is shown as often as asked for and does nothing")
    func statusFault() throws {
        stripe.desk.inject(Fault(.status, on: "POST /v1/charges", status: 503, times: 2))
        #expect(try [charge().status, charge().status, charge().status] == [503, 503, 200])
        #expect(try charge().json["id"] == "ch_000001")
        #expect(stripe.desk.log.map(\.fault) == ["status", "status", nil, nil])
    }

    @Test("a reset after the work is done drops the connection and keeps the answer for the key")
    func resetAfterWork() throws {
        stripe.desk.inject(Fault(.resetAfterWork, on: "POST /v1/charges"))
        #expect(try charge().dropsConnection)
        let retried = try charge()
        #expect(retried.json["id"] == "ch_000001")
        #expect(retried.headers["Idempotent-Replayed"] == "true")
        #expect(stripe.desk.log.map(\.status) == [0, 200])
    }

    @Test("without a key, a reset after the work leads to doing it twice")
    func resetWithoutKey() throws {
        stripe.desk.inject(Fault(.resetAfterWork, on: "POST /v1/charges"))
        #expect(try charge(key: nil).dropsConnection)
        #expect(try charge(key: nil).json["id"] == "ch_000002")
    }

    @Test("a reset before the work does nothing")
    func resetBeforeWork() throws {
        stripe.desk.inject(Fault(.reset, on: "*"))
        #expect(try charge().dropsConnection)
        #expect(try charge().json["id"] == "ch_000001")
    }

    @Test("an answer lost after the work is found again under the key")
    func statusAfterWork() throws {
        stripe.desk.inject(Fault(.statusAfterWork, on: "POST /v1/*", status: 502))
        #expect(try charge().status == 502)
        #expect(try charge().json["id"] == "ch_000001")
    }

    @Test("a stored 500 is replayed for ever and says that a retry is useless")
    func storedStatus() throws {
        stripe.desk.inject(Fault(.storedStatus, on: "POST /v1/charges"))
        for isReplay in [nil, "true", "true"] as [String?] {
            let answer = try charge()
            #expect(answer.status == 500)
            #expect(answer.headers["Stripe-Should-Retry"] == "false")
            #expect(answer.headers["Idempotent-Replayed"] == isReplay)
        }
    }

    @Test("a rate limit says when to come back")
    func rateLimit() throws {
        stripe.desk.inject(Fault(.rateLimited, on: "POST /v1/charges", retryAfterSeconds: 7))
        let answer = try charge()
        #expect(answer.status == 429)
        #expect(answer.headers["Retry-After"] == "7")
        #expect(try charge().status == 200)
    }

    @Test("a fault for a body meets only requests that hold it")
    func faultForBody() throws {
        stripe.desk.inject(Fault(.status, on: "POST /v1/charges", bodyContains: "cus_declined"))
        #expect(try charge().status == 200)
        #expect(try charge("amount=1&currency=usd&customer=cus_declined", key: "k2").status == 500)
    }

    @Test("faults are asked for, shown and withdrawn over HTTP")
    func faultsOverHTTP() throws {
        let body = #"{"match":"POST /v1/charges","kind":"status","status":599,"times":3,"delay_ms":0}"#
        #expect(try stripe.call("POST", "/_standin/faults", body: body, authorization: nil).status == 201)
        #expect(try charge().status == 599)
        let left = try stripe.call("GET", "/_standin/faults").json["faults"]
        #expect(left?[0]?["times"] == 2)
        #expect(try stripe.call("DELETE", "/_standin/faults").status == 200)
        #expect(try charge().status == 200)
    }

    @Test(
        "a fault that cannot be is refused with a reason",
        arguments: [
            "{}", #"{"match":"*"}"#, #"{"match":"*","kind":"fire"}"#,
            #"{"match":"*","kind":"status","status":99}"#,
            #"{"match":"*","kind":"status","times":0}"#, #"{"match":"*","kind":"delay","delay_ms":1e99}"#,
            "{",
        ])
    func wrongFault(body: String) throws {
        let answer = try stripe.call("POST", "/_standin/faults", body: body)
        #expect(answer.status == 400)
        #expect(answer.json["error"]?.string?.isEmpty == false)
    }

    // MARK: - Log

    @Test("the log shows what came and what was answered, and never a credential")
    func logShowsRequests() throws {
        _ = try charge()
        _ = try stripe.call("GET", "/v1/customers/cus_abc", authorization: nil)
        let shown = try stripe.call("GET", "/_standin/log", authorization: nil)
        let requests = try #require(shown.json["requests"]?.array)
        #expect(requests.count == 2, "controls are not logged")
        #expect(requests[0]["path"] == "/v1/charges")
        #expect(requests[0]["idempotency_key"] == "k1")
        #expect(requests[0]["authorized"] == true)
        #expect(requests[0]["body"]?.string == Self.charge)
        #expect(requests[0]["status"] == 200)
        #expect(requests[1]["authorized"] == false)
        #expect(requests[1]["status"] == 401)
        #expect(!shown.text.contains("sk_test_1"))
        let narrowed = try stripe.call("GET", "/_standin/log?path=/v1/charges&method=POST&after=0")
        #expect(narrowed.json["requests"]?.array?.count == 1)
        _ = try stripe.call("DELETE", "/_standin/log")
        #expect(stripe.desk.log.isEmpty)
        #expect(stripe.desk.requestCount == 2)
    }

    @Test("the log is bounded, and the newest entries stay right")
    func logIsBounded() throws {
        var options = StandInOptions()
        options.logCountMax = 8
        let stripe = StripeStandIn(
            clock: clock, cryptography: TestCryptography(), transport: WebhookReceiver(), options: options)
        for number in 1...50 {
            let id = number.isMultiple(of: 2) ? "cus_abc" : "cus_x"
            _ = try stripe.call("GET", "/v1/customers/\(id)")
        }
        #expect((8...11).contains(stripe.desk.log.count))
        #expect(stripe.desk.log.last?.number == 50)
        #expect(stripe.desk.log.allSatisfy { $0.status == ($0.number.isMultiple(of: 2) ? 200 : 404) })
        #expect(stripe.desk.requestCount == 50)
    }

    @Test("an unknown control is a 404")
    func unknownControl() throws {
        #expect(try stripe.call("GET", "/_standin/nothing").status == 404)
        #expect(try stripe.call("POST", "/_standin/sessions/cs_x/pay").status == 409)
    }
}
