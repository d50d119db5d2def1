import OpenSSLCrypto
import Ports
import StandIns
import Testing
import Values

/// The operator's real Stripe workflow against everything that is not a genuine event.
@Suite("Stripe's signatures")
struct StripeSignatureTests {
    private static let event = StripeEvent(
        id: "evt_1", purchase: "pur_0000000000001", tenant: "ten_0000000000009", minutes: 1, amount: 10,
        payment: "pi_1")

    /// Gives a request to the handler directly, with the arrival time that the test chooses.
    private func deliver(
        _ service: TestService, body: [UInt8] = event.body, header: String?, at: Instant
    ) -> Reply {
        service.handle(
            "POST", ["hooks", "operator", "payment-webhook"], body: body,
            headers: [HTTPHeader("content-type", "application/json")]
                + (header.map { [HTTPHeader("stripe-signature", $0)] } ?? []), at: at)
    }

    private func header(
        _ seconds: Int64, body: [UInt8] = event.body, secrets: [String] = [TestService.webhookSecret]
    ) -> String {
        StripeSignature.header(body, seconds: seconds, secrets: secrets, cryptography: OpenSSLCryptography())
    }

    @Test("W1: any changed byte of body, time or signature is refused, and no run exists")
    func changedBytesAreRefused() throws {
        try withService { service in
            try service.useStripe()
            let now = service.now
            let genuine = header(now.seconds)
            for index in Self.event.body.indices {
                var body = Self.event.body
                body[index] ^= 1
                #expect(deliver(service, body: body, header: genuine, at: now).status == 401)
            }
            for index in genuine.utf8.indices {
                var bytes = Array(genuine.utf8)
                bytes[genuine.utf8.distance(from: genuine.startIndex, to: index)] ^= 1
                let changed = String(decoding: bytes, as: UTF8.self)
                #expect(deliver(service, header: changed, at: now).status == 401, "\(changed)")
            }
            #expect(service.owner.runs().isEmpty)
            #expect(deliver(service, header: genuine, at: now).status == 202)
        }
    }

    @Test("W2: 300 s either way, judged at arrival; inside the window a replay is the same run")
    func windowOfFiveMinutes() throws {
        try withService { service in
            try service.useStripe()
            let now = service.now
            for (offset, status) in [
                (-100_000, 401), (-301, 401), (301, 401), (100_000, 401), (-299, 202), (299, 202),
            ] {
                let answer = deliver(service, header: header(now.seconds + Int64(offset)), at: now)
                #expect(answer.status == status, "\(offset) s: \(answer.text)")
            }
            let answers = (1...5).map { _ in deliver(service, header: header(now.seconds), at: now) }
            #expect(answers.allSatisfy { $0.status == 202 && $0["duplicate"] == true })
            #expect(service.owner.runs().count == 1)
        }
    }

