import Ports
import StandIns
import Testing
import Values

/// What the provider says was paid is credited, though its webhook never came (L11); all over sockets.
@Suite("Reconciliation with the provider")
struct ReconciliationTests {
    enum Provider: String, CaseIterable { case stripe, mollie }

    /// The provider's billing workflows and its reconciliation, with pages of three.
    private func use(_ provider: Provider, _ service: TestService) throws {
        switch provider {
        case .stripe: try service.useStripe()
        case .mollie: try service.useMollie()
        }
        let source = try service.source("workflows/operator/reconciliation/\(provider.rawValue).yaml")
        let small = source.replacing("\"page_size\":100", with: "\"page_size\":3")
        #expect(small != source)
        let deployed = service.owner.deploy(small)
        #expect(deployed.status == 201, "\(deployed.text)")
    }

    /// The buyer pays; a webhook that is lost is never sent.
    private func pay(
        _ id: String, at provider: Provider, _ service: TestService, isLost: Bool, isWrong: Bool = false
    ) {
        let plan = DeliveryPlan(isHeld: isLost)
        switch provider {
        case .stripe: service.suite.stripe.pay(id, amountTotal: isWrong ? 1 : nil, plan: plan)
        case .mollie:
            let wrong: Value? = isWrong ? .some(["currency": "EUR", "value": "0.01"]) : .none
            service.suite.mollie.bring(id, to: "paid", amount: wrong, plan: plan)
        }
    }

    private func reconcile(_ provider: Provider, _ service: TestService) -> Value {
        service.owner.finished(service.owner.trigger("reconcile-\(provider.rawValue)")["run_id"]?.text ?? "")
    }

    private func listRequestCount(_ provider: Provider, _ service: TestService) -> Int {
        let desk = provider == .stripe ? service.suite.stripe.desk : service.suite.mollie.desk
        return desk.log.count {
            $0.method == "GET" && ["/v1/checkout/sessions", "/v2/payments"].contains($0.path)
        }
    }

    @Test(
        "L11: of fourteen payments five webhooks are lost: one run heals them all, none twice, the next none",
        arguments: Provider.allCases)
    func lostWebhooksAreHealed(provider: Provider) throws {
        try withService { service in
            try use(provider, service)
            let tenants = [
                try service.tenant("Acme", milliseconds: 0), try service.tenant("Globex", milliseconds: 0),
            ]
            var purchases: [String] = []
            for number in 0..<14 {
                let (bought, id) = try service.buy(1, for: tenants[number % 2])
                pay(id, at: provider, service, isLost: number % 3 == 1)
                purchases.append(bought["purchase_id"]?.text ?? "")
            }
            _ = try service.buy(1, for: tenants[0])
            #expect(service.settleBilling())
            #expect(tenants.map(\.credits.count) == [5, 4])

            let healing = reconcile(provider, service)
            #expect(healing["status"] == "succeeded", "\(healing.text)")
            #expect(healing["output"]?["paid"] == 14)
            #expect(healing["output"]?["healed"]?.array?.count == 5)
            #expect(tenants.map(\.balance) == [7 * 60_000, 7 * 60_000])
            #expect(listRequestCount(provider, service) == 5, "pages of three")
            for purchase in purchases { #expect(try service.stateOfPurchase(purchase) == "credited") }

            let again = reconcile(provider, service)
            #expect(again["output"]?["paid"] == 14 && again["output"]?["healed"] == [])
            #expect(tenants.map(\.credits.count) == [7, 7])
            service.expectSoundLedgers()
        }
    }

    @Test(
        "a lost payment that does not match its purchase fails the run visibly, and the others are healed",
        arguments: Provider.allCases)
    func mismatchIsTold(provider: Provider) throws {
        try withService { service in
            try use(provider, service)
            let acme = try service.tenant(milliseconds: 0)
            pay(try service.buy(1, for: acme).checkout, at: provider, service, isLost: true)
            let (bought, wrong) = try service.buy(10, for: acme)
            pay(wrong, at: provider, service, isLost: true, isWrong: true)
            pay(try service.buy(1, for: acme).checkout, at: provider, service, isLost: true)
            let told = reconcile(provider, service)
            #expect(told["status"] == "failed" && told["error"]?["step"] == "complain", "\(told.text)")
            #expect(acme.balance == 120_000)
            #expect(try service.stateOfPurchase(bought["purchase_id"]?.text ?? "") == "parked")
        }
    }
}
