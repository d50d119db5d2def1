import OpenSSLCrypto
import Ports
import StandIns
import Values

/// An event as Stripe sends it, made by hand so that each part can be wrong.
struct StripeEvent {
    var id: String
    var type = "checkout.session.completed"
    var purchase: String
    var tenant: String
    var minutes: Int64
    var amount: Int64
    var payment: String

    var body: [UInt8] {
        JSON.bytes([
            "id": .string(id), "object": "event", "type": .string(type),
            "data": [
                "object": [
                    "id": "cs_1", "object": "checkout.session", "payment_status": "paid",
                    "payment_intent": .string(payment), "amount_total": .int(amount), "currency": "eur",
                    "customer": nil,
                    "metadata": [
                        "tenant_id": .string(tenant), "purchase_id": .string(purchase),
                        "minutes": .string(String(minutes)),
                    ],
                ]
            ],
        ])
    }

    /// Signed with the operator's secret, `offset` seconds from now.
    func headers(
        _ service: TestService, offset: Int64 = 0, secrets: [String] = [TestService.webhookSecret]
    ) -> [HTTPHeader] {
        let seconds = service.now.seconds + offset
        let signature = StripeSignature.header(
            body, seconds: seconds, secrets: secrets, cryptography: OpenSSLCryptography())
        return [
            HTTPHeader("Content-Type", "application/json"), HTTPHeader("Stripe-Signature", signature),
        ]
    }

    func deliver(to service: TestService) -> Reply {
        service.call("POST", "/hooks/operator/payment-webhook", body: body, headers: headers(service))
    }
}
