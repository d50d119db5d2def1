import Billing
import Engine
import Ports
import Storage
import Testing
import Values

@Suite("The stored form of a journal")
struct JournalCodingTests {
    private static let interval = Meter.Interval(
        start: Instant(microseconds: 1_767_225_600_000_001), end: Instant(microseconds: 1_767_225_600_250_000)
    )

    private static let entries: [JournalEntry] = [
        .runStarted(
            {
                var start = RunStart(
                    triggerKind: "webhook",
                    headers: [HTTPHeader("content-type", "application/json"), HTTPHeader("x", "é\"\\")],
                    query: [("a", "1"), ("a", "2")], body: Array("{\"n\": 12.50}".utf8),
                    at: Instant(microseconds: 1_767_225_600_000_000), tenantName: "Ac\"me",
                    externalCustomerID: "cus_1")
                start.parsedBody = nil
                return start
            }()),
        .stepSettled(
            path: "pay",
            StepResult(
                error: nil,
                content: .response(
                    OutboundResponse(
                        status: 201, headers: [HTTPHeader("request-id", "r")], body: Array("{}".utf8))),
                attemptCount: 2, interval: interval)),
        .stepSettled(
            path: "pay",
            StepResult(
                error: StepError(code: "status", message: "status 404: no\n"),
                content: .response(OutboundResponse(status: 404, headers: [], body: [])), attemptCount: 1,
                interval: interval)),
        .stepSettled(
            path: "pay",
            StepResult(
                error: StepError(code: "timeout", message: "t"), content: .none, attemptCount: 5,
                interval: interval)),
        .stepSettled(
            path: "sum",
            StepResult(
                error: nil, content: .output(["a": [1, .number("1.5"), .null]]), attemptCount: 0,
                interval: nil)),
        .stepSettled(
            path: "none", StepResult(error: nil, content: .output(.null), attemptCount: 0, interval: nil)),
        .stepSkipped(path: "s", reason: .guardFalse), .stepSkipped(path: "s", reason: .allSkipped),
        .attemptFailed(
            path: "pay", attempt: 3, error: StepError(code: "connection", message: "no connection"),
            interval: interval,
            retryAt: Instant(microseconds: 1_767_225_700_000_000)),
        .stepSleeping(path: "nap", until: Instant(microseconds: 1_767_225_700_000_001)),
        .stepWaiting(path: "w", until: Instant(microseconds: 1_767_225_700_000_001)),
        .stepWaiting(path: "w", until: nil),
        .stepSleeping(path: "nap", until: Instant(microseconds: 1_767_225_700_000_001), isWallTime: true),
        .stepWaiting(path: "w", until: Instant(microseconds: 1_767_225_700_000_001), isWallTime: true),
        .clockStepped(by: .microseconds(-600_000_001)),
        .runStarted(
            {
                var start = RunStart(
                    triggerKind: "call", headers: [], query: [], body: Array("[1]".utf8),
                    at: Instant(microseconds: 1_767_225_600_000_000), tenantName: "Acme",
                    externalCustomerID: nil)
                start.parent = RunParent(
                    run: RunID(number: 5), step: "each/3", depth: 2, isDetached: true)
                (start.concurrencyKey, start.isQueued) = ("acct é", true)
                return start
            }()),
        .stepSettled(
            path: "c",
            StepResult(
                error: nil, content: .child(ChildResult(run: RunID(number: 9), output: [1, .null])),
                attemptCount: 0, interval: nil)),
        .stepSettled(
            path: "c",
            StepResult(
                error: StepError(code: "child_failed", message: "m"),
                content: .child(ChildResult(run: RunID(number: 9), output: .null)), attemptCount: 0,
                interval: nil)),
        .stepSettled(
            path: "c",
            StepResult(
                error: nil,
                content: .child(ChildResult(run: RunID(number: 9), output: .null, isDetached: true)),
                attemptCount: 0, interval: nil)),
        .stepCalling(path: "each/3", child: RunID(number: 77)),
        .runAdmitted,
        .signalReceived(RunSignal(id: "key:é/1", name: "paid", body: ["n": .number("12.50")])),
        .signalReceived(RunSignal(id: "k", name: "paid", body: .null)), .runTimedOut,
        .stepSettled(
            path: "w",
            StepResult(
                error: nil, content: .signal(RunSignal(id: "k", name: "paid", body: [1, .null])),
                attemptCount: 0, interval: nil)),
        .stepSettled(path: "w", StepResult(error: nil, content: .timedOut, attemptCount: 0, interval: nil)),
        .stepSettled(
            path: "w",
            StepResult(
                error: StepError(code: "timed_out", message: "m"), content: .timedOut, attemptCount: 0,
                interval: nil)),
        .stepSkipped(path: "w", reason: .timedOut),
        .runTooLarge(byteCountMax: 67_108_864), .stepsInFlight(paths: ["a", "each/3/b"]),
        .outputFailed(StepError(code: "raised", message: "output: no\n")),
        .finallyCut(StepError(code: "cancelled", message: "enough\n")),
        .runPaused, .runResumed, .runHeld(reason: "a \"look\""), .runReleased,
        .cancelRequested(reason: "why"),
        .runFinished(RunOutcome(status: .succeeded, output: ["x": 1])),
        .runFinished(RunOutcome(status: .succeeded)),
        .runFinished(
            RunOutcome(status: .failed, error: StepError(code: "c", message: "m"), failedStep: "pay")),
        .runFinished(RunOutcome(status: .cancelled, error: StepError(code: "cancelled", message: "m"))),
    ]

