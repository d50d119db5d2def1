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
        if path.count > 1, Self.views.contains(path[1]) { return try view(path) }
        switch (call.request.method, path.count) {
        case ("GET", 1): call.respond(Answer.json(200, try value(of: try tenant(path[0]))))
        case ("POST", 2) where path[1] == "suspend": call.respond(try suspend(try tenant(path[0])))
        case ("POST", 2) where path[1] == "resume": call.respond(try resume(try tenant(path[0])))
        case ("POST", 2) where path[1] == "erase":
            call.respond(try TenantErasure(api: api, call: call).erase(try tenant(path[0])))
        case ("GET", 2) where path[1] == "export": call.respond(try export(try tenant(path[0])))
        case (_, 2) where path[1] == "erase": throw Refusal(Answer.methodNotAllowed("POST"))
        case (_, 2) where path[1] == "export": throw Refusal(Answer.methodNotAllowed("GET"))
        case ("POST", 2) where path[1] == "take-back":
            let tenant = try tenant(path[0]).tenant
            call.respond(try TakeBack(runtime: runtime, call: call).take(from: tenant))
        case (_, 1): throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 2) where ["suspend", "resume", "take-back"].contains(path[1]):
            throw Refusal(Answer.methodNotAllowed("POST"))
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

    // MARK: - Looking at a tenant

    /// What the operator sees of a tenant as the tenant does: what stands behind its id in the address.
    static let views: Set<String> = ["runs", "balance", "ledger", "usage"]

    /// Answers as if the tenant had asked, for reading only; that the operator has looked is in the log.
    private func view(_ path: [String]) throws(Refusal) {
        let tenant = try tenant(path[0])
        guard call.request.method == "GET" else { throw Refusal(Answer.methodNotAllowed("GET")) }
        let what = Array(path.dropFirst())
        runtime.log.write(
            .info, "operator.looked",
            [
                ("tenant", .string("\(tenant.tenant)")), ("at", .string(what.joined(separator: "/"))),
                ("key", .string("\(call.key.key)")),
            ])
        let asked = Call(request: call.request, tenant: tenant, key: call.key, respond: call.respond)
        switch what[0] {
        case "runs": try RunCalls(api: api, call: asked).route(Array(what.dropFirst()))
        case _ where what.count == 1: try BillingCalls(api: api, call: asked).route(what)
        default: throw Refusal(Answer.notFound)
        }
    }

    private func export(_ tenant: Tenant) throws(Refusal) -> InboundResponse {
        let cursor = call.query("cursor")
        if cursor == nil {
            runtime.log.write(
                .info, "tenant.exported",
                [("tenant", .string("\(tenant.tenant)")), ("key", .string("\(call.key.key)"))])
        }
        return try TenantExport(store: runtime.store, tenant: tenant).page(cursor)
    }

    private func value(of tenant: Tenant) throws(Refusal) -> Value {
        let balance = try storing { () throws(StoreError) in
            try runtime.store.account(of: tenant.tenant).balanceMilliseconds
        }
        return [
            "tenant_id": .string("\(tenant.tenant)"), "name": .string(tenant.name),
            "external_customer_id": tenant.externalCustomerID.map { .string($0) } ?? .null,
            "created_at": .string(tenant.createdAt.text), "balance_ms": .int(balance),
            "suspension": Self.value(of: tenant.suspension),
            "erasure": TenantErasure.value(of: tenant.erasure),
        ]
    }

    private static func value(of suspension: Tenant.Suspension?) -> Value {
        guard let suspension else { return .null }
        return [
            "since": .string(suspension.since.text), "reason": .string(suspension.reason),
            "webhooks": .string(suspension.webhooks.rawValue),
        ]
    }

    // MARK: - Suspending

    private func suspend(_ tenant: Tenant) throws(Refusal) -> InboundResponse {
        let body = try call.object(["reason", "webhooks"])
        try refuseErased(tenant)
        guard tenant.tenant != .operatorTenant else {
            throw Refusal(
                422, "operator_tenant", "the operator cannot be suspended: it could not resume itself")
        }
        let text = try Call.text(body, "webhooks", byteCountMax: 20) ?? "keep"
        guard let webhooks = Tenant.Suspension.Webhooks(rawValue: text) else {
            throw Refusal(422, "webhooks_unknown", "webhooks is keep or refuse")
        }
        let reason = try Call.required(try Call.text(body, "reason", byteCountMax: 500), "reason")
        let suspension = Tenant.Suspension(
            // Since the first time: a second call changes the reason and the rule.
            since: tenant.suspension?.since ?? runtime.clock.now(), reason: reason, webhooks: webhooks)
        return try change(tenant, to: suspension)
    }

    private func refuseErased(_ tenant: Tenant) throws(Refusal) {
        guard tenant.erasure == nil else {
            throw Refusal(409, "tenant_erased", "the tenant is erased, or about to be: there is no way back")
        }
    }

    private func resume(_ tenant: Tenant) throws(Refusal) -> InboundResponse {
        _ = try call.object([])
        try refuseErased(tenant)
        return try change(tenant, to: nil)
    }

    private func change(_ tenant: Tenant, to suspension: Tenant.Suspension?) throws(Refusal)
        -> InboundResponse
    {
        try storing { () throws(StoreError) in try runtime.setSuspension(suspension, of: tenant.tenant) }
        runtime.log.write(
            .info, suspension == nil ? "tenant.resumed" : "tenant.suspended",
            [
                ("tenant", .string("\(tenant.tenant)")), ("reason", .string(suspension?.reason ?? "")),
                ("key", .string("\(call.key.key)")),
            ])
        return Answer.json(200, try value(of: try self.tenant("\(tenant.tenant)")))
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
                    "suspension": Self.value(of: tenant.suspension),
                    "balance_ms": .int(try runtime.store.account(of: tenant.tenant).balanceMilliseconds),
                ]
            }
        }
    }

    private func keys(of tenant: Tenant) throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = try call.cursor { KeyID($0) }
        let keys = try storing { () throws(StoreError) in try runtime.store.keys(of: tenant.tenant) }
            .filter { key in after.map { key.key > $0 } ?? true }
        return Answer.page(keys, limit: limit, next: { "\($0.key)" }) { key in
            [
                "key_id": .string("\(key.key)"), "scope": .string(key.scope.rawValue),
                "created_at": .string(key.createdAt.text),
                "revoked_at": key.revokedAt.map { .string($0.text) } ?? .null,
            ]
        }
    }

    private func addKey(to tenant: Tenant) throws(Refusal) -> InboundResponse {
        let body = try call.object(["scope"])
        try refuseErased(tenant)
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
                "this is the operator's last key: create another one first, or this server cannot be operated"
            )
        }
    }
}
