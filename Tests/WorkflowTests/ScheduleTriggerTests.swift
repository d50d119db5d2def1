import Testing
import Values
import Workflow

@Suite("Triggers by the calendar")
struct ScheduleTriggerTests {
    private static func document(_ keys: String) -> String {
        "name: a\nversion: 1\ntriggers:\n  - {type: schedule, \(keys)}\nsteps: {one: {lua: '1'}}\n"
    }

    private static func rule(_ keys: String) throws -> ScheduleRule {
        let read = Reading.workflow(document(keys))
        #expect(read.problems == [])
        let kind = try #require(read.definition?.triggers.first?.kind)
        guard case .schedule(let rule) = kind else {
            Issue.record("no schedule")
            return ScheduleRule(cron: "")
        }
        return rule
    }

    @Test("a schedule has a zone, an overlap and a catching up of its own, or the defaults")
    func keysAndDefaults() throws {
        #expect(
            try Self.rule("cron: 0 9 * * MON-FRI")
                == ScheduleRule(cron: "0 9 * * MON-FRI", timeZone: "UTC", overlap: .skip, catchUp: .one))
        #expect(
            try Self.rule("cron: '*/5  0-6 1 jan *', timezone: Europe/Berlin, overlap: queue, catch_up: all")
                == ScheduleRule(
                    cron: "*/5 0-6 1 jan *", timeZone: "Europe/Berlin", overlap: .queue, catchUp: .all))
        let zones = ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"]
        for zone in zones { #expect(try Self.rule("cron: 0 0 1 1 0, timezone: \(zone)").timeZone == zone) }
        for name in ["skip", "queue", "allow"] {
            #expect(try Self.rule("cron: 0 0 1 1 0, overlap: \(name)").overlap.rawValue == name)
        }
        for name in ["none", "one", "all"] {
            #expect(try Self.rule("cron: 0 0 1 1 0, catch_up: \(name)").catchUp.rawValue == name)
        }
    }

    @Test(
        "each fault has its code and place",
        arguments: [
            ("timezone: UTC", ["MR1102 4:5"]), ("cron: ", ["MR1103 4:28"]), ("cron: 5", ["MR1103 4:28"]),
            ("cron: ''", ["MR1116 4:28"]), ("cron: 0 9 * *", ["MR1116 4:28"]),
            ("cron: 0 0 9 * * 1", ["MR1116 4:28"]), ("cron: '@reboot'", ["MR1116 4:28"]),
            ("cron: 0 9 * * 1#2", ["MR1116 4:36"]), ("cron: 0 9 ? * 1", ["MR1116 4:32"]),
            ("cron: 0 9 * * é", ["MR1116 4:36"]),
            ("cron: << vars.x >> 9 * *", ["MR1116 4:28"]),
            ("cron: 0 9 * * 1, timezone: +02:00", ["MR1117 4:49"]),
            ("cron: 0 9 * * 1, timezone: Europe/", ["MR1117 4:49"]),
            ("cron: 0 9 * * 1, timezone: ../../etc/passwd", ["MR1117 4:49"]),
            ("cron: 0 9 * * 1, timezone: /etc/localtime", ["MR1117 4:49"]),
            ("cron: 0 9 * * 1, timezone: ", ["MR1103 4:49"]),
            ("cron: 0 9 * * 1, overlap: both", ["MR1108 4:48"]),
            ("cron: 0 9 * * 1, catch_up: 1", ["MR1103 4:49"]),
            ("cron: 0 9 * * 1, when: x", ["MR1101 4:39"]),
            ("cron: 0 9 * * 1, dedupe: << 1 >>", ["MR1101 4:39"]),
        ])
    func faults(keys: String, expected: [String]) {
        #expect(Reading.marks(Self.document(keys)) == expected)
    }

    @Test(
        "a misspelt word is answered with the right one",
        arguments: [
            ("cran: 0 9 * * 1", "cron"), ("cron: 0 9 * * 1, time_zone: UTC", "timezone"),
            ("cron: 0 9 * * 1, overlaps: skip", "overlap"), ("cron: 0 9 * * 1, catchup: one", "catch_up"),
            ("cron: 0 9 * * 1, overlap: queu", "queue"), ("cron: 0 9 * * 1, catch_up: noen", "none"),
        ])
    func suggestions(keys: String, wanted: String) {
        let problems = Reading.workflow(Self.document(keys)).problems
        #expect(problems.contains { $0.hint == "did you mean `\(wanted)`?" }, "\(problems)")
        let type = Self.document("cron: 0 9 * * 1").replacing("schedule,", with: "schedul,")
        #expect(Reading.workflow(type).problems.map(\.hint) == ["did you mean `schedule`?"])
    }
}
