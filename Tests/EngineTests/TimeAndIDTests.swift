import Engine
import Ports
import Testing
import Values

@Suite("The time and ids in steps")
struct TimeAndIDTests {
    private static let signed = """
        steps:
          pay:
            request:
              method: POST
              url: https://a.example/pay
              headers: {X-Time: << time.now() >>}
              body: {id: << random.id('pay') >>, late: << time.now() - run.now >>}
            retry: {max: 2, delay: 1m, backoff: fixed, jitter: none}
        """

    private static func body(_ request: OutboundRequest) throws -> Value { try JSON.parse(request.body) }

    @Test("each attempt is made with its own time and the same id, and is rebuilt with both")
    func attempts() throws {
        var play = try Play(Self.signed)
        play.begin()
        play.now = play.now + .milliseconds(1_700)
        play.answer("pay", 503)
        play.retry("pay")
        play.answer("pay", 503)
        try play.crash()
        play.retry("pay")
        play.answer("pay")
        let attempts = play.records.compactMap { record -> Instant? in
            switch record.entry {
            case .attemptFailed(_, _, _, _, _, let madeAt): madeAt
            case .stepSettled(_, let result): result.madeAt
            default: nil
            }
        }
        #expect(attempts.count == 3)
        #expect(Set(attempts).count == 3)
        let surroundings = Surroundings(
            tenant: TenantID(number: 3), secrets: OpenSecrets([:]),
            redactor: Redactor(secrets: [] as [String]), cryptography: cryptography)
        var replay = AttemptReplay(run: play.machine.state.run, plan: play.plan, surroundings: surroundings)
        let rebuilt = replay.attempts(in: play.records, AttemptReplay.Selection(limit: 9))
        let times = rebuilt.compactMap { $0.sent?.headers["x-time"] }
        #expect(times == attempts.map { String($0.seconds) })
        let ids = try rebuilt.map { try Self.body(try #require($0.sent))["id"] }
        #expect(Set(ids.map { $0?.string ?? "" }).count == 1)
        #expect(ids.first??.string?.hasPrefix("pay_") == true)
        #expect(try Self.body(try #require(rebuilt.last?.sent))["late"] == 121)
    }

    @Test("what a step computes from the time is recorded, and a request that does not ask has no time")
    func recorded() throws {
        var play = try Play(
            """
            steps:
              at: {lua: 'return time.now()'}
              rest: {after: at, sleep: 1h}
              ask: {after: rest, request: {url: "https://a.example/<< steps.at.output >>"}}
            """)
        play.begin()
        play.ring("rest", at: play.now + .seconds(3600))
        let first = play.sent.last?.request.url
        try play.crash()
        #expect(play.sent.last?.request.url == first)
        #expect(first == "https://a.example/\(Play.start.seconds)")
        play.answer("ask")
        #expect(
            play.records.contains {
                if case .stepSettled(_, let result) = $0.entry { result.madeAt != nil } else { false }
            } == false)
    }

    @Test("an id is one for each run, step, item and label, and hangs on a key that nobody has")
    func ids() throws {
        let flow = """
            steps:
              one: {lua: "return {random.id('a'), random.id('a'), random.id('b')}"}
              two: {lua: "return random.id('a')"}
              many: {strategy: {type: fan_out, over: 2}, lua: "return random.id('a')"}
              group: {steps: {inner: {lua: "return random.id('a')"}}, output: << random.id('a') >>}
            output: << random.id('a') >>
            """
        func all(_ run: Int64) throws -> [String] {
            var play = try Play(flow, run: run)
            play.begin()
            var found = play.records.flatMap { record -> [String] in
                guard case .stepSettled(_, let result) = record.entry,
                    case .output(let value) = result.content
                else { return [] }
                return value.array?.compactMap(\.string) ?? [value.text]
            }
            found.append(try #require(play.finished.first?.output.string))
            return found
        }
        let (first, other) = (try all(7), try all(8))
        #expect(first.count == 9)
        #expect(first[0] == first[1])
        #expect(Set(first).count == 8)
        #expect(Set(first).isDisjoint(with: other))
        #expect(try all(7) == first)
        #expect(first.allSatisfy { $0.utf8.count == 28 })
    }

    @Test("`last` is the last item that ran")
    func last() throws {
        var play = try Play(
            """
            steps:
              poll:
                strategy: {type: fan_out, over: 5, until: steps.poll.output == 3}
                lua: return index
              none: {strategy: {type: fan_out, over: []}, lua: return 1}
              wide: {strategy: {type: fan_out, over: [7, 8], concurrency: 2}, lua: return item}
            output: << {steps.poll.last.output, steps.wide.last.item, steps.none.last == null} >>
            """)
        play.begin()
        #expect(play.finished.first?.output == [3, 8, true])
    }
}
