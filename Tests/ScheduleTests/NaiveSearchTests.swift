import Ports
import Schedules
import TestSupport
import Testing
import Values
import ZoneFiles

/// Looks at every minute of a year: slow, and too simple to be wrong.
struct NaiveSearch {
    let cron: CronExpression
    let zone: TimeZoneRules
    /// Whether each fits; by fields of the text.
    let isHourly: Bool
    let isPaced: Bool

    func occurrences(after start: Int64, minutes: Int64) -> [Int64] {
        var found: [Int64] = []
        var shown = zone.localTime(at: instant(start)).seconds
        /// The furthest that the clocks have shown.
        var furthest = shown
        for minute in 1...minutes {
            let seconds = start + minute * 60
            let local = zone.localTime(at: instant(seconds)).seconds
            let isSkipping = local - shown > 60
            let skipped = stride(from: shown + 60, to: local, by: 60)
            let isRepeated = local <= furthest
            let fitsNow = cron.fits(LocalTime(seconds: local)) && (!isRepeated || isHourly || isPaced)
            let fitsSkipped =
                isSkipping && !isHourly && skipped.contains { cron.fits(LocalTime(seconds: $0)) }
            if fitsNow || fitsSkipped { found.append(seconds) }
            shown = local
            furthest = max(furthest, local)
        }
        return found
    }

    private func instant(_ seconds: Int64) -> Instant { Instant(microseconds: seconds * 1_000_000) }
}

@Suite("The next occurrence against a search minute by minute")
struct NaiveSearchTests {
    private static let zones = [
        "UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
        "Africa/Cairo",
        "Asia/Kathmandu", "Pacific/Chatham", "Europe/Dublin",
    ]

    private static func field(_ range: ClosedRange<Int>, _ numbers: inout SeededRandom) -> String {
        let first = Int.random(in: range, using: &numbers)
        let last = Int.random(in: first...range.upperBound, using: &numbers)
        return switch Int.random(in: 0..<6, using: &numbers) {
        case 0: "*"
        case 1: "*/\(Int.random(in: 1...range.upperBound, using: &numbers))"
        case 2: "\(first)-\(last)"
        case 3: "\(first)-\(last)/\(Int.random(in: 1...5, using: &numbers))"
        default: "\(first)"
        }
    }

    @Test("both find the same for random expressions over two months around a change", arguments: 1...12)
    func agree(seed: UInt64) throws {
        var numbers = SeededRandom(seed: seed)
        let zone = try Zones.files.rules(of: try #require(Self.zones.randomElement(using: &numbers)))
        let minute = Self.field(0...59, &numbers)
        let hour = Int.random(in: 0...1, using: &numbers) == 0 ? "1-3" : Self.field(0...23, &numbers)
        let rest = [1...28, 1...12, 0...6].map { range in
            Int.random(in: 0...1, using: &numbers) == 0 ? "*" : Self.field(range, &numbers)
        }
        let text = ([minute, hour] + rest).joined(separator: " ")
        let cron = try CronExpression(text)
        let naive = NaiveSearch(
            cron: cron, zone: zone, isHourly: hour == "*" || hour == "*/1" || hour == "0-23",
            isPaced: minute.hasPrefix("*"))
        let next = NextOccurrence(cron, in: zone)
        // 15 February 2026 or 15 September: changes follow within two months.
        for start: Int64 in [1_771_113_600, 1_789_430_400] {
            let minutes: Int64 = 62 * 1440
            let expected = naive.occurrences(after: start, minutes: minutes)
            let last = Instant(microseconds: (start + minutes * 60) * 1_000_000)
            var found: [Int64] = []
            var instant = Instant(microseconds: start * 1_000_000)
            while let following = next.next(after: instant), following <= last {
                found.append(following.seconds)
                instant = following
            }
            #expect(found == expected, "\(text), seed \(seed)")
        }
    }
}
