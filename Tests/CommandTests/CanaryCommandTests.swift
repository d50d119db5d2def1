import Clocks
import Foundation
import MicroHTTPServer
import Ports
import TestSupport
import Testing
import Values

@testable import Commands

/// Goal: no command shows a secret of the tenant, whatever form it has come in (I9).
@Suite("Canaries on the command line")
struct CanaryCommandTests {
    /// Tells every request back, and the secret in each of its forms.
    private struct Echo: InboundHandler {
        func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
            let forms = Canary.forms.map { Object.Member(name: $0.0, value: .string($0.1)) }
            let body: Value = [
                "forms": .object(Object(forms)), "path": .string(request.path),
                "sent": .string(String(decoding: request.body, as: UTF8.self)),
            ]
            respond(
                InboundResponse(
                    status: request.segments.first == "refuse" ? 400 : 200,
                    headers: [
                        HTTPHeader("Content-Type", "application/json"),
                        HTTPHeader("X-Seen", request.headers["x-sent"] ?? ""),
                    ], body: JSON.bytes(body)))
        }
    }

    private static func source(_ echo: String) -> String {
        """
        name: leaky
        version: 1
        triggers:
          - {type: http, dedupe: "<< trigger.body.key or null >>"}
          - {type: webhook, when: "error('no ' .. secrets.CANARY)"}
        concurrency: {key: "<< trigger.body.note >>", limit: 5}
        steps:
          - id: tell
            request:
              method: POST
              url: "\(echo)/tell/<< url.encode(secrets.CANARY) >>"
              query: {q: << secrets.CANARY >>}
              auth: {basic: {username: me, password: << secrets.CANARY >>}}
              headers: {X-Sent: "<< hex.encode(secrets.CANARY) >>"}
              body: {raw: << secrets.CANARY >>, note: << trigger.body.note >>}
          - {id: refused, on_error: continue, request: {url: "\(echo)/refuse/<< url.encode(secrets.CANARY) >>"}}
          - {id: raise, on_error: continue, lua: "error({[secrets.CANARY] = secrets.CANARY})"}
          - {id: nobody, on_error: continue, signal: {run: << secrets.CANARY >>, name: hello, body: << secrets.CANARY >>}}
          - {id: pause, wait: go}
          - {id: stop, when: trigger.body.fails, fail: "no << secrets.CANARY >> << steps.pause.signal.body >>"}
        output: {all: << steps.tell.response >>, mine: << secrets.CANARY >>, note: << trigger.body.note >>}
        """
    }

    private func expectNone(_ words: [String], _ run: CommandLineRun) {
        for (stream, text) in [("output", run.output), ("error", run.error)] {
            for name in Canary.found(in: Array(text.utf8)) {
                Issue.record("\(name) in the \(stream) of \(words.prefix(3))")
            }
        }
    }

    @Test("no form of a secret comes out of any command, as text or as JSON, or into a file that it writes")
    func nothingIsShown() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        let clock = SystemClock()
        let echo = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() }, handler: Echo())
        defer {
            echo.shutDown(drain: .zero)
            clock.shutDown()
        }
        let folder = try TemporaryFolder()
        func drive(_ words: [String], key: String? = nil, input: String = "", isTwice: Bool = false) throws
            -> CommandLineRun
        {
            let server = try fixture.client(key: "").server
            let target = ["--server", server, "--key", key ?? tenant.key]
            let run = CommandLineRun(words + target, input: input)
            expectNone(words, run)
            if isTwice { expectNone(words + ["--json"], CommandLineRun(words + target + ["--json"])) }
            return run
        }
        #expect(try drive(["secrets", "set", "CANARY"], input: Canary.text).code == 0)
        let file = try folder.write("leaky.yaml", Self.source("http://127.0.0.1:\(echo.port)"))
        let deployed = try drive(["deploy", file])
        try #require(deployed.code == 0, "\(deployed.output)\(deployed.error)")

        for (number, form) in Canary.forms.enumerated() {
            let data: Value = [
                "note": .string(form.1), "key": .string(form.1), "fails": .bool(number % 2 == 0),
            ]
            let started = try drive(
                ["trigger", "leaky", JSON.text(data), "--idempotency-key", "k\(number)"])
            let id = try #require(started.output.firstMatch(of: #/run_[0-9a-z]+/#), "\(started.error)")
            let run = String(id.output)
            try look(run, drive, isOpen: true)
            _ = try drive(["pause", run, "--reason", "because of \(form.1)"])
            _ = try drive(["explain", run], isTwice: true)
            _ = try drive(["resume", run])
            _ = try drive(["signal", run, "go", "--data", JSON.text(.string(form.1))])
            _ = try drive(["run", run, "--follow"])
            try look(run, drive, isOpen: false)
            _ = try drive(["signal", run, "go", "--data", JSON.text(.string(form.1))], isTwice: true)
        }
        try lists(fixture, tenant.id, folder, drive)
    }

    private typealias Drive = ([String], String?, String, Bool) throws -> CommandLineRun

    private func look(_ run: String, _ drive: Drive, isOpen: Bool) throws {
        for words in [
            ["run", run, "--sent", "--events"], ["run", run, "--step", "tell"],
            ["run", run, "--step", "refused"],
            ["explain", run],
        ] { _ = try drive(words, nil, "", true) }
        guard !isOpen else { return }
        let recorded = try drive(["test", "--record", run], nil, "", true)
        #expect(recorded.code == 0 && recorded.output.contains("[secret]"), "\(recorded.error)")
    }

    private func lists(
        _ fixture: ServerFixture, _ tenant: String, _ folder: TemporaryFolder, _ drive: Drive
    ) throws {
        for words in [
            ["runs", "--limit", "200"], ["workflows"], ["workflows", "leaky"],
            ["workflows", "versions", "leaky"],
            ["secrets", "list"], ["balance"], ["ledger"],
        ] { #expect(try drive(words, nil, "", true).code == 0, "\(words)") }
        let key = fixture.operatorKey
        for words in [
            ["tenants", "list"], ["tenants", "show", tenant], ["tenants", "runs", tenant],
            ["tenants", "ledger", tenant], ["tenants", "keys", tenant], ["ledger", "verify"],
        ] { #expect(try drive(words, key, "", true).code == 0, "\(words)") }
        let (export, backup) = ("\(folder.path)/export.jsonl", "\(folder.path)/backup.db")
        #expect(try drive(["tenants", "export", tenant, "--to", export], key, "", false).code == 0)
        #expect(CommandLineRun(["backup", backup, "--data", "\(fixture.folder.path)/data"]).code == 0)
        for path in [export, backup, "\(fixture.folder.path)/log"] {
            let found = Canary.found(in: [UInt8](try Data(contentsOf: URL(filePath: path))))
            #expect(found.isEmpty, "\(found) in \(path)")
        }
    }
}
