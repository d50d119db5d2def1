import Ports
import StandIns
import Testing
import Values

/// What happens when a balance ends, and when it comes back.
@Suite("An ended balance")
struct BalanceTests {
    /// Two steps at the order backend, the first of which takes as long as a fault says.
    static func twoSteps(_ service: TestService, trigger: String = "http", name: String = "two-steps")
        -> String
    {
        """
        name: \(name)
        version: 1
        triggers:
          - type: \(trigger)
            \(trigger == "webhook" ? "when: true" : "")
        steps:
          first:
            request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: first}}
          second:
            after: [first]
            request: {method: POST, url: "\(service.suite.ordersURL)/effects", body: {item: second}}
        output: done
        """
    }

    private func alerts(_ service: TestService) -> Int {
        service.suite.resend.emails.count { $0["subject"] == "Your Millrace balance is empty" }
    }

    /// A tenant whose customer at Stripe has an email address.
    private func customer(_ service: TestService, milliseconds: Int64) throws -> Client {
        let acme = try service.tenant(milliseconds: milliseconds)
        let set = service.callInternal(
            "tenant/set-external-customer",
            ["tenant_id": .string(acme.tenant), "external_customer_id": "cus_abc"])
        #expect(set.status == 204)
        return acme
    }

    private func topUp(_ service: TestService, _ client: Client, _ milliseconds: Int64, _ reference: String) {
        let credited = service.callInternal(
            "billing/credit",
            [
                "tenant_id": .string(client.tenant), "ms": .int(milliseconds),
                "reference": .string(reference),
            ])
        #expect(credited.status == 201)
    }

    @Test(
        "One alert a crossing: one run of twelve ends a balance, all pause, and go on after a top-up"
    )
    func balanceEndsAndReturns() throws {
        try withService { service in
            try service.useStripe()
            let acme = try customer(service, milliseconds: 20)
            acme.deploy(Self.twoSteps(service))
            let slow = Fault(
                .delay, on: "POST /effects", times: 12, delay: .milliseconds(1500), bodyContains: "first")
            service.suite.orders.desk.inject(slow)
            let runs = (1...12).map { _ in acme.trigger("two-steps")["run_id"]?.text ?? "" }
            #expect(eventually { acme.runs(status: "paused").count == 12 })
            #expect(eventually { alerts(service) == 1 })
            #expect(acme.balance <= 0)
            #expect(service.suite.orders.effectCounts.requestCount == 1, "it holds what the others would use")
            #expect(service.suite.resend.emails.first?["to"] == "ada@example.com")

            // Nothing new starts by key; a webhook is kept.
            let refused = acme.trigger("two-steps")
            #expect(refused.status == 402 && refused.code == "balance_depleted")
            acme.deploy(Self.twoSteps(service, trigger: "webhook", name: "kept"))
            let kept = service.hook("kept", of: acme.tenant, "{}")
            #expect(kept.status == 202)
            #expect(acme.get("/api/runs/\(kept["run_id"]?.text ?? "")")["status"] == "paused")
            #expect(service.suite.orders.effectCounts.requestCount == 1)

            topUp(service, acme, 600_000, "top-up:1")
            for run in runs + [kept["run_id"]?.text ?? ""] {
                #expect(acme.finished(run)["status"] == "succeeded")
            }
            #expect(service.suite.orders.effectCounts.requestCount == 26)
            #expect(service.suite.orders.effectCounts.distinctKeyCount == 26)
            #expect(alerts(service) == 1)

            let counted = service.call("GET", "/metrics").text
            #expect(counted.contains("millrace_balance_depletions_total 1"))
            service.expectSoundLedgers()
        }
    }

