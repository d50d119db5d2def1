package import Ports
package import Values

/// Resend on loopback: takes emails and keeps them.
///
/// `GET /_standin/emails` shows what was sent.
package final class ResendStandIn: InboundHandler, Provider, @unchecked Sendable {
    // Unchecked: `sent` is read and written under `lock`.
    private let lock = Lock()
    private let clock: any RunClock
    package let desk: FrontDesk
    private var sent: [Value] = []

    package init(clock: any RunClock, options: StandInOptions = StandInOptions()) {
        self.clock = clock
        desk = FrontDesk(clock: clock, options: options)
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        desk.handle(request, for: self, respond: respond)
    }

    /// Emails that were accepted, oldest first; repetitions with the same key are not in it twice.
    package var emails: [Value] { lock.withLock { sent } }

    // MARK: - Provider

    var keyLengthMax: Int { 256 }

    func admits(_ call: StandInCall, key: String?) -> Bool {
        guard let presented = call.presentedKey else { return false }
        return key.map { $0 == presented } ?? true
    }

    func answer(_ call: StandInCall) -> StandInAnswer {
        switch (call.method, call.segments.count) {
        case ("POST", 1) where call.segments == ["emails"]: return send(call)
        case ("GET", 2) where call.segments[0] == "emails":
            let found = emails.first { $0["id"]?.string == call.segments[1] }
            return found.map { .json(200, $0) } ?? Self.problem(404, "not_found", "Email not found")
        case (_, 1) where call.segments == ["emails"]:
            return Self.problem(405, "method_not_allowed", "This endpoint takes POST")
        default: return Self.problem(404, "not_found", "The requested endpoint does not exist")
        }
    }

    func refusal(_ reason: StandInRefusal) -> InboundResponse {
        let answer =
            switch reason {
            case .unauthorized(isMissing: true):
                Self.problem(401, "missing_api_key", "Missing API key in the authorization header")
            case .unauthorized: Self.problem(403, "invalid_api_key", "API key is invalid")
            case .keyTooLong:
                Self.problem(
                    400, "invalid_idempotency_key", "The idempotency key must have 1 to 256 characters")
            case .keyReused:
                Self.problem(
                    409, "invalid_idempotent_request", "This idempotency key was used with another payload")
            case .keyInProgress:
                Self.problem(
                    409, "concurrent_idempotent_requests",
                    "A request with this idempotency key is in progress")
            case .rateLimited: Self.problem(429, "rate_limit_exceeded", "Too many requests")
            case .outage(let status), .brokeWhileWorking(let status):
                Self.problem(status, "application_error", "An unexpected error occurred")
            }
        return answer.response
    }

    private func send(_ call: StandInCall) -> StandInAnswer {
        guard let body = call.bodyValue, body.object != nil else {
            return Self.problem(400, "validation_error", "The request body is no JSON map")
        }
        if let problem = Self.check(body) { return problem }
        let id = lock.withLock { () -> String in
            let digits = String(sent.count + 1)
            let id =
                "00000000-0000-4000-8000-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
            var email = Object()
            email.append("id", .string(id))
            email.append("object", "email")
            email.append("created_at", .string(clock.now().text))
            email.append("last_event", "delivered")
            for name in [
                "from", "to", "subject", "text", "html", "cc", "bcc", "reply_to", "tags", "template",
            ] {
                if let value = body[name], !value.isNull { email.append(name, value) }
            }
            sent.append(.object(email))
            return id
        }
        return .json(200, ["id": .string(id)])
    }

    /// The refusal of an email that cannot be sent; nil for one that can.
    private static func check(_ body: Value) -> StandInAnswer? {
        for name in ["from", "to", "subject"] {
            let isMissing =
                switch body[name] {
                case .string(let text)?: text.isEmpty
                case .array(let items)?: items.isEmpty
                default: true
                }
            if isMissing { return problem(422, "missing_required_field", "Missing `\(name)` field.") }
        }
        guard let from = body["from"]?.string, isAddress(from) else {
            return problem(422, "invalid_from_address", "Invalid `from` field.")
        }
        let recipients = body["to"]?.array ?? [body["to"] ?? .null]
        if recipients.count > 50 || !recipients.allSatisfy({ $0.string.map(isAddress) ?? false }) {
            return problem(422, "validation_error", "Invalid `to` field: up to 50 addresses.")
        }
        let hasContent = ["html", "text", "template"].contains { body[$0].map { !$0.isNull } ?? false }
        return hasContent ? nil : problem(422, "missing_required_field", "Missing `html` or `text` field.")
    }

    /// `ada@example.com` or `Ada <ada@example.com>`.
    private static func isAddress(_ text: String) -> Bool {
        var address = text[...]
        if text.hasSuffix(">"), let open = text.lastIndex(of: "<") {
            address = text[text.index(after: open)...].dropLast()
        }
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && !$0.contains(" ") }
    }

    private static func problem(_ status: Int, _ name: String, _ message: String) -> StandInAnswer {
        .json(
            status, ["statusCode": .int(Int64(status)), "name": .string(name), "message": .string(message)],
            isStored: false)
    }

    func control(_ call: StandInCall) -> InboundResponse? {
        call.route == "GET /_standin/emails" ? .json(200, ["emails": .array(emails)]) : nil
    }
}
