import Ports
import Values

/// The tenants' own back office: it charges, reserves and mails, and keeps its own record of what it did.
///
/// One effect for each Idempotency-Key, as a well-made service does it; its record shows whether the keys were
/// right, because every request also says which business it belongs to.
final class Shop: @unchecked Sendable {
    // Unchecked: used by one thread.
    private struct Effect {
        let content: [UInt8]
        let status: Int
        let body: Object

        /// The answer kept for the key, with what the caller showed this time: a service that tells what it was
        /// told, of which the engine must not keep the secret.
        func seen(_ request: OutboundRequest) -> InboundResponse {
            var body = body
            body["seen"] = request.headers["authorization"].map { .string($0) } ?? .null
            return InboundResponse(
                status: status, headers: [HTTPHeader("content-type", "application/json")],
                body: JSON.bytes(.object(body)))
        }
    }

    private var effects: [String: Effect] = [:]
    /// In the order in which they came; more than one where people had runs made out of others.
    private var keysByBusiness: [String: [String]] = [:]
    private let complain: (Invariant, String) -> Void
    private let observe: (String) -> Void
    /// Why what was done under those keys may not be done under another; nil where it may.
    private let objection: (_ key: String, _ earlier: [String]) -> String?

    init(
        complain: @escaping (Invariant, String) -> Void, observe: @escaping (String) -> Void,
        objection: @escaping (_ key: String, _ earlier: [String]) -> String?
    ) {
        self.complain = complain
        self.observe = observe
        self.objection = objection
    }

    var effectCount: Int { effects.count }

    func handle(_ request: OutboundRequest) -> InboundResponse {
        guard let key = request.headers["idempotency-key"], !key.isEmpty else {
            complain(.i3, "\(request.url) came without an Idempotency-Key")
            return InboundResponse(status: 400)
        }
        let content = Array("\(request.method) \(request.url)\n".utf8) + request.body
        if let known = effects[key] {
            if known.content != content { complain(.i3, "\(key) came with two different requests") }
            return known.seen(request)
        }
        let body = (try? JSON.parse(request.body)) ?? .null
        let business = Self.business(of: body)
        let earlier = keysByBusiness[business] ?? []
        if !earlier.isEmpty, let reason = objection(key, earlier) {
            complain(.i3, "\(business) was done under \(earlier) and under \(key): \(reason)")
        }
        keysByBusiness[business] = earlier + [key]
        let effect = effect(content, body, business, isAgain: !earlier.isEmpty)
        effects[key] = effect
        observe("effect \(key) \(business) \(effect.status)\(earlier.isEmpty ? "" : " once more")")
        return effect.seen(request)
    }

    private static func business(of body: Value) -> String {
        ["tenant", "workflow", "order", "step"].map { body[$0]?.text ?? "" }.joined(separator: "|")
    }

    /// The same business always has the same end; most of it goes well, and some only when people have it
    /// done once more.
    private func effect(_ content: [UInt8], _ body: Value, _ business: String, isAgain: Bool) -> Effect {
        let luck = (business.utf8.reduce(UInt32(17)) { $0 &* 31 &+ UInt32($1) } >> 7) % 100
        let isUndoing = body["step"]?.string?.hasSuffix("/undo") ?? false
        let owner = body["tenant"] ?? .null
        // Some of what was done cannot be undone.
        if isUndoing ? luck < 75 : luck < 86 || isAgain && luck % 2 == 0 {
            let id = "ef_\(effects.count + 1)"
            return Effect(
                content: content, status: 200, body: ["id": .string(id), "ok": true, "owner": owner])
        }
        if luck < 92 { return Effect(content: content, status: 200, body: ["ok": false, "owner": owner]) }
        return Effect(content: content, status: luck < 96 ? 402 : 409, body: ["ok": false, "owner": owner])
    }
}
