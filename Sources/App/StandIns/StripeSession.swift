import Values

/// A checkout session: what was asked, and how far the buyer came.
struct StripeSession: Sendable {
    enum Status: String, Sendable {
        case open, complete, expired
    }

    let id: String
    let successURL: String
    let currency: String?
    let createsCustomer: Bool
    var status = Status.open
    var paymentStatus = "unpaid"
    var paymentIntent: String?
    var customer: String?
    var email: String?
    /// In the currency's smallest unit; nil for a session that asks for no money.
    var amountTotal: Int64?
    private let fields: Object
    private let url: String
    private let createdAt: Int64

    /// A new session without a buyer; `createdAt` is in seconds since 1970.
    init(id: String, parameters: Value, origin: String, createdAt: Int64) {
        self.id = id
        self.createdAt = createdAt
        successURL = StripeParameters.text(parameters, "success_url") ?? ""
        customer = StripeParameters.text(parameters, "customer")
        email = StripeParameters.text(parameters, "customer_email")
        createsCustomer = parameters["customer_creation"]?.string == "always"
        url = "\(origin)/pay/\(id)"
        (amountTotal, currency) = StripeParameters.total(parameters)
        var fields = Object()
        for name in ["mode", "success_url", "cancel_url", "client_reference_id", "customer_email"] {
            fields.append(name, StripeParameters.text(parameters, name).map(Value.string) ?? .null)
        }
        // Values come back as the text that was sent, numbers included.
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
        out.append("expires_at", .int(createdAt + 24 * 3600))
        out.append("customer", customer.map(Value.string) ?? .null)
        out.append("customer_details", email.map { ["email": .string($0)] } ?? .null)
        out.append("livemode", false)
        out.append("payment_intent", paymentIntent.map(Value.string) ?? .null)
        out.append("payment_status", .string(paymentStatus))
        out.append("status", .string(status.rawValue))
        out.append("url", status == .open ? .string(url) : .null)
        return .object(out)
    }
}
