import Engine
import Ingress
import Ports
import Runtime
import Storage
import Values
import Workflow

/// Answers `/api/workflows…`.
struct WorkflowCalls {
    let api: APIHandler
    let call: Call

    /// Versions shown with a workflow; its list of versions has all.
    private static let versionsShownMax = 50

    private var runtime: Runtime { api.runtime }
    private var tenant: TenantID { call.tenant.tenant }

    func route(_ path: [String]) throws(Refusal) {
        switch (call.request.method, path.count) {
        case ("GET", 0): call.respond(try list())
        case ("POST", 1) where path[0] == "validate": call.respond(validate())
        case ("PUT", 1): call.respond(try versions(path[0]).deploy())
        case ("GET", 1): call.respond(try show(path[0]))
        case ("DELETE", 1): call.respond(try versions(path[0]).delete())
        case ("GET", 2) where path[1] == "versions": call.respond(try versions(path[0]).list())
        case ("GET", 3) where path[1] == "versions": call.respond(try versions(path[0]).show(path[2]))
        case ("POST", 2) where path[1] == "rollback": call.respond(try versions(path[0]).rollBack())
        case ("POST", 2) where path[1] == "trigger": try trigger(path[0])
        case (_, 0): throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 1): throw Refusal(Answer.methodNotAllowed("GET, PUT, DELETE"))
        case (_, 2) where ["trigger", "rollback"].contains(path[1]):
            throw Refusal(Answer.methodNotAllowed("POST"))
        case (_, 2) where path[1] == "versions", (_, 3) where path[1] == "versions":
            throw Refusal(Answer.methodNotAllowed("GET"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func versions(_ name: String) -> WorkflowVersions {
        WorkflowVersions(api: api, call: call, name: name)
    }

    private func trigger(_ name: String) throws(Refusal) {
        _ = try call.request.idempotencyKey()
        let trigger = TriggerCall(tenant: call.tenant, workflow: name, source: .key, request: call.request)
        api.ingress.trigger(trigger) { [self] reply in
            if case .workflowUnknown = reply { return call.respond(unknown(name)) }
            call.respond(TriggerAnswer.answer(to: reply))
        }
    }

    private func validate() -> InboundResponse {
        let problems = runtime.catalog.check(call.request.body).problems
        return Answer.json(
            200,
            [
                "valid": .bool(!problems.contains { $0.severity == .error }),
                "problems": .array(problems.map(Self.value)),
            ])
    }

    private func list() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        return try storing { () throws(StoreError) in
            let found = try runtime.store.workflows(of: tenant, after: call.query("cursor"), limit: limit + 1)
            return try Answer.page(found, limit: limit, next: \.name) { deployed throws(StoreError) in
                .object(try summary(deployed))
            }
        }
    }

    private func summary(_ deployed: DeployedWorkflow) throws(StoreError) -> Object {
        var object = Self.value(deployed)
        let definition = try runtime.catalog.plan(named: deployed.name, of: tenant)?.definition
        object["triggers"] = .array(definition?.triggers.map { .string($0.kind.name) } ?? [])
        object["description"] = definition?.description.map { .string($0) } ?? .null
        return object
    }

    private func show(_ name: String) throws(Refusal) -> InboundResponse {
        try storing { () throws(StoreError) in
            guard let deployed = try runtime.store.workflow(name, of: tenant) else { return unknown(name) }
            var object = try summary(deployed)
            object["source"] = .string(String(decoding: deployed.source, as: UTF8.self))
            let definition = try runtime.catalog.plan(named: name, of: tenant)?.definition
            for address in Self.hook(of: definition, tenant, api.settings) {
                object[address.name] = address.value
            }
            object["schedules"] = .array(
                (api.scheduler?.schedules(of: name, tenant: tenant) ?? []).map { rule, nextAt in
                    [
                        "cron": .string(rule.cron), "timezone": .string(rule.timeZone),
                        "next_at": nextAt.map { .string($0.text) } ?? .null,
                    ]
                })
            object["versions"] = .array(
                try runtime.store.versions(of: name, of: tenant, before: nil, limit: Self.versionsShownMax)
                    .map { WorkflowVersions.value($0, live: deployed) })
            api.ingress.refusals.flush()
            object["refusals"] = .array(
                try runtime.store.refusals(of: name, of: tenant).map { refusal in
                    [
                        "reason": .string(refusal.reason.rawValue), "count": .int(refusal.count),
                        "last_at": .string(refusal.lastAt.text), "last_detail": .string(refusal.lastDetail),
                    ]
                })
            return Answer.json(200, .object(object))
        }
    }

    /// 404, with the name that was meant if one is near.
    func unknown(_ name: String) -> InboundResponse {
        // A name that cannot be read is no reason to answer anything but 404.
        let known = (try? runtime.store.workflowNames(of: tenant)) ?? []
        let hint = Suggestion.hint(for: name, among: known).map { ": \($0)" } ?? ""
        return Answer.error(404, "workflow_not_found", "there is no workflow of that name\(hint)")
    }

    /// Where webhooks of a workflow are received; null for one without such a trigger.
    static func hook(of definition: WorkflowDefinition?, _ tenant: TenantID, _ settings: APISettings)
        -> [Object.Member]
    {
        let isHooked = definition?.triggers.contains { $0.kind.name == "webhook" } ?? false
        let path = isHooked ? "/hooks/\(tenant)/\(definition?.name ?? "")" : nil
        return [
            .init(name: "hook_path", value: path.map { .string($0) } ?? .null),
            .init(name: "hook_url", value: path.map { .string(settings.publicURL + $0) } ?? .null),
        ]
    }

    static func value(_ deployed: DeployedWorkflow) -> Object {
        Object([
            .init(name: "name", value: .string(deployed.name)),
            .init(name: "number", value: .int(deployed.number)),
            .init(name: "digest", value: .string(Hex.encode(deployed.digest))),
            .init(name: "deployed_at", value: .string(deployed.deployedAt.text)),
        ])
    }

    static func value(_ problem: Problem) -> Value {
        [
            "severity": .string(problem.severity.rawValue), "code": .string(problem.code),
            "line": .int(Int64(problem.mark.line)), "column": .int(Int64(problem.mark.column)),
            "message": .string(problem.message), "hint": problem.hint.map { .string($0) } ?? .null,
        ]
    }
}

/// Turns a store's refusal into the answer that says so.
func storing<Result>(_ body: () throws(StoreError) -> Result) throws(Refusal) -> Result {
    do throws(StoreError) { return try body() } catch { throw Refusal(Answer.store(error)) }
}
