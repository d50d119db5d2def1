import Ports
import Runtime
import Storage
import Values
import Workflow

/// Answers what puts versions of a workflow into service, lists them, or takes the workflow out of service.
struct WorkflowVersions {
    let api: APIHandler
    let call: Call
    let name: String

    private var runtime: Runtime { api.runtime }
    private var tenant: TenantID { call.tenant.tenant }

    // MARK: - Changing

    /// `PUT /api/workflows/{name}`: the body is the source.
    func deploy() throws(Refusal) -> InboundResponse {
        let source = call.request.body
        let (definition, problems) = try checked(source)
        guard definition.name.hasSameBytes(as: name) else {
            throw Refusal(
                422, "name_mismatch", "the file is named \(definition.name) and the address \(name)")
        }
        return try put(definition, source, problems)
    }

    /// `POST /api/workflows/{name}/rollback`: an earlier source becomes the newest version.
    func rollBack() throws(Refusal) -> InboundResponse {
        let body = try call.object(["to"])
        guard let number = try Call.required(body["to"], "to").int, number > 0 else {
            throw Refusal(422, "member_unfit", "to is the number of a version, a whole number above 0")
        }
        let version = try self.version(number)
        // The rules may have become stricter since it was deployed.
        let (definition, problems) = try checked(version.source)
        return try put(definition, version.source, problems)
    }

    private func checked(
        _ source: [UInt8]
    ) throws(Refusal) -> (definition: WorkflowDefinition, problems: [Problem]) {
        let (definition, problems) = runtime.catalog.check(source)
        guard let definition else {
            let count = problems.count { $0.severity == .error }
            throw Refusal(
                422, "invalid_workflow",
                "the workflow has \(count) problem\(count == 1 ? "" : "s"): nothing was deployed",
                details: .array(problems.map(WorkflowCalls.value)))
        }
        let isHook = definition.triggers.contains { if case .hook = $0.kind { true } else { false } }
        guard !isHook || tenant == .operatorTenant else {
            throw Refusal(
                403, "hook_for_operator_only", "triggers of type hook are the operator's: use http or webhook"
            )
        }
        return (definition, problems)
    }

    private func put(
        _ definition: WorkflowDefinition, _ source: [UInt8], _ problems: [Problem]
    ) throws(Refusal) -> InboundResponse {
        let expected = try expectation()
        return try storing { () throws(StoreError) in
            let live = try runtime.store.workflow(name, of: tenant)
            if live?.source != source, let refusal = try refusal(definition, isNew: live == nil) {
                return refusal
            }
            let change = try runtime.catalog.deploy(
                definition, source: source, of: tenant, at: runtime.clock.now(), expecting: expected)
            guard case .deployed(let deployed, let isNew) = change else { return answer(to: change) }
            var value = WorkflowCalls.value(deployed)
            for address in WorkflowCalls.hook(of: definition, tenant, api.settings) {
                value[address.name] = address.value
            }
            value["warnings"] = .array(problems.map(WorkflowCalls.value))
            return Answer.json(isNew ? 201 : 200, .object(value))
        }
    }

    /// Why nothing more is deployed; nil if there is room.
    private func refusal(
        _ definition: WorkflowDefinition, isNew: Bool
    ) throws(StoreError) -> InboundResponse? {
        if Catalog.hearsOfRuns(definition),
            runtime.catalog.runListenerCount(of: tenant, except: name) >= api.settings.runListenerCountMax
        {
            return Answer.error(
                422, "too_many_run_listeners",
                "a tenant has at most \(api.settings.runListenerCountMax) workflows with a trigger of type `run`: let "
                    + "one of them call the others")
        }
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

    /// `DELETE /api/workflows/{name}`.
    func delete() throws(Refusal) -> InboundResponse {
        let expected = try expectation()
        return try storing { () throws(StoreError) in
            answer(to: try runtime.catalog.delete(name, of: tenant, expecting: expected))
        }
    }

    private func answer(to change: Catalog.Change) -> InboundResponse {
        switch change {
        case .deployed, .deleted: Answer.noContent
        case .missing: WorkflowCalls(api: api, call: call).unknown(name)
        case .unexpected(let live):
            Answer.error(
                409, "digest_differs",
                live.map {
                    "version \($0.number) is in service, which is not the expected one: nothing was changed"
                }
                    ?? "nothing of that name is in service: nothing was changed",
                details: [
                    "number": live.map { .int($0.number) } ?? .null,
                    "digest": live.map { .string(Hex.encode($0.digest)) } ?? .null,
                ])
        }
    }

    static let digestQuery = "if_digest"

    /// What the caller says is in service.
    private func expectation() throws(Refusal) -> Catalog.Expectation {
        // An empty one is refused below: whoever sends it means to be protected.
        guard let text = call.request.query.first(where: { $0.name == Self.digestQuery })?.value else {
            return .anything
        }
        if text == "none" { return .nothing }
        guard text.utf8.count == 64, let digest = Hex.decode(text.lowercased()) else {
            throw Refusal(
                400, "digest_malformed",
                "if_digest is the digest of the version in service, 64 hex digits, or none if nothing is to be there"
            )
        }
        return .digest(digest)
    }

    // MARK: - Looking

    /// `GET /api/workflows/{name}/versions`: newest first, of a deleted workflow as well.
    func list() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let before = try call.cursor(Call.wholeNumber)
        let found = try storing { () throws(StoreError) in
            try runtime.store.versions(of: name, of: tenant, before: before, limit: limit + 1)
        }
        if found.isEmpty, before == nil { throw Refusal(WorkflowCalls(api: api, call: call).unknown(name)) }
        let live = try storing { () throws(StoreError) in try runtime.store.workflow(name, of: tenant) }
        return Answer.page(found, limit: limit, next: { String($0.number) }) {
            Self.value($0, live: live)
        }
    }

    /// `GET /api/workflows/{name}/versions/{number}`: with its source.
    func show(_ text: String) throws(Refusal) -> InboundResponse {
        guard let number = Call.wholeNumber(text) else { throw Refusal(Answer.notFound) }
        let version = try self.version(number)
        var value = WorkflowCalls.value(version)
        value["source"] = .string(String(decoding: version.source, as: UTF8.self))
        return Answer.json(200, .object(value))
    }

    private func version(_ number: Int64) throws(Refusal) -> DeployedWorkflow {
        let newest = try storing { () throws(StoreError) in
            try runtime.store.versions(of: name, of: tenant, before: nil, limit: 1).first
        }
        guard let newest else { throw Refusal(WorkflowCalls(api: api, call: call).unknown(name)) }
        let found = try storing { () throws(StoreError) in
            try runtime.store.version(number, of: name, of: tenant)
        }
        guard let found else {
            throw Refusal(
                404, "version_not_found",
                "\(name) has no version \(number): its versions are 1 to \(newest.number)")
        }
        return found
    }

    static func value(_ version: WorkflowVersion, live: DeployedWorkflow?) -> Value {
        [
            "number": .int(version.number), "digest": .string(Hex.encode(version.digest)),
            "deployed_at": .string(version.deployedAt.text), "is_live": .bool(version.number == live?.number),
        ]
    }
}