    @Test("every kind of entry is read back as it was written", arguments: entries.indices)
    func roundTrip(index: Int) throws {
        let record = JournalRecord(
            sequence: Int64(index) + 1, at: Instant(microseconds: 1_767_225_600_000_000),
            chargeMilliseconds: 3,
            entry: Self.entries[index])
        let stored = record.stored
        let again = try JournalRecord(stored: stored)
        #expect(again.stored == stored)
        #expect(String(describing: again) == String(describing: record))
    }

    @Test("an unknown kind, missing facts and broken JSON are refused by name")
    func unreadableIsRefused() throws {
        func read(_ kind: String, _ facts: String) throws(JournalProblem) -> JournalRecord {
            try JournalRecord(
                stored: StoredEntry(
                    key: "k", sequence: 1, kind: kind, at: Instant(microseconds: 0), facts: Array(facts.utf8))
            )
        }
        #expect(
            throws: JournalProblem(key: "k", reason: "its kind step.compensated is unknown to this version")
        ) {
            try read("step.compensated", "{}")
        }
        #expect(throws: JournalProblem(key: "k", reason: "the fact path is missing or of another kind")) {
            try read("step.succeeded", "{\"path\": 1}")
        }
        #expect(throws: JournalProblem(key: "k", reason: "the fact status is missing or of another kind")) {
            try read("run.finished", "{\"status\":\"exploded\"}")
        }
        for (kind, facts) in [
            ("step.skipped", "{\"path\":\"a\",\"reason\":\"moon\"}"),
            ("run.finished", "{\"status\":\"failed\",\"compensation\":\"half\"}"),
            ("run.finalizing", "{\"status\":\"failed\",\"finally\":\"half\"}"),
        ] { #expect(throws: JournalProblem.self, "\(facts)") { try read(kind, facts) } }
        #expect(throws: JournalProblem.self) { try read("run.paused", "{\"a\":1,\"a\":2}") }
        #expect(throws: JournalProblem.self) { try read("run.started", "{}") }
    }

    /// As the first version wrote it: key, sequence, kind, instant, facts, body, charge.
    ///
    /// Never to be changed.
    private static let golden: [(String, Int64, String, Int64, String, String?, Int64)] = [
        (
            "start", 1, "run.started", 1_767_225_600_000_000,
            #"{"trigger":"http","headers":[["content-type","application/json"]],"query":[["q","1"]],"tenant_name":"Acme","external_customer_id":"cus_1"}"#,
            #"{"n":12.50}"#, 0
        ),
        (
            "attempt/pay#1", 2, "step.attempt_failed", 1_767_225_600_020_000,
            #"{"path":"pay","attempt":1,"error":"status","message":"status 503","start":1767225600000000,"end":1767225600020000,"retry_at":1767225601000000}"#,
            nil, 20
        ),
        ("pause/3", 3, "run.paused", 1_767_225_600_500_000, "{}", nil, 0),
        ("resume/4", 4, "run.resumed", 1_767_225_600_900_000, "{}", nil, 0),
        (
            "outcome/pay", 5, "step.succeeded", 1_767_225_601_010_500,
            #"{"path":"pay","attempts":2,"start":1767225601000000,"end":1767225601010500,"status":200,"headers":[["content-type","application/json"]]}"#,
            #"{"id":"ch_1"}"#, 10
        ),
        (
            "outcome/note", 6, "step.skipped", 1_767_225_601_010_500,
            #"{"path":"note","reason":"guard_false"}"#, nil, 0
        ),
        (
            "outcome/sum", 7, "step.succeeded", 1_767_225_601_010_500,
            #"{"path":"sum","output":{"id":"ch_1","n":12.50}}"#, nil, 0
        ),
        (
            "finish", 8, "run.finished", 1_767_225_601_010_500,
            #"{"status":"succeeded","output":"ch_1 of 12.50"}"#, nil, 1
        ),
    ]

    private static let goldenWorkflow = """
        steps:
          pay: {request: {method: POST, url: https://pay.example/}, retry: {delay: 980ms, jitter: none}}
          note: {after: [pay], when: "false", lua: return 1}
          sum: {after: [note, pay], lua: "return {id = steps.pay.response.body.id, n = trigger.body.n}"}
        output: << steps.sum.output.id >> of << steps.sum.output.n >>
        """

    private static func records(altering kind: String? = nil) throws -> [JournalRecord] {
        try golden.map { row in
            try JournalRecord(
                stored: StoredEntry(
                    key: row.0, sequence: row.1, kind: row.2 == kind ? row.2 + "2" : row.2,
                    at: Instant(microseconds: row.3),
                    facts: Array(row.4.utf8), body: row.5.map { Array($0.utf8) }, chargeMilliseconds: row.6))
        }
    }

    @Test("a journal saved by the first version folds to its end and is written the same today")
    func goldenJournalIsReadable() throws {
        let records = try Self.records()
        let machine = RunMachine(run: RunID(number: 7), plan: try plan(Self.goldenWorkflow), records: records)
        #expect(machine.state.outcome == RunOutcome(status: .succeeded, output: "ch_1 of 12.50"))
        #expect(machine.state.meter.chargedMilliseconds == 31)
        for (record, row) in zip(records, Self.golden) {
            #expect(record.stored.key == row.0)
            #expect(String(decoding: record.stored.facts, as: UTF8.self) == row.4)
        }
    }

    @Test("a saved journal goes on from each of its entries to the same end")
    func goldenJournalAdvances() throws {
        for count in 1..<Self.golden.count {
            var play = Play(plan: try plan(Self.goldenWorkflow))
            play.machine = RunMachine(
                run: RunID(number: 7), plan: play.plan, records: try Self.records().prefix(count))
            play.now = Instant(microseconds: Self.golden[count - 1].3)
            play.feed(.recovered(at: play.now))
            if play.machine.state.isPaused { play.feed(.fundsReturned(at: play.now)) }
            if !play.wakes.isEmpty { play.retry("pay") }
            if !play.sent.isEmpty { play.answer("pay", 200, ["id": "ch_1"]) }
            #expect(play.outcome?.output == "ch_1 of 12.50", "after \(count) entries")
        }
    }

    @Test("one altered entry is refused, not guessed at")
    func alteredJournalIsRefused() {
        #expect(throws: JournalProblem.self) { try Self.records(altering: "step.succeeded") }
    }
}
