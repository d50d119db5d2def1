import Ports
import Runtime
import Testing
import Values

@Suite("API: signals and replies")
struct SignalCallTests {
    private static let waiting = """
        name: waiting
        version: 1
        triggers: [{type: http, reply: result}]
        steps:
          - {when: "false", wait: other}
          - reply: {status: 201, headers: {X-Run: << run.id >>}, body: {token: << run.token >>, url: << run.signal_url >>}}
          - wait: {any: [paid, declined]}
        output: << steps.step_3.signal >>
        """

    /// Starts a waiting run and gives its id and token, as its reply tells them.
    private func begin(_ client: Client) throws -> (run: String, token: String) {
        let started = client.trigger("waiting")
        try #require(started.status == 201, "\(started.text)")
        return (
            try #require(started.headers["x-run"]), try #require(started["token"]?.string)
        )
    }

    @Test("a reply answers before the run ends; a signal with a key ends the wait, a repeat is told")
    func signalThroughTheAPI() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(Self.waiting)
            let (run, _) = try begin(acme)
            let shown = acme.get("/api/runs/\(run)")
            let step = shown["steps"]?.array?.last
            #expect(shown["status"] == "waiting" && step?["state"] == "waiting")
            #expect(step?["waits_for"]?["kind"] == "signal")
            #expect(step?["waits_for"]?["signals"] == ["paid", "declined"])
            let key = [HTTPHeader("Idempotency-Key", "k1")]
            let other = acme.post("/api/runs/\(run)/signals/other", [:], headers: key)
            #expect(other.status == 202 && other["duplicate"] == false)
            let again = acme.post("/api/runs/\(run)/signals/other", [:], headers: key)
            #expect(again.status == 202 && again["duplicate"] == true)
            #expect(acme.post("/api/runs/\(run)/signals/paid", ["n": 12]).status == 202)
            #expect(acme.finished(run)["output"] == ["name": "paid", "body": ["n": 12]])
            #expect(acme.post("/api/runs/\(run)/signals/paid", [:]).code == "run_over")
            #expect(acme.post("/api/runs/\(run)/signals/other", [:], headers: key).status == 202)
        }
    }

    @Test("what does not fit is refused: foreign tenant, name, size, body, key, method")
    func misfitsAreRefused() throws {
        try withService { service in
            let (acme, other) = (try service.tenant(), try service.tenant("Other"))
            acme.deploy(Self.waiting)
            let (run, _) = try begin(acme)
            let path = "/api/runs/\(run)/signals"
            let foreign = other.post("\(path)/paid")
            #expect(foreign.status == 404 && foreign.code == "run_not_found")
            #expect(service.call("POST", "\(path)/paid").status == 401)
            for name in ["Paid", "1a", "a-b", String(repeating: "a", count: 65)] {
                let refused = acme.post("\(path)/\(name)")
                #expect(refused.status == 422 && refused.code == "signal_name", "\(name)")
            }
            let large = acme.post("\(path)/paid", .string(String(repeating: "x", count: 65_536)))
            #expect(large.status == 413 && large.code == "signal_too_large")
            #expect(
                acme.send(
                    "POST", "\(path)/paid", text: "{",
                    headers: [HTTPHeader("Content-Type", "application/json")]
                ).code == "malformed_body")
            for key in ["", String(repeating: "k", count: 256)] {
                let unfit = [HTTPHeader("Idempotency-Key", key)]
                #expect(acme.post("\(path)/paid", [:], headers: unfit).code == "idempotency_key_length")
            }
            #expect(acme.get("\(path)/paid").status == 405)
            #expect(acme.get("/api/runs/\(run)")["status"] == "waiting")
        }
    }

    @Test("the address that a run hands out takes its signals")
    func addressOfOneRun() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(Self.waiting)
            let url = try #require(acme.trigger("waiting")["url"]?.string)
            let path = "/" + (try #require(url.split(separator: "/", maxSplits: 2).last))
            #expect(url.hasPrefix("http://127.0.0.1:7070/signals/run_"))
            #expect(service.call("POST", "\(path)/paid", body: Array("{\"n\":1}".utf8)).status == 202)
            let run = String(try #require(path.split(separator: "/").dropFirst().first))
            #expect(acme.finished(run)["output"]?["body"] == ["n": 1])
        }
    }

    @Test("a run's token signals that run and nothing else; every wrong one is the same 404")
    func tokenOpensOneRun() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(Self.waiting)
            let (first, second) = (try begin(acme), try begin(acme))
            #expect(first.token.utf8.count == 32 && first.token != second.token)
            let last = first.token.last == "0" ? "1" : "0"
            let wrong = [
                (first.run, second.token), (second.run, first.token), (first.run, "x"),
                (first.run, String(first.token.dropLast()) + last), (first.run, first.token + "0"),
                (String(first.run.dropLast()), first.token), ("run_unknown", first.token),
            ]
            let unknown = service.call("POST", "/signals/a/b/c")
            for (run, token) in wrong {
                let refused = service.call("POST", "/signals/\(run)/\(token)/paid")
                #expect(refused.status == 404 && refused.text == unknown.text, "\(run) \(token)")
            }
            let path = "/signals/\(first.run)/\(first.token)/paid"
            #expect(service.call("GET", path).status == 405)
            let taken = service.call("POST", path, body: Array("{\"n\":1}".utf8))
            #expect(taken.status == 202, "\(taken.text)")
            #expect(acme.finished(first.run)["output"]?["body"] == ["n": 1])
            #expect(service.call("POST", path).text == unknown.text)
            #expect(acme.get("/api/runs/\(second.run)")["status"] == "waiting")
        }
    }

    @Test("one run signals another through the API's own steps")
    func runSignalsRun() throws {
        try withService { service in
            let acme = try service.tenant()
            acme.deploy(Self.waiting)
            acme.deploy(
                """
                name: telling
                version: 1
                triggers: [{type: http}]
                steps:
                  - signal: {run: << trigger.body.run >>, name: declined, body: {why: late}}
                """)
            let (run, _) = try begin(acme)
            #expect(try acme.run("telling", ["run": .string(run)])["status"] == "succeeded")
            #expect(acme.finished(run)["output"] == ["name": "declined", "body": ["why": "late"]])
            let late = try acme.run("telling", ["run": .string(run)])
            #expect(late["error"]?["code"] == "signal_unknown_run")
        }
    }
}
