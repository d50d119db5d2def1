import Foundation
import Ports
import Runtime
import Testing
import Values
import Workflow
import WorkflowYAML

/// Somebody with a key of a tenant.
struct Client: Sendable {
    /// Nil only before the service is up.
    weak var service: TestService?
    let tenant: String
    let key: String

    static let nobody = Client(service: nil, tenant: "", key: "")

    func send(_ method: String, _ path: String, text: String = "", headers: [HTTPHeader] = []) -> Reply {
        service?.call(method, path, key: key, body: Array(text.utf8), headers: headers)
            ?? Reply(status: 0, headers: [], body: [])
    }

    func get(_ path: String) -> Reply { send("GET", path) }
    func put(_ path: String, _ body: Value) -> Reply { send("PUT", path, text: JSON.text(body)) }
    func delete(_ path: String) -> Reply { send("DELETE", path) }
    func post(_ path: String, _ body: Value = [:], headers: [HTTPHeader] = []) -> Reply {
        send("POST", path, text: JSON.text(body), headers: headers)
    }

    // MARK: - Workflows

    /// Deploys a source under the name that it has in itself.
    @discardableResult
    func deploy(_ source: String) -> Reply {
        var name = "unnamed"
        if case .success(let node) = DocumentReader.read(Array(source.utf8)), let own = node["name"]?.text {
            name = own
        }
        return send("PUT", "/api/workflows/\(name)", text: source)
    }

    func trigger(_ workflow: String, _ body: Value = [:], key: String? = nil) -> Reply {
        post(
            "/api/workflows/\(workflow)/trigger", body,
            headers: key.map { [HTTPHeader("Idempotency-Key", $0)] } ?? [])
    }

    /// Triggers and waits for the end.
    func run(_ workflow: String, _ body: Value = [:], _ location: SourceLocation = #_sourceLocation) throws
        -> Value
    {
        let started = trigger(workflow, body)
        let run = try #require(started["run_id"]?.string, "\(started.text)", sourceLocation: location)
        return finished(run, location)
    }

    /// The run once it is over.
    func finished(_ run: String, _ location: SourceLocation = #_sourceLocation) -> Value {
        guard let service, let id = RunID(run) else { return .null }
        let isOver = Promise<Bool>()
        if service.runtime.whenOver(id, { _ in isOver.fulfil(true) }) {
            #expect(
                isOver.wait(atMost: .seconds(15)) == true, "\(run) does not end", sourceLocation: location)
        }
        return get("/api/runs/\(run)").value
    }

    func setSecret(_ name: String, _ value: String, hosts: [String] = []) {
        let set = put(
            "/api/secrets/\(name)", ["value": .string(value), "hosts": .array(hosts.map { .string($0) })])
        #expect(set.status == 204, "\(set.text)")
    }

    /// Runs, newest first, of one workflow or of all.
    func runs(_ workflow: String? = nil, status: String? = nil) -> [Value] {
        var path = "/api/runs?limit=200"
        if let workflow { path += "&workflow=\(workflow)" }
        if let status { path += "&status=\(status)" }
        return get(path).items
    }

    // MARK: - Balance

    var balance: Int64 { self.get("/api/balance")["balance_ms"]?.int ?? .min }

    var ledger: [Value] { self.get("/api/ledger?limit=200").items }

    var credits: [Value] { ledger.filter { $0["kind"] == "credit" } }
}
