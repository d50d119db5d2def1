import MemoryStore
import OpenSSLCrypto
import Ports
import StandIns
import Storage
import TestSupport
import Values

/// Everyone whom the service talks to: the tenants' shop, the payment provider, the mailer.
final class World: @unchecked Sendable {
    // Unchecked: used by one thread.
    enum Provider: String, CaseIterable, Sendable { case stripe, mollie }

    /// A payment that a buyer has made.
    private struct Payment {
        var purchase: PurchaseID
        /// What its credit must be called.
        var reference: String
        var isRight: Bool
    }

    static let webhookSecret = "SECRET-whsec-0123456789"

    let provider: Provider
    let shop: Shop
    private unowned let simulation: Simulation
    private var random: SeededRandom
    private let stripe: StripeStandIn
    private let mollie: MollieStandIn
    private let resend: ResendStandIn
    private var payments: [Payment] = []
    private var unpaidCount = 0

    init(_ simulation: Simulation, _ random: SeededRandom) {
        self.simulation = simulation
        self.random = random
        provider = self.random.pick(Provider.allCases)
        shop = Shop(
            complain: { [unowned simulation] in simulation.oracle.complain($0, $1) },
            observe: { [unowned simulation] in
                simulation.story.tell($0)
                simulation.count($0.hasSuffix("once more") ? "effect once more" : "effect")
            },
            objection: { [unowned simulation] in simulation.oracle.objection(toRepeatUnder: $0, after: $1) })
        let clock = SimulatedClock(simulation.timeline)
        let transport = SimulatedTransport(simulation.timeline, simulation.network, clock: clock)
        let cryptography = OpenSSLCryptography()
        var options = StandInOptions()
        options.webhookDelays = (0..<200).map { .seconds(min(600, 1 << min($0, 10))) }
        stripe = StripeStandIn(
            clock: clock, cryptography: cryptography, transport: transport, options: options)
        mollie = MollieStandIn(
            clock: clock, cryptography: cryptography, transport: transport, options: options)
        resend = ResendStandIn(clock: clock, options: options)
        stripe.setWebhook(
            url: "https://millrace.example/hooks/operator/payment-webhook", secrets: [Self.webhookSecret])
    }

    /// Gives a request to whoever lives at its address; false where nobody does.
    func deliver(
        _ request: OutboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void
    ) -> Bool {
        let inbound = InboundRequest(carrying: request, at: simulation.timeline.now)
        switch request.host {
        case "shop.example": respond(shop.handle(request))
        case "api.stripe.com": stripe.handle(inbound, respond: respond)
        case "api.mollie.com": mollie.handle(inbound, respond: respond)
        case "api.resend.com": resend.handle(inbound, respond: respond)
        default: return false
        }
        return true
    }

    // MARK: - Buying

    /// A buyer was sent to a checkout and pays there after a while: rightly, wrongly, or not at all.
    func visit(checkout: String, for purchase: PurchaseID) {
        guard let id = checkout.split(separator: "/").last.map(String.init), !random.happens(10) else {
            return
        }
        let isRight = !random.happens(10)
        let plan = DeliveryPlan(copies: random.number(1...3), isParallel: random.happens(50))
        unpaidCount += 1
        simulation.timeline.plan(after: random.duration(.seconds(1), .seconds(40))) { [unowned self] in
            unpaidCount -= 1
            switch provider {
            case .stripe: payAtStripe(id, purchase, isRight: isRight, plan)
            case .mollie: payAtMollie(id, purchase, isRight: isRight, plan)
            }
        }
    }

    private func payAtStripe(_ id: String, _ purchase: PurchaseID, isRight: Bool, _ plan: DeliveryPlan) {
        let isDelayed = random.happens(30)
        guard stripe.pay(id, isDelayed: isDelayed, amountTotal: isRight ? nil : 1, plan: plan) != nil else {
            return
        }
        note(purchase, "stripe:\(stripe.session(id)?["payment_intent"]?.string ?? "?"):purchase", isRight)
        guard isDelayed else { return }
        simulation.timeline.plan(after: random.duration(.seconds(1), .seconds(60))) { [unowned self] in
            stripe.settle(id, plan: plan)
        }
    }

    private func payAtMollie(_ id: String, _ purchase: PurchaseID, isRight: Bool, _ plan: DeliveryPlan) {
        let wrong: Value? = isRight ? .none : .some(["currency": "EUR", "value": "0.01"])
        guard mollie.bring(id, to: "paid", amount: wrong, plan: plan) else { return }
        note(purchase, "mollie:\(id):purchase", isRight)
        if random.happens(40) {
            simulation.timeline.plan(after: random.duration(.seconds(1), .seconds(60))) { [unowned self] in
                mollie.notify(id)
            }
        }
    }

    private func note(_ purchase: PurchaseID, _ reference: String, _ isRight: Bool) {
        simulation.story.tell("\(purchase) is paid as \(reference)\(isRight ? "" : ", wrongly")")
        payments.append(Payment(purchase: purchase, reference: reference, isRight: isRight))
    }

    // MARK: - The end

    /// Whether everyone who paid has been dealt with.
    var isIdle: Bool {
        unpaidCount == 0
            && payments.allSatisfy { payment in
                let state = ((try? simulation.purchase(payment.purchase)) ?? nil)?.state
                return state == (payment.isRight ? .credited : .parked)
            }
    }

    /// Who has paid what was asked has the minutes, once; who has not is looked at by a person.
    func judge() {
        for payment in payments {
            let state = ((try? simulation.purchase(payment.purchase)) ?? nil)?.state
            let isCredited = simulation.oracle.hasCredited(payment.reference)
            if state != (payment.isRight ? .credited : .parked) || isCredited != payment.isRight {
                simulation.oracle.complain(
                    .i11,
                    "\(payment.purchase), paid as \(payment.reference), is \(state.map(\.rawValue) ?? "gone")"
                )
            }
        }
    }
}

extension Simulation {
    /// A purchase as it is on the disk.
    func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase? { try reader.purchase(id) }
}
