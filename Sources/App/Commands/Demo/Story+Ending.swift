import Ports
import StandIns
import Values

extension Story {
    // MARK: - Mollie

    func buyWithMollie(_ owner: Person) throws(CommandFailure) {
        transcript.chapter("The operator switches to Mollie by deploying the other folder")
        deploy("mollie", owner)
        let bolt = try tenant("Bolt", owner)
        let mollie = stage.suite.mollie
        for (number, kind) in [(1, "new"), (2, "returning")] {
            transcript.say("Bolt buys as a \(kind) customer:")
            let payment = try buy(bolt)
            mollie.bring(payment, to: "paid", plan: DeliveryPlan(copies: 2))
            let goal = Int64(number) * 60_000
            transcript.expect("balance after paying, in ms", goal, try balance(bolt, reaching: goal))
            _ = mollie.courier.waitUntilIdle(atMost: .seconds(10))
            transcript.expect(
                "customers made at Mollie", 1, mollie.desk.log.filter { $0.path == "/v2/customers" }.count)
        }
        transcript.say("a stranger names a payment that does not exist:")
        let before = runs(owner, workflow: "payment-webhook").count
        let form = [HTTPHeader("Content-Type", "application/x-www-form-urlencoded")]
        let answer = try APIClient(server: stage.url, key: nil).attempt(
            "POST", "/hooks/operator/payment-webhook", body: Array("id=tr_999999".utf8), headers: form)
        transcript.expect("answer to the stranger", 200, answer.status)
        let after = try stage.eventually(
            atMost: 10, { runs(owner, workflow: "payment-webhook", status: "succeeded").count },
            until: { $0 > before })
        transcript.expect("runs that ended well", before + 1, after)
        transcript.expect("credits on Bolt's ledger", 2, credits(bolt).count)
    }

    // MARK: - SIGKILL

    func killAndRecover(_ acme: Person) throws(CommandFailure) {
        transcript.chapter("SIGKILL in the middle of a payment")
        stage.suite.stripe.desk.inject(
            Fault(.delay, on: "POST /v1/charges", delay: .milliseconds(1500), bodyContains: "ord_killed"))
        let run = trigger("ord_killed", acme)
        let inFlight = try stage.eventually(atMost: 10, { charges("ord_killed").count }, until: { $0 == 1 })
        transcript.expect("charges in flight", 1, inFlight)
        transcript.expect(
            "unanswered when the server is killed", 1, charges("ord_killed").count { $0.status == nil })
        transcript.expect("how the server ended (128 + SIGKILL)", 137, stage.killServer())
        let reached = stage.run(["balance"], key: acme.key)
        transcript.expect("exit code while there is no server", 4, reached.code)
        try stage.startServer()
        expectOrder("ord_killed", status: "paid", try finished(run, acme, within: 40))
        let sent = charges("ord_killed")
        transcript.say(
            "requests for the charge: \(sent.map { "\($0.status ?? 0)\($0.isReplay ? " (replayed)" : "")" }.joined(separator: ", "))"
        )
        transcript.expect(
            "the charge was asked for", "twice or more", isMet: sent.count >= 2, seen: "\(sent.count) times")
        transcript.expect(
            "idempotency keys of all of them", 1, Set(sent.map { $0.idempotencyKey ?? "" }).count)
        transcript.expect("charges made", 1, sent.count { $0.status == 200 && !$0.isReplay })
        transcript.expect("receipts", 1, emails("Receipt for order ord_killed").count)
    }

    // MARK: - The ledger

    func verify(_ owner: Person) throws(CommandFailure) {
        transcript.chapter("The ledger agrees with every journal")
        let checked = stage.run(["ledger", "verify"], key: owner.key)
        transcript.expect("exit code of ledger verify through the API", 0, checked.code)
        transcript.expect("findings", 0, checked.value["findings"]?.array?.count ?? -1)
        transcript.expect("credited in all, in ms", 240_000, checked.value["credited_ms"]?.int ?? 0)
        transcript.expect("exit code of the server after SIGTERM", 0, stage.stopServer())
        let read = stage.run(["ledger", "verify", "--database", "\(stage.data)/millrace.db"])
        transcript.expect("exit code of ledger verify on the file", 0, read.code)
        transcript.expect("the file says the same", JSON.text(checked.value), JSON.text(read.value))
    }
}
