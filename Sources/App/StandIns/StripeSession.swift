import Values

/// A checkout session: what was asked, and how far the buyer came.
struct StripeSession: Sendable {
    enum Status: String, Sendable {
        case open, complete, expired
    }

    let id: String
    /// Where the buyer goes after paying; empty for nowhere.
    let returnAddress: String
    /// In seconds since 1970; the session can be paid until then.
    let expiresAt: Int64
    let currency: String?
    let createsCustomer: Bool
    var status = Status.open
    var paymentStatus = "unpaid"
    var paymentIntent: String?
    var customer: String?
    var email: String?
    /// Of the buyer, once there is one.
    var name: String?
    /// In the currency's smallest unit; nil for a session that asks for no money.
    var amountTotal: Int64?
    private let fields: Object
    /// Nil for a form that the seller embeds.
    private let url: String?
    private let clientSecret: String?
    private let createdAt: Int64

    /// A new session without a buyer; `createdAt` is in seconds since 1970.
    init(id: String, parameters: Value, origin: String, createdAt: Int64) {
        self.id = id
        self.createdAt = createdAt
        let isHosted = StripeParameters.isHosted(parameters)
        let address = StripeParameters.text(parameters, isHosted ? "success_url" : "return_url") ?? ""
        returnAddress = address.replacing("{CHECKOUT_SESSION_ID}", with: id)
        expiresAt =
            StripeParameters.text(parameters, "expires_at").flatMap { Int64($0) }
            ?? createdAt + StripeParameters.lifetimeMax
        customer = StripeParameters.text(parameters, "customer")
        email = StripeParameters.text(parameters, "customer_email")
        createsCustomer = parameters["customer_creation"]?.string == "always"
        url = isHosted ? "\(origin)/pay/\(id)" : nil
        clientSecret = isHosted ? nil : "\(id)_secret_\(id.hashText)"
        (amountTotal, currency) = StripeParameters.total(parameters)
        var fields = Object()
        for name in [
            "mode", "success_url", "cancel_url", "client_reference_id", "customer_email", "return_url",
        ] {
            fields.append(name, StripeParameters.text(parameters, name).map(Value.string) ?? .null)
        }
        // Values come back as the text that was sent, numbers included.
        fields.append("ui_mode", .string(StripeParameters.text(parameters, "ui_mode") ?? "hosted"))
        if !isHosted {
            fields.append(
                "redirect_on_completion",
                .string(StripeParameters.text(parameters, "redirect_on_completion") ?? "always"))
        }
        fields.append("metadata", .object(parameters["metadata"]?.textMap ?? Object()))
        self.fields = fields
    }

    var value: Value {
        var out = Object()
        out.append("id", .string(id))
        out.append("object", "checkout.session")
        for member in fields.members { out.append(member.name, member.value) }
        out.append("amount_total", amountTotal.map(Value.int) ?? .null)
        out.append("currency", currency.map(Value.string) ?? .null)
        out.append("created", .int(createdAt))
        out.append("expires_at", .int(expiresAt))
        out.append("client_secret", status == .open ? clientSecret.map(Value.string) ?? .null : .null)
        out.append("customer", customer.map(Value.string) ?? .null)
        out.append("customer_details", email.map { Self.details(email: $0, name: name) } ?? .null)
        out.append("livemode", false)
        out.append("payment_intent", paymentIntent.map(Value.string) ?? .null)
        out.append("payment_status", .string(paymentStatus))
        out.append("status", .string(status.rawValue))
        out.append("url", status == .open ? url.map(Value.string) ?? .null : .null)
        return .object(out)
    }

    private static func details(email: String, name: String?) -> Value {
        [
            "address": nil, "email": .string(email), "name": name.map(Value.string) ?? .null, "phone": nil,
            "tax_exempt": "none", "tax_ids": [],
        ]
    }
}

extension String {
    /// Sixteen hex digits that follow from the text alone.
    fileprivate var hashText: String {
        let hash = utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Hex.encode((0..<8).map { UInt8(truncatingIfNeeded: hash >> UInt64(56 - 8 * $0)) })
    }
}
