import Billing
import TestSupport
import Testing
import Values

@Suite("Meter")
struct MeterTests {
    private func interval(_ start: Int64, _ end: Int64) -> Meter.Interval {
        Meter.Interval(start: Instant(microseconds: start), end: Instant(microseconds: end))
    }

    @Test("parallel and nested steps count once, waiting counts nothing")
    func parallelCountsOnce() {
        var meter = Meter()
        #expect(meter.charge(interval(0, 10_000)) == 10)
        #expect(meter.charge(interval(2_000, 8_000)) == 0)
        #expect(meter.charge(interval(5_000, 12_000)) == 2)
        #expect(meter.charge(interval(100_000, 101_000)) == 1)
        #expect(meter.charge(interval(10_000, 100_000)) == 88)
        #expect(meter.chargedMilliseconds == 101)
        #expect(meter.chargeRemainder() == 0)
    }

    @Test(
        "an interval without length, or one that ends before it starts, costs nothing",
        arguments: [0, -1, -5000])
    func emptyCostsNothing(length: Int64) {
        var meter = Meter()
        #expect(meter.charge(interval(7, 7 + length)) == 0)
        #expect(meter.chargeRemainder() == 0)
        #expect(meter.totalMicroseconds == 0)
    }

    @Test("broken milliseconds add up, and the last is rounded up")
    func brokenMillisecondsAddUp() {
        var meter = Meter()
        #expect(meter.charge(interval(0, 999)) == 0)
        #expect(meter.charge(interval(2_000, 2_002)) == 1)
        #expect(meter.chargeRemainder() == 1)
        #expect(meter.chargeRemainder() == 0)
        #expect(meter.chargedMilliseconds == 2)
    }

    @Test("settling forgets where the time lay, but not how much it was")
    func settlingKeepsTheSum() {
        var meter = Meter()
        #expect(meter.charge(interval(0, 1_500)) == 1)
        meter.settle()
        #expect(meter.totalMicroseconds == 1_500)
        #expect(meter.charge(interval(5_000, 5_500)) == 1)
    }

    @Test(
        "a run of very many steps, one after the other, is measured without looking at all that came before")
    func manyIntervals() {
        var meter = Meter()
        var charged: Int64 = 0
        // Looked at one by one for each next, these would take minutes.
        for number in 0..<50_000 as Range<Int64> {
            charged += meter.charge(interval(number * 1_000, number * 1_000 + 600))
        }
        #expect(charged == 30_000 && meter.totalMicroseconds == 30_000_000)
        #expect(meter.chargeAdded(by: interval(0, 50_000_000)) == 20_000)
        #expect(meter.charge(interval(0, 50_000_000)) == 20_000)
    }

    /// Each microsecond is looked at by itself.
    private func naiveMeasure(_ intervals: [Meter.Interval]) -> Int64 {
        var covered = Set<Int64>()
        for interval in intervals where interval.end > interval.start {
            covered.formUnion(interval.start.microseconds..<interval.end.microseconds)
        }
        return Int64(covered.count)
    }

    @Test(
        "what is charged is the measure of the union, in whatever order it comes", arguments: UInt64(1)...12)
    func chargesTheUnion(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var meter = Meter()
        var intervals: [Meter.Interval] = []
        var charged: Int64 = 0
        for step in 0..<30 {
            let start = Int64.random(in: 0...9_000, using: &random)
            intervals.append(interval(start, start + Int64.random(in: -50...1_500, using: &random)))
            let foretold = meter.chargeAdded(by: intervals[step])
            let charge = meter.charge(intervals[step])
            #expect(charge == foretold, "seed \(seed), step \(step)")
            #expect(charge >= 0, "seed \(seed)")
            charged += charge
            #expect(charged == naiveMeasure(intervals) / 1000, "seed \(seed), step \(step)")
            #expect(meter.totalMicroseconds == naiveMeasure(intervals), "seed \(seed), step \(step)")
        }
        charged += meter.chargeRemainder()
        #expect(charged == (naiveMeasure(intervals) + 999) / 1000, "seed \(seed)")
    }

    @Test("after a step of the clock an interval overlaps what it really overlaps")
    func steppedClock() {
        var meter = Meter()
        func interval(_ start: Int64, _ end: Int64) -> Meter.Interval {
            .init(start: Instant(milliseconds: start), end: Instant(milliseconds: end))
        }
        #expect(meter.charge(interval(0, 100)) == 100)
        meter.move(by: .milliseconds(-1_000))
        #expect(meter.charge(interval(-950, -850)) == 50)
        #expect(meter.totalMicroseconds == 150_000)
    }
}
