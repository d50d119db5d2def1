import Billing
import Engine
import Ports
import Runtime
import Storage
import Values

/// `/api/balance`, `/api/ledger…` and `/api/billing/purchases`.
struct BillingCalls {
    let api: APIHandler
    let call: Call

    /// About 19 years of run time; far below what a ledger holds.
    private static let minutesMax: Int64 = 10_000_000
    /// How long a buyer waits for the checkout address.
    private static let checkoutWait = Duration.seconds(30)

    private var runtime: Runtime { api.runtime }
    private var tenant: TenantID { call.tenant.tenant }

    func route(_ path: [String]) throws(Refusal) {
        switch (call.request.method, path) {
        case ("GET", ["balance"]): call.respond(try balance())
        case ("GET", ["ledger"]): call.respond(try ledger())
        case ("GET", ["usage"]): call.respond(try usage())
        case ("GET", ["ledger", "verification"]): call.respond(try verification())
        case ("POST", ["billing", "purchases"]): try purchase()
        case (_, ["billing", "purchases"]): throw Refusal(Answer.methodNotAllowed("POST"))
        case (_, ["balance"]), (_, ["ledger"]), (_, ["usage"]), (_, ["ledger", "verification"]):
            throw Refusal(Answer.methodNotAllowed("GET"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func balance() throws(Refusal) -> InboundResponse {
        let account = try storing { () throws(StoreError) in try runtime.store.account(of: tenant) }
        return Answer.json(
            200,
            [
                "tenant_id": .string("\(tenant)"), "balance_ms": .int(account.balanceMilliseconds),
                "held_ms": .int(runtime.heldMilliseconds(of: tenant)),
                "is_metered": .bool(call.tenant.isMetered),
            ])
    }

    private func ledger() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let before = try call.cursor(Call.wholeNumber)
        let found = try storing { () throws(StoreError) in
            try runtime.store.ledger(of: tenant, before: before, limit: limit + 1)
        }
        return Answer.page(found, limit: limit, next: { String($0.sequence) }) { Self.value(of: $0) }
    }

    static func value(of entry: LedgerEntry) -> Value {
        [
            "sequence": .int(entry.sequence), "kind": .string(entry.kind.rawValue),
            "amount_ms": .int(entry.amountMilliseconds), "balance_ms": .int(entry.balanceMilliseconds),
            "reference": entry.reference.map { .string($0) } ?? .null,
            "run_id": entry.run.map { .string("\($0)") } ?? .null,
            "reason": entry.reason.map { .string($0) } ?? .null, "at": .string(entry.at.text),
            "hash": .string(Hex.encode(entry.hash)),
        ]
    }

    /// At most this many days; without `from`, as many up to `to`.
    private static let usageDaysMax: Int64 = 366

    private func usage() throws(Refusal) -> InboundResponse {
        let to = try call.instant("to") ?? runtime.clock.now()
        let span = Self.usageDaysMax * LedgerDay.microseconds
        let from = try call.instant("from") ?? Instant(microseconds: to.microseconds - span)
        guard from < to, to.microseconds - from.microseconds <= span else {
            throw Refusal(
                400, "time_range", "from is before to, and at most \(Self.usageDaysMax) days before it")
        }
        let days = try storing { () throws(StoreError) in
            try runtime.store.ledgerDays(of: tenant, from: from, to: to)
        }
        return Answer.json(
            200,
            [
                "tenant_id": .string("\(tenant)"), "from": .string(from.text), "to": .string(to.text),
                "used_ms": .int(days.reduce(0) { $0 + $1.usedMilliseconds }),
                "credited_ms": .int(days.reduce(0) { $0 + $1.creditedMilliseconds }),
                "taken_back_ms": .int(days.reduce(0) { $0 + $1.takenBackMilliseconds }),
                "days": .array(days.map(Self.value)),
            ])
    }

    private static func value(of day: LedgerDay) -> Value {
        let begin = Instant(microseconds: day.day * LedgerDay.microseconds)
        return [
            "day": .string(String(begin.text.prefix(10))), "used_ms": .int(day.usedMilliseconds),
            "credited_ms": .int(day.creditedMilliseconds), "taken_back_ms": .int(day.takenBackMilliseconds),
        ]
    }

    private func verification() throws(Refusal) -> InboundResponse {
        guard call.isOperator else {
            throw Refusal(403, "operator_only", "only the operator's key may do this")
        }
        let found = try storing { () throws(StoreError) in try runtime.store.verifyLedgers() }
        return Answer.json(
            200,
            [
                "tenants": .int(Int64(found.tenantCount)), "entries": .int(Int64(found.entryCount)),
                "credited_ms": .int(found.creditedMilliseconds), "used_ms": .int(found.usedMilliseconds),
                "taken_back_ms": .int(found.takenBackMilliseconds),
                "findings": .array(
                    found.findings.map { finding in
                        [
                            "tenant_id": .string("\(finding.tenant)"), "sequence": .int(finding.sequence),
                            "reason": .string(finding.reason),
                        ]
                    }),
            ])
    }

    // MARK: Buying

    private func purchase() throws(Refusal) {
        guard runtime.suspension(of: tenant) == nil else { throw Refusal(Answer.suspended) }
        let body = try call.object(["minutes", "success_url", "cancel_url"])
        guard let minutes = body["minutes"]?.int, (1...Self.minutesMax).contains(minutes) else {
            throw Refusal(
                422, "minutes_out_of_range", "minutes is a whole number from 1 to \(Self.minutesMax)")
        }
        let (price, overflows) = minutes.multipliedReportingOverflow(by: api.settings.pricePerMinuteMinor)
        guard !overflows, price <= Account.amountMillisecondsMax else {
            throw Refusal(422, "minutes_out_of_range", "that many minutes cost more than can be counted")
        }
        let purchase = Purchase(
            purchase: runtime.newPurchaseID(), tenant: tenant, minutes: minutes,
            price: Credit.Paid(amountMinor: price, currency: api.settings.currency), state: .open,
            createdAt: runtime.clock.now())
        let payload = try payload(purchase, body)
        try checkRoom(at: purchase.createdAt)
        // Recorded before anyone is asked to pay: the payment is compared with it.
        try storing { () throws(StoreError) in try runtime.store.addPurchase(purchase) }
        let waiting = CheckoutReply(purchase, call.respond)
        runtime.raise(
            "on_purchase_requested", body: payload, key: "\(purchase.purchase)", waiter: waiting.finisher
        ) {
            [runtime] result in
            switch result {
            case .started(let run):
                waiting.begin(run)
                runtime.clock.schedule(after: Self.checkoutWait) { waiting.giveUp() }
            case nil:
                waiting.answer(
                    Answer.error(
                        503, "billing_not_configured",
                        "no workflow listens to purchases: the operator deploys one of the billing folders"))
            case .unavailable(let error): waiting.answer(Answer.store(error))
            case .tooManyRuns, .computedTooMuch, .overloaded, .unfunded, .suspended, .duplicate, .skipped,
                .refused:
                waiting.answer(Answer.unavailable)
            }
        }
    }

    /// Each purchase is a run of the operator's, a checkout at the provider and a row that stays.
    private func checkRoom(at now: Instant) throws(Refusal) {
        let day = Duration.seconds(86_400)
        let count = try storing { () throws(StoreError) in
            try runtime.store.openPurchaseCount(
                of: tenant, since: Instant(microseconds: now.microseconds - day.microseconds))
        }
        guard count < api.settings.purchaseCountMax else {
            throw Refusal(
                Answer.error(
                    429, "too_many_purchases",
                    "\(count) purchase\(count == 1 ? "" : "s") of the last day not paid: pay one, or try again later",
                    headers: [HTTPHeader("Retry-After", "3600")]))
        }
    }

    /// Ids and numbers, and addresses on this server or of the buyer's own.
    private func payload(_ purchase: Purchase, _ body: Object) throws(Refusal) -> Value {
        func page(isCancelled: Bool) -> String {
            BillingPage.url(
                of: purchase.purchase, isCancelled: isCancelled, publicURL: api.settings.publicURL)
        }
        let success = try address(body, "success_url") ?? page(isCancelled: false)
        let cancel = try address(body, "cancel_url") ?? page(isCancelled: true)
        return [
            "purchase_id": .string("\(purchase.purchase)"), "tenant_id": .string("\(tenant)"),
            "minutes": .int(purchase.minutes), "amount_minor": .int(purchase.price.amountMinor),
            "amount": .string(
                Money.text(
                    minorUnits: purchase.price.amountMinor,
                    digits: Money.digits(of: purchase.price.currency) ?? 2)
            ),
            "currency": .string(purchase.price.currency),
            "external_customer_id": call.tenant.externalCustomerID.map { .string($0) } ?? .null,
            "success_url": .string(success), "cancel_url": .string(cancel),
        ]
    }

    private func address(_ body: Object, _ name: String) throws(Refusal) -> String? {
        guard let text = try Call.text(body, name, byteCountMax: 2_000) else { return nil }
        guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
            throw Refusal(422, "member_unfit", "\(name) is an address that begins with https://")
        }
        return text
    }
}

/// Holds a buyer until the checkout run has an address; answers once.
private final class CheckoutReply: @unchecked Sendable {
    // Unchecked: all but `purchase` and `respond` is read and written under `lock`.
    private let lock = Lock()
    private let purchase: Purchase
    private let respond: @Sendable (InboundResponse) -> Void
    private var run: RunID?
    private var outcome: RunOutcome?
    private var isAnswered = false

    init(_ purchase: Purchase, _ respond: @escaping @Sendable (InboundResponse) -> Void) {
        self.purchase = purchase
        self.respond = respond
    }

    var finisher: @Sendable (RunOutcome) -> Void {
        { [self] outcome in
            lock.withLock { self.outcome = outcome }
            answerIfComplete()
        }
    }

    func begin(_ run: RunID) {
        lock.withLock { self.run = run }
        answerIfComplete()
    }

    private func answerIfComplete() {
        guard let (run, outcome) = lock.withLock({ run.flatMap { run in outcome.map { (run, $0) } } }) else {
            return
        }
        guard outcome.status == .succeeded, let url = outcome.output["checkout_url"]?.string else {
            return answer(
                Answer.error(
                    502, "checkout_failed",
                    "the payment provider gave no checkout address: nothing was bought",
                    details: ["run_id": .string("\(run)"), "purchase_id": .string("\(purchase.purchase)")]))
        }
        answer(
            Answer.json(
                201,
                [
                    "purchase_id": .string("\(purchase.purchase)"), "run_id": .string("\(run)"),
                    "checkout_url": .string(url), "minutes": .int(purchase.minutes),
                    "amount_minor": .int(purchase.price.amountMinor),
                    "currency": .string(purchase.price.currency),
                ]))
    }

    func giveUp() {
        answer(
            Answer.error(
                504, "checkout_slow", "the payment provider has not answered yet: try again",
                details: ["purchase_id": .string("\(purchase.purchase)")]))
    }

    func answer(_ response: InboundResponse) {
        let isFirst = lock.withLock {
            defer { isAnswered = true }
            return !isAnswered
        }
        if isFirst { respond(response) }
    }
}
