import Ports
package import Values

/// How one event is delivered: how often, at once or in turn, honestly or not.
package struct DeliveryPlan: Sendable, Hashable {
    /// Times that the same event is sent, 1 to 1000.
    package var copies = 1
    /// Whether the copies are sent at once and not one after the other.
    package var isParallel = false
    /// Whether it is signed with a secret that nobody has; never repeated.
    package var isForged = false
    /// Seconds added to the signature's timestamp.
    package var timestampOffset: Int64 = 0
    /// Whether the event is only made, to be delivered later, in any order.
    package var isHeld = false

    package init(
        copies: Int = 1, isParallel: Bool = false, isForged: Bool = false, timestampOffset: Int64 = 0,
        isHeld: Bool = false
    ) {
        self.copies = min(max(1, copies), 1000)
        self.isParallel = isParallel
        self.isForged = isForged
        self.timestampOffset = timestampOffset
        self.isHeld = isHeld
    }

    /// Reads `copies`, `parallel`, `forged`, `timestamp_offset_s`, `hold` of a control's body.
    init(_ value: Value) {
        let offset = value["timestamp_offset_s"]?.int ?? 0
        self.init(
            copies: value["copies"]?.int.flatMap { Int(exactly: $0) } ?? 1,
            isParallel: value["parallel"]?.bool ?? false, isForged: value["forged"]?.bool ?? false,
            timestampOffset: min(max(offset, -10_000_000), 10_000_000), isHeld: value["hold"]?.bool ?? false)
    }
}

/// One attempt to hand a webhook over.
package struct WebhookAttempt: Sendable, Hashable {
    /// The event's id, or the payment's where the webhook is only a pointer.
    package let subject: String
    package let url: String
    /// Counts from 1 for each copy.
    package let attempt: Int
    package let sentAt: Instant
    /// Nil where no answer came.
    package let status: Int?
    /// What the transport said instead of an answer.
    package let failure: String?
    /// The answer's body, at most 1 KiB.
    package let answer: String

    var value: Value {
        [
            "subject": .string(subject), "url": .string(url), "attempt": .int(Int64(attempt)),
            "sent_at": .string(sentAt.text), "status": status.map { .int(Int64($0)) } ?? .null,
            "failure": failure.map(Value.string) ?? .null, "answer": .string(answer),
        ]
    }
}

/// Delivers webhooks and repeats those that were not accepted, on the clock, a bounded number of times.
package final class WebhookCourier: @unchecked Sendable {
    /// A webhook whose headers are made anew for every attempt, as signatures carry the time.
    struct Parcel: Sendable {
        let subject: String
        let url: String
        let body: [UInt8]
        let headers: @Sendable (Instant) -> [HTTPHeader]
        let isRepeated: Bool
    }

    // Unchecked: `attempted` and `openCount` are read and written under `lock`.
    private let lock = Lock()
    private let idle = Condition()
    private let clock: any RunClock
    private let transport: any Transport
    private let delays: [Duration]
    private let accepts: ClosedRange<Int>
    private var attempted: [WebhookAttempt] = []
    private var openCount = 0

    init(clock: any RunClock, transport: any Transport, options: StandInOptions) {
        self.clock = clock
        self.transport = transport
        delays = options.webhookDelays
        accepts = options.webhookAccepts
    }

    /// Every attempt so far, in the order in which they ended.
    package var attempts: [WebhookAttempt] { lock.withLock { attempted } }

    /// Waits until nothing is under way or due to be repeated.
    ///
    /// - Returns: Whether that came in time.
    package func waitUntilIdle(atMost duration: Duration) -> Bool {
        let end = ContinuousClock.now + duration
        lock.lock()
        defer { lock.unlock() }
        while openCount > 0 {
            let left = end - ContinuousClock.now
            if left <= .zero { return false }
            _ = idle.wait(lock, atMost: left)
        }
        return true
    }

    func deliver(_ parcel: Parcel, by plan: DeliveryPlan) {
        lock.withLock { openCount += plan.copies }
        if plan.isParallel {
            for _ in 0..<plan.copies { send(parcel, attempt: 1) { _ in } }
        } else {
            sendInTurn(parcel, copiesLeft: plan.copies)
        }
    }

    private func sendInTurn(_ parcel: Parcel, copiesLeft: Int) {
        guard copiesLeft > 0 else { return }
        send(parcel, attempt: 1) { courier in courier.sendInTurn(parcel, copiesLeft: copiesLeft - 1) }
    }

    private func send(
        _ parcel: Parcel, attempt: Int, afterFirst: @escaping @Sendable (WebhookCourier) -> Void
    ) {
        let request = OutboundRequest(
            method: "POST", url: parcel.url, headers: parcel.headers(clock.now()), body: parcel.body,
            timeout: .seconds(15), bodyByteCountMax: 64 << 10, egress: Self.loopback)
        transport.send(request) { outcome in
            self.note(parcel, attempt: attempt, outcome)
            if attempt == 1 { afterFirst(self) }
            guard parcel.isRepeated, !self.isAccepted(outcome), attempt <= self.delays.count else {
                return self.close()
            }
            self.clock.schedule(after: self.delays[attempt - 1]) {
                self.send(parcel, attempt: attempt + 1, afterFirst: afterFirst)
            }
        }
    }

    private func isAccepted(_ outcome: TransferOutcome) -> Bool {
        guard case .success(let response) = outcome.result else { return false }
        return accepts.contains(response.status)
    }

    private func note(_ parcel: Parcel, attempt: Int, _ outcome: TransferOutcome) {
        var (status, failure, answer): (Int?, String?, String) = (nil, nil, "")
        switch outcome.result {
        case .success(let response):
            status = response.status
            answer = String(decoding: response.body.prefix(1024), as: UTF8.self)
        case .failure(let error): failure = error.message
        }
        let entry = WebhookAttempt(
            subject: parcel.subject, url: parcel.url, attempt: attempt, sentAt: outcome.startedAt,
            status: status, failure: failure, answer: answer)
        lock.withLock { attempted.append(entry) }
    }

    private func close() {
        lock.withLock {
            openCount -= 1
            idle.broadcast()
        }
    }

    /// Stand-ins deliver on this machine and nowhere else.
    private static let loopback = EgressPolicy(
        allowed: [.init(range: "127.0.0.0/8", port: nil), .init(range: "::1/128", port: nil)])
}
