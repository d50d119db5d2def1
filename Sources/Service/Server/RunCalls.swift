import Engine
import Ports
import Runtime
import Storage
import Values

/// `/api/runs…`
struct RunCalls {
    let api: APIHandler
    let call: Call

    private var runtime: Runtime { api.runtime }
    private var tenant: TenantID { call.tenant.tenant }

    func route(_ path: [String]) throws(Refusal) {
        switch (call.request.method, path.count) {
        case ("GET", 0): call.respond(try list())
        case ("GET", 1): call.respond(try show(try record(path[0])))
        case ("GET", 2) where path[1] == "events": call.respond(try events(try record(path[0])))
        case ("POST", 2) where path[1] == "cancel": call.respond(try cancel(try record(path[0])))
        case (_, 0), (_, 1): throw Refusal(Answer.methodNotAllowed("GET"))
        default: throw Refusal(Answer.notFound)
        }
    }

    private func record(_ text: String) throws(Refusal) -> RunRecord {
        let found: RunRecord? = try storing { () throws(StoreError) in
            guard let run = RunID(text) else { return nil }
            return try runtime.store.run(run, of: tenant)
        }
        guard let found else { throw Refusal(404, "run_not_found", "there is no run of that id") }
        return found
    }

    private func list() throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        var query = RunQuery(
            workflow: call.query("workflow"), from: try call.instant("from"), to: try call.instant("to"), limit: limit)
        if let text = call.query("status") {
            guard let status = RunStatus(rawValue: text) else {
                let known = RunStatus.allCases.map(\.rawValue).joined(separator: ", ")
                throw Refusal(400, "status_unknown", "status is one of \(known)")
            }
            query.status = status
        }
        if let cursor = call.query("cursor") {
            guard let before = RunID(cursor) else {
                throw Refusal(400, "cursor_malformed", "cursor is what the page before gave as next")
            }
            query.before = before
        }
        let page = try storing { () throws(StoreError) in try runtime.store.runs(of: tenant, query) }
        return Answer.list(
            page.map { .object(Self.summary($0)) }, next: page.count == limit ? page.last.map { "\($0.run)" } : nil)
    }

    private static func summary(_ record: RunRecord) -> Object {
        Object([
            .init(name: "run_id", value: .string("\(record.run)")),
            .init(name: "workflow", value: .string(record.workflow)),
            .init(name: "trigger", value: .string(record.trigger)),
            .init(name: "status", value: .string(record.status.rawValue)),
            .init(name: "started_at", value: .string(record.startedAt.text)),
            .init(name: "finished_at", value: record.finishedAt.map { .string($0.text) } ?? .null),
            .init(name: "charged_ms", value: .int(record.chargedMilliseconds)),
        ])
    }

    private func show(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        var object = Self.summary(record)
        object["digest"] = .string(Hex.encode(record.digest))
        let view = try storing { () throws(StoreError) in try runtime.view(of: record) }
        for member in view.members { object[member.name] = member.value }
        return Answer.json(200, .object(object))
    }

    private func events(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = Int64(call.query("cursor") ?? "0") ?? 0
        let entries = try storing { () throws(StoreError) in try runtime.store.entries(of: record.run) }
            .filter { $0.sequence > after }
        let page = entries.prefix(limit)
        let items = page.map { entry -> Value in
            [
                "sequence": .int(entry.sequence), "at": .string(entry.at.text), "kind": .string(entry.kind),
                "charge_ms": .int(entry.chargeMilliseconds),
                // Facts that cannot be read are shown as none: the rest of the entry still helps.
                "facts": (try? JSON.parse(entry.facts)) ?? .null,
                "body": entry.body.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null,
            ]
        }
        return Answer.list(Array(items), next: entries.count > limit ? page.last.map { String($0.sequence) } : nil)
    }

    private func cancel(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        let body = try call.object(["reason"])
        let reason = try Call.text(body, "reason", byteCountMax: 500) ?? "cancelled by the tenant"
        guard runtime.cancel(record.run, of: tenant, reason: reason) else {
            throw Refusal(409, "run_over", "the run is over: nothing was cancelled")
        }
        return Answer.json(202, ["run_id": .string("\(record.run)")])
    }
}
