import Testing
import Values
import Workflow

@Suite("Retries by a schedule and up to a time")
struct RetryScheduleTests {
    private static func document(_ retry: String) -> String {
        Reading.step("request: {url: 'https://x'}\nretry: \(retry)")
    }

    private static func policy(_ retry: String) throws -> RetryPolicy {
        let read = Reading.workflow(document(retry))
        #expect(read.problems == [])
        return try #require(read.definition?.root.steps.first?.retry)
    }

    private static func list(_ count: Int) -> String {
        "[\(Array(repeating: "5m", count: count).joined(separator: ", "))]"
    }

    @Test("a schedule is the waiting times as written, without jitter")
    func scheduleAsWritten() throws {
        let policy = try Self.policy("{schedule: [0s, 5m, 1h, 400d], until: 4d}")
        #expect(policy.schedule == [.zero, .seconds(300), .seconds(3600), .seconds(34_560_000)])
        #expect(policy.max == 4 && policy.maxDelay == .seconds(34_560_000))
        #expect(policy.jitter == .none)
        #expect(policy.until == .seconds(4 * 86_400))
        #expect(policy.on.count == RetryPolicy.requestDefault.on.count)
        #expect(try Self.policy("{schedule: 5m}").schedule == [.seconds(300)])
        #expect(try Self.policy("{schedule: \(Self.list(100))}").schedule.count == 100)
    }

    @Test("without a schedule everything stays as it was")
    func withoutSchedule() throws {
        let policy = try Self.policy("{until: 400d}")
        #expect(policy.schedule == [] && policy.max == 4 && policy.jitter == .full)
        #expect(try Self.policy("{max: 2}").until == nil)
    }

    @Test(
        "each fault has its code and place",
        arguments: [
            ("{schedule: []}", ["MR1109 7:23"]), ("{schedule: \(list(101))}", ["MR1109 7:23"]),
            ("{schedule: [5m, 5]}", ["MR1110 7:28"]), ("{schedule: [401d]}", ["MR1109 7:24"]),
            ("{schedule: [5m, << 1 >>]}", ["MR1110 7:28"]), ("{schedule: }", ["MR1110 7:23"]),
            ("{schedule: [5m], max: 3}", ["MR1113 7:29"]), ("{delay: 1s, schedule: [5m]}", ["MR1113 7:13"]),
            ("{schedule: [5m], backoff: fixed}", ["MR1113 7:29"]),
            ("{schedule: [5m], max_delay: 1h}", ["MR1113 7:29"]),
            ("{schedule: [5m], jitter: full}", ["MR1113 7:29"]),
            ("{until: 0s}", ["MR1109 7:20"]), ("{until: 401d}", ["MR1109 7:20"]),
            ("{until: 4}", ["MR1110 7:20"]),
        ])
    func faults(retry: String, expected: [String]) {
        #expect(Reading.marks(Self.document(retry)) == expected)
    }

    @Test(
        "a misspelt key is answered with the right one",
        arguments: [("schedul", "schedule"), ("untill", "until")])
    func suggestions(key: String, wanted: String) {
        let problems = Reading.workflow(Self.document("{\(key): 5m}")).problems
        #expect(problems.map(\.hint) == ["did you mean `\(wanted)`?"])
    }
}
