import Billing
import Ports
import Storage
import Values

/// A request with the key that came with it, and readers for what it carries.
struct Call {
    let request: InboundRequest
    let tenant: Tenant
    let key: APIKey
    /// Answers it; exactly once.
    let respond: @Sendable (InboundResponse) -> Void

    var isOperator: Bool { tenant.tenant == .operatorTenant && key.scope == .full }

    func query(_ name: String) -> String? {
        request.query.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    /// Refuses a query that says what the address does not know, or something twice: ignored, a misspelt filter would
    /// list everything.
    ///
    /// - Parameter path: Behind `/api`.
    /// - Throws: 400 `unknown_query` or `repeated_query`.
    func checkQuery(at path: [String]) throws(Refusal) {
        guard let known = Self.queryNames(of: request.method, at: path) else { return }
        var seen: Set<String> = []
        for (name, value) in request.query where !(name.isEmpty && value.isEmpty) {
            guard known.contains(name) else {
                let hint =
                    known.isEmpty ? "it takes none" : "known are \(known.sorted().joined(separator: ", "))"
                throw Refusal(
                    400, "unknown_query", "this address takes no query \"\(name.prefix(64))\": \(hint)")
            }
            guard seen.insert(name).inserted else {
                throw Refusal(400, "repeated_query", "the query says \(name) more than once")
            }
        }
    }

    /// What an address may be asked with; nil where the query is the workflow's to read.
    private static func queryNames(of method: String, at path: [String]) -> Set<String>? {
        let page: Set<String> = ["limit", "cursor"]
        return switch (path[0], path.count) {
        case ("workflows", 3) where path[2] == "trigger": nil
        case ("workflows", 2) where method != "GET": ["if_digest"]
        case ("workflows", 3) where path[2] == "rollback": ["if_digest"]
        case ("workflows", 3) where path[2] == "versions": page
        case ("runs", 1): page.union(["workflow", "status", "from", "to"])
        case ("runs", 3) where path[2] == "events": page
        case ("runs", 3) where path[2] == "attempts": page.union(["step"])
        case ("tenants", 3) where path[2] == "keys": page
        case ("workflows", 1), ("ledger", 1), ("tenants", 1), ("secrets", 1): page
        case ("usage", 1): ["from", "to"]
        case ("tenants", 3) where path[2] == "export": ["cursor"]
        // What the operator asks of a tenant, it asks as the tenant would.
        case ("tenants", 3...) where TenantCalls.views.contains(path[2]):
            queryNames(of: method, at: Array(path.dropFirst(2)))
        default: []
        }
    }

    /// 1 to 200, 50 where nothing is said.
    func limit() throws(Refusal) -> Int {
        guard let text = query("limit") else { return 50 }
        guard let limit = Self.wholeNumber(text), (1...200).contains(limit) else {
            throw Refusal(400, "limit_out_of_range", "limit is a whole number from 1 to 200")
        }
        return Int(limit)
    }

    /// Where the page before ended; nil for the first page.
    func cursor<Position>(_ read: (String) -> Position?) throws(Refusal) -> Position? {
        guard let text = query("cursor") else { return nil }
        guard let position = read(text) else {
            throw Refusal(400, "cursor_malformed", "cursor is what the page before gave as next")
        }
        return position
    }

    /// Digits and nothing else.
    static func wholeNumber(_ text: String) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }

    func instant(_ name: String) throws(Refusal) -> Instant? {
        guard let text = query(name) else { return nil }
        guard let instant = Instant(rfc3339: text) else {
            throw Refusal(400, "time_malformed", "\(name) is a time such as 2026-01-31T09:30:00Z")
        }
        return instant
    }

    /// The body as an object with no other members than `names`.
    func object(_ names: Set<String>) throws(Refusal) -> Object {
        let value: Value
        do throws(JSONProblem) { value = request.body.isEmpty ? [:] : try JSON.parse(request.body) } catch {
            throw Refusal(
                400, "malformed_body", "the body is not JSON: \(error.reason) at byte \(error.offset)")
        }
        guard let object = value.object else {
            throw Refusal(400, "malformed_body", "the body is a JSON object")
        }
        for member in object.members where !names.contains(member.name) {
            let known = names.isEmpty ? "it has none" : "known are \(names.sorted().joined(separator: ", "))"
            throw Refusal(422, "unknown_member", "the body has no member \"\(member.name)\": \(known)")
        }
        return object
    }

    /// A text of 1 to `byteCountMax` bytes without control characters.
    static func text(_ object: Object, _ name: String, byteCountMax: Int) throws(Refusal) -> String? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let text = value.string, (1...byteCountMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else {
            throw Refusal(
                422, "member_unfit",
                "\(name) is a text of 1 to \(byteCountMax) bytes without control characters")
        }
        return text
    }

    /// Exactly one of `minutes` and `ms`, a whole number: money and time are never fractions here (L5).
    static func milliseconds(_ body: Object) throws(Refusal) -> Int64 {
        let (name, factor): (String, Int64)
        switch (body["minutes"], body["ms"]) {
        case (.some, nil): (name, factor) = ("minutes", 60_000)
        case (nil, .some): (name, factor) = ("ms", 1)
        default: throw Refusal(422, "amount_missing", "the body names either minutes or ms")
        }
        guard let number = body[name]?.int, number > 0 else {
            throw Refusal(422, "amount_out_of_range", "\(name) is a whole number above 0")
        }
        let (product, overflows) = number.multipliedReportingOverflow(by: factor)
        guard !overflows, product <= Account.amountMillisecondsMax else {
            throw Refusal(422, "amount_out_of_range", "\(name) is more than a ledger can hold")
        }
        return product
    }

    static func required<T>(_ value: T?, _ name: String) throws(Refusal) -> T {
        guard let value else { throw Refusal(422, "member_missing", "the body lacks \"\(name)\"") }
        return value
    }
}

extension InboundRequest {
    /// The sender's Idempotency-Key; nil where there is none.
    ///
    /// An empty one is refused: its sender means to be protected, and would not be.
    func idempotencyKey() throws(Refusal) -> String? {
        guard let key = headers["idempotency-key"] else { return nil }
        guard (1...255).contains(key.utf8.count) else {
            throw Refusal(400, "idempotency_key_length", "an Idempotency-Key has 1 to 255 bytes")
        }
        return key
    }
}
