import Ports
import Values

/// Why Mollie refuses a call.
struct MollieProblem: Error {
    let status: Int
    let detail: String
    var field: String?

    static func unprocessable(_ field: String, _ detail: String) -> MollieProblem {
        MollieProblem(status: 422, detail: detail, field: field)
    }

    private static let titles = [
        400: "Bad Request", 401: "Unauthorized Request", 404: "Not Found", 409: "Conflict",
        422: "Unprocessable Entity", 429: "Too Many Requests", 503: "Service Unavailable",
    ]

    var response: InboundResponse {
        var out = Object()
        out.append("status", .int(Int64(status)))
        out.append("title", .string(Self.titles[status] ?? "Internal Server Error"))
        out.append("detail", .string(detail))
        if let field { out.append("field", .string(field)) }
        let link: Value = ["href": "https://docs.mollie.com/errors", "type": "text/html"]
        out.append("_links", ["documentation": link])
        return .json(status, .object(out), type: MollieStandIn.mediaType)
    }
}

/// A payment at Mollie: what was asked, and where it stands.
struct MolliePayment: Sendable {
    /// Statuses that a payment can be brought to, and the member that says when.
    static let timestamps = [
        "authorized": "authorizedAt", "paid": "paidAt", "canceled": "canceledAt", "expired": "expiredAt",
        "failed": "failedAt", "pending": "",
    ]
    private static let finalStatuses: Set<String> = ["paid", "canceled", "expired", "failed"]

    let id: String
    let webhookURL: String?
    let redirectURL: String
    private(set) var status = "open"
    var amount: Value
    private var reachedAt: [(name: String, at: Instant)] = []
    private let asked: Value
    private let origin: String
    private let createdAt: Instant

    var isFinal: Bool { Self.finalStatuses.contains(status) }

    init(id: String, asked: Value, origin: String, createdAt: Instant) {
        self.id = id
        self.asked = asked
        self.origin = origin
        self.createdAt = createdAt
        webhookURL = asked["webhookUrl"]?.string
        redirectURL = asked["redirectUrl"]?.string ?? ""
        amount = asked["amount"] ?? .null
    }

    mutating func reach(_ status: String, at now: Instant) {
        self.status = status
        if let name = Self.timestamps[status], !name.isEmpty { reachedAt.append((name, now)) }
    }

    var value: Value {
        var out = Object()
        out.append("resource", "payment")
        out.append("id", .string(id))
        out.append("mode", "test")
        out.append("createdAt", .string(createdAt.mollieText))
        out.append("amount", amount)
        out.append("status", .string(status))
        for name in ["description", "metadata", "redirectUrl", "cancelUrl", "webhookUrl", "customerId"] {
            if let value = asked[name], !value.isNull { out.append(name, value) }
        }
        out.append("metadata", asked["metadata"] ?? .null, unlessPresent: true)
        out.append("sequenceType", asked["sequenceType"] ?? "oneoff")
        out.append("profileId", "pfl_000001")
        if status == "open" { out.append("expiresAt", .string((createdAt + .seconds(900)).mollieText)) }
        for entry in reachedAt { out.append(entry.name, .string(entry.at.mollieText)) }
        var links: Object = Object()
        links.append("self", Self.link("\(origin)/v2/payments/\(id)", MollieStandIn.mediaType))
        if status == "open" { links.append("checkout", Self.link("\(origin)/checkout/\(id)", "text/html")) }
        out.append("_links", .object(links))
        return .object(out)
    }

    static func link(_ href: String, _ type: String) -> Value {
        ["href": .string(href), "type": .string(type)]
    }

    /// What is wrong with a payment that is asked for, apart from its customer.
    static func check(_ body: Value) throws(MollieProblem) {
        guard body.object != nil else {
            throw MollieProblem(status: 400, detail: "The request body is no JSON map")
        }
        try checkAmount(body["amount"])
        for name in ["description", "redirectUrl"] {
            guard let text = body[name]?.string, !text.isEmpty else {
                throw .unprocessable(name, "The \(name) is required")
            }
        }
        for name in ["redirectUrl", "cancelUrl", "webhookUrl"] {
            guard let given = body[name], !given.isNull else { continue }
            guard let url = given.string, url.hasPrefix("https://") || url.hasPrefix("http://") else {
                throw .unprocessable(name, "The \(name) is no valid URL")
            }
        }
        if let type = body["sequenceType"], !["oneoff", "first", "recurring"].contains(type.string) {
            throw .unprocessable("sequenceType", "The sequence type is invalid")
        }
        if let metadata = body["metadata"], JSON.bytes(metadata).count > 1024 {
            throw .unprocessable("metadata", "The metadata is larger than 1 kB")
        }
    }

    /// Amounts are texts with as many decimals as the currency has: `"10.00"`, never 10 or 1000.
    static func checkAmount(_ amount: Value?) throws(MollieProblem) {
        guard let amount, amount.object != nil else {
            throw .unprocessable("amount", "The amount is required")
        }
        guard let currency = amount["currency"]?.string, currency.utf8.count == 3,
            currency.utf8.allSatisfy({ (65...90).contains($0) })
        else { throw .unprocessable("amount.currency", "The currency is invalid") }
        let decimals = ["JPY", "ISK", "KRW"].contains(currency) ? 0 : 2
        guard let text = amount["value"]?.string else {
            throw .unprocessable("amount.value", "The amount's value must be a text such as \"10.00\"")
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let areDigits = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
        let isExact = decimals == 0 ? parts.count == 1 : parts.count == 2 && parts[1].utf8.count == decimals
        guard areDigits, isExact, text.utf8.count <= 16 else {
            throw .unprocessable("amount.value", "The amount's value must have \(decimals) decimals")
        }
        guard text.utf8.contains(where: { (49...57).contains($0) }) else {
            throw .unprocessable("amount.value", "The amount is lower than the minimum")
        }
    }
}

extension Object {
    fileprivate mutating func append(_ name: String, _ value: Value, unlessPresent: Bool) {
        if unlessPresent, self[name] != nil { return }
        append(name, value)
    }
}

extension Instant {
    /// As Mollie writes it: whole seconds and the offset in digits, `2026-01-31T09:30:00+00:00`.
    var mollieText: String {
        String(decoding: Instant(microseconds: seconds * 1_000_000).text.utf8.prefix(19), as: UTF8.self)
            + "+00:00"
    }
}
