import Ports
import StandIns
import Testing
import Values

/// A clock that stands still until it is turned.
final class TurnedClock: RunClock, @unchecked Sendable {
    // Unchecked: `time` and `alarms` are read and written under `lock`.
    private let lock = Lock()
    private var time = Instant(milliseconds: 1_700_000_000_000)
    private var alarms: [(id: UInt64, at: Instant, action: @Sendable () -> Void)] = []
    private var lastID: UInt64 = 0

    func now() -> Instant { lock.withLock { time } }

    func schedule(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> AlarmID {
        lock.withLock {
            lastID += 1
            alarms.append((lastID, instant, action))
            return AlarmID(number: lastID)
        }
    }

    func cancel(_ id: AlarmID) { lock.withLock { alarms.removeAll { $0.id == id.number } } }
    func shutDown() { lock.withLock { alarms.removeAll() } }

    /// Turns the clock, ringing every alarm on the way in its order.
    func advance(by duration: Duration) {
        let end = now() + duration
        while let due = next(before: end) { due() }
        lock.withLock { time = end }
    }

    private func next(before end: Instant) -> (@Sendable () -> Void)? {
        lock.withLock {
            let due = alarms.enumerated().filter { $1.at <= end }.min { $0.element.at < $1.element.at }
            guard let due else { return nil }
            alarms.remove(at: due.offset)
            time = max(time, due.element.at)
            return due.element.action
        }
    }
}

/// A receiver of webhooks without sockets: answers each request with the next status, the last for ever.
final class WebhookReceiver: Transport, @unchecked Sendable {
    // Unchecked: `requests`, `statuses` and `waiting` are read and written under `lock`.
    private let lock = Lock()
    private var requests: [OutboundRequest] = []
    private var statuses: [Int]
    private var waiting: [@Sendable () -> Void] = []
    private let holdsBack: Bool

    /// With `holdsBack`, answers come only when ``answerAll()`` asks for them.
    init(statuses: [Int] = [200], holdsBack: Bool = false) {
        self.statuses = statuses
        self.holdsBack = holdsBack
    }

    var received: [OutboundRequest] { lock.withLock { requests } }

    func send(_ request: OutboundRequest, completion: @escaping @Sendable (TransferOutcome) -> Void)
        -> TransferID
    {
        let status = lock.withLock { () -> Int in
            requests.append(request)
            return statuses.count > 1 ? statuses.removeFirst() : statuses[0]
        }
        let answer: @Sendable () -> Void = {
            let response = OutboundResponse(status: status, headers: [], body: Array("ok".utf8))
            let at = Instant(milliseconds: 0)
            completion(TransferOutcome(result: .success(response), startedAt: at, finishedAt: at))
        }
        if holdsBack { lock.withLock { waiting.append(answer) } } else { answer() }
        return TransferID(number: 0)
    }

    func answerAll() {
        let answers = lock.withLock { () -> [@Sendable () -> Void] in
            defer { waiting.removeAll() }
            return waiting
        }
        for answer in answers { answer() }
    }

    func cancel(_ id: TransferID) {}
    func shutDown() {}
}

extension InboundHandler {
    /// Sends a request with a bearer key and waits for its answer.
    func call(
        _ method: String, _ target: String, body: String = "", key: String? = nil,
        authorization: String? = "Bearer sk_test_1", type: String? = nil
    ) throws -> InboundResponse {
        let answer = Promise<InboundResponse>()
        begin(method, target, body: body, key: key, authorization: authorization, type: type) {
            answer.fulfil($0)
        }
        return try #require(answer.wait(atMost: .seconds(2)))
    }

    /// Sends a request without waiting.
    func begin(
        _ method: String, _ target: String, body: String = "", key: String? = nil,
        authorization: String? = "Bearer sk_test_1", type: String? = nil,
        respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        let halves = target.split(separator: "?", maxSplits: 1).map(String.init)
        let isJSON = body.hasPrefix("{")
        let form = "application/x-www-form-urlencoded"
        var headers = [
            HTTPHeader("host", "127.0.0.1:4242"),
            HTTPHeader("content-type", type ?? (isJSON ? "application/json" : form)),
        ]
        if let key { headers.append(HTTPHeader("idempotency-key", key)) }
        if let authorization { headers.append(HTTPHeader("authorization", authorization)) }
        let query = halves.count > 1 ? FormEncoding.pairs(Array(halves[1].utf8)) ?? [] : []
        let segments = halves[0].split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let request = InboundRequest(
            method: method, path: halves[0], segments: segments.map(String.init), query: query,
            headers: headers,
            body: Array(body.utf8), peer: "127.0.0.1", receivedAt: Instant(milliseconds: 0))
        handle(request, respond: respond)
    }
}

extension InboundResponse {
    /// The body as JSON; null where it is none.
    var json: Value { (try? JSON.parse(body)) ?? .null }
    var text: String { String(decoding: body, as: UTF8.self) }
}
