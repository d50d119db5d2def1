import Ports
import Values

/// Answers kept by idempotency key; its owner locks.
///
/// Keys of one retention time are kept, however many: stand-ins live as long as a test or a demo.
struct KeyRegister {
    /// What became of a request that names a key.
    enum Claim: Sendable {
        /// The key is new and now in use by this request.
        case fresh
        /// The work was done before; this was its answer.
        case replay(InboundResponse)
        case reused
        case inProgress
    }

    private struct Entry {
        let fingerprint: [UInt8]
        let takenAt: Instant
        var response: InboundResponse?
    }

    private var entries: [String: Entry] = [:]
    private let retention: Duration

    init(retention: Duration) { self.retention = retention }

    mutating func claim(_ key: String, by request: InboundRequest, at now: Instant) -> Claim {
        let fingerprint = Array("\(request.method) \(request.path)\n".utf8) + request.body
        if let entry = entries[key], now - entry.takenAt < retention {
            if entry.fingerprint != fingerprint { return .reused }
            guard let response = entry.response else { return .inProgress }
            return .replay(response)
        }
        entries[key] = Entry(fingerprint: fingerprint, takenAt: now, response: nil)
        return .fresh
    }

    /// Ends a claim: the answer is kept, or with nil the key is free again.
    mutating func settle(_ key: String, with response: InboundResponse?) {
        if let response { entries[key]?.response = response } else { entries[key] = nil }
    }
}
