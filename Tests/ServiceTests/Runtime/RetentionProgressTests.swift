import Testing
import Values

@testable import Runtime

@Suite("How far retention has come")
struct RetentionProgressTests {
    private static func at(_ hours: Int64) -> Instant { Instant(milliseconds: hours * 3_600_000) }

    @Test("all runs are looked at first and once a day, in between those that began at most a day before")
    func wholeOnceADay() {
        var progress = RetentionProgress()
        #expect(progress.startedSince(at: Self.at(1_000)) == nil)
        progress.noteDeleted(upTo: Self.at(900), isWhole: true, at: Self.at(1_000))
        #expect(progress.startedSince(at: Self.at(1_001)) == Self.at(876))
        progress.noteDeleted(upTo: Self.at(901), isWhole: false, at: Self.at(1_001))
        #expect(progress.startedSince(at: Self.at(1_023)) == Self.at(877))
        #expect(progress.startedSince(at: Self.at(1_024)) == nil)
        #expect(progress.startedSince(at: Self.at(1_030)) == nil)
    }
}
