package import Ports
import Values

/// The `Stripe-Signature` header of a webhook.
package enum StripeSignature {
    /// `t=<seconds>,v1=<hex>` with one `v1` for each secret.
    ///
    /// The key is the whole text of the secret, `whsec_` included; what is signed is the
    /// timestamp, a full stop and the exact body.
    package static func header(
        _ body: [UInt8], seconds: Int64, secrets: [String], cryptography: any Cryptography
    ) -> String {
        let signed = Array("\(seconds).".utf8) + body
        let parts = secrets.map { secret in
            "v1=" + Hex.encode(cryptography.hmac("sha256", key: Array(secret.utf8), data: signed) ?? [])
        }
        return (["t=\(seconds)"] + parts).joined(separator: ",")
    }
}
