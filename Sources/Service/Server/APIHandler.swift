import Engine
package import Ingress
package import Ports
package import Runtime
import Storage
import Values

/// Prices and addresses that the API needs to know.
package struct APISettings: Sendable {
    /// In the minor unit of `currency`, for a minute of run time.
    package var pricePerMinuteMinor: Int64 = 10
    /// ISO 4217, upper case.
    package var currency = "EUR"
    /// Where browsers reach this server; for the pages after a checkout.
    package var publicURL = "http://127.0.0.1:7070"

    /// Workflows that a tenant has in service.
    package var workflowCountMax = 1_000
    /// Workflows of a tenant in service with a trigger of type `run`: each end of a run is copied for each of them.
    package var runListenerCountMax = 20
    /// Versions of a tenant's workflows that are kept, all together.
    package var versionCountMax = 10_000
    /// Purchases of a tenant that nobody has paid yet, of one day.
    package var purchaseCountMax = 50

    package init() {}
}

/// Answers what the public address serves: `/api`, `/hooks`, the buyer's page and the health pages.
package struct APIHandler: InboundHandler {
    let runtime: Runtime
    let ingress: Ingress
    let keys: KeyRing
    let settings: APISettings
    /// Nil where nothing starts by the calendar.
    let scheduler: Scheduler?

    package init(
        runtime: Runtime, ingress: Ingress, keys: KeyRing, settings: APISettings, scheduler: Scheduler? = nil
    ) {
        self.scheduler = scheduler
        self.runtime = runtime
        self.ingress = ingress
        self.keys = keys
        self.settings = settings
    }

    package func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        let path = request.segments
        switch path.first {
        case "hooks": handleHook(request, path, respond)
        case "signals" where path.count == 4:
            SignalCalls(runtime: runtime).signalByToken(request, path, respond)
        case "api" where path.count > 1 && path[1] != "internal": handleAPI(request, path, respond)
        case "healthz" where path.count == 1, "readyz" where path.count == 1, "metrics" where path.count == 1:
            respond(HealthPages(runtime: runtime).answer(request))
        case "billing" where path.count <= 2:
            respond(BillingPage(runtime: runtime).answer(request, path))
        default: respond(Answer.notFound)
        }
    }

    private func handleAPI(
        _ request: InboundRequest, _ path: [String], _ respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        let call: Call
        do throws(Refusal) { call = try authenticate(request, respond) } catch {
            return respond(error.response)
        }
        do throws(Refusal) {
            guard call.key.scope == .full else {
                throw Refusal(403, "scope", "this key may use the internal API only")
            }
            let rest = Array(path.dropFirst())
            try call.checkQuery(at: rest)
            try route(call, rest)
        } catch {
            call.respond(error.response)
        }
    }

    private func authenticate(
        _ request: InboundRequest, _ respond: @escaping @Sendable (InboundResponse) -> Void
    ) throws(Refusal) -> Call {
        let call = try Call(request, keys: keys, store: runtime.store, respond: respond)
        let tenant = call.tenant.tenant
        return Call(request: request, tenant: call.tenant, key: call.key) { response in
            respond(shown(response, to: tenant))
        }
    }

    /// An error may repeat what it complains of: the tenant's secrets are taken out (I9).
    private func shown(_ response: InboundResponse, to tenant: TenantID) -> InboundResponse {
        guard response.status >= 400 else { return response }
        do throws(StoreError) {
            var response = response
            response.body = try runtime.vault.redactor(of: tenant).redact(
                body: response.body, contentType: response.headers["content-type"])
            return response
        } catch {
            return Answer.store(error)
        }
    }

    private func route(_ call: Call, _ path: [String]) throws(Refusal) {
        switch path[0] {
        case "workflows": try WorkflowCalls(api: self, call: call).route(Array(path.dropFirst()))
        case "runs": try RunCalls(api: self, call: call).route(Array(path.dropFirst()))
        case "secrets": try SecretCalls(api: self, call: call).route(Array(path.dropFirst()))
        case "balance", "ledger", "usage", "billing": try BillingCalls(api: self, call: call).route(path)
        case "tenants": try TenantCalls(api: self, call: call).route(Array(path.dropFirst()))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func handleHook(
        _ request: InboundRequest, _ path: [String], _ respond: @escaping @Sendable (InboundResponse) -> Void
    ) {
        guard path.count == 3 else { return respond(Answer.notFound) }
        guard request.method == "POST" else { return respond(Answer.methodNotAllowed("POST")) }
        do throws(StoreError) {
            let id = path[1] == "operator" ? TenantID.operatorTenant : TenantID(path[1])
            // One answer for every cause: a stranger cannot tell which tenants and workflows exist.
            guard let id, let tenant = try runtime.tenant(id) else { return respond(Answer.notFound) }
            let call = TriggerCall(
                tenant: tenant, workflow: path[2], source: .publicAddress, request: request)
            ingress.trigger(call) { respond(TriggerAnswer.publicAnswer(to: $0)) }
        } catch {
            respond(Answer.store(error))
        }
    }
}

extension Call {
    /// - Throws: 401 where no valid key came with the request.
    init(
        _ request: InboundRequest, keys: KeyRing, store: any Storage.Store,
        respond: @escaping @Sendable (InboundResponse) -> Void
    ) throws(Refusal) {
        do throws(StoreError) {
            guard let key = try keys.key(authorization: request.headers["authorization"]),
                let tenant = try store.tenant(key.tenant)
            else {
                throw StoreError.missing(what: "key")
            }
            self.init(request: request, tenant: tenant, key: key, respond: respond)
        } catch {
            guard case .missing = error else { throw Refusal(Answer.store(error)) }
            throw Refusal(
                Answer.error(
                    401, "unauthorized", "send a valid key as Authorization: Bearer mk_…",
                    headers: [HTTPHeader("WWW-Authenticate", "Bearer")]))
        }
    }
}
