import Foundation
import Ports
import Schedules
import TestSupport
import Testing
import Values
import ZoneFiles

@Suite("Time zones")
struct ZoneTests {
    @Test("a local time is shown once, never in a gap, and twice in an overlap, by rising time")
    func instants() throws {
        let zone = try Zones.files.rules(of: "Europe/Amsterdam")
        func found(_ time: LocalTime) -> [String] { zone.instants(ofLocal: time).map(Zones.text) }
        #expect(found(LocalTime(2026, 7, 1, 12)) == ["2026-07-01T10:00Z"])
        #expect(found(LocalTime(2026, 3, 29, 2, 30)) == [])
        #expect(found(LocalTime(2026, 3, 29, 3)) == ["2026-03-29T01:00Z"])
        #expect(found(LocalTime(2026, 10, 25, 2)) == ["2026-10-25T00:00Z", "2026-10-25T01:00Z"])
        #expect(found(LocalTime(2026, 10, 25, 3)) == ["2026-10-25T02:00Z"])
        #expect(found(LocalTime(2100, 10, 31, 2, 30)) == ["2100-10-31T00:30Z", "2100-10-31T01:30Z"])
    }

    @Test("local times agree with the system's own over the years, also beyond its table")
    func agreesWithTheSystem() throws {
        for name in [
            "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
            "Europe/Dublin",
            "Pacific/Apia", "America/Sao_Paulo", "Asia/Gaza",
        ] {
            let rules = try Zones.files.rules(of: name)
            let system = try #require(TimeZone(identifier: name))
            var numbers = SeededRandom(seed: 7)
            // 1972 to 2037; beyond it the system's own library follows no rules for some places.
            for _ in 0..<400 {
                let seconds = Int64.random(in: 63_072_000...2_145_916_800, using: &numbers)
                let local = rules.localTime(at: Instant(microseconds: seconds * 1_000_000)).seconds
                let offset = system.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
                #expect(local - seconds == Int64(offset), "\(name) at \(seconds)")
            }
        }
    }

    @Test("POSIX rules are read with all their forms of a day")
    func posixRules() throws {
        func offsets(_ text: String, _ instants: [String]) throws -> [Int64] {
            let tail: PosixTimeZone = try #require(PosixTimeZone(text))
            let rules = TimeZoneRules(firstOffset: 0, tail: tail)
            return try instants.map { text in
                let instant = try #require(Instant(rfc3339: text))
                return rules.localTime(at: instant).seconds - instant.seconds
            }
        }
        #expect(try offsets("UTC0", ["2026-01-01"]) == [0])
        #expect(try offsets("<+0530>-5:30", ["2026-01-01"]) == [19_800])
        #expect(
            try offsets("CET-1CEST,M3.5.0,M10.5.0/3", ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]) == [
                3600, 7200,
            ])
        #expect(
            try offsets("EST5EDT,J60/0,J305/0", ["2028-03-01T04:59:59Z", "2028-03-01T05:00:00Z"]) == [
                -18_000, -14_400,
            ])
        #expect(
            try offsets("EST5EDT,59/0,300/0", ["2028-02-29T04:59:59Z", "2028-02-29T05:00:00Z"]) == [
                -18_000, -14_400,
            ])
        #expect(
            try offsets("IST-2IDT,M3.4.4/26,M10.5.0", ["2027-03-25T23:59:59Z", "2027-03-26T00:00:00Z"])
                == [7200, 10_800])
        #expect(
            try offsets("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"])
                == [-7200, -3600])
        // Summer for ever.
        #expect(
            try offsets(
                "XXX3EDT4,0/0,J365/23", ["2026-01-01T03:00:00Z", "2026-07-01", "2026-12-31T23:59:59Z"])
                == [-14_400, -14_400, -14_400])
    }

    @Test(
        "what is no rule is refused",
        arguments: [
            "", "CET", "C1", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M1.1.1",
            "CET-1CEST,M3.5.7,M1.1.1", "CET-1CEST,J0,J1", "CET-1CEST,366,1", "<CET-1",
            "CET-1CEST,M3.5.0,M10.5.0x",
            "CET-99",
        ])
    func badRules(text: String) { #expect(PosixTimeZone(text) == nil) }

    @Test(
        "a name that leads out of the database, or to its doubles, is unknown",
        arguments: [
            "", "/", "../zoneinfo/UTC", "/etc/passwd", "Europe/../UTC", "Europe", "Europe/",
            "Europe//Amsterdam",
            "right/UTC", "posix/UTC", "Europe/Amsterdam\0", "Mars/Olympus", "zone1970.tab", "tzdata.zi",
            String(repeating: "A", count: 65), "A/B/C/D", "é",
        ])
    func strangeNames(name: String) {
        #expect(throws: TimeZoneError.unknown(name: name)) { try Zones.files.rules(of: name) }
    }

    @Test("UTC needs no database, and a broken file is told apart from a missing one")
    func brokenFiles() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "zones-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let good = try Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/Europe/Amsterdam"))
        for count in [0, 10, 60, 500, good.count / 2, good.count - 3] {
            try good.prefix(count).write(to: folder.appending(path: "Cut"))
            let zones = ZoneFiles(folder: folder.path)
            let error = #expect(throws: TimeZoneError.self) { try zones.rules(of: "Cut") }
            guard case .malformed(name: "Cut", _) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        let zones = ZoneFiles(folder: folder.path)
        #expect(try zones.rules(of: "UTC") == .utc)
        #expect(throws: TimeZoneError.unknown(name: "Whole")) { try zones.rules(of: "Whole") }
        try good.write(to: folder.appending(path: "Whole"))
        #expect(try zones.rules(of: "Whole") == Zones.files.rules(of: "Europe/Amsterdam"))
    }

    @Test("every place of the database can be read")
    func wholeDatabase() throws {
        let table = try String(contentsOf: URL(filePath: "/usr/share/zoneinfo/zone1970.tab"), encoding: .utf8)
        let names = table.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
            String($0.split(separator: "\t")[2])
        }
        #expect(names.count > 200)
        for name in names { _ = try Zones.files.rules(of: name) }
    }
}
