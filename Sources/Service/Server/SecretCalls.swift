import Engine
import Ports
import Runtime
import Storage
import Values

/// `/api/secrets…`: values go in and never come out.
struct SecretCalls {
    let api: APIHandler
    let call: Call

    private static let valueByteCountMax = 8_192
    /// Of one tenant: each is looked for, in all its encodings, in all that a run stores which may read any.
    private static let countMax = 100

    func route(_ path: [String]) throws(Refusal) {
        switch (call.request.method, path.count) {
        case ("GET", 0): call.respond(try list())
        case ("PUT", 1): call.respond(try set(path[0]))
        case ("DELETE", 1): call.respond(try delete(path[0]))
        case (_, 0): throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 1): throw Refusal(Answer.methodNotAllowed("PUT, DELETE"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func list() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = Array((call.query("cursor") ?? "").utf8)
        // Few enough to be read all at once; sorted by name.
        let secrets = try storing { () throws(StoreError) in
            try api.runtime.store.secrets(of: call.tenant.tenant)
        }.filter { after.lexicographicallyPrecedes($0.name.utf8) }
        return Answer.page(secrets, limit: limit, next: \.name) { secret in
            [
                "name": .string(secret.name), "hosts": .array(secret.hosts.map { .string($0) }),
                "updated_at": .string(secret.updatedAt.text),
            ]
        }
    }

    private func set(_ name: String) throws(Refusal) -> InboundResponse {
        try Self.check(name)
        let body = try call.object(["value", "hosts"])
        let value = try Call.required(body["value"]?.string, "value")
        guard (Redactor.secretByteCountMin...Self.valueByteCountMax).contains(value.utf8.count) else {
            throw Refusal(
                422, "secret_length",
                "a secret has \(Redactor.secretByteCountMin) to \(Self.valueByteCountMax) bytes: shorter ones cannot be kept out of logs"
            )
        }
        let hosts = try self.hosts(body["hosts"] ?? [])
        try checkCount(with: name)
        try storing { () throws(StoreError) in
            try api.runtime.vault.set(
                name, value, hosts: hosts, of: call.tenant.tenant, at: api.runtime.clock.now())
        }
        return Answer.noContent
    }

    private func checkCount(with name: String) throws(Refusal) {
        let known = try storing { () throws(StoreError) in
            try api.runtime.store.secrets(of: call.tenant.tenant).map(\.name)
        }
        guard known.count < Self.countMax || known.contains(where: { $0.hasSameBytes(as: name) }) else {
            throw Refusal(
                422, "too_many_secrets",
                "a tenant has at most \(Self.countMax) secrets: delete what is not used")
        }
    }

    private func hosts(_ value: Value) throws(Refusal) -> [String] {
        let hosts = value.array?.compactMap(\.string) ?? []
        guard hosts.count == value.array?.count, hosts.count <= 20,
            hosts.allSatisfy(Self.isHost)
        else {
            throw Refusal(
                422, "hosts_unfit",
                "hosts is a list of at most 20 host names such as api.stripe.com, without port or wildcard")
        }
        return hosts
    }

    /// A name, or an address in digits, IPv6 in brackets: what a URL's host can be equal to.
    private static func isHost(_ text: String) -> Bool {
        let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
        let bytes = isBracketed ? text.utf8.dropFirst().dropLast() : text.utf8[...]
        return (1...253).contains(bytes.count)
            && bytes.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: isBracketed && byte == UInt8(ascii: ":")
                }
            }
    }

    private func delete(_ name: String) throws(Refusal) -> InboundResponse {
        let existed = try storing { () throws(StoreError) in
            try api.runtime.vault.delete(name, of: call.tenant.tenant)
        }
        return existed
            ? Answer.noContent : Answer.error(404, "secret_not_found", "there is no secret of that name")
    }

    private static func check(_ name: String) throws(Refusal) {
        let bytes = Array(name.utf8)
        let isFit =
            (1...64).contains(bytes.count) && (0x41...0x5A).contains(bytes[0])
            && bytes.allSatisfy { (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        guard isFit else {
            throw Refusal(
                422, "secret_name",
                "a secret's name is upper case, such as STRIPE_SECRET_KEY, at most 64 characters")
        }
    }
}
