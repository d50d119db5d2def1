import Assembly
import Clocks
import Foundation
import Ingress
import MicroHTTPServer
import Ports
import TestSupport
import Testing
import Values

/// Plants a secret through every entrance, in every encoding, and looks for it at every exit (I9, S11, G8).
@Suite("Threats: canaries")
struct CanaryTests {
    private static let canary = Canary.text
    private static let forms = Canary.forms

    private func expectNone(in places: [(String, [UInt8])], _ location: SourceLocation = #_sourceLocation) {
        for (place, content) in places {
            for name in Canary.found(in: content) {
                Issue.record("\(name) in \(place)", sourceLocation: location)
            }
        }
    }

    // MARK: - A provider that tells everything back

    private struct Echo: InboundHandler {
        let forms: [(String, String)]

        func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
            let seen = request.query.map(\.value).joined() + String(decoding: request.body, as: UTF8.self)
            let all = forms.map { "\($0.0): \($0.1)" }.joined(separator: " | ")
            let status = request.segments.first == "refuse" ? 400 : 200
            let isText = request.segments.last == "text"
            let body: Value = [
                "seen": .string(seen), "all": .string(all), seen: 1,
            ]
            respond(
                InboundResponse(
                    status: status,
                    headers: [
                        HTTPHeader("Content-Type", isText ? "text/plain" : "application/json"),
                        HTTPHeader("X-Seen", request.headers["x-sent"] ?? ""),
                    ], body: isText ? Array(all.utf8) : JSON.bytes(body)))
        }
    }

    private static func source(_ echo: String) -> String {
        """
        name: leaky
        version: 1
        triggers:
          - type: http
            dedupe: "<< trigger.headers['x-dedupe'] or null >>"
          - type: webhook
            when: trigger.body.mode ~= 'guard' or error('leak ' .. secrets.CANARY .. ' ' .. trigger.body.note)
            schema: {type: object, properties: {mode: {enum: [run, guard]}, pin: {const: fixed}}}
        concurrency: {key: "<< trigger.body.note or 'none' >>", limit: 5}
        steps:
          tell:
            on_error: continue
            request:
              method: POST
              url: \(echo)/tell
              query: {q: << secrets.CANARY >>}
              headers: {X-Sent: "<< base64.encode(secrets.CANARY) >>"}
              body: {raw: << secrets.CANARY >>}
          text: {after: [tell], on_error: continue, request: {url: \(echo)/tell/text}}
          refused: {after: [text], on_error: continue, request: {url: "\(echo)/refuse"}}
          refused_text: {after: [refused], on_error: continue, retry: {max: 1, delay: 10ms, on: [4xx]}, request: {url: "\(echo)/refuse/text"}}
          compute:
            after: [refused_text]
            lua: "return {secret = secrets.CANARY, [secrets.CANARY] = trigger.body.note, list = {secrets.CANARY, trigger.query.q}}"
          raise: {after: [compute], on_error: continue, lua: "error('x' .. secrets.CANARY)"}
          tell_nobody: {after: [raise], on_error: continue, signal: {run: "run << secrets.CANARY >>", name: hello, body: << secrets.CANARY >>}}
          call_nobody: {after: [tell_nobody], on_error: continue, call: "<< secrets.CANARY >>"}
          call_child: {after: [call_nobody], on_error: continue, call: child, input: {given: << secrets.CANARY >>, note: << trigger.body.note >>}}
          each: {after: [call_child], strategy: {type: fan_out, over: "<< {secrets.CANARY, trigger.body.note} >>"}, lua: return item}
          answer: {after: [each], reply: {status: 200, headers: {X-Told: "<< base64.encode(secrets.CANARY) >>"}, body: << secrets.CANARY >>}}
          pause: {after: [answer], wait: {signal: go}}
          stop: {after: [pause], fail: "because of << secrets.CANARY >> and << steps.pause.signal.body >>"}
        output: {all: << steps.compute.output >>}
        """
    }

    private static let child = """
        name: child
        version: 1
        triggers: [{type: manual}]
        steps: {keep: {lua: return trigger.body}}
        output: << steps.keep.output >>
        """

    @Test("no entrance and no encoding brings a secret of the tenant to any exit")
    func canariesStayIn() throws {
        let clock = SystemClock()
        let listening = Listening(clock: clock)
        let port = try listening.start(Echo(forms: Self.forms))
        defer {
            for listener in listening.listeners { listener.shutDown(drain: .zero) }
            clock.shutDown()
        }
        try withService { service in
            let acme = try service.tenant()
            acme.setSecret("CANARY", Self.canary)
            #expect(acme.deploy(Self.child).status < 300)
            let deployed = acme.deploy(Self.source("http://127.0.0.1:\(port)"))
            try #require(deployed.status < 300, "\(deployed.text)")
            var answers: [(String, [UInt8])] = []
            var runs: [String] = []
            for (name, form) in Self.forms {
                let started = start(acme, name: name, form)
                answers.append(("the answer to \(name)", started.body))
                runs.append(try #require(started["run_id"]?.string, "\(started.text)"))
            }
            answers += try refusals(service, acme)
            for run in runs {
                try goOn(service, acme, run, &answers)
            }
            answers += exits(service, acme, runs)
            expectNone(in: answers)
            expectNone(in: try files(service))
            #expect(Set(runs).count == Self.forms.count, "keys that hold a secret are still told apart")
        }
    }

    /// A form in every part of a request.
    private func start(_ acme: Client, name: String, _ form: String) -> Reply {
        let header = form.unicodeScalars.allSatisfy { (0x20..<0x7F).contains($0.value) } ? form : "none"
        let body: Value = [
            "mode": "run", "note": .string("a \(form) b"), "list": [.string(form)], "map": [:],
            form: .string(form), "note_name": .string(name),
        ]
        let query = Canary.percent(form, keeping: "")
        return acme.post(
            "/api/workflows/leaky/trigger?q=\(query)&note=1", body,
            headers: [
                HTTPHeader("X-Note", header), HTTPHeader("X-Api-Key", header),
                HTTPHeader("X-Dedupe", "\(name) \(header)"),
                HTTPHeader("X-Hub-Signature-256", header), HTTPHeader("X-Webhook-Token", header),
            ])
    }

    private func refusals(_ service: TestService, _ acme: Client) throws -> [(String, [UInt8])] {
        var answers: [(String, [UInt8])] = []
        for (name, form) in Self.forms {
            for (kind, body) in [
                ("guard", JSON.text(["mode": "guard", "note": .string(form)])),
                ("schema", JSON.text(["mode": .string(form)])),
                ("const", JSON.text(["mode": "run", "pin": .string(form)])),
                ("syntax", "{\"a\": \(form)"),
            ] {
                let refused = service.hook("leaky", of: acme.tenant, body)
                #expect(refused.status >= 400, "\(kind) of \(name)")
                answers.append(("the refusal by \(kind) of \(name)", refused.body))
            }
        }
        service.installation.ingress.refusals.flush()
        return answers
    }

    /// Signals, orders and retries of a run.
    private func goOn(
        _ service: TestService, _ acme: Client, _ run: String, _ answers: inout [(String, [UInt8])]
    ) throws {
        let isWaiting = eventually(atMost: .seconds(15)) {
            let steps = acme.get("/api/runs/\(run)")["steps"]?.array ?? []
            return steps.contains { $0["id"] == "pause" && $0["state"] == "waiting" }
        }
        try #require(isWaiting, "\(acme.get("/api/runs/\(run)").text)")
        let name = acme.get("/api/runs/\(run)")["trigger_body"]?["note_name"]?.string ?? ""
        let form = Self.forms.first { $0.0 == name }?.1 ?? Self.canary
        let key = form.unicodeScalars.allSatisfy { (0x21..<0x7F).contains($0.value) } ? form : "plain"
        let isOneLine = form.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        let body: Value = ["reason": .string("since \(isOneLine ? form : "then")")]
        answers.append(("pause", acme.post("/api/runs/\(run)/pause", body).body))
        answers.append(("while paused", acme.get("/api/runs/\(run)").body))
        answers.append(("resume", acme.post("/api/runs/\(run)/resume").body))
        let signal = { (suffix: String) in
            acme.post(
                "/api/runs/\(run)/signals/go", ["note": .string(form)],
                headers: [HTTPHeader("Idempotency-Key", "\(key)\(suffix)")])
        }
        answers.append(("signal", signal("").body))
        #expect(signal("")["duplicate"] != false, "the same key is the same signal")
        answers.append(("finished", JSON.bytes(acme.finished(run))))
        let forked = acme.post(
            "/api/runs/\(run)/fork", ["step": "compute", "input": ["note": .string(form), "mode": "run"]],
            headers: [HTTPHeader("Idempotency-Key", "\(key)-\(run)")])
        answers.append(("fork", forked.body))
        if let fork = forked["run_id"]?.string {
            let cancelled = acme.post("/api/runs/\(fork)/cancel", body)
            #expect(cancelled.status == 202, "\(cancelled.text)")
            answers.append(("cancel", cancelled.body))
            answers.append(("cancelled", JSON.bytes(acme.finished(fork))))
            answers.append(("events of a fork", acme.get("/api/runs/\(fork)/events?limit=200").body))
        }
    }

    private func exits(_ service: TestService, _ acme: Client, _ runs: [String]) -> [(String, [UInt8])] {
        var paths = [
            "/api/runs?limit=200", "/api/secrets", "/api/workflows", "/api/workflows/leaky",
            "/api/workflows/child", "/api/workflows?limit=200", "/api/workflows/leaky/versions",
            "/api/workflows/leaky/versions/1", "/api/ledger", "/api/balance",
        ]
        let all = acme.get("/api/runs?limit=200").items.compactMap { $0["run_id"]?.string }
        for run in Set(all + runs) {
            let path = "/api/runs/\(run)"
            paths += [path, "\(path)/events?limit=200", "\(path)/attempts?limit=200"]
        }
        var shown = paths.map { path in
            let answer = acme.get(path)
            #expect(answer.status == 200, "\(path): \(answer.text)")
            return (path, answer.body)
        }
        #expect(shown.count > 3 * runs.count)
        let tenant = "/api/tenants/\(acme.tenant)"
        for path in ["", "/export", "/runs?limit=200", "/ledger?limit=200", "/keys", "/usage"] {
            let answer = service.owner.get(tenant + path)
            #expect(answer.status == 200, "\(path): \(answer.text)")
            shown.append((tenant + path, answer.body))
        }
        for path in ["/metrics", "/readyz", "/healthz"] {
            shown.append((path, service.call("GET", path).body))
        }
        shown.append(("the log", service.logged.all.flatMap(\.self)))
        return shown
    }

    private func files(_ service: TestService) throws -> [(String, [UInt8])] {
        try FileManager.default.contentsOfDirectory(atPath: service.folder.path).map { file in
            (file, [UInt8](try Data(contentsOf: service.folder.appending(path: file))))
        }
    }
}
