import Billing
import Ports
import Runtime
import Storage
import Values

/// `/api/tenants…`: the operator's.
struct TenantCalls {
    let api: APIHandler
    let call: Call

    private var runtime: Runtime { api.runtime }

    func route(_ path: [String]) throws(Refusal) {
        guard call.isOperator else {
            throw Refusal(403, "operator_only", "only the operator's key may do this")
        }
        switch (call.request.method, path.count) {
        case ("GET", 0): call.respond(try list())
        case ("POST", 0): call.respond(try create())
        case ("GET", 2) where path[1] == "keys": call.respond(try keys(of: try tenant(path[0])))
        case ("POST", 2) where path[1] == "keys": call.respond(try addKey(to: try tenant(path[0])))
        case ("DELETE", 3) where path[1] == "keys": call.respond(try revoke(path[2], of: try tenant(path[0])))
        case (_, 0): throw Refusal(Answer.methodNotAllowed("GET, POST"))
        case (_, 2) where path[1] == "keys": throw Refusal(Answer.methodNotAllowed("GET, POST"))
        case (_, 3) where path[1] == "keys": throw Refusal(Answer.methodNotAllowed("DELETE"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func tenant(_ text: String) throws(Refusal) -> Tenant {
        let found: Tenant? = try storing { () throws(StoreError) in
            guard let id = text == "operator" ? TenantID.operatorTenant : TenantID(text) else { return nil }
            return try runtime.store.tenant(id)
        }
        guard let found else { throw Refusal(404, "tenant_not_found", "there is no tenant of that id") }
        return found
    }

    private func create() throws(Refusal) -> InboundResponse {
        let body = try call.object(["name"])
        let name = try Call.required(try Call.text(body, "name", byteCountMax: 200), "name")
        let now = runtime.clock.now()
        return try storing { () throws(StoreError) in
            let tenant = Tenant(tenant: runtime.newTenantID(), name: name, createdAt: now)
            try runtime.store.addTenant(tenant)
            let (key, secret) = try api.keys.make(for: tenant.tenant, scope: .full, at: now)
            return Answer.json(
                201,
                [
                    "tenant_id": .string("\(tenant.tenant)"), "name": .string(name),
                    "created_at": .string(now.text),
                    "key": ["key_id": .string("\(key.key)"), "secret": .string(secret)],
                ])
        }
    }

    private func list() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = try call.cursor { TenantID($0) }
        return try storing { () throws(StoreError) in
            let found = try runtime.store.tenants(after: after, limit: limit + 1)
            return try Answer.page(found, limit: limit, next: { "\($0.tenant)" }) {
                tenant throws(StoreError) in
                [
                    "tenant_id": .string("\(tenant.tenant)"), "name": .string(tenant.name),
                    "external_customer_id": tenant.externalCustomerID.map { .string($0) } ?? .null,
                    "created_at": .string(tenant.createdAt.text),
                    "balance_ms": .int(try runtime.store.account(of: tenant.tenant).balanceMilliseconds),
                ]
            }
        }
    }

    private func keys(of tenant: Tenant) throws(Refusal) -> InboundResponse {
        let keys = try storing { () throws(StoreError) in try runtime.store.keys(of: tenant.tenant) }
        return Answer.list(
            keys.map { key in
                [
                    "key_id": .string("\(key.key)"), "scope": .string(key.scope.rawValue),
                    "created_at": .string(key.createdAt.text),
                    "revoked_at": key.revokedAt.map { .string($0.text) } ?? .null,
                ]
            }, next: nil)
    }

    private func addKey(to tenant: Tenant) throws(Refusal) -> InboundResponse {
        let body = try call.object(["scope"])
        let text = try Call.text(body, "scope", byteCountMax: 20) ?? "full"
        guard let scope = APIKey.Scope(rawValue: text), scope == .full || tenant.tenant == .operatorTenant
        else {
            throw Refusal(422, "scope_unknown", "scope is full, or internal for the operator")
        }
        let now = runtime.clock.now()
        let (key, secret) = try storing { () throws(StoreError) in
            try api.keys.make(for: tenant.tenant, scope: scope, at: now)
        }
        return Answer.json(
            201,
            [
                "key_id": .string("\(key.key)"), "secret": .string(secret), "scope": .string(scope.rawValue),
                "created_at": .string(now.text),
            ])
    }

    private func revoke(_ text: String, of tenant: Tenant) throws(Refusal) -> InboundResponse {
        let outcome = try storing { () throws(StoreError) in
            guard let id = KeyID(text) else { return KeyRevocation.unknown }
            return try api.keys.revoke(id, of: tenant.tenant, at: runtime.clock.now())
        }
        return switch outcome {
        case .revoked: Answer.noContent
        case .unknown: Answer.error(404, "key_not_found", "there is no live key of that id")
        case .lastOperatorKey:
            Answer.error(
                409, "last_operator_key",
                "this is the operator's last key: create another first, or nobody could operate this server")
        }
    }
}
