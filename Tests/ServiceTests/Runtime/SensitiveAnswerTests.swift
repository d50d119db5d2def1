import Clocks
import Foundation
import MicroHTTPServer
import Ports
import Runtime
import Testing
import Values

@Suite("Sensitive answers: the whole service")
struct SensitiveAnswerTests {
    private static let token = "tok-9f8e7d6c5b4a-from-the-provider"

    private struct Provider: InboundHandler {
        let seen: LoggedLines

        func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
            seen.add(Array((request.headers["authorization"] ?? "none").utf8))
            let body: Value = ["access_token": .string(SensitiveAnswerTests.token), "scope": "all"]
            respond(
                InboundResponse(
                    status: 200, headers: [HTTPHeader("Content-Type", "application/json")],
                    body: JSON.bytes(body)))
        }
    }

    @Test(
        "a token is used after the run was read back, by its child too, and is nowhere in the file or an answer"
    )
    func tokenIsSealed() throws {
        let clock = SystemClock()
        let listening = Listening(clock: clock)
        let seen = LoggedLines()
        let port = try listening.start(Provider(seen: seen))
        defer {
            for listener in listening.listeners { listener.shutDown(drain: .zero) }
            clock.shutDown()
        }
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(
                """
                {name: child, version: 1, triggers: [{type: manual}], steps: [{id: use, request: {url: "http://127.0.0.1:\(port)/child",
                auth: {bearer: << trigger.body.token >>}}}]}
                """)
            let deployed = acme.deploy(
                """
                name: oauth
                version: 1
                triggers: [{type: http}]
                steps:
                  - {id: login, request: {method: POST, url: "http://127.0.0.1:\(port)/token"}, response: {sensitive: [body.access_token]}}
                  - {wait: go}
                  - {id: use, request: {url: "http://127.0.0.1:\(port)/use", auth: {bearer: << steps.login.response.body.access_token >>}}}
                  - {id: hand_on, call: child, input: {token: << steps.login.response.body.access_token >>}}
                output: << steps.login.response.body >>
                """)
            try #require(deployed.status < 300, "\(deployed.text)")
            let run = try #require(acme.trigger("oauth")["run_id"]?.string)
            // A run that waits has left memory: the signal has it read from its journal.
            #expect(eventually { service.runtime.load.waitingRuns == 1 })
            #expect(acme.post("/api/runs/\(run)/signals/go").status == 202)
            let finished = acme.finished(run)
            #expect(finished["status"] == "succeeded", "\(finished)")
            #expect(finished["output"] == ["access_token": "[sensitive]", "scope": "all"])
            let sent = seen.all.map { String(decoding: $0, as: UTF8.self) }
            #expect(sent == ["none", "Bearer \(Self.token)", "Bearer \(Self.token)"])
            let events = acme.get("/api/runs/\(run)/events?limit=200")
            #expect(events.text.contains("[sensitive]") && !events.text.contains("\"sealed\""))
            #expect(acme.get("/api/secrets").items.isEmpty)
            var places = [("events", events.body), ("the run", JSON.bytes(finished))]
            for other in acme.runs().compactMap({ $0["run_id"]?.string }) {
                places.append(
                    (other, acme.get("/api/runs/\(other)").body + acme.get("/api/runs/\(other)/events").body))
            }
            places.append(("the log", service.logged.all.flatMap(\.self)))
            for file in try FileManager.default.contentsOfDirectory(atPath: service.folder.path) {
                places.append((file, [UInt8](try Data(contentsOf: service.folder.appending(path: file)))))
            }
            for (place, bytes) in places {
                #expect(Data(bytes).range(of: Data(Self.token.utf8)) == nil, "in \(place)")
                #expect(
                    Data(bytes).range(of: Data(Base64.encode(Array(Self.token.utf8)).utf8)) == nil,
                    "in \(place)")
            }
            let forked = acme.post("/api/runs/\(run)/fork", ["step": "use"])
            #expect(acme.finished(try #require(forked["run_id"]?.string))["status"] == "succeeded")
            #expect(
                seen.all.count == 5
                    && seen.all.last.map { String(decoding: $0, as: UTF8.self) } == "Bearer \(Self.token)")
        }
    }
}