    @Test("I6: each downward crossing is told once, and what stays below zero is not told again")
    func eachCrossingIsToldOnce() throws {
        try withService { service in
            try service.useStripe()
            let acme = try customer(service, milliseconds: 1)
            let steps = (1...4).map { number in
                "  s\(number): {\(number > 1 ? "after: [s\(number - 1)], " : "")request: {method: POST, "
                    + "url: \"\(service.suite.ordersURL)/effects\", body: {item: s\(number)}}}"
            }
            acme.deploy(
                "name: four\nversion: 1\ntriggers: [{type: http}]\nsteps:\n" + steps.joined(separator: "\n"))
            // Each step takes longer than the one millisecond that is there when it begins.
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 4, delay: .milliseconds(10)))
            let run = acme.trigger("four")["run_id"]?.text ?? ""
            for round in 1...3 {
                #expect(eventually { acme.get("/api/runs/\(run)")["status"] == "paused" })
                #expect(eventually { alerts(service) == round })
                topUp(service, acme, 1, "a drop:\(round)")
                #expect(acme.balance <= 0)
                #expect(acme.get("/api/runs/\(run)")["status"] == "paused")
                #expect(service.suite.orders.desk.requestCount == round)
                topUp(service, acme, 1 - acme.balance, "the rest:\(round)")
            }
            #expect(acme.finished(run)["status"] == "succeeded")
            #expect(eventually { alerts(service) == 4 })
            #expect(service.settle())
            #expect(alerts(service) == 4)
            let balances = acme.ledger.reversed().map { $0["balance_ms"]?.int ?? 0 }
            #expect(zip(balances, balances.dropFirst()).count { $0 > 0 && $1 <= 0 } == 4)
            service.expectSoundLedgers()
        }
    }

    @Test("The operator is not metered: everything ended, a purchase still completes")
    func operatorIsNeverStopped() throws {
        try withService { service in
            try service.useStripe()
            let acme = try customer(service, milliseconds: 1)
            acme.deploy(Self.twoSteps(service))
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 1, delay: .milliseconds(20)))
            let run = acme.trigger("two-steps")["run_id"]?.text ?? ""
            #expect(eventually { acme.balance <= 0 })
            #expect(service.owner.balance == 0)
            #expect(service.owner.get("/api/balance")["is_metered"] == false)
            service.suite.stripe.pay(try service.buy(60, for: acme).checkout)
            #expect(acme.finished(run)["status"] == "succeeded")
            #expect(service.settleBilling())
            #expect(service.owner.ledger.isEmpty)
            #expect(service.owner.runs().allSatisfy { $0["status"] == "succeeded" })
        }
    }

    @Test("I6, I7: what runs were charged is what the ledger took, and the balance is the sum")
    func chargesEqualTheLedger() throws {
        try withService { service in
            let acme = try service.tenant(milliseconds: 600_000)
            acme.deploy(Self.twoSteps(service))
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 20, delay: .milliseconds(10)))
            let runs = (1...20).map { _ in acme.trigger("two-steps")["run_id"]?.text ?? "" }
            for run in runs { #expect(acme.finished(run)["status"] == "succeeded") }
            let charged = acme.runs().reduce(Int64(0)) { $0 + ($1["charged_ms"]?.int ?? 0) }
            #expect(charged >= 20 * 10)
            #expect(acme.balance == 600_000 - charged)
            let sum = acme.ledger.reduce(Int64(0)) { $0 + ($1["amount_ms"]?.int ?? 0) }
            #expect(sum == acme.balance)
            service.expectSoundLedgers()
        }
    }

    @Test("Who never bought has no email address: the depletion ends without a message and without a failure")
    func unknownCustomerIsNoFailure() throws {
        try withService { service in
            try service.useMollie()
            let acme = try service.tenant(milliseconds: 1)
            acme.deploy(Self.twoSteps(service))
            service.suite.orders.desk.inject(
                Fault(.delay, on: "POST /effects", times: 1, delay: .milliseconds(20)))
            _ = acme.trigger("two-steps")
            #expect(
                eventually { service.owner.runs("balance-depleted-alert", status: "succeeded").count == 1 })
            #expect(service.suite.resend.desk.requestCount == 0)
        }
    }
}
