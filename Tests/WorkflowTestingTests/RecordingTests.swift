import Testing
import Values
import Workflow
import WorkflowTesting
import WorkflowYAML

@Suite("Recording a run")
struct RecordingTests {
    private static let workflow = """
        name: play
        version: 1
        triggers:
          - type: http
        steps:
          ask:
            request: {method: POST, url: "https://api.example/ask", body: {n: << trigger.body.n >>}}
            retry: {max: 2, delay: 1h, backoff: fixed, jitter: none}
          tell:
            after: [ask]
            when: steps.ask.response.body.yes == true
            on_error: continue
            request: {method: POST, url: "https://api.example/tell"}
        output: {yes: << steps.ask.response.body.yes >>, who: << tenant.external_customer_id >>}
        """

    /// What the API tells of a run of it.
    private static let record = """
        {"run_id": "run_01jq4x3v9k2mt", "workflow": "play", "trigger": "http", "status": "succeeded",
         "output": {"yes": true, "who": "cus_1"}, "error": null,
         "steps": [{"id": "ask", "state": "succeeded"}, {"id": "tell", "state": "failed"}]}
        """
    private static let events = #"""
        [{"sequence": 1, "at": "2026-01-31T09:30:00.000Z", "kind": "run.started",
          "facts": {"trigger": "http", "headers": [["content-type", "application/json"], ["content-length", "7"]],
                    "query": [["q", "yes: no"]], "tenant_name": "Acme", "external_customer_id": "cus_1"},
          "body": "{\"n\":1}"},
         {"sequence": 2, "at": "2026-01-31T09:30:00.020Z", "kind": "step.attempt_failed",
          "facts": {"path": "ask", "attempt": 1, "error": "status", "message": "status 503: busy",
                    "start": 1769851800000000, "end": 1769851800020000, "retry_at": 1769855400020000},
          "body": null},
         {"sequence": 3, "at": "2026-01-31T10:30:00.050Z", "kind": "step.succeeded",
          "facts": {"path": "ask", "attempts": 2, "start": 1769855400020000, "end": 1769855400050000,
                    "status": 200, "headers": [["content-type", "application/json"]]},
          "body": "{\"yes\":true}"},
         {"sequence": 4, "at": "2026-01-31T10:30:30.050Z", "kind": "step.failed",
          "facts": {"path": "tell", "attempts": 1, "start": 1769855400050000, "end": 1769855430050000,
                    "error": "tls", "message": "TLS refused"}, "body": null},
         {"sequence": 5, "at": "2026-01-31T10:30:30.050Z", "kind": "run.finished",
          "facts": {"status": "succeeded"}, "body": null}]
        """#

    private func recording() throws -> RunRecording {
        RunRecording(record: try JSON.parse(Self.record), events: try JSON.parse(Self.events).array ?? [])
    }

    @Test("the printed case is a test file that passes as it stands")
    func recordedCasePasses() throws {
        let text = try recording().text
        let bench = try Bench(workflow: Self.workflow, test: text)
        let run = bench.run("--coverage")
        #expect(run.code == 0, "\(text)\n\(run.output)\(run.error)")
        #expect(run.output.contains("1 passed, 0 failed"))
        #expect(text.contains("retried: ask") == false)
        #expect(run.output.contains("retried: ask"))
    }

    @Test("the case holds the answers in the order of the attempts, and says what was not kept")
    func recordedCaseIsWhole() throws {
        let one = try recording().document["cases"]?[0]
        #expect(
            one?["mocks"] == [
                "ask": [
                    ["status": 503, "body": "busy", "took": "20ms"],
                    [
                        "status": 200, "headers": ["content-type": "application/json"], "body": ["yes": true],
                        "took": "30ms",
                    ],
                ], "tell": [["error": "tls", "took": "30000ms"]],
            ])
        #expect(one?["trigger"]?["headers"] == ["content-type": "application/json"])
        #expect(one?["tenant"] == ["name": "Acme", "external_customer_id": "cus_1"])
        #expect(try recording().text.hasPrefix("# Recorded from run_01jq4x3v9k2mt. Secrets, signatures"))
    }

    @Test("a retry is recorded with what it has copied, and computing that took long is no request")
    func recordedRetryPasses() throws {
        let workflow = """
            name: play
            version: 1
            triggers:
              - type: http
            steps:
              ask: {request: {method: POST, url: "https://api.example/ask"}}
              approved: {after: [ask], wait: approved}
              work: {after: [approved], lua: "return steps.approved.signal.body.by"}
              tell: {after: [work], request: {url: "https://api.example/tell"}}
            output: << steps.work.output >>
            """
        let record = """
            {"run_id": "run_01jq4x3v9k2mt", "workflow": "play", "status": "succeeded", "output": "Ada",
             "steps": [{"id": "work", "state": "succeeded"}, {"id": "tell", "state": "succeeded"}]}
            """
        let events = #"""
            [{"at": "2026-01-31T09:30:00.000Z", "kind": "run.started",
              "facts": {"trigger": "http", "headers": [], "query": [], "tenant_name": "Acme"}, "body": ""},
             {"at": "2026-01-31T09:30:00.000Z", "kind": "step.succeeded",
              "facts": {"path": "ask", "attempts": 1, "copied": true, "status": 201, "headers": []}, "body": ""},
             {"at": "2026-01-31T09:30:00.000Z", "kind": "step.succeeded",
              "facts": {"path": "approved", "copied": true, "signal_id": "key:1", "signal_name": "approved",
                        "signal_body": {"by": "Ada"}}, "body": null},
             {"at": "2026-01-31T09:30:00.020Z", "kind": "step.succeeded",
              "facts": {"path": "work", "start": 1769851800000000, "end": 1769851800020000, "output": "Ada"},
              "body": null},
             {"at": "2026-01-31T09:30:00.050Z", "kind": "step.succeeded",
              "facts": {"path": "tell", "attempts": 1, "start": 1769851800020000, "end": 1769851800050000,
                        "status": 200, "headers": []}, "body": ""}]
            """#
        let recording = RunRecording(
            record: try JSON.parse(record), events: try JSON.parse(events).array ?? [])
        let run = try Bench(workflow: workflow, test: recording.text).run()
        #expect(run.code == 0, "\(recording.text)\n\(run.output)\(run.error)")
        #expect(
            recording.document["cases"]?[0]?["mocks"] == [
                "ask": [["status": 201]], "tell": [["status": 200, "took": "30ms"]],
            ])
    }

    @Test("an attempt that was repeated because of its body keeps what it was repeated for")
    func repeatedBodiesAreKept() throws {
        let record = try JSON.parse(
            #"{"run_id": "run_1", "workflow": "play", "status": "succeeded", "output": 2, "steps": []}"#)
        let events = try JSON.parse(
            #"""
            [{"kind": "run.started", "at": "2026-01-31T09:30:00Z", "facts": {"trigger": "http", "tenant_name": "Acme"}},
             {"kind": "step.attempt_failed", "facts": {"path": "ask", "attempt": 1, "error": "fail_when",
              "message": "fail_when is true for status 200: {\"ready\":false}", "start": 0, "end": 0}},
             {"kind": "step.succeeded", "body": "{\"ready\":true}", "facts": {"path": "ask", "attempts": 2,
              "start": 0, "end": 0, "status": 200, "headers": [["content-type", "application/json"]]}}]
            """#)
        let workflow = """
            name: play
            version: 1
            triggers: [{type: http}]
            steps:
              ask:
                request: {url: "https://api.example/ask"}
                response: {fail_when: not response.body.ready}
                retry: {on: not response.body.ready, jitter: none}
            output: << steps.ask.attempts >>
            """
        let text = RunRecording(record: record, events: events.array ?? []).text
        let run = try Bench(workflow: workflow, test: text).run("--coverage")
        #expect(run.code == 0 && run.output.contains("retried: ask"), "\(text)\n\(run.output)\(run.error)")
    }

    @Test("a run that was called is recorded as one, and its test asks no guard and no schema")
    func childrenAreRecorded() throws {
        let record = try JSON.parse(
            #"{"run_id": "run_1", "workflow": "play", "status": "succeeded", "output": "call 7", "steps": []}"#
        )
        let events = try JSON.parse(
            #"""
            [{"kind": "run.started", "at": "2026-01-31T09:30:00Z", "facts": {"trigger": "call", "tenant_name": "Acme"},
              "body": "{\"n\":7}"}]
            """#)
        let workflow = """
            name: play
            version: 1
            triggers: [{type: webhook, when: 'false', schema: {type: string}}]
            steps: [{lua: return 1}]
            output: << trigger.type >> << trigger.body.n >>
            """
        let text = RunRecording(record: record, events: events.array ?? []).text
        #expect(text.contains("type: call"))
        let run = try Bench(workflow: workflow, test: text).run()
        #expect(run.code == 0, "\(text)\n\(run.output)\(run.error)")
    }

    @Test("values are written as YAML that reads back as the same values")
    func yamlIsExact() throws {
        let values: [Value] = [
            "text", "yes", "12", "a: b", "#no", "", "line\nline", 12, true, nil, [], [:],
            [1, [2, ["a": []]]],
            ["a": ["b": [["c": 1, "d": "- x"]]], "on": "2026-01-31T09:30:00Z", "1": "~"], .number("12.50"),
        ]
        for value in values {
            let text = YAMLText.write(["a": value, "b": [value, value]])
            let node = try DocumentReader.read(Array(text.utf8)).get()
            #expect(node.value == ["a": value, "b": [value, value]], "\(text)")
        }
    }
}