    @Test("W3: tricks with the header are refused")
    func trickyHeadersAreRefused() throws {
        try withService { service in
            try service.useStripe()
            let now = service.now
            let seconds = now.seconds
            let digest = String(header(seconds).split(separator: "v1=")[1])
            func signature(of time: String) -> String {
                let signed = Array("\(time).".utf8) + Self.event.body
                let bytes = OpenSSLCryptography().hmac(
                    "sha256", key: Array(TestService.webhookSecret.utf8), data: signed)
                return (bytes ?? []).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            }
            let fullWidth = String(
                String.UnicodeScalarView(
                    "\(seconds)".unicodeScalars.compactMap { Unicode.Scalar($0.value + 0xFEE0) }))
            var headers = [
                "", "bad_header", "t=", "v1=", "=", ",", ",,,", "v1,t=1", "t=\(seconds)", "v1=\(digest)",
                "t=\(seconds),v0=\(digest)", "t=\(seconds),v1=bad_signature", "t=\(seconds),v1=",
                "t=\(seconds),t=\(seconds),v1=\(digest)", "t=1,t=\(seconds),v1=\(digest)",
                "t=\(seconds), v1=\(digest)", "t=\(seconds),v1=\(digest.uppercased())",
                "t=\(seconds),v1=\(digest) ", "t=\(seconds),v1=\(digest.dropLast())",
                "t=\(seconds),v1=\(digest)0",
                "t=\(seconds);v1=\(digest)", "T=\(seconds),V1=\(digest)", "t=\(seconds),v1==\(digest)",
                "t=\(seconds),v1=\(digest),junk", "t=\(seconds),v1=\(digest),a=b=c",
                "t=\(seconds)," + (1...11).map { _ in "v1=\(digest)" }.joined(separator: ","),
                "t=\(seconds),v1=\(digest)," + (1...1000).map { _ in "v1=x" }.joined(separator: ","),
                "t=\(seconds),v1=\(digest),x=" + String(repeating: "y", count: 4096),
                "t=\(seconds),v1=\(digest),t=" + String(repeating: "9", count: 400),
            ]
            for time in [
                "+\(seconds)", "-\(seconds)", "\(seconds) ", " \(seconds)", "0x65", "1_0", fullWidth,
                "\(seconds).0",
                "\(seconds)e0", "NaN", "inf", "9223372036854775807", "99999999999999999999999",
                "000\(seconds)000",
            ] { headers.append("t=\(time),v1=\(signature(of: time))") }
            for header in headers {
                let answer = deliver(service, header: header, at: now)
                #expect(answer.status == 401, "\(header.prefix(120)): \(answer.status) \(answer.text)")
            }
            #expect(deliver(service, header: nil, at: now).status == 401)
            #expect(service.owner.runs().isEmpty)
        }
    }

    @Test("W5: while a secret is rolled, either signature will do, and unknown schemes are passed over")
    func rolledSecretsAreTaken() throws {
        try withService { service in
            try service.useStripe()
            let now = service.now
            let genuine = header(now.seconds)
            let good = [
                header(now.seconds, secrets: ["whsec_old_one", TestService.webhookSecret]),
                header(now.seconds, secrets: [TestService.webhookSecret, "whsec_new_one"]),
                genuine + ",v1=potato", genuine + ",v0=" + String(repeating: "0", count: 64),
                genuine + ",v1=bad_signature",
                genuine.replacing("v1=", with: "v1=\(String(repeating: "0", count: 64)),v1="),
            ]
            for header in good {
                #expect(deliver(service, header: header, at: now).status == 202, "\(header)")
            }
            #expect(service.owner.runs().count == 1)
            #expect(
                deliver(service, header: header(now.seconds, secrets: ["whsec_old_one"]), at: now).status
                    == 401)
        }
    }

    @Test("A missing secret refuses all, as an error that the owner sees and Stripe repeats; nothing is lost")
    func missingSecretFailsClosed() throws {
        try withService { service in
            try service.useStripe()
            let acme = try service.tenant(milliseconds: 0)
            let checkout = try service.buy(1, for: acme).checkout
            #expect(service.owner.delete("/api/secrets/STRIPE_WEBHOOK_SECRET").status == 204)
            service.suite.stripe.pay(checkout)
            #expect(eventually { service.suite.stripe.courier.attempts.contains { $0.status == 500 } })
            #expect(acme.balance == 0)
            #expect(service.owner.runs("payment-webhook").isEmpty)
            let refusals = service.owner.get("/api/workflows/payment-webhook")["refusals"]?.array ?? []
            let failed = refusals.first { $0["reason"] == "guard_error" }
            #expect((failed?["count"]?.int ?? 0) >= 1)
            #expect(failed?["last_detail"]?.text.contains("STRIPE_WEBHOOK_SECRET") == true)
            #expect(service.logged.text.contains("trigger.guard_failed"))
            #expect(
                service.call("GET", "/metrics").text.contains(
                    "triggers_refused_total{reason=\"guard_error\"}"))
            // Even without any signature: a stranger's request is never let in unchecked.
            #expect(service.hook("payment-webhook", "{}").status == 500)

            service.owner.setSecret("STRIPE_WEBHOOK_SECRET", TestService.webhookSecret)
            #expect(service.settleBilling())
            #expect(acme.balance == 60_000)
        }
    }
}
