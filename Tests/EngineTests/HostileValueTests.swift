import Engine
import Ports
import Storage
import TestSupport
import Testing
import Values

/// Values and texts as a hostile or careless sender makes them.
struct HostileValues {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private static let texts = [
        "", " ", "~", "~\"AA==\"", "\"", "\\", "\u{0}", "\u{7F}", "\u{FFFD}", "\u{FEFF}", "\u{2028}", "é",
        "e\u{301}", "😀",
        "base64", "{\"base64\":\"AA==\"}", "null", "1e400", "__proto__", "[]", "a[]", "a", "<< secrets.X >>",
        "NaN",
        String(repeating: "x", count: 300),
    ]
    private static let numbers: [Value] = [
        0, .int(.max), .int(.min), .number("-0"), .number("12.50"), .number("1e400"), .number("1E-999"),
        .number("123456789012345678901234567890"), .int(9_007_199_254_740_993),
    ]

    private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    mutating func text() -> String { Self.texts[below(Self.texts.count)] }

    mutating func bytes() -> [UInt8] { (0..<below(12)).map { _ in UInt8(truncatingIfNeeded: below(256)) } }

    /// With bytes where JSON has none, if `mayHoldBytes`.
    mutating func value(depth: Int = 0, mayHoldBytes: Bool = false) -> Value {
        switch below(depth > 3 ? 5 : 8) {
        case 0: return nil
        case 1: return .bool(below(2) == 0)
        case 2: return Self.numbers[below(Self.numbers.count)]
        case 3: return .string(text())
        case 4: return mayHoldBytes ? Value(bytes: bytes()) : .string(text())
        case 5:
            return .array((0..<below(4)).map { _ in value(depth: depth + 1, mayHoldBytes: mayHoldBytes) })
        default:
            var object = Object()
            for _ in 0..<below(below(9) == 0 ? 40 : 4) {
                object[text() + String(below(3))] = value(depth: depth + 1, mayHoldBytes: mayHoldBytes)
            }
            return .object(object)
        }
    }

    /// JSON about as deep as is read, one level around it.
    mutating func deepJSON() -> [UInt8] {
        let levels = JSON.depthMax - below(3)
        let isList = below(2) == 0
        let (open, close) = isList ? ("[", "]") : ("{\"a\":", "}")
        let inner = isList ? "" : "1"
        return Array(
            (String(repeating: open, count: levels) + inner + String(repeating: close, count: levels)).utf8)
    }

    /// A body with its content type.
    mutating func body() -> (type: String?, bytes: [UInt8]) {
        switch below(8) {
        case 0: (nil, bytes())
        case 1: ("application/json", deepJSON())
        case 2: ("application/json", Array("\u{FEFF}{\"a\\ud83d\":\"\\udc00\\u0000\"}".utf8))
        case 3: ("application/x-www-form-urlencoded", Array("a=1&a=%FF&b[]=%00&=&a%5B%5D=x".utf8))
        case 4:
            (
                "multipart/form-data; boundary=X",
                Array("--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n".utf8)
                    + bytes()
                    + Array("\r\n--X--".utf8)
            )
        case 5: ("text/plain; charset=iso-8859-1", bytes())
        case 6: ("image/png", bytes())
        default: ("application/json", JSON.bytes(value()))
        }
    }

    mutating func pairs() -> [(name: String, value: String)] {
        (0..<below(6)).map { _ in (["a", "a", "b[]", text()][below(4)], text()) }
    }

    mutating func headers() -> [HTTPHeader] { pairs().map { HTTPHeader("x-\(below(2))", $0.value) } }
}

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
