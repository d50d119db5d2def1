import Clocks
import CurlTransport
import MicroHTTPServer
import Ports
import StandIns
import Testing
import Values

/// The stand-ins under the real server, called and delivering through the real transport.
@Suite("Stand-ins over sockets")
struct StandInSocketTests {
    /// Servers, clock and transport of one test, to be ended by it.
    private final class Bench: @unchecked Sendable {
        // Unchecked: `listeners` is read and written under `lock`.
        private let lock = Lock()
        private var listeners: [MicroHTTPServer] = []
        let clock = SystemClock()
        let transport: CurlTransport

        init() {
            let clock = clock
            transport = CurlTransport(clock: { clock.now() })
        }

        func start(_ handler: any InboundHandler) throws -> UInt16 {
            let clock = clock
            let listener = try MicroHTTPServer.start(
                address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() },
                handler: handler)
            lock.withLock { listeners.append(listener) }
            return listener.port
        }

        func stop() {
            transport.shutDown()
            for listener in lock.withLock({ listeners }) { listener.shutDown(drain: .zero) }
            clock.shutDown()
        }

        func call(
            _ method: String, _ url: String, body: String = "", type: String = "application/json",
            key: String? = nil
        ) throws -> Result<OutboundResponse, TransportFailure> {
            var headers = [HTTPHeader("Authorization", "Bearer sk_1"), HTTPHeader("Content-Type", type)]
            if let key { headers.append(HTTPHeader("Idempotency-Key", key)) }
            let request = OutboundRequest(
                method: method, url: url, headers: headers, body: Array(body.utf8), timeout: .seconds(2),
                egress: EgressPolicy(allowed: [.init(range: "127.0.0.1", port: nil)]))
            let outcome = Promise<TransferOutcome>()
            transport.send(request) { outcome.fulfil($0) }
            return try #require(outcome.wait(atMost: .seconds(3))).result
        }
    }

    /// Keeps what reached it and answers 202, as Millrace's own webhook address does, or otherwise.
    private final class Receiver: InboundHandler, @unchecked Sendable {
        // Unchecked: `received` is read and written under `lock`.
        private let lock = Lock()
        private var received: [InboundRequest] = []
        private let status: Int

        init(status: Int = 202) { self.status = status }

        var requests: [InboundRequest] { lock.withLock { received } }

        func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
            lock.withLock { received.append(request) }
            respond(InboundResponse(status: status))
        }
    }

    @Test("a session is opened, paid and told to a webhook address, signed over the very bytes that arrive")
    func paymentOverSockets() throws {
        let bench = Bench()
        defer { bench.stop() }
        let receiver = Receiver()
        let address = "http://127.0.0.1:\(try bench.start(receiver))/hooks/operator/payment-webhook"
        let suite = try StandInSuite(
            clock: bench.clock, cryptography: TestCryptography(), transport: bench.transport,
            start: { try bench.start($0) })
        suite.stripe.setWebhook(url: address, secrets: ["whsec_1"])

        let form =
            "mode=payment&success_url=https://a.example&line_items[0][quantity]=1"
            + "&line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=500"
            + "&line_items[0][price_data][product_data][name]=x"
        let made = try bench.call(
            "POST", suite.stripeURL + "/v1/checkout/sessions", body: form,
            type: "application/x-www-form-urlencoded", key: "run_1/create_session"
        ).get()
        #expect(made.status == 200)
        let page = try #require(JSON.parse(made.body)["url"]?.string)
        #expect(page.hasPrefix(suite.stripeURL + "/pay/"))
        #expect(try bench.call("POST", page).get().status == 303)
        #expect(suite.stripe.courier.waitUntilIdle(atMost: .seconds(2)))

        let told = try #require(receiver.requests.first)
        let header = try #require(told.headers["stripe-signature"])
        let seconds = try #require(Int64(header.dropFirst(2).prefix { $0 != "," }))
        let expected = StripeSignature.header(
            told.body, seconds: seconds, secrets: ["whsec_1"], cryptography: TestCryptography())
        #expect(header == expected)
        #expect(try JSON.parse(told.body)["data"]?["object"]?["payment_status"] == "paid")
        #expect(suite.stripe.courier.attempts.map(\.status) == [202])
    }

    @Test("faults are asked for over HTTP and met over HTTP")
    func faultsOverSockets() throws {
        let bench = Bench()
        defer { bench.stop() }
        let orders = OrderStandIn(clock: bench.clock)
        let url = "http://127.0.0.1:\(try bench.start(orders))"
        let fault = #"{"match":"PATCH /orders/o1","kind":"status","status":503,"times":2}"#
        #expect(try bench.call("POST", url + "/_standin/faults", body: fault).get().status == 201)
        let statuses = try (0..<3).map { _ in
            try bench.call("PATCH", url + "/orders/o1", body: #"{"status":"paid"}"#, key: "k").get().status
        }
        #expect(statuses == [503, 503, 200])
        let log = try JSON.parse(bench.call("GET", url + "/_standin/log?path=/orders").get().body)
        #expect(log["requests"]?.array?.map { $0["status"] } == [503, 503, 200])
    }

    @Test("a Mollie payment tells its webhook address the id and nothing else")
    func mollieOverSockets() throws {
        let bench = Bench()
        defer { bench.stop() }
        let receiver = Receiver(status: 200)
        let address = "http://127.0.0.1:\(try bench.start(receiver))/hooks"
        let mollie = MollieStandIn(
            clock: bench.clock, cryptography: TestCryptography(), transport: bench.transport)
        let url = "http://127.0.0.1:\(try bench.start(mollie))"
        let payment: Value = [
            "amount": ["currency": "EUR", "value": "5.00"], "description": "x",
            "redirectUrl": "https://a.example", "webhookUrl": .string(address),
        ]
        #expect(try bench.call("POST", url + "/v2/payments", body: JSON.text(payment)).get().status == 201)
        #expect(
            try bench.call("POST", url + "/_standin/payments/tr_000001/paid", body: "{}").get().status == 200)
        #expect(mollie.courier.waitUntilIdle(atMost: .seconds(2)))
        #expect(receiver.requests.map { String(decoding: $0.body, as: UTF8.self) } == ["id=tr_000001"])
    }
}
