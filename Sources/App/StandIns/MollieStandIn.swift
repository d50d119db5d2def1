package import Ports
package import Values

/// Mollie on loopback: customers, payments, and both kinds of webhook.
///
/// A payment that names a `webhookUrl` gets the unsigned form `id=tr_…`; addresses registered with
/// `POST /v2/webhooks`, or set by the options, get signed JSON events. `GET /checkout/{payment}` is
/// the hosted page. Controls: `POST /_standin/payments/{id}/{paid|canceled|expired|failed|…}` with an
/// optional `amount` and the members of ``DeliveryPlan``, `POST /_standin/payments/{id}/notify`,
/// `GET /_standin/payments`, `POST /_standin/webhook {url, secrets}`, `GET /_standin/deliveries`.
package final class MollieStandIn: InboundHandler, Provider, @unchecked Sendable {
    static let mediaType = "application/hal+json"

    // Unchecked: everything mutable is read and written under `lock`.
    private let lock = Lock()
    private let clock: any RunClock
    private let cryptography: any Cryptography
    package let desk: FrontDesk
    package let courier: WebhookCourier
    private var hooks: [Hook] = []
    private var customers: [String: Value] = [:]
    private var payments: [String: MolliePayment] = [:]
    private var paymentIDs: [String] = []
    private var events: [String: Value] = [:]
    private var counters: [String: Int] = [:]

    /// An address for signed events.
    private struct Hook: Sendable {
        let id: String
        let url: String
        let secret: String
        /// What it is told of.
        var eventTypes: [String] = ["*"]
        var mode = "test"

        func hears(_ type: String) -> Bool { eventTypes.contains("*") || eventTypes.contains(type) }
    }

    /// What a webhook may be told of, with `*` for all of it.
    private static let eventTypes = [
        "*", "payment.paid", "payment.authorized", "payment.failed", "payment.canceled", "payment.expired",
        "payment.pending", "payment-link.paid", "refund.queued", "refund.pending", "refund.processing",
        "refund.refunded", "refund.failed", "refund.canceled", "chargeback.received", "chargeback.reversed",
        "capture.pending", "capture.succeeded", "capture.failed", "balance-transaction.created",
        "payout.initiated", "payout.completed", "payout.failed", "sales-invoice.created",
        "sales-invoice.issued",
        "sales-invoice.canceled", "sales-invoice.paid", "profile.created", "profile.verified",
        "profile.blocked",
        "profile.deleted",
    ]

    package init(
        clock: any RunClock, cryptography: any Cryptography, transport: any Transport,
        options: StandInOptions = StandInOptions()
    ) {
        self.clock = clock
        self.cryptography = cryptography
        desk = FrontDesk(clock: clock, options: options, keyRetention: .seconds(3600))
        var delivering = options
        // Nothing else is an answer to Mollie.
        delivering.webhookAccepts = 200...200
        courier = WebhookCourier(clock: clock, transport: transport, options: delivering)
        setWebhook(url: options.webhookURL, secret: options.webhookSecrets.first ?? "")
        for customer in options.customers {
            customers[customer.id] = Self.customer(
                customer.id, ["email": .string(customer.email)], origin: "http://127.0.0.1", at: clock.now())
        }
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        desk.handle(request, for: self, respond: respond)
    }

    /// The one address that gets signed events from now on; nil for none.
    package func setWebhook(url: String?, secret: String) {
        lock.withLock { hooks = url.map { [Hook(id: "hook_000000", url: $0, secret: secret)] } ?? [] }
    }

    /// The payment as the API shows it; nil for an unknown id.
    package func payment(_ id: String) -> Value? { lock.withLock { payments[id]?.value } }

    // MARK: - Provider

    var keyedMethods: Set<String> { ["POST", "DELETE"] }

    func admits(_ call: StandInCall, key: String?) -> Bool {
        guard let presented = call.presentedKey else { return false }
        return key.map { $0 == presented } ?? true
    }

    func answer(_ call: StandInCall) -> StandInAnswer {
        do {
            return try lock.withLock { () throws(MollieProblem) in try work(call) }
        } catch {
            return StandInAnswer(response: error.response, isStored: false)
        }
    }

    func refusal(_ reason: StandInRefusal) -> InboundResponse {
        switch reason {
        case .unauthorized:
            MollieProblem(status: 401, detail: "Missing authentication, or failed to authenticate").response
        case .keyTooLong: MollieProblem(status: 400, detail: "The idempotency key is too long").response
        case .keyReused:
            MollieProblem(status: 422, detail: "The idempotency key was used with another request").response
        case .keyInProgress:
            MollieProblem(status: 409, detail: "A request with this idempotency key is in progress").response
        case .rateLimited: MollieProblem(status: 429, detail: "Too many requests").response
        case .outage(let status), .brokeWhileWorking(let status):
            MollieProblem(
                status: status,
                detail: status == 503 ? "The payment method's supplier is down" : "Something went wrong"
            ).response
        }
    }

    // MARK: - The API, under the lock

    private func work(_ call: StandInCall) throws(MollieProblem) -> StandInAnswer {
        guard let body = call.bodyValue else {
            throw MollieProblem(status: 400, detail: "The request body is no JSON")
        }
        let segments = call.segments
        guard segments.first == "v2", (2...3).contains(segments.count) else {
            throw Self.notFound("page", "")
        }
        switch (call.method, segments[1], segments.count) {
        case ("POST", "customers", 2):
            let id = nextID("cst")
            customers[id] = Self.customer(id, body, origin: call.origin, at: clock.now())
            return answer(201, customers[id])
        case ("GET", "customers", 3):
            guard let customer = customers[segments[2]] else { throw Self.notFound("customer", segments[2]) }
            return answer(200, customer)
        case ("POST", "payments", 2): return try createPayment(call, body)
        case ("GET", "payments", 2): return try listPayments(call)
        case ("GET", "payments", 3):
            guard let payment = payments[segments[2]] else { throw Self.notFound("payment", segments[2]) }
            return answer(200, payment.value)
        case ("POST", "webhooks", 2): return try createHook(body)
        case ("GET", "events", 3):
            guard let event = events[segments[2]] else { throw Self.notFound("event", segments[2]) }
            return answer(200, event)
        default: throw Self.notFound("page", call.request.path)
        }
    }

    private func createPayment(_ call: StandInCall, _ body: Value) throws(MollieProblem) -> StandInAnswer {
        try MolliePayment.check(body)
        if let customer = body["customerId"], !customer.isNull {
            guard let id = customer.string, customers[id] != nil else {
                throw .unprocessable("customerId", "The customer id is invalid")
            }
        }
        let payment = MolliePayment(
            id: nextID("tr"), asked: body, origin: call.origin, createdAt: clock.now())
        payments[payment.id] = payment
        paymentIDs.append(payment.id)
        return answer(201, payment.value)
    }

    /// Newest first, from one on that is named; the link to the next page names the one that it begins with.
    private func listPayments(_ call: StandInCall) throws(MollieProblem) -> StandInAnswer {
        for item in call.request.query where !["from", "limit", "sort", "profileId"].contains(item.name) {
            throw .unprocessable(item.name, "The parameter \(item.name) is unknown")
        }
        func asked(_ name: String) -> String? { call.request.query.first { $0.name == name }?.value }
        guard let limit = Int(asked("limit") ?? "50"), (1...250).contains(limit) else {
            throw .unprocessable("limit", "The limit is 1 to 250")
        }
        guard let sort = ["asc", "desc"].first(where: { $0 == asked("sort") ?? "desc" }) else {
            throw .unprocessable("sort", "The sort is asc or desc")
        }
        var ids = sort == "desc" ? Array(paymentIDs.reversed()) : paymentIDs
        if let from = asked("from") {
            guard let start = ids.firstIndex(of: from) else { throw Self.notFound("payment", from) }
            ids = Array(ids[start...])
        }
        let page = ids.prefix(limit)
        func link(_ id: String?) -> Value {
            guard let id else { return .null }
            let order = sort == "asc" ? "&sort=asc" : ""
            return MolliePayment.link(
                "\(call.origin)/v2/payments?from=\(id)&limit=\(limit)\(order)", Self.mediaType)
        }
        return answer(
            200,
            [
                "count": .int(Int64(page.count)),
                "_embedded": ["payments": .array(page.compactMap { payments[$0]?.value })],
                "_links": [
                    "self": link(page.first), "previous": nil,
                    "next": link(ids.count > limit ? ids[limit] : nil),
                ],
            ])
    }

    private func createHook(_ body: Value) throws(MollieProblem) -> StandInAnswer {
        guard let name = body["name"]?.string, !name.isEmpty else {
            throw .unprocessable("name", "The name is required")
        }
        guard let url = body["url"]?.string, url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw .unprocessable("url", "The url is no valid URL")
        }
        let types = try Self.eventTypes(of: body)
        let id = nextID("hook")
        let hook = Hook(id: id, url: url, secret: "secret_of_\(id)", eventTypes: types)
        hooks.append(hook)
        return answer(
            201,
            [
                "resource": "webhook", "id": .string(id), "name": .string(name), "url": .string(url),
                "profileId": "pfl_000001", "createdAt": .string(clock.now().mollieText),
                "eventTypes": .array(types.map(Value.string)), "status": "enabled",
                "mode": .string(hook.mode),
                "webhookSecret": .string(hook.secret),
            ])
    }

    /// A list of known types, or one of them as a text.
    private static func eventTypes(of body: Value) throws(MollieProblem) -> [String] {
        let given = body["eventTypes"] ?? .null
        let types = given.string.map { [$0] } ?? given.array?.compactMap(\.string) ?? []
        guard !types.isEmpty, given.string != nil || types.count == given.array?.count else {
            throw .unprocessable(
                "eventTypes", "The event types are required: a list such as [payment.paid], or *")
        }
        for type in types where !eventTypes.contains(type) {
            throw .unprocessable("eventTypes", "The event type \(type) is unknown")
        }
        return types
    }

    private func answer(_ status: Int, _ value: Value?) -> StandInAnswer {
        StandInAnswer(response: .json(status, value ?? .null, type: Self.mediaType), isStored: true)
    }

    private static func notFound(_ kind: String, _ id: String) -> MollieProblem {
        MollieProblem(status: 404, detail: "No \(kind) exists with token \(id).")
    }

    private static func customer(_ id: String, _ asked: Value, origin: String, at now: Instant) -> Value {
        [
            "resource": "customer", "id": .string(id), "mode": "test", "name": asked["name"] ?? .null,
            "email": asked["email"] ?? .null, "locale": asked["locale"] ?? .null,
            "metadata": asked["metadata"] ?? .null, "createdAt": .string(now.mollieText),
            "_links": ["self": MolliePayment.link("\(origin)/v2/customers/\(id)", mediaType)],
        ]
    }

    private func nextID(_ prefix: String) -> String {
        counters[prefix, default: 0] += 1
        let digits = String(counters[prefix, default: 0])
        return prefix + "_" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    // MARK: - What happens at the provider

    /// Brings an open payment to another status and sends its webhooks.
    ///
    /// `status` is `paid`, `canceled`, `expired`, `failed`, `pending` or `authorized`; `amount` is what
    /// was paid where that differs from what was asked, as `{currency, value}`.
    ///
    /// - Returns: Whether there is a payment of that id whose status is not final.
    @discardableResult
    package func bring(
        _ id: String, to status: String, amount: Value? = nil, plan: DeliveryPlan = DeliveryPlan()
    ) -> Bool {
        let isChanged = lock.withLock {
            guard var payment = payments[id], !payment.isFinal, MolliePayment.timestamps[status] != nil else {
                return false
            }
            payment.reach(status, at: clock.now())
            if let amount { payment.amount = amount }
            payments[id] = payment
            return true
        }
        if isChanged { notify(id, plan: plan) }
        return isChanged
    }

    /// Sends the webhooks of a payment's present status, again or for the first time; false for an unknown id.
    @discardableResult
    package func notify(_ id: String, plan: DeliveryPlan = DeliveryPlan()) -> Bool {
        let parcels = lock.withLock { () -> [WebhookCourier.Parcel]? in
            guard let payment = payments[id] else { return nil }
            let type = "payment.\(payment.status)"
            var parcels = hooks.filter { $0.hears(type) }.map {
                signedParcel(payment, to: $0, isForged: plan.isForged)
            }
            if let url = payment.webhookURL { parcels.append(Self.classicParcel(id, to: url)) }
            return parcels
        }
        guard let parcels else { return false }
        if !plan.isHeld { for parcel in parcels { courier.deliver(parcel, by: plan) } }
        return true
    }

    private static func classicParcel(_ id: String, to url: String) -> WebhookCourier.Parcel {
        WebhookCourier.Parcel(
            subject: id, url: url, body: Array("id=\(id)".utf8),
            headers: { _ in
                [
                    HTTPHeader("Content-Type", "application/x-www-form-urlencoded"),
                    HTTPHeader("User-Agent", "Mollie HTTP client/1.0"),
                ]
            }, isRepeated: true)
    }

    private func signedParcel(_ payment: MolliePayment, to hook: Hook, isForged: Bool)
        -> WebhookCourier.Parcel
    {
        let id = nextID("event")
        let event: Value = [
            "resource": "event", "id": .string(id), "type": .string("payment.\(payment.status)"),
            "entityId": .string(payment.id), "createdAt": .string(clock.now().mollieText),
            "_embedded": ["entity": payment.value], "_links": [:],
        ]
        events[id] = event
        let body = JSON.bytes(event)
        let secret = isForged ? "secret_of_somebody_else" : hook.secret
        let digest = cryptography.hmac("sha256", key: Array(secret.utf8), data: body) ?? []
        let headers = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader("User-Agent", "Mollie HTTP client/1.0"),
            HTTPHeader("X-Mollie-Signature", "sha256=" + Hex.encode(digest)),
        ]
        return WebhookCourier.Parcel(
            subject: id, url: hook.url, body: body, headers: { _ in headers }, isRepeated: !isForged)
    }

    // MARK: - Pages and controls

    func page(_ call: StandInCall) -> InboundResponse? {
        guard call.segments.count == 2, call.segments[0] == "checkout" else { return nil }
        guard let payment = lock.withLock({ payments[call.segments[1]] }) else {
            return .controlProblem(404, "no such payment")
        }
        if call.method == "POST" {
            bring(payment.id, to: "paid")
            return InboundResponse(status: 303, headers: [HTTPHeader("Location", payment.redirectURL)])
        }
        let sum = "\(payment.amount["value"]?.text ?? "") \(payment.amount["currency"]?.text ?? "")"
            .escapedForHTML
        return .html(
            "Pay at the stand-in",
            "<p>\(payment.id): \(sum), \(payment.status)</p><form method=post><button>Pay</button></form>")
    }

    func control(_ call: StandInCall) -> InboundResponse? {
        guard let body = call.controlBody else { return .controlProblem(400, "the body is no JSON map") }
        let segments = call.segments.dropFirst().map(\.self)
        switch (call.method, segments.first, segments.count) {
        case ("POST", "webhook", 1):
            guard let url = body["url"], url.isNull || url.string != nil else {
                return .controlProblem(400, "url is a text, or null for no webhook")
            }
            setWebhook(url: url.string, secret: body["secrets"]?[0]?.string ?? "")
            return .json(200, ["ok": true])
        case ("GET", "payments", 1):
            return .json(
                200, ["payments": .array(lock.withLock { paymentIDs.compactMap { payments[$0]?.value } })])
        case ("POST", "payments", 3) where segments[2] == "notify":
            return notify(segments[1], plan: DeliveryPlan(body))
                ? .json(200, ["ok": true]) : .controlProblem(404, "no such payment")
        case ("POST", "payments", 3):
            let amount = body["amount"].flatMap { $0.isNull ? nil : $0 }
            return bring(segments[1], to: segments[2], amount: amount, plan: DeliveryPlan(body))
                ? .json(200, payment(segments[1]) ?? .null)
                : .controlProblem(409, "no payment \(segments[1]) that can become \(segments[2])")
        case ("GET", "deliveries", 1):
            return .json(200, ["deliveries": .array(courier.attempts.map(\.value))])
        default: return nil
        }
    }
}
