package import Ports
package import Values

/// Slack on loopback: `chat.postMessage`, which fails with status 200 and `ok: false`.
///
/// `GET /_standin/messages` shows what was posted. There are no idempotency keys: a repeated
/// message is a second message.
package final class SlackStandIn: InboundHandler, Provider, @unchecked Sendable {
    // Unchecked: `posted` is read and written under `lock`.
    private let lock = Lock()
    private let clock: any RunClock
    private let apiKey: String?
    private let channels: Set<String>
    package let desk: FrontDesk
    private var posted: [Value] = []

    package init(clock: any RunClock, options: StandInOptions = StandInOptions()) {
        self.clock = clock
        apiKey = options.apiKey
        channels = Set(options.channels)
        desk = FrontDesk(clock: clock, options: options)
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        desk.handle(request, for: self, respond: respond)
    }

    /// Messages that were posted, oldest first.
    package var messages: [Value] { lock.withLock { posted } }

    // MARK: - Provider

    var keyedMethods: Set<String> { [] }

    func admits(_ call: StandInCall, key: String?) -> Bool {
        guard let presented = call.presentedKey else { return false }
        return key.map { $0 == presented } ?? true
    }

    func answer(_ call: StandInCall) -> StandInAnswer {
        guard call.segments == ["api", "chat.postMessage"], call.method == "POST" else {
            return Self.failed("unknown_method")
        }
        guard let body = call.bodyValue, body.object != nil else { return Self.failed("invalid_json") }
        guard let channel = body["channel"]?.string, !channel.isEmpty, channels.contains(channel) else {
            return Self.failed("channel_not_found")
        }
        let text = body["text"]?.string ?? ""
        let hasBlocks = body["blocks"] != nil || body["attachments"] != nil
        if text.isEmpty, !hasBlocks { return Self.failed("no_text") }
        if text.count > 40_000 { return Self.failed("msg_too_long") }
        return lock.withLock {
            let digits = String(posted.count + 1)
            let fraction = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            let message: Value = [
                "channel": .string(channel), "ts": .string("\(clock.now().seconds).\(fraction)"),
                "message": ["type": "message", "text": .string(text), "bot_id": "B0STANDIN"],
            ]
            posted.append(message)
            return .json(
                200,
                [
                    "ok": true, "channel": .string(channel), "ts": message["ts"] ?? .null,
                    "message": message["message"] ?? .null,
                ])
        }
    }

    func refusal(_ reason: StandInRefusal) -> InboundResponse {
        switch reason {
        case .unauthorized(let isMissing): Self.failed(isMissing ? "not_authed" : "invalid_auth").response
        case .rateLimited: Self.failed("rate_limited", status: 429).response
        case .outage(let status), .brokeWhileWorking(let status):
            Self.failed("internal_error", status: status).response
        case .keyTooLong, .keyReused, .keyInProgress: Self.failed("fatal_error").response
        }
    }

    func control(_ call: StandInCall) -> InboundResponse? {
        call.route == "GET /_standin/messages" ? .json(200, ["messages": .array(messages)]) : nil
    }

    private static func failed(_ error: String, status: Int = 200) -> StandInAnswer {
        .json(status, ["ok": false, "error": .string(error)])
    }
}
