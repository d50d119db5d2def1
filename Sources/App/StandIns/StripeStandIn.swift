package import Ports
package import Values

/// Stripe on loopback: checkout sessions, customers, charges, and events signed as Stripe signs them.
///
/// `GET /pay/{session}` is the hosted page. Controls: `POST /_standin/webhook {url, secrets}`,
/// `POST /_standin/sessions/{id}/pay {delayed, amount_total, …}`, `…/settle {succeeded, …}`,
/// `…/expire`, `GET /_standin/sessions`, `GET /_standin/events`, `POST /_standin/events/{id}/deliver`,
/// `GET /_standin/deliveries`; where an event is made, the body takes the members of ``DeliveryPlan``.
package final class StripeStandIn: InboundHandler, Provider, @unchecked Sendable {
    // Unchecked: everything mutable is read and written under `lock`.
    private let lock = Lock()
    private let clock: any RunClock
    private let cryptography: any Cryptography
    package let desk: FrontDesk
    package let courier: WebhookCourier
    private var webhookURL: String?
    private var webhookSecrets: [String]
    private var customers: [String: Value] = [:]
    private var declined: Set<String> = []
    private var sessions: [String: StripeSession] = [:]
    private var sessionIDs: [String] = []
    private var events: [(id: String, body: [UInt8])] = []
    private var counters: [String: Int] = [:]

    package init(
        clock: any RunClock, cryptography: any Cryptography, transport: any Transport,
        options: StandInOptions = StandInOptions()
    ) {
        self.clock = clock
        self.cryptography = cryptography
        desk = FrontDesk(clock: clock, options: options)
        courier = WebhookCourier(clock: clock, transport: transport, options: options)
        webhookURL = options.webhookURL
        webhookSecrets = options.webhookSecrets
        for customer in options.customers {
            customers[customer.id] = Self.customer(
                customer.id, ["email": .string(customer.email)], createdAt: clock.now())
            if customer.isDeclined { declined.insert(customer.id) }
        }
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        desk.handle(request, for: self, respond: respond)
    }

    /// Where events go from now on, and the secrets that sign them; with two, both sign.
    package func setWebhook(url: String?, secrets: [String]) {
        lock.withLock {
            webhookURL = url
            webhookSecrets = secrets
        }
    }

    /// The session as the API shows it; nil for an unknown id.
    package func session(_ id: String) -> Value? { lock.withLock { sessions[id]?.value } }

    /// Events so far, oldest first, as they are signed and sent.
    package var eventBodies: [[UInt8]] { lock.withLock { events.map(\.body) } }

    // MARK: - Provider

    func admits(_ call: StandInCall, key: String?) -> Bool {
        guard let presented = call.presentedKey else { return false }
        return key.map { $0 == presented } ?? true
    }

    func answer(_ call: StandInCall) -> StandInAnswer {
        guard let body = BracketForm.decode(call.request.body) else {
            let problem = StripeProblem(message: "Invalid form body: it could not be read.")
            return StandInAnswer(response: problem.response, isStored: false)
        }
        do {
            return try lock.withLock { () throws(StripeProblem) in try work(call, body) }
        } catch {
            // What fails validation never began, so its key stays free; a declined card did begin.
            return StandInAnswer(response: error.response, isStored: error.status == 402)
        }
    }

    func refusal(_ reason: StandInRefusal) -> InboundResponse {
        switch reason {
        case .unauthorized(let isMissing):
            let message =
                isMissing
                ? "You did not provide an API key. You need to provide your API key in the Authorization header."
                : "Invalid API Key provided."
            return StripeProblem(status: 401, message: message).response
        case .keyTooLong:
            return StripeProblem(message: "Idempotency keys can have up to 255 characters.").response
        case .keyReused:
            return StripeProblem(
                type: "idempotency_error",
                message: "Keys for idempotent requests can only be used with the same parameters they were "
                    + "first used with."
            ).response
        case .keyInProgress:
            return StripeProblem(
                status: 409, type: "idempotency_error", code: "idempotency_key_in_use",
                message: "There is currently another in-progress request using this Idempotent Key."
            ).response.adding("Stripe-Should-Retry", "true")
        case .rateLimited:
            return StripeProblem(status: 429, code: "rate_limit", message: "Too many requests.").response
        case .outage(let status):
            return StripeProblem(status: status, type: "api_error", message: "Something went wrong.").response
        case .brokeWhileWorking(let status):
            return StripeProblem(status: status, type: "api_error", message: "Something went wrong.").response
                .adding("Stripe-Should-Retry", "false")
        }
    }

    func finished(_ response: InboundResponse, for call: StandInCall, isReplay: Bool) -> InboundResponse {
        var out = response.adding("Request-Id", Self.numbered("req", call.number))
            .adding("Stripe-Version", "2025-08-27.basil")
        if let key = call.idempotencyKey, call.method == "POST" { out = out.adding("Idempotency-Key", key) }
        return isReplay ? out.adding("Idempotent-Replayed", "true") : out
    }

    // MARK: - The API, under the lock

    private func work(_ call: StandInCall, _ body: Value) throws(StripeProblem) -> StandInAnswer {
        let segments = call.segments
        switch (call.method, segments.count) {
        case ("POST", 3) where segments == ["v1", "checkout", "sessions"]:
            return try createSession(call, body)
        case ("GET", 3) where segments == ["v1", "checkout", "sessions"]:
            let list = try StripeSessionList(call.request.query)
            return .json(200, try list.page(of: sessionIDs.compactMap { sessions[$0] }))
        case ("GET", 4) where segments.starts(with: ["v1", "checkout", "sessions"]):
            guard let session = sessions[segments[3]] else {
                throw .unknownObject("checkout.session", segments[3], parameter: "session", status: 404)
            }
            return .json(200, session.value)
        case ("POST", 2) where segments == ["v1", "customers"]: return try createCustomer(body)
        case ("GET", 3) where segments.starts(with: ["v1", "customers"]):
            guard let customer = customers[segments[2]] else {
                throw .unknownObject("customer", segments[2], parameter: "id", status: 404)
            }
            return .json(200, customer)
        case ("POST", 2) where segments == ["v1", "charges"]: return try createCharge(body)
        default:
            throw StripeProblem(
                status: 404, message: "Unrecognized request URL (\(call.method): \(call.request.path)).")
        }
    }

    private func createSession(_ call: StandInCall, _ body: Value) throws(StripeProblem) -> StandInAnswer {
        let now = clock.now().seconds
        try StripeParameters.checkSession(body, at: now)
        let customer = StripeParameters.text(body, "customer")
        if let customer, customers[customer] == nil {
            throw .unknownObject("customer", customer, parameter: "customer")
        }
        let id = nextID("cs_test")
        let session = StripeSession(id: id, parameters: body, origin: call.origin, createdAt: now)
        sessions[id] = session
        sessionIDs.append(id)
        clock.schedule(at: Instant(microseconds: session.expiresAt * 1_000_000)) { [weak self] in
            self?.expire(id)
        }
        return .json(200, sessions[id]?.value ?? .null)
    }

    private func createCustomer(_ body: Value) throws(StripeProblem) -> StandInAnswer {
        try StripeParameters.checkCustomer(body)
        return .json(
            200,
            addCustomer(body))
    }

    private func createCharge(_ body: Value) throws(StripeProblem) -> StandInAnswer {
        let (amount, currency) = try StripeParameters.checkedCharge(body)
        let customer = StripeParameters.text(body, "customer")
        let source = StripeParameters.text(body, "source")
        if let customer, customers[customer] == nil {
            throw .unknownObject("customer", customer, parameter: "customer")
        }
        let id = nextID("ch")
        if customer.map(declined.contains) ?? false || source == "tok_chargeDeclined" {
            let error: Value = [
                "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                "message": "Your card was declined.", "charge": .string(id),
                "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            ]
            return .json(402, ["error": error])
        }
        return .json(
            200,
            [
                "id": .string(id), "object": "charge", "amount": .int(amount), "currency": .string(currency),
                "captured": true, "created": .int(clock.now().seconds),
                "customer": customer.map(Value.string) ?? .null, "livemode": false,
                "metadata": .object(body["metadata"]?.textMap ?? Object()),
                "outcome": ["network_status": "approved_by_network", "type": "authorized"],
                "paid": true, "refunded": false, "status": "succeeded",
            ])
    }

    /// Makes one of `email`, `name`, `phone`, `description`, `address`, `shipping` and `metadata`.
    private func addCustomer(_ asked: Value) -> Value {
        let id = nextID("cus")
        let customer = Self.customer(id, asked, createdAt: clock.now())
        customers[id] = customer
        return customer
    }

    private static func customer(_ id: String, _ asked: Value, createdAt: Instant) -> Value {
        func text(_ name: String) -> Value { StripeParameters.text(asked, name).map(Value.string) ?? .null }
        func map(_ name: String) -> Value { asked[name]?.object.map(Value.object) ?? .null }
        return [
            "id": .string(id), "object": "customer", "address": map("address"), "balance": 0,
            "created": .int(createdAt.seconds), "currency": nil, "default_source": nil, "delinquent": false,
            "description": text("description"), "discount": nil, "email": text("email"),
            "invoice_prefix": .string(String(decoding: id.utf8.suffix(6), as: UTF8.self)),
            "invoice_settings": [
                "custom_fields": nil, "default_payment_method": nil, "footer": nil, "rendering_options": nil,
            ],
            "livemode": false, "metadata": .object(asked["metadata"]?.textMap ?? Object()),
            "name": text("name"),
            "phone": text("phone"), "preferred_locales": [], "shipping": map("shipping"),
            "tax_exempt": "none",
            "test_clock": nil,
        ]
    }

    private func nextID(_ prefix: String) -> String {
        counters[prefix, default: 0] += 1
        return Self.numbered(prefix, counters[prefix, default: 0])
    }

    private static func numbered(_ prefix: String, _ number: Int) -> String {
        let digits = String(number)
        return prefix + "_" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    // MARK: - What happens at the provider

    /// The buyer pays: completes an open session and sends `checkout.session.completed`.
    ///
    /// With `isDelayed` the money is only promised: `payment_status` stays `unpaid` until
    /// ``settle(_:hasSucceeded:plan:)``. `amountTotal` is what was paid where that differs from what
    /// was asked, in the smallest unit.
    ///
    /// - Returns: The event's id, or nil where there is no open session of that id.
    @discardableResult
    package func pay(
        _ id: String, isDelayed: Bool = false, amountTotal: Int64? = nil, email: String = "buyer@example.com",
        plan: DeliveryPlan = DeliveryPlan()
    ) -> String? {
        change(id, from: .open, type: "checkout.session.completed", plan: plan) { session in
            session.status = .complete
            session.paymentStatus = isDelayed ? "unpaid" : "paid"
            session.paymentIntent = self.nextID("pi")
            session.email = email
            if let amountTotal { session.amountTotal = amountTotal }
            if session.customer == nil, session.createsCustomer {
                session.customer = self.addCustomer(["email": .string(email)])["id"]?.string
            }
        }
    }

    /// The promised money arrives or does not: `checkout.session.async_payment_succeeded` or `…_failed`.
    @discardableResult
    package func settle(_ id: String, hasSucceeded: Bool = true, plan: DeliveryPlan = DeliveryPlan())
        -> String?
    {
        let type = "checkout.session.async_payment_" + (hasSucceeded ? "succeeded" : "failed")
        return change(id, from: .complete, type: type, plan: plan) { session in
            if hasSucceeded { session.paymentStatus = "paid" }
        }
    }

    /// The buyer never came: `checkout.session.expired`.
    @discardableResult
    package func expire(_ id: String, plan: DeliveryPlan = DeliveryPlan()) -> String? {
        change(id, from: .open, type: "checkout.session.expired", plan: plan) { $0.status = .expired }
    }

    /// Delivers an event once more, or a held one for the first time.
    ///
    /// - Returns: Whether there is one.
    @discardableResult
    package func deliver(_ eventID: String, plan: DeliveryPlan = DeliveryPlan()) -> Bool {
        let found = lock.withLock { () -> (url: String?, secrets: [String], body: [UInt8])? in
            guard let event = events.first(where: { $0.id == eventID }) else { return nil }
            return (webhookURL, webhookSecrets, event.body)
        }
        guard let found else { return false }
        guard let url = found.url, !plan.isHeld else { return true }
        let secrets = plan.isForged ? ["whsec_of_somebody_else"] : found.secrets
        let (body, offset, cryptography) = (found.body, plan.timestampOffset, cryptography)
        let parcel = WebhookCourier.Parcel(
            subject: eventID, url: url, body: body,
            headers: { now in
                let signature = StripeSignature.header(
                    body, seconds: now.seconds + offset, secrets: secrets, cryptography: cryptography)
                return [
                    HTTPHeader("Content-Type", "application/json; charset=utf-8"),
                    HTTPHeader("Stripe-Signature", signature),
                    HTTPHeader("User-Agent", "Stripe/1.0 (stand-in)"),
                ]
            }, isRepeated: !plan.isForged)
        courier.deliver(parcel, by: plan)
        return true
    }

    private func change(
        _ id: String, from state: StripeSession.Status, type: String, plan: DeliveryPlan,
        _ edit: (inout StripeSession) -> Void
    ) -> String? {
        let eventID = lock.withLock { () -> String? in
            guard var session = sessions[id], session.status == state else { return nil }
            if state == .complete, session.paymentStatus != "unpaid" { return nil }
            edit(&session)
            sessions[id] = session
            let eventID = nextID("evt")
            let event: Value = [
                "id": .string(eventID), "object": "event", "api_version": "2025-08-27.basil",
                "created": .int(clock.now().seconds), "type": .string(type), "livemode": false,
                "pending_webhooks": 1, "request": ["id": nil, "idempotency_key": nil],
                "data": ["object": session.value],
            ]
            events.append((eventID, JSON.bytes(event)))
            return eventID
        }
        if let eventID { deliver(eventID, plan: plan) }
        return eventID
    }

    // MARK: - Pages and controls

    func page(_ call: StandInCall) -> InboundResponse? {
        guard call.segments.count == 2, call.segments[0] == "pay" else { return nil }
        guard let session = lock.withLock({ sessions[call.segments[1]] }) else {
            return .controlProblem(404, "no such session")
        }
        if call.method == "POST" {
            guard pay(session.id) != nil else {
                return .html("Pay at the stand-in", "<p>\(session.id) cannot be paid any more.</p>")
            }
            guard !session.returnAddress.isEmpty else {
                return .html("Paid", "<p>\(session.id) is paid.</p>")
            }
            return InboundResponse(status: 303, headers: [HTTPHeader("Location", session.returnAddress)])
        }
        let sum = "\(session.amountTotal ?? 0) \(session.currency ?? "")".escapedForHTML
        return .html(
            "Pay at the stand-in",
            "<p>\(session.id): \(sum) (smallest unit), \(session.status.rawValue)</p>"
                + "<form method=post><button>Pay</button></form>")
    }

    func control(_ call: StandInCall) -> InboundResponse? {
        guard let body = call.controlBody else { return .controlProblem(400, "the body is no JSON map") }
        let segments = call.segments.dropFirst().map(\.self)
        switch (call.method, segments.first, segments.count) {
        case ("POST", "webhook", 1):
            guard let url = body["url"], url.isNull || url.string != nil else {
                return .controlProblem(400, "url is a text, or null for no webhook")
            }
            setWebhook(url: url.string, secrets: body["secrets"]?.array?.compactMap(\.string) ?? [])
            return .json(200, ["ok": true])
        case ("GET", "sessions", 1):
            return .json(
                200, ["sessions": .array(lock.withLock { sessionIDs.compactMap { sessions[$0]?.value } })])
        case ("POST", "sessions", 3): return changed(segments[1], segments[2], body)
        case ("GET", "events", 1):
            let bodies = eventBodies.compactMap { try? JSON.parse($0) }
            return .json(200, ["events": .array(bodies)])
        case ("POST", "events", 3) where segments[2] == "deliver":
            return deliver(segments[1], plan: DeliveryPlan(body))
                ? .json(200, ["ok": true]) : .controlProblem(404, "no such event")
        case ("GET", "deliveries", 1):
            return .json(200, ["deliveries": .array(courier.attempts.map(\.value))])
        default: return nil
        }
    }

    private func changed(_ id: String, _ action: String, _ body: Value) -> InboundResponse? {
        let plan = DeliveryPlan(body)
        let eventID: String?
        switch action {
        case "pay":
            eventID = pay(
                id, isDelayed: body["delayed"]?.bool ?? false, amountTotal: body["amount_total"]?.int,
                email: body["email"]?.string ?? "buyer@example.com", plan: plan)
        case "settle": eventID = settle(id, hasSucceeded: body["succeeded"]?.bool ?? true, plan: plan)
        case "expire": eventID = expire(id, plan: plan)
        default: return nil
        }
        guard let eventID else {
            return .controlProblem(409, "no session \(id) in a state that allows \(action)")
        }
        return .json(200, ["event_id": .string(eventID), "session": session(id) ?? .null])
    }
}
