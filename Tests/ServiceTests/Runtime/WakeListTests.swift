import Storage
import Testing
import Values

@testable import Runtime

@Suite("The list of wake-ups")
struct WakeListTests {
    private static func time(_ at: Int64, _ run: Int64 = 1) -> WakeTime {
        WakeTime(at: Instant(microseconds: at), run: RunID(number: run))
    }

    /// A list over a store that holds `times`, as far as the list has asked for them.
    private struct Reading {
        var list = WakeList()
        /// What is durable and not woken.
        var stored: Set<WakeTime> = []

        mutating func refill() {
            guard list.needsRefill else { return }
            let after = list.knownUpTo
            list.beginRefill()
            let page = stored.filter { time in after.map { time > $0 } ?? true }.sorted()
                .prefix(WakeList.pageSize)
            list.endRefill(Array(page))
        }
    }

    @Test("due times come out in order, once each, however often they were told")
    func inOrderOnce() {
        var list = WakeList()
        list.endRefill([])
        for at in [30, 10, 20, 10] as [Int64] { list.insert(Self.time(at)) }
        #expect(list.next == Instant(microseconds: 10))
        #expect(list.takeDue(at: Instant(microseconds: 20), atMost: 9) == [Self.time(10), Self.time(20)])
        #expect(list.takeDue(at: Instant(microseconds: 20), atMost: 9).isEmpty)
        list.insert(Self.time(10))
        #expect(list.takeDue(at: Instant(microseconds: 99), atMost: 1) == [Self.time(10)])
        #expect(list.takeDue(at: Instant(microseconds: 99), atMost: 9) == [Self.time(30)])
        #expect(list.next == nil && !list.needsRefill)
    }

    @Test("what is told while a page is read is kept, also where the page was read before it was there")
    func toldWhileReading() {
        var list = WakeList()
        #expect(list.needsRefill)
        list.beginRefill()
        #expect(!list.needsRefill)
        list.insert(Self.time(5, 2))
        list.endRefill([Self.time(7, 1)])
        #expect(list.takeDue(at: Instant(microseconds: 9), atMost: 9) == [Self.time(5, 2), Self.time(7, 1)])
    }

    @Test("a page that could not be read is asked for again")
    func failedPage() {
        var list = WakeList()
        list.beginRefill()
        list.endRefill(nil)
        #expect(list.needsRefill)
    }

    @Test("five thousand runs that come and go are woken once each in order, with the list kept short")
    func longList() {
        var reading = Reading()
        var random = SystemRandomNumberGenerator()
        var woken: [WakeTime] = []
        var now: Int64 = 0
        reading.refill()
        for number in Int64(0)..<5_000 {
            let time = Self.time(now + Int64.random(in: 1...50_000, using: &random), number)
            reading.stored.insert(time)
            reading.list.insert(time)
            if number.isMultiple(of: 3) { now += 5 }
            while true {
                let due = reading.list.takeDue(at: Instant(microseconds: now), atMost: 64)
                reading.stored.subtract(due)
                woken += due
                reading.refill()
                if due.isEmpty { break }
            }
            if let next = reading.stored.min(), next.at.microseconds <= now {
                Issue.record("\(next) is late at \(now)")
            }
        }
        while let next = reading.list.next {
            woken += reading.list.takeDue(at: next, atMost: 64)
            reading.stored.subtract(woken.suffix(64))
            reading.refill()
        }
        #expect(woken.count == 5_000 && Set(woken).count == 5_000)
        #expect(reading.stored.isEmpty)
    }
}
