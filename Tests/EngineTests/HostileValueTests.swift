import Engine
import Ports
import Storage
import TestSupport
import Testing
import Values

@Suite("Whatever came in, a run goes on")
struct HostileValueTests {
    private static let workflow = """
        steps:
          - id: ask
            on_error: continue
            request: {url: "https://a.example/"}
          - id: take
            lua: >-
              return {body = trigger.body, raw = trigger.raw_body, query = trigger.query, headers = trigger.headers,
              answer = steps.ask.response, list = {{trigger.query}, trigger.body}}
          - {id: go, wait: go}
          - {id: child, call: other, input: {all: << steps.take.output >>, signal: << steps.go.signal >>}}
          - id: each
            strategy: {type: scatter, over: ["<< trigger.body >>", "<< steps.child.output >>"]}
            lua: "return {item = item, index = index, body = trigger.raw_body .. 'x'}"
          - {id: told, signal: {run: << run.id >>, name: told, body: << steps.each.items >>}}
        output: {take: << steps.take.output >>, go: << steps.go >>, child: << steps.child >>, each: << steps.each >>}
        """

    /// One run from its start to its end; after each input the process dies, if `crashes`.
    private func run(seed: UInt64, crashes: Bool) throws -> Play {
        var values = HostileValues(seed: seed)
        var play = try Play(Self.workflow)
        func settle() throws { if crashes { try play.crash() } }
        let body = values.body()
        let start = RunStart(
            triggerKind: "webhook",
            headers: (body.type.map { [HTTPHeader("content-type", $0)] } ?? []) + values.headers(),
            query: values.pairs(), body: body.bytes, at: Play.start, tenantName: values.text(),
            externalCustomerID: values.text())
        play.feed(.started(start, isFunded: true))
        try settle()
        let answer = values.body()
        play.end(
            "ask",
            .success(
                OutboundResponse(
                    status: 200,
                    headers: (answer.type.map { [HTTPHeader("Content-Type", $0)] } ?? []) + values.headers(),
                    body: answer.bytes)))
        try settle()
        let signal = values.body()
        play.signal(
            "go", id: "key:" + values.text(), BodyReader.value(of: signal.bytes, contentType: signal.type))
        try settle()
        play.called("child", child: 99)
        try settle()
        play.childEnds(
            "child", child: 99, RunOutcome(status: .succeeded, output: values.value(mayHoldBytes: true)))
        try settle()
        play.feed(.delivered(step: play.index("told"), error: nil, at: play.now))
        return play
    }

    @Test("hostile values through every entrance are read back as they were written", arguments: 0..<150)
    func readBack(seed: Int) throws {
        let whole = try run(seed: UInt64(seed), crashes: false)
        #expect(whole.outcome?.status == .succeeded, "\(whole.outcome?.error?.message ?? "")")
        for record in whole.records {
            try #expect(JournalRecord(stored: record.stored).stored == record.stored)
        }
        let restarted = try run(seed: UInt64(seed), crashes: true)
        #expect(restarted.outcome == whole.outcome)
        #expect(restarted.records.map(\.stored.facts) == whole.records.map(\.stored.facts))
    }

    @Test("what a child is given is its body, before and after its restart", arguments: 0..<50)
    func inputs(seed: Int) throws {
        var values = HostileValues(seed: UInt64(seed))
        let input = values.value(mayHoldBytes: true)
        var start = RunStart(
            triggerKind: "call", headers: [HTTPHeader("content-type", "application/json")], query: [],
            body: JSON.bytes(input), at: Play.start, tenantName: "", externalCustomerID: nil)
        if input.holdsBytes { start.input = input }
        let record = JournalRecord(
            sequence: 1, at: Play.start, chargeMilliseconds: 0, entry: .runStarted(start))
        guard case .runStarted(let read) = try JournalRecord(stored: record.stored).entry else {
            Issue.record("another entry")
            return
        }
        #expect(TriggerView(read).body == input)
    }
}
