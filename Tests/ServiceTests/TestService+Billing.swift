import Foundation
import StandIns
import Testing
import Values
import Workflow
import WorkflowYAML

/// The workflows of the repository, pointed at the stand-ins.
extension TestService {
    static let webhookSecret = "whsec_test_0123456789"

    private static let repository = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private var variables: [(name: String, value: String)] {
        suite.variables + [("internal_url", internalURL), ("public_url", url)]
    }

    /// A workflow file as JSON with its addresses set; retries come after 10 ms and are as many as before.
    func source(_ path: String) throws -> String {
        let bytes = [UInt8](try Data(contentsOf: Self.repository.appending(path: path)))
        guard case .success(let node) = DocumentReader.read(bytes), var file = node.value.object else {
            throw CocoaError(.fileReadCorruptFile)
        }
        var vars = file["vars"]?.object ?? Object()
        for (name, value) in variables where vars[name] != nil { vars[name] = .string(value) }
        file["vars"] = .object(vars)
        var steps = file["steps"]?.object ?? Object()
        for member in steps.members where member.value["request"] != nil {
            var step = member.value.object ?? Object()
            var retry = step["retry"]?.object ?? Object()
            retry["delay"] = "10ms"
            step["retry"] = .object(retry)
            steps[member.name] = .object(step)
        }
        file["steps"] = .object(steps)
        return JSON.text(.object(file))
    }

    func deployFolder(_ folder: String, for client: Client) throws {
        let address = Self.repository.appending(path: folder)
        let names = try FileManager.default.contentsOfDirectory(atPath: address.path)
            .filter { $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml") }
        for name in names {
            let deployed = client.deploy(try source("\(folder)/\(name)"))
            #expect([200, 201].contains(deployed.status), "\(name): \(deployed.text)")
        }
    }

    /// The operator bills with Stripe.
    func useStripe() throws {
        for (name, value) in [
            ("STRIPE_SECRET_KEY", "sk_test_operator"), ("STRIPE_WEBHOOK_SECRET", Self.webhookSecret),
            ("RESEND_API_KEY", "re_operator"), ("MILLRACE_INTERNAL_KEY", internalKey),
        ] { owner.setSecret(name, value) }
        try deployFolder("workflows/operator/stripe", for: owner)
        suite.stripe.setWebhook(url: "\(url)/hooks/operator/payment-webhook", secrets: [Self.webhookSecret])
    }

    /// The operator bills with Mollie.
    func useMollie() throws {
        for (name, value) in [
            ("MOLLIE_API_KEY", "test_operator"), ("MOLLIE_WEBHOOK_SECRET", "mollie_secret_1"),
            ("RESEND_API_KEY", "re_operator"), ("MILLRACE_INTERNAL_KEY", internalKey),
        ] { owner.setSecret(name, value) }
        try deployFolder("workflows/operator/mollie", for: owner)
    }

    /// Buys, and returns the purchase and the id that its checkout has at the provider.
    func buy(_ minutes: Int64, for client: Client) throws -> (reply: Reply, checkout: String) {
        let reply = client.post("/api/billing/purchases", ["minutes": .int(minutes)])
        try #require(reply.status == 201, "\(reply.text)")
        let url = try #require(reply["checkout_url"]?.string)
        return (reply, String(try #require(url.split(separator: "/").last)))
    }

    /// Waits until both the webhooks and the runs that they start are done.
    func settleBilling() -> Bool {
        suite.stripe.courier.waitUntilIdle(atMost: .seconds(10))
            && suite.mollie.courier.waitUntilIdle(atMost: .seconds(10)) && settle()
    }
}
