import Ports
import Schedules
import Testing
import Values

@Suite("The next occurrence")
struct NextOccurrenceTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var cron: String
        var zone = "UTC"
        var after: String
        var expected: [String]

        var testDescription: String { "\(cron) \(zone) \(after)" }
    }

    private static func check(_ example: Case) throws {
        let found = try Zones.occurrences(
            of: example.cron, in: example.zone, after: example.after, count: example.expected.count)
        #expect(found == example.expected)
    }

    @Test(
        "by the calendar",
        arguments: [
            Case(cron: "* * * * *", after: "2026-01-01T00:00:00Z", expected: ["2026-01-01T00:01Z"]),
            Case(cron: "* * * * *", after: "2025-12-31T23:59:59.999Z", expected: ["2026-01-01T00:00Z"]),
            Case(cron: "0 9 * * mon-fri", after: "2026-01-02T09:00:00Z", expected: ["2026-01-05T09:00Z"]),
            Case(cron: "0 0 29 2 *", after: "2024-02-29T00:00:00Z", expected: ["2028-02-29T00:00Z"]),
            Case(cron: "0 0 29 2 *", after: "2096-02-29T00:00:00Z", expected: ["2104-02-29T00:00Z"]),
            Case(
                cron: "0 0 31 * *", after: "2026-01-31T00:00:00Z",
                expected: ["2026-03-31T00:00Z", "2026-05-31T00:00Z", "2026-07-31T00:00Z"]),
            Case(cron: "@weekly", after: "2026-12-30T00:00:00Z", expected: ["2027-01-03T00:00Z"]),
            Case(cron: "59 23 31 12 *", after: "2026-12-31T23:59:00Z", expected: ["2027-12-31T23:59Z"]),
            Case(
                cron: "30 8,17 13 * fri", after: "2026-02-12T12:00:00Z",
                expected: ["2026-02-13T08:30Z", "2026-02-13T17:30Z", "2026-02-20T08:30Z"]),
            Case(cron: "0 0 1 1 *", after: "1969-06-01T00:00:00Z", expected: ["1970-01-01T00:00Z"]),
        ])
    func calendar(example: Case) throws { try Self.check(example) }

    @Test(
        "where the clocks go forward, what they skip happens once, right after the gap",
        arguments: [
            Case(
                cron: "30 2 * * *", zone: "Europe/Amsterdam", after: "2026-03-28T01:29:00Z",
                expected: ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
            Case(
                cron: "*/10 2 * * *", zone: "Europe/Amsterdam", after: "2026-03-28T01:50:00Z",
                expected: ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]),
            Case(
                cron: "30 2,3 * * *", zone: "Europe/Amsterdam", after: "2026-03-29T00:00:00Z",
                expected: ["2026-03-29T01:00Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z"]),
            Case(
                cron: "0 2-3 * * *", zone: "Europe/Amsterdam", after: "2026-03-29T00:00:00Z",
                expected: ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]),
            Case(
                cron: "15 2 8 3 *", zone: "America/New_York", after: "2026-03-01T00:00:00Z",
                expected: ["2026-03-08T07:00Z", "2027-03-08T07:15Z"]),
            // Half an hour, at 2:00 on 4 October.
            Case(
                cron: "15 2 * * *", zone: "Australia/Lord_Howe", after: "2026-10-03T00:00:00Z",
                expected: ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
            Case(
                cron: "45 2 * * *", zone: "Australia/Lord_Howe", after: "2026-10-03T00:00:00Z",
                expected: ["2026-10-03T15:45Z"]),
            // Midnight itself is skipped.
            Case(
                cron: "@daily", zone: "Africa/Cairo", after: "2026-04-23T12:00:00Z",
                expected: ["2026-04-23T22:00Z", "2026-04-24T21:00Z"]),
            // Clocks go back for Ramadan (15 February 2026) and forward after it (22 March).
            Case(
                cron: "30 2 * * *", zone: "Africa/Casablanca", after: "2026-03-21T12:00:00Z",
                expected: ["2026-03-22T02:00Z", "2026-03-23T01:30Z"]),
            // A whole day, 30 December 2011, is missing.
            Case(
                cron: "0 9 30 12 *", zone: "Pacific/Apia", after: "2011-12-29T00:00:00Z",
                expected: ["2011-12-30T10:00Z", "2012-12-29T19:00Z"]),
        ])
    func gap(example: Case) throws { try Self.check(example) }

    @Test(
        "where the clocks go back, a time happens at the first of both, and a pace goes on",
        arguments: [
            Case(
                cron: "30 2 * * *", zone: "Europe/Amsterdam", after: "2026-10-24T12:00:00Z",
                expected: ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
            Case(
                cron: "0 2,3 * * *", zone: "Europe/Amsterdam", after: "2026-10-24T12:00:00Z",
                expected: ["2026-10-25T00:00Z", "2026-10-25T02:00Z"]),
            Case(
                cron: "30 * * * *", zone: "Europe/Amsterdam", after: "2026-10-24T23:30:00Z",
                expected: ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"]),
            Case(
                cron: "*/30 2 * * *", zone: "Europe/Amsterdam", after: "2026-10-24T12:00:00Z",
                expected: [
                    "2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z",
                ]),
            Case(
                cron: "30 1 * * *", zone: "America/New_York", after: "2026-10-31T12:00:00Z",
                expected: ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
            Case(
                cron: "45 1 * * *", zone: "Australia/Lord_Howe", after: "2026-04-04T12:00:00Z",
                expected: ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]),
            Case(
                cron: "30 2 * * *", zone: "Africa/Casablanca", after: "2026-02-14T12:00:00Z",
                expected: ["2026-02-15T01:30Z", "2026-02-16T02:30Z"]),
        ])
    func overlap(example: Case) throws { try Self.check(example) }

    @Test("a pace goes on over a gap in real time")
    func paceOverGap() throws {
        try Self.check(
            Case(
                cron: "30 * * * *", zone: "Europe/Amsterdam", after: "2026-03-29T00:00:00Z",
                expected: ["2026-03-29T00:30Z", "2026-03-29T01:30Z", "2026-03-29T02:30Z"]))
    }

    @Test(
        "beyond the table the zone's rule goes on",
        arguments: [
            Case(
                cron: "0 12 1 1,7 *", zone: "Europe/Amsterdam", after: "2199-12-01T00:00:00Z",
                expected: ["2200-01-01T11:00Z", "2200-07-01T10:00Z"]),
            Case(
                cron: "30 2 * 3 *", zone: "America/New_York", after: "2100-03-13T12:00:00Z",
                expected: ["2100-03-14T07:00Z", "2100-03-15T06:30Z"]),
            Case(
                cron: "0 12 1 1,7 *", zone: "Australia/Lord_Howe", after: "2300-01-02T00:00:00Z",
                expected: ["2300-07-01T01:30Z", "2301-01-01T01:00Z"]),
            Case(
                cron: "0 12 1 1,7 *", zone: "Europe/Dublin", after: "2150-01-02T00:00:00Z",
                expected: ["2150-07-01T11:00Z", "2151-01-01T12:00Z"]),
            Case(
                cron: "0 12 1 1 *", zone: "Asia/Kathmandu", after: "2500-01-02T00:00:00Z",
                expected: ["2501-01-01T06:15Z"]),
        ])
    func farFuture(example: Case) throws { try Self.check(example) }

    @Test("the last few before an instant are found without counting from the first")
    func latest() throws {
        let start = try #require(Instant(rfc3339: "1990-01-01"))
        let end = try #require(Instant(rfc3339: "2026-07-04T10:02:30Z"))
        let minutely = NextOccurrence(try CronExpression("* * * * *"), in: .utc)
        #expect(
            minutely.latest(2, after: start, upTo: end).map(Zones.text) == [
                "2026-07-04T10:01Z", "2026-07-04T10:02Z",
            ])
        let yearly = NextOccurrence(try CronExpression("0 0 1 1 *"), in: .utc)
        #expect(yearly.latest(100, after: start, upTo: end).count == 36)
        #expect(yearly.latest(1, after: end, upTo: end).isEmpty)
        #expect(minutely.latest(1, after: end, upTo: start).isEmpty)
    }

    @Test("the calendar ends, and nothing is looked for past it")
    func calendarEnds() throws {
        let next = NextOccurrence(try CronExpression("* * * * *"), in: .utc)
        for instant in [Int64.max, Int64.min, 253_402_300_800_000_000] {
            #expect(next.next(after: Instant(microseconds: instant)) == nil)
        }
    }
}
