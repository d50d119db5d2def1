import Billing
import Ports
import Runtime
import Storage
import Values

/// Erases a tenant, in two steps: it must be suspended, and the call must name it.
struct TenantErasure {
    let api: APIHandler
    let call: Call

    private var store: any Store { api.runtime.store }

    func erase(_ tenant: Tenant) throws(Refusal) -> InboundResponse {
        let body = try call.object(["confirm"])
        guard tenant.tenant != .operatorTenant else {
            throw Refusal(422, "operator_tenant", "the operator cannot be erased")
        }
        if tenant.erasure == nil { try check(tenant, body["confirm"]?.string) }
        try storing { () throws(StoreError) in try api.runtime.erase(tenant.tenant) }
        api.keys.forget(tenant.tenant)
        api.runtime.log.write(
            .info, "tenant.erasing",
            [("tenant", .string("\(tenant.tenant)")), ("key", .string("\(call.key.key)"))])
        let now = try storing { () throws(StoreError) in try store.tenant(tenant.tenant) }
        return Answer.json(
            202,
            ["tenant_id": .string("\(tenant.tenant)"), "erasure": Self.value(of: (now ?? tenant).erasure)])
    }

    private func check(_ tenant: Tenant, _ confirmed: String?) throws(Refusal) {
        guard tenant.suspension != nil else {
            throw Refusal(409, "not_suspended", "suspend the tenant first, and export what has to be kept")
        }
        guard confirmed != "\(tenant.tenant)" else { return }
        let lost = try storing { () throws(StoreError) in
            let counts = try store.workflowCounts(of: tenant.tenant)
            return [
                "name": .string(tenant.name), "workflows": .int(Int64(counts.inService)),
                "secrets": .int(Int64(try store.secrets(of: tenant.tenant).count)),
                "keys": .int(Int64(try store.keys(of: tenant.tenant).count)),
                "balance_ms": .int(try store.account(of: tenant.tenant).balanceMilliseconds),
            ] as Value
        }
        throw Refusal(
            409, "confirmation_needed",
            "this deletes all runs, workflows, secrets and keys of the tenant for good: say its id as confirm",
            details: lost)
    }

    static func value(of erasure: Tenant.Erasure?) -> Value {
        guard let erasure else { return .null }
        return [
            "state": erasure.endedAt == nil ? "erasing" : "erased", "since": .string(erasure.since.text),
            "ended_at": erasure.endedAt.map { .string($0.text) } ?? .null,
        ]
    }
}
