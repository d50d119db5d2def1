import Engine
import Ports
import Runtime
import Storage
import Values

/// Answers `/api/runs…`.
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
        case ("GET", 2) where path[1] == "attempts":
            call.respond(try RunAttempts(runtime: runtime, call: call).list(try record(path[0])))
        case ("POST", 2) where RunOrders.names.contains(path[1]):
            try RunOrders(runtime: runtime, call: call, record: try record(path[0])).take(path[1])
        case ("POST", 3) where path[1] == "signals":
            try SignalCalls(runtime: runtime).signal(call, run: try record(path[0]).run, name: path[2])
        case (_, 3) where path[1] == "signals": throw Refusal(Answer.methodNotAllowed("POST"))
        case (_, 0), (_, 1): throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 2) where ["events", "attempts"].contains(path[1]):
            throw Refusal(Answer.methodNotAllowed("GET"))
        case (_, 2) where RunOrders.names.contains(path[1]): throw Refusal(Answer.methodNotAllowed("POST"))
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
            workflow: call.query("workflow"), from: try call.instant("from"), to: try call.instant("to"),
            limit: limit + 1)
        query.before = try call.cursor { RunID($0) }
        if call.query("status") == "queued" { return try listQueued(query, limit: limit) }
        if let text = call.query("status") {
            guard let status = RunStatus(rawValue: text) else {
                let known = (["queued"] + RunStatus.allCases.map(\.rawValue)).joined(separator: ", ")
                throw Refusal(400, "status_unknown", "status is one of \(known)")
            }
            query.status = status
        }
        let found = try storing { () throws(StoreError) in try runtime.store.runs(of: tenant, query) }
        return page(found, limit: limit)
    }

    private func page(_ found: [RunRecord], limit: Int) -> InboundResponse {
        let queued = runtime.queued(among: found.lazy.filter { $0.status == .running }.map(\.run))
        return Answer.page(found, limit: limit, next: { "\($0.run)" }) {
            .object(Self.summary($0, isQueued: queued.contains($0.run)))
        }
    }

    /// The store knows only that they are open; which of them wait for their turn is known in memory.
    private func listQueued(_ query: RunQuery, limit: Int) throws(Refusal) -> InboundResponse {
        let found = try storing { () throws(StoreError) in
            let runs = runtime.queuedRuns(of: tenant, before: query.before, limit: .max)
            var records: [RunRecord] = []
            for run in runs where records.count < query.limit {
                guard let record = try runtime.store.run(run, of: tenant), query.admits(record) else {
                    continue
                }
                records.append(record)
            }
            return records
        }
        return page(found, limit: limit)
    }

    static func summary(_ record: RunRecord, isQueued: Bool) -> Object {
        Object([
            .init(name: "run_id", value: .string("\(record.run)")),
            .init(name: "workflow", value: .string(record.workflow)),
            .init(name: "trigger", value: .string(record.trigger)),
            .init(name: "status", value: .string(isQueued ? "queued" : record.status.rawValue)),
            .init(name: "started_at", value: .string(record.startedAt.text)),
            .init(name: "finished_at", value: record.finishedAt.map { .string($0.text) } ?? .null),
            .init(name: "charged_ms", value: .int(record.chargedMilliseconds)),
        ])
    }

    private func show(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        let isQueued = record.status == .running && !runtime.queued(among: [record.run]).isEmpty
        var object = Self.summary(record, isQueued: isQueued)
        object["digest"] = .string(Hex.encode(record.digest))
        let (view, redactor) = try storing { () throws(StoreError) in
            (try runtime.view(of: record), try runtime.vault.redactor(of: tenant))
        }
        for member in view.members { object[member.name] = member.value }
        // What was recorded before a secret was set may hold it.
        return Answer.json(200, redactor.redact(.object(object)))
    }

    private func events(_ record: RunRecord) throws(Refusal) -> InboundResponse {
        let limit = try call.limit()
        let after = try call.cursor(Call.wholeNumber) ?? 0
        let (page, redactor) = try storing { () throws(StoreError) in
            let page = try runtime.store.entries(
                of: record.run, after: after, limit: limit, byteCountMax: Self.eventByteCountMax)
            return (page, try runtime.vault.redactor(of: tenant))
        }
        return Answer.list(
            page.entries.map { redactor.redact(Self.event($0)) },
            next: page.isFull ? page.entries.last.map { "\($0.sequence)" } : nil
        )
    }

    /// Of a page of events, before it is written as JSON: the listener's thread does that, and others wait.
    private static let eventByteCountMax = 2 << 20

    static func event(_ entry: StoredEntry) -> Value {
        // Facts that cannot be read are shown as none: the rest of the entry still helps.
        var facts = (try? JSON.parseKept(entry.facts))?.object
        // What is sealed is for the engine alone; `sensitive` says what it is.
        facts?["sealed"] = nil
        return [
            "sequence": .int(entry.sequence), "at": .string(entry.at.text), "kind": .string(entry.kind),
            "charge_ms": .int(entry.chargeMilliseconds),
            "facts": facts.map { .object($0) } ?? .null,
            "body": entry.body.map { Value(bytes: $0) } ?? .null,
        ]
    }
}

extension RunQuery {
    /// Whether it asks for a run, its status and place in the list aside.
    fileprivate func admits(_ record: RunRecord) -> Bool {
        (workflow?.hasSameBytes(as: record.workflow) ?? true) && from.map { record.startedAt >= $0 } ?? true
            && to.map { record.startedAt < $0 } ?? true
    }
}
