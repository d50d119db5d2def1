import Ports
import Schedules
import Testing
import Values
import ZoneFiles

/// Short words for the tables of these tests.
enum Zones {
    static let files = ZoneFiles()

    static func occurrences(of cron: String, in zone: String, after: String, count: Int) throws -> [String] {
        let next = NextOccurrence(try CronExpression(cron), in: try files.rules(of: zone))
        var last = try #require(Instant(rfc3339: after))
        var found: [String] = []
        while found.count < count, let instant = next.next(after: last) {
            found.append(text(instant))
            last = instant
        }
        return found
    }

    /// Minutes are all that cron knows.
    static func text(_ instant: Instant) -> String { String(instant.text.prefix(16)) + "Z" }
}
