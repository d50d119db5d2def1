package import Ports
package import Values

/// One request that reached a stand-in, and what became of it.
package struct LoggedRequest: Sendable {
    /// Position among all requests of this stand-in, from 1.
    package let number: Int
    package let at: Instant
    package let method: String
    package let path: String
    /// `Content-Type`, `Idempotency-Key`, `User-Agent` and the `Millrace-…` and tracing headers; never a credential.
    package let headers: [HTTPHeader]
    /// Whether any `Authorization` came with it.
    package let isAuthorized: Bool
    package let idempotencyKey: String?
    /// At most ``RequestLog/bodyByteCountMax`` bytes of it.
    package let body: String
    /// Whether the answer was a repetition of an earlier one and nothing was done.
    package fileprivate(set) var isReplay = false
    /// The fault that it met, as ``Fault/Kind``'s text.
    package fileprivate(set) var fault: String?
    /// Nil until answered; 0 where the connection was dropped instead.
    package fileprivate(set) var status: Int?
    package fileprivate(set) var answer = ""

    var value: Value {
        var fields = Object()
        for header in headers { fields[header.name.lowercased()] = .string(header.value) }
        return [
            "number": .int(Int64(number)), "at": .string(at.text), "method": .string(method),
            "path": .string(path), "headers": .object(fields), "authorized": .bool(isAuthorized),
            "idempotency_key": idempotencyKey.map(Value.string) ?? .null, "body": .string(body),
            "replayed": .bool(isReplay), "fault": fault.map(Value.string) ?? .null,
            "status": status.map { .int(Int64($0)) } ?? .null, "answer": .string(answer),
        ]
    }
}

/// The last requests of a stand-in, oldest first; its owner locks.
struct RequestLog {
    static let bodyByteCountMax = 16 << 10
    private static let shownHeaders: Set<String> = [
        "content-type", "idempotency-key", "user-agent", "traceparent", "stripe-version",
    ]

    private(set) var entries: [LoggedRequest] = []
    private(set) var totalCount = 0
    private let countMax: Int
    private var droppedCount = 0

    init(countMax: Int) { self.countMax = max(1, countMax) }

    mutating func open(_ request: InboundRequest, at now: Instant) -> Int {
        totalCount += 1
        // Dropped in lumps, so that a full log costs as little per request as an empty one.
        if entries.count >= countMax + countMax / 4 + 1 {
            droppedCount += entries.count - countMax
            entries.removeFirst(entries.count - countMax)
        }
        let headers = request.headers.filter {
            let name = $0.name.lowercased()
            return Self.shownHeaders.contains(name) || name.hasPrefix("millrace-")
        }
        entries.append(
            LoggedRequest(
                number: totalCount, at: now, method: request.method, path: request.path, headers: headers,
                isAuthorized: request.headers["authorization"] != nil,
                idempotencyKey: request.headers["idempotency-key"], body: Self.excerpt(request.body)))
        return totalCount
    }

    mutating func close(_ number: Int, with response: InboundResponse, isReplay: Bool, fault: Fault?) {
        let index = number - 1 - droppedCount
        guard entries.indices.contains(index), entries[index].number == number else { return }
        entries[index].isReplay = isReplay
        entries[index].fault = fault?.kind.rawValue
        entries[index].status = response.dropsConnection ? 0 : response.status
        entries[index].answer = response.dropsConnection ? "" : Self.excerpt(response.body)
    }

    mutating func clear() {
        droppedCount += entries.count
        entries.removeAll()
    }

    private static func excerpt(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(bodyByteCountMax), as: UTF8.self)
    }
}
