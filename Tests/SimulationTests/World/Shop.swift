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
    private var keyByBusiness: [String: String] = [:]
    private let complain: (Invariant, String) -> Void
    private let observe: (String) -> Void

    init(complain: @escaping (Invariant, String) -> Void, observe: @escaping (String) -> Void) {
        self.complain = complain
        self.observe = observe
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
        if let first = keyByBusiness[business] {
            complain(.i3, "\(business) was done under \(first) and under \(key)")
        }
        keyByBusiness[business] = key
        let effect = effect(content, body, business)
        effects[key] = effect
        observe("effect \(key) \(business) \(effect.status)")
        return effect.seen(request)
    }

    private static func business(of body: Value) -> String {
        ["tenant", "workflow", "order", "step"].map { body[$0]?.text ?? "" }.joined(separator: "|")
    }

    /// The same business always has the same end; most of it goes well.
    private func effect(_ content: [UInt8], _ body: Value, _ business: String) -> Effect {
        let luck = (business.utf8.reduce(UInt32(17)) { $0 &* 31 &+ UInt32($1) } >> 7) % 100
        let isUndoing = body["step"]?.string?.hasSuffix("/undo") ?? false
        let owner = body["tenant"] ?? .null
        if isUndoing || luck < 86 {
            let id = "ef_\(effects.count + 1)"
            return Effect(
                content: content, status: 200, body: ["id": .string(id), "ok": true, "owner": owner])
        }
        if luck < 92 { return Effect(content: content, status: 200, body: ["ok": false, "owner": owner]) }
        return Effect(content: content, status: luck < 96 ? 402 : 409, body: ["ok": false, "owner": owner])
    }
}
