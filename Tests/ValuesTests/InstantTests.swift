import TestSupport
import Testing
import Values

@Suite("Instants and identifiers")
struct InstantTests {
    @Test(
        "Known instants have known texts",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"), (1_234_567_890_123, "2009-02-13T23:31:30.123Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (4_107_456_000_000, "2100-02-28T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (-86_400_000, "1969-12-31T00:00:00.000Z"), (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func knownTexts(milliseconds: Int64, expected: String) {
        #expect(Instant(milliseconds: milliseconds).text == expected)
    }

    @Test("Parts of a unit are rounded down, before 1970 too")
    func roundingDown() {
        #expect(Instant(microseconds: -1).milliseconds == -1)
        #expect(Instant(microseconds: -1).seconds == -1)
        #expect(Instant(microseconds: -1).text == "1969-12-31T23:59:59.999Z")
        #expect(Instant(microseconds: 1_999_999).seconds == 1)
        #expect(Instant(microseconds: 1_999_999).milliseconds == 1999)
    }

    @Test("Day numbers and dates agree over 1200 years")
    func dayNumbers() {
        var number = Instant.days(year: 1600, month: 1, day: 1)
        for year in Int64(1600)..<2800 {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            for (index, length) in lengths.enumerated() {
                #expect(Instant.days(year: year, month: Int64(index) + 1, day: length) == number + length - 1)
                number += length
            }
        }
        #expect(Instant.days(year: 1970, month: 1, day: 1) == 0)
    }

    @Test("Sums and differences are exact")
    func arithmetic() {
        let instant = Instant(microseconds: 5) + .milliseconds(2)
        #expect(instant.microseconds == 2005)
        #expect(instant - Instant(microseconds: 3005) == .microseconds(-1000))
        #expect(Duration.seconds(90).milliseconds == 90_000)
    }

    @Test("Identifiers go both ways", arguments: [0, 1, 31, 32, 1 << 40, .max - 1, .max] as [Int64])
    func identifiers(number: Int64) {
        let id = RunID(number: number)
        #expect(id.description.hasPrefix("run_"))
        #expect(id.description.utf8.count == 17)
        #expect(RunID(id.description) == id)
        #expect(TenantID(id.description) == nil)
    }

    @Test("The text order of identifiers is their number order")
    func identifierOrder() {
        var random = SeededRandom(seed: 5)
        let ids = (0..<200).map { _ in RunID(number: Int64(random.next() >> 1)) }
        #expect(ids.sorted().map(\.description) == ids.map(\.description).sorted())
    }

    @Test(
        "Other texts are no identifiers",
        arguments: [
            "", "run", "run_", "run_000000000000", "run_00000000000000", "ten_0000000000000",
            "run-0000000000000",
            "RUN_0000000000000", "run_000000000000A", "run_000000000000i", "run_000000000000l",
            "run_000000000000o",
            "run_000000000000u", "run_8000000000000", "run_zzzzzzzzzzzzz", "run_00000000000 0",
            "run_00000000000é",
            " run_0000000000000", "run_0000000000000 ",
        ])
    func refusedIdentifiers(text: String) {
        #expect(RunID(text) == nil)
    }
}
