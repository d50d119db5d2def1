import Clocks
import CurlTransport
import Ports
import Values

/// What the server answered.
struct APIAnswer: Sendable {
    var status: Int
    /// Null if the body is empty or no JSON.
    var value: Value
    /// As it came.
    var body: [UInt8] = []
}

/// Calls of the server's API, one at a time.
final class APIClient: Sendable {
    /// Settings that every command takes which talks to a server.
    static let options = SettingTable.options(SettingTable.client)

    private static let egress = EgressPolicy(allowed: [
        EgressPolicy.Destination(range: "0.0.0.0/0", port: nil),
        EgressPolicy.Destination(range: "::/0", port: nil),
    ])

    /// `http://127.0.0.1:7070`, without a slash at its end.
    let server: String
    private let key: String?
    private let transport: CurlTransport
    private let clock = SystemClock()

    init(server: String, key: String?) {
        var server = server
        while server.hasSuffix("/") { server.removeLast() }
        self.server = server
        self.key = key
        let clock = clock
        transport = CurlTransport { clock.now() }
    }

    /// The server and key of a command's settings.
    convenience init(_ invocation: Invocation) throws(CommandFailure) {
        let settings = try SettingValues(
            SettingTable.client, arguments: invocation.arguments, environment: invocation.environment)
        let key = try Self.key(settings)
        // Said here, because the transport would say no more than that no request can be made of it.
        guard key?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw CommandFailure(
                .usage, "key_malformed", "the API key holds a blank, a line break or another odd character",
                hint: "one key alone: mk_…")
        }
        self.init(server: settings.text("server") ?? "", key: key)
    }

    deinit {
        transport.shutDown()
        clock.shutDown()
    }

    private static func key(_ settings: SettingValues) throws(CommandFailure) -> String? {
        if let key = settings.text("key"), !settings.prefers("key-file", to: "key") { return key.trimmed }
        guard let path = settings.text("key-file") else { return nil }
        do throws(Files.Problem) {
            let text = String(decoding: try Files.read(path, atMost: 4096), as: UTF8.self)
            return text.split(separator: "\n").first.map { String($0).trimmed }
        } catch {
            throw CommandFailure(
                .usage, "key_unreadable", "the API key cannot be read: \(error.reason)", place: path)
        }
    }

    /// One request.
    ///
    /// - Throws: ``CommandFailure``: 3 for a 4xx, 4 where nobody answers, 5 for a 5xx.
    func call(
        _ method: String, _ path: String, query: [(String, String?)] = [], body: [UInt8]? = nil,
        headers: [HTTPHeader] = [], timeout: Duration = .seconds(60)
    ) throws(CommandFailure) -> APIAnswer {
        let answer = try attempt(method, path, query: query, body: body, headers: headers, timeout: timeout)
        guard answer.status >= 400 else { return answer }
        throw refusal(answer, place: "\(method) \(server)\(path)")
    }

    /// As ``call(_:_:query:body:headers:timeout:)``, handing out refusals as answers; `mayBeText` for an answer that
    /// need not be JSON.
    func attempt(
        _ method: String, _ path: String, query: [(String, String?)] = [], body: [UInt8]? = nil,
        headers: [HTTPHeader] = [], timeout: Duration = .seconds(60), mayBeText: Bool = false
    ) throws(CommandFailure) -> APIAnswer {
        let items = query.compactMap { name, value in value.map { "\(name)=\(Percent.encode($0))" } }
        let target = path + (items.isEmpty ? "" : "?" + items.joined(separator: "&"))
        var headers = headers
        if let key { headers.append(HTTPHeader("Authorization", "Bearer \(key)")) }
        if body != nil, headers["content-type"] == nil {
            headers.append(HTTPHeader("Content-Type", "application/json"))
        }
        let answered = Promise<TransferOutcome>()
        transport.send(
            OutboundRequest(
                method: method, url: server + target, headers: headers, body: body ?? [], timeout: timeout,
                bodyByteCountMax: 64 << 20, egress: Self.egress)
        ) { answered.fulfil($0) }
        switch answered.wait().result {
        case .success(let response):
            let value =
                try mayBeText
                ? try? JSON.parse(response.body)
                : value(
                    of: response, place: "\(method) \(server)\(path)")
            return APIAnswer(status: response.status, value: value ?? .null, body: response.body)
        case .failure(let failure):
            throw CommandFailure(
                .unreachable, "unreachable", "the server cannot be reached: \(failure.message)",
                place: server,
                hint: "start it with `millrace serve`, or name another with --server or MILLRACE_SERVER")
        }
    }

    private func value(of response: OutboundResponse, place: String) throws(CommandFailure) -> Value {
        if response.body.isEmpty { return .null }
        do throws(JSONProblem) { return try JSON.parseOwn(response.body) } catch {
            throw CommandFailure(
                .serverFault, "not_json", "the answer (status \(response.status)) is no JSON", place: place,
                hint: "is this the address of a Millrace server?")
        }
    }

    func refusal(_ answer: APIAnswer, place: String) -> CommandFailure {
        let error = answer.value["error"]
        let code = error?["code"]?.string ?? "status_\(answer.status)"
        let isKeyRefused = answer.status == 401 && key != nil
        var failure = CommandFailure(
            answer.status < 500 ? .refused : .serverFault, code,
            isKeyRefused
                ? "the server refuses the key"
                : error?["message"]?.string ?? "the server answered \(answer.status)", place: place,
            hint: RefusalHint.text(for: code, status: answer.status, hasKey: key != nil))
        failure.details = error?["details"] ?? .null
        return failure
    }
}

extension Invocation {
    /// The header of `--idempotency-key`; none without it.
    ///
    /// - Throws: Exit code 2 for an empty key, such as a variable that is not set: it would protect nothing.
    func idempotencyHeaders() throws(CommandFailure) -> [HTTPHeader] {
        guard let key = arguments.text("idempotency-key") else { return [] }
        guard !key.isEmpty else {
            throw .usage(
                "`--idempotency-key` is empty", hint: "leave it out where a repeat may start another")
        }
        return [HTTPHeader("Idempotency-Key", key)]
    }
}
