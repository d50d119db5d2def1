package import Ports
package import Values

/// A shop's own backend on loopback: orders that can be read and changed, and effects that are counted.
///
/// `GET|PATCH /orders/{id}`, where a change of an unknown order makes it; `POST /effects`, which
/// records each `Idempotency-Key` for load tests. Controls: `GET /_standin/orders`, `GET /_standin/effects`.
package final class OrderStandIn: InboundHandler, Provider, @unchecked Sendable {
    /// What reached `POST /effects`.
    package struct EffectCounts: Sendable, Hashable {
        /// Requests that carried a key.
        package var requestCount = 0
        /// Different keys among them.
        package var distinctKeyCount = 0
        /// Requests whose key had come before.
        package var repeatedCount = 0
        /// Requests without a key; not in the other counts.
        package var keylessCount = 0
        /// Values of the body's `item` that came under more than one key: second effects.
        package var itemsUnderSeveralKeys = 0
    }

    // Unchecked: `orders`, `effectKeys`, `keyByItem`, `torn` and `counts` are read and written under `lock`.
    private let lock = Lock()
    package let desk: FrontDesk
    private var orders: [String: Value] = [:]
    private var effectKeys: Set<String> = []
    private var keyByItem: [String: String] = [:]
    private var torn: Set<String> = []
    private var counts = EffectCounts()

    package init(clock: any RunClock, options: StandInOptions = StandInOptions()) {
        desk = FrontDesk(clock: clock, options: options)
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        desk.handle(request, for: self, respond: respond)
    }

    /// The order as the API shows it; nil for an unknown id.
    package func order(_ id: String) -> Value? { lock.withLock { orders[id] } }

    package var effectCounts: EffectCounts {
        lock.withLock {
            var counts = counts
            counts.distinctKeyCount = effectKeys.count
            counts.itemsUnderSeveralKeys = torn.count
            return counts
        }
    }

    // MARK: - Provider

    /// Effects count their own keys, so that a repetition is seen and not answered from memory.
    var keyedMethods: Set<String> { ["PATCH"] }

    func admits(_ call: StandInCall, key: String?) -> Bool {
        if call.segments == ["effects"] { return true }
        guard let presented = call.presentedKey else { return false }
        return key.map { $0 == presented } ?? true
    }

    func answer(_ call: StandInCall) -> StandInAnswer {
        switch (call.method, call.segments.first, call.segments.count) {
        case ("GET", "orders", 2):
            return order(call.segments[1]).map { .json(200, $0) } ?? Self.problem(404, "no such order")
        case ("PATCH", "orders", 2): return change(call.segments[1], call)
        case ("POST", "effects", 1): return count(call)
        default: return Self.problem(404, "no such page")
        }
    }

    func refusal(_ reason: StandInRefusal) -> InboundResponse {
        let answer =
            switch reason {
            case .unauthorized: Self.problem(401, "a bearer token is required")
            case .keyTooLong: Self.problem(400, "the idempotency key is too long")
            case .keyReused: Self.problem(422, "the idempotency key was used with another request")
            case .keyInProgress: Self.problem(409, "a request with this idempotency key is in progress")
            case .rateLimited: Self.problem(429, "too many requests")
            case .outage(let status), .brokeWhileWorking(let status): Self.problem(status, "out of order")
            }
        return answer.response
    }

    func control(_ call: StandInCall) -> InboundResponse? {
        switch call.route {
        case "GET /_standin/orders":
            let sorted = lock.withLock { orders.sorted { $0.key < $1.key }.map(\.value) }
            return .json(200, ["orders": .array(sorted)])
        case "GET /_standin/effects":
            let counts = effectCounts
            return .json(
                200,
                [
                    "requests": .int(Int64(counts.requestCount)),
                    "distinct": .int(Int64(counts.distinctKeyCount)),
                    "repeated": .int(Int64(counts.repeatedCount)),
                    "keyless": .int(Int64(counts.keylessCount)),
                    "items_under_several_keys": .int(Int64(counts.itemsUnderSeveralKeys)),
                ])
        default: return nil
        }
    }

    private func change(_ id: String, _ call: StandInCall) -> StandInAnswer {
        guard let changes = call.bodyValue?.object else {
            return Self.problem(400, "the body is no JSON map")
        }
        return lock.withLock {
            var order = orders[id]?.object ?? Object([.init(name: "id", value: .string(id))])
            for member in changes.members where member.name != "id" { order[member.name] = member.value }
            orders[id] = .object(order)
            return .json(200, .object(order))
        }
    }

    private func count(_ call: StandInCall) -> StandInAnswer {
        let key = call.idempotencyKey ?? ""
        let item = call.bodyValue?["item"]?.text
        return lock.withLock {
            guard !key.isEmpty else {
                counts.keylessCount += 1
                return .json(200, ["repeated": false, "number": 0])
            }
            counts.requestCount += 1
            let isNew = effectKeys.insert(key).inserted
            if !isNew { counts.repeatedCount += 1 }
            if let item {
                let first = keyByItem[item] ?? key
                keyByItem[item] = first
                if first != key { torn.insert(item) }
            }
            return .json(200, ["repeated": .bool(!isNew), "number": .int(Int64(effectKeys.count))])
        }
    }

    private static func problem(_ status: Int, _ message: String) -> StandInAnswer {
        .json(status, ["error": .string(message)], isStored: false)
    }
}
