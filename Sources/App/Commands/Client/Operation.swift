import Values

/// One operation of the server's API, as commands call it: method, path, and the names that its query takes.
///
/// No command writes a path of its own, and the tests try every row against the server and `docs/api.md`.
struct Operation: Sendable, Hashable {
    let method: String
    /// With `{…}` for each part that the caller gives.
    let path: String
    let query: [String]

    private init(_ method: String, _ path: String, query: [String] = []) {
        self.method = method
        self.path = path
        self.query = query
    }

    /// The path with `parts` in the places of `{…}`, in their order, percent-encoded.
    func path(with parts: [String]) -> String {
        var rest = parts[...]
        return path.split(separator: "/").map { segment in
            guard segment.hasPrefix("{") else { return "/" + segment }
            return "/" + Percent.encode(rest.popFirst() ?? "")
        }.joined()
    }

    private static let page = ["limit", "cursor"]
    private static let digest = ["if_digest"]
}

extension Operation {
    static let workflows = Operation("GET", "/api/workflows", query: page)
    static let workflow = Operation("GET", "/api/workflows/{name}")
    static let deploy = Operation("PUT", "/api/workflows/{name}", query: digest)
    static let deleteWorkflow = Operation("DELETE", "/api/workflows/{name}", query: digest)
    static let versions = Operation("GET", "/api/workflows/{name}/versions", query: page)
    static let version = Operation("GET", "/api/workflows/{name}/versions/{number}")
    static let rollBack = Operation("POST", "/api/workflows/{name}/rollback", query: digest)
    static let trigger = Operation("POST", "/api/workflows/{name}/trigger")

    static let runs = Operation("GET", "/api/runs", query: ["workflow", "status", "from", "to"] + page)
    static let run = Operation("GET", "/api/runs/{id}")
    static let events = Operation("GET", "/api/runs/{id}/events", query: page)
    static let attempts = Operation("GET", "/api/runs/{id}/attempts", query: ["step"] + page)
    static let cancel = Operation("POST", "/api/runs/{id}/cancel")
    static let pause = Operation("POST", "/api/runs/{id}/pause")
    static let resume = Operation("POST", "/api/runs/{id}/resume")
    static let retry = Operation("POST", "/api/runs/{id}/retry")
    static let fork = Operation("POST", "/api/runs/{id}/fork")
    static let signal = Operation("POST", "/api/runs/{id}/signals/{name}")

    static let secrets = Operation("GET", "/api/secrets", query: page)
    static let setSecret = Operation("PUT", "/api/secrets/{NAME}")
    static let deleteSecret = Operation("DELETE", "/api/secrets/{NAME}")

    static let tenants = Operation("GET", "/api/tenants", query: page)
    static let createTenant = Operation("POST", "/api/tenants")
    static let keys = Operation("GET", "/api/tenants/{id}/keys", query: page)
    static let createKey = Operation("POST", "/api/tenants/{id}/keys")
    static let revokeKey = Operation("DELETE", "/api/tenants/{id}/keys/{key_id}")

    static let tenant = Operation("GET", "/api/tenants/{id}")
    static let suspend = Operation("POST", "/api/tenants/{id}/suspend")
    static let resumeTenant = Operation("POST", "/api/tenants/{id}/resume")
    static let takeBack = Operation("POST", "/api/tenants/{id}/take-back")
    static let tenantRuns = Operation(
        "GET", "/api/tenants/{id}/runs", query: ["workflow", "status", "from", "to"] + page)
    static let tenantLedger = Operation("GET", "/api/tenants/{id}/ledger", query: page)
    static let export = Operation("GET", "/api/tenants/{id}/export", query: ["cursor"])
    static let erase = Operation("POST", "/api/tenants/{id}/erase")
    static let tenantUsage = Operation("GET", "/api/tenants/{id}/usage", query: ["from", "to"])

    static let balance = Operation("GET", "/api/balance")
    static let ledger = Operation("GET", "/api/ledger", query: page)
    static let verification = Operation("GET", "/api/ledger/verification")
    static let purchase = Operation("POST", "/api/billing/purchases")

    static let all = [
        workflows, workflow, deploy, deleteWorkflow, versions, version, rollBack, trigger, runs, run, events,
        attempts, cancel, pause, resume, retry, fork, signal, secrets, setSecret, deleteSecret, tenants,
        createTenant, keys, createKey, revokeKey, tenant, suspend, resumeTenant, takeBack, tenantRuns,
        tenantLedger, export, erase, tenantUsage, balance, ledger, verification, purchase,
    ]
}
