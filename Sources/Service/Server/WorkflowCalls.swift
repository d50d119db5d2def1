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

    private var runtime: Runtime { api.runtime }
    private var tenant: TenantID { call.tenant.tenant }

    func route(_ path: [String]) throws(Refusal) {
        switch (call.request.method, path.count) {
        case ("GET", 0): call.respond(try list())
        case ("POST", 1) where path[0] == "validate": call.respond(validate())
        case ("PUT", 1): call.respond(try deploy(path[0]))
        case ("GET", 1): call.respond(try show(path[0]))
        case ("DELETE", 1): call.respond(try delete(path[0]))
        case ("POST", 2) where path[1] == "trigger": try trigger(path[0])
        case (_, 0): throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 1): throw Refusal(Answer.methodNotAllowed("GET, PUT, DELETE"))
        case (_, 2) where path[1] == "trigger": throw Refusal(Answer.methodNotAllowed("POST"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func trigger(_ name: String) throws(Refusal) {
        _ = try call.request.idempotencyKey()
        let trigger = TriggerCall(tenant: call.tenant, workflow: name, source: .key, request: call.request)
        api.ingress.trigger(trigger) { [call] in call.respond(TriggerAnswer.answer(to: $0)) }
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

    private func deploy(_ name: String) throws(Refusal) -> InboundResponse {
        let (definition, problems) = runtime.catalog.check(call.request.body)
        guard let definition else {
            let count = problems.count { $0.severity == .error }
            throw Refusal(
                422, "invalid_workflow",
                "the workflow has \(count) problem\(count == 1 ? "" : "s"): nothing was deployed",
                details: .array(problems.map(Self.value)))
        }
        guard definition.name.hasSameBytes(as: name) else {
            throw Refusal(
                422, "name_mismatch", "the file is named \(definition.name) and the address \(name)")
        }
        if tenant != .operatorTenant,
            definition.triggers.contains(where: { if case .hook = $0.kind { true } else { false } })
        {
            throw Refusal(
                403, "hook_for_operator_only", "triggers of type hook are the operator's: use http or webhook"
            )
        }
        return try storing { () throws(StoreError) in
            let before = try runtime.store.workflow(name, of: tenant)
            if before?.source != call.request.body, let refusal = try refusal(isNew: before == nil) {
                return refusal
            }
            let deployed = try runtime.catalog.deploy(
                definition, source: call.request.body, of: tenant, at: runtime.clock.now())
            var value = Self.value(deployed)
            value["warnings"] = .array(problems.map(Self.value))
            return Answer.json(before?.number == deployed.number ? 200 : 201, .object(value))
        }
    }

    /// Why nothing more is deployed; nil where there is room.
    private func refusal(isNew: Bool) throws(StoreError) -> InboundResponse? {
        let counts = try runtime.store.workflowCounts(of: tenant)
        if isNew, counts.inService >= api.settings.workflowCountMax {
            return Answer.error(
                422, "too_many_workflows",
                "a tenant has at most \(api.settings.workflowCountMax) workflows: delete what is not used")
        }
        guard counts.versions >= api.settings.versionCountMax else { return nil }
        return Answer.error(
            422, "too_many_versions",
            "of a tenant's workflows at most \(api.settings.versionCountMax) versions are kept, those of deleted "
                + "ones among them: runs may still need them")
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
            guard let deployed = try runtime.store.workflow(name, of: tenant) else { return Self.unknown }
            var object = try summary(deployed)
            let hasWebhook = object["triggers"]?.array?.contains("webhook") ?? false
            object["source"] = .string(String(decoding: deployed.source, as: UTF8.self))
            object["hook_path"] = hasWebhook ? .string("/hooks/\(tenant)/\(name)") : .null
            object["schedules"] = .array(
                (api.scheduler?.schedules(of: name, tenant: tenant) ?? []).map { rule, nextAt in
                    [
                        "cron": .string(rule.cron), "timezone": .string(rule.timeZone),
                        "next_at": nextAt.map { .string($0.text) } ?? .null,
                    ]
                })
            object["versions"] = .array(
                try runtime.store.versions(of: name, of: tenant).map { .object(Self.value($0)) })
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

    private func delete(_ name: String) throws(Refusal) -> InboundResponse {
        try storing { () throws(StoreError) in
            try runtime.catalog.delete(name, of: tenant) ? Answer.noContent : Self.unknown
        }
    }

    private static let unknown = Answer.error(404, "workflow_not_found", "there is no workflow of that name")

    private static func value(_ deployed: DeployedWorkflow) -> Object {
        Object([
            .init(name: "name", value: .string(deployed.name)),
            .init(name: "number", value: .int(deployed.number)),
            .init(name: "digest", value: .string(Hex.encode(deployed.digest))),
            .init(name: "deployed_at", value: .string(deployed.deployedAt.text)),
        ])
    }

    private static func value(_ problem: Problem) -> Value {
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
