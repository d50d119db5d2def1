import Glibc
import Ports
import StandIns
import Values

/// The story: each chapter does something, says what is expected, and compares.
struct Story {
    let stage: DemoStage
    static let webhookSecret = "whsec_demo_0123456789abcdef"

    var transcript: Transcript { stage.transcript }

    /// A tenant with its key.
    struct Person: Sendable {
        var tenant: String
        var key: String
    }

    func tell() throws(CommandFailure) {
        transcript.say("Everything below runs on loopback, in \(stage.folder), which is removed at the end.")
        let owner = try setUp()
        let acme = try tenant("Acme", owner)
        try buyWithStripe(acme, owner)
        try processOrders(acme)
        try runDry(acme)
        try buyWithMollie(owner)
        try killAndRecover(acme)
        try verify(owner)
    }

    // MARK: - Chapters 1 and 2

    private func setUp() throws(CommandFailure) -> Person {
        transcript.chapter("An installation, its server, and the operator's billing with Stripe")
        let made = stage.run(["init", "--data", stage.data])
        transcript.expect("exit code of a first init", 0, made.code)
        transcript.expect(
            "exit code of a second init", 2, stage.run(["init", "--data", stage.data], isShown: false).code)
        try stage.startServer()
        for (name, value) in stage.suite.variables { transcript.say("stand-in: \(name) \(value)") }
        let owner = Person(tenant: "operator", key: made.value["operator_key"]?.text ?? "")
        let secrets = [
            ("STRIPE_SECRET_KEY", "sk_test_demo"), ("STRIPE_WEBHOOK_SECRET", Self.webhookSecret),
            ("MOLLIE_API_KEY", "test_demo_key"), ("RESEND_API_KEY", "re_demo_key"),
            ("MILLRACE_INTERNAL_KEY", made.value["internal_key"]?.text ?? ""),
        ]
        for (name, value) in secrets {
            stage.run(
                ["secrets", "set", name], key: owner.key, input: value, isShown: name == "STRIPE_SECRET_KEY")
        }
        deploy("stripe", owner)
        stage.suite.stripe.setWebhook(
            url: "\(stage.url)/hooks/operator/payment-webhook", secrets: [Self.webhookSecret])
        return owner
    }

    func deploy(_ provider: String, _ owner: Person) {
        var constants = [
            "resend_url=\(stage.suite.resendURL)", "internal_url=\(stage.internalURL)",
            "public_url=\(stage.url)",
        ]
        constants.append(
            provider == "stripe"
                ? "stripe_url=\(stage.suite.stripeURL)" : "mollie_url=\(stage.suite.mollieURL)")
        let flags = constants.flatMap { ["--var", $0] }
        let deployed = stage.run(
            ["deploy", "\(stage.repository)/workflows/operator/\(provider)"] + flags, key: owner.key)
        transcript.expect("workflows deployed", 3, deployed.value["deployed"]?.array?.count ?? 0)
    }

    func tenant(_ name: String, _ owner: Person) throws(CommandFailure) -> Person {
        let made = stage.run(["tenants", "create", name], key: owner.key).value
        guard let tenant = made["tenant_id"]?.string, let key = made["key"]?["secret"]?.string else {
            throw CommandFailure(
                .notOK, "no_tenant", "the tenant \(name) was not created; the story cannot go on")
        }
        return Person(tenant: tenant, key: key)
    }

    // MARK: - What chapters ask

    func balance(_ person: Person) -> Int64 {
        stage.run(["balance"], key: person.key, isShown: false).value["balance_ms"]?.int ?? .min
    }

    func balance(_ person: Person, reaching goal: Int64) throws(CommandFailure) -> Int64 {
        try stage.eventually(atMost: 10, { balance(person) }, until: { $0 == goal })
    }

    /// Credits on a ledger.
    func credits(_ person: Person) -> [Value] {
        let entries = stage.run(["ledger"], key: person.key, isShown: false).value["items"]?.array ?? []
        return entries.filter { $0["kind"]?.string == "credit" }
    }

    func runs(_ person: Person, workflow: String? = nil, status: String? = nil) -> [Value] {
        var arguments = ["runs", "--limit", "1000"]
        if let workflow { arguments += ["--workflow", workflow] }
        if let status { arguments += ["--status", status] }
        return stage.run(arguments, key: person.key, isShown: false).value["items"]?.array ?? []
    }

    func finished(_ run: String, _ person: Person, within seconds: Int = 30) throws(CommandFailure) -> Value {
        try stage.eventually(
            atMost: seconds, { stage.run(["run", run], key: person.key, isShown: false).value },
            until: { RunCommands.isOver($0) })
    }

    /// The address where a purchase is paid, and the last part of it.
    func buy(_ person: Person) throws(CommandFailure) -> String {
        let bought = stage.run(["buy", "1"], key: person.key)
        guard let url = bought.value["checkout_url"]?.string, let id = url.split(separator: "/").last else {
            throw CommandFailure(
                .notOK, "no_checkout", "no checkout address came back; the story cannot go on")
        }
        return String(id)
    }
}
