import Clocks
import Ports
import TestSupport
import Testing
import Values

@Suite("ManualClock")
struct ManualClockTests {
    @Test("alarms fire in order of instant, then of making, each at its own time")
    func order() {
        let clock = ManualClock(at: Instant(microseconds: 0))
        let fired = Log()
        for (delay, name) in [(30, "c"), (10, "a"), (30, "d"), (20, "b")] {
            clock.schedule(at: Instant(microseconds: Int64(delay))) {
                fired.add("\(name)\(clock.now().microseconds)")
            }
        }
        clock.advance(by: .microseconds(29))
        #expect(fired.all == ["a10", "b20"])
        #expect(clock.now() == Instant(microseconds: 29))
        clock.advance(to: Instant(microseconds: 1000))
        #expect(fired.all == ["a10", "b20", "c30", "d30"])
        clock.advance(to: Instant(microseconds: 5))
        #expect(clock.now() == Instant(microseconds: 1000))
    }

    @Test("an alarm made by an alarm fires within the same turn where it is due")
    func nested() {
        let clock = ManualClock(at: Instant(microseconds: 0))
        let fired = Log()
        clock.schedule(at: Instant(microseconds: 10)) {
            fired.add("first")
            clock.schedule(at: clock.now() + .microseconds(5)) { fired.add("within") }
            clock.schedule(at: clock.now() + .microseconds(50)) { fired.add("later") }
        }
        clock.advance(to: Instant(microseconds: 20))
        #expect(fired.all == ["first", "within"])
        #expect(clock.advanceToNextAlarm())
        #expect(fired.all == ["first", "within", "later"])
        #expect(clock.now() == Instant(microseconds: 60))
        #expect(!clock.advanceToNextAlarm())
    }

    @Test("a withdrawn alarm does not fire, even when the one just before it withdraws it")
    func cancelling() {
        let clock = ManualClock(at: Instant(microseconds: 0))
        let fired = Log()
        let second = clock.schedule(at: Instant(microseconds: 11)) { fired.add("second") }
        clock.schedule(at: Instant(microseconds: 10)) { clock.cancel(second) }
        clock.advance(by: .seconds(1))
        clock.cancel(second)
        clock.cancel(AlarmID(number: 999))
        #expect(fired.all.isEmpty)
    }

    @Test("most of 10,000 alarms can be withdrawn and the rest fire in order")
    func manyCancelled() {
        let clock = ManualClock(at: Instant(microseconds: 0))
        let fired = Log()
        let ids = (0..<10_000).map { index in
            clock.schedule(at: Instant(microseconds: Int64(index * 7919 % 10_000))) {
                fired.add("\(clock.now().microseconds)")
            }
        }
        for (index, id) in ids.enumerated() where index % 100 != 0 { clock.cancel(id) }
        clock.advance(by: .seconds(1))
        let instants = fired.all.compactMap { Int($0) }
        #expect(instants.count == 100)
        #expect(instants == instants.sorted())
    }

    @Test("after shutting down nothing fires")
    func shutDown() {
        let clock = ManualClock(at: Instant(microseconds: 0))
        let fired = Log()
        clock.schedule(at: Instant(microseconds: 1)) { fired.add("before") }
        clock.shutDown()
        clock.schedule(at: Instant(microseconds: 1)) { fired.add("after") }
        clock.advance(by: .seconds(1))
        #expect(fired.all.isEmpty)
    }
}

@Suite("ManualClock, stepped")
struct ManualClockStepTests {
    @Test("a step moves the wall clock and the alarms for its times, and nothing else")
    func step() {
        let clock = ManualClock(at: Instant(microseconds: 1_000_000))
        let (fired, told) = (Log(), Log())
        clock.whenStepped { told.add("\($0.milliseconds)") }
        clock.schedule(at: Instant(microseconds: 61_000_000)) { fired.add("time") }
        clock.schedule(after: .seconds(60)) { fired.add("duration") }
        clock.step(by: .seconds(-30))
        #expect(clock.now() == Instant(microseconds: -29_000_000))
        #expect(clock.steady() == Instant(microseconds: 1_000_000) && clock.shift == .seconds(-30))
        clock.advance(by: .seconds(60))
        #expect(fired.all == ["duration"] && told.all == ["-30000"])
        clock.advance(by: .seconds(29))
        #expect(fired.all == ["duration"] && clock.nextAlarm == Instant(microseconds: 61_000_000))
        clock.advance(to: Instant(microseconds: 61_000_000))
        #expect(fired.all == ["duration", "time"])
    }
}

@Suite("SystemClock")
struct SystemClockTests {
    @Test("10,000 alarms due at once all fire, in order of making, none early")
    func manyAtOnce() {
        let clock = SystemClock()
        defer { clock.shutDown() }
        let fired = Log()
        let done = Promise<Bool>()
        let due = clock.now() + .milliseconds(50)
        for index in 0..<10_000 {
            clock.schedule(at: due) {
                fired.add(clock.now() >= due ? "\(index)" : "early")
                if index == 9_999 { done.fulfil(true) }
            }
        }
        #expect(done.wait(atMost: patience) == true)
        #expect(fired.all == (0..<10_000).map { "\($0)" })
    }

    @Test("an earlier alarm made later fires first")
    func earlierLater() {
        let clock = SystemClock()
        defer { clock.shutDown() }
        let (fired, done) = (Log(), Promise<Bool>())
        clock.schedule(at: Instant(microseconds: .max)) { fired.add("never") }
        clock.schedule(at: clock.now() + .milliseconds(40)) {
            fired.add("second")
            done.fulfil(true)
        }
        clock.schedule(at: clock.now() + .milliseconds(5)) { fired.add("first") }
        #expect(done.wait(atMost: patience) == true)
        #expect(fired.all == ["first", "second"])
    }

    @Test("an alarm withdraws a later one that is due already")
    func cancelling() {
        let clock = SystemClock()
        defer { clock.shutDown() }
        let (fired, done) = (Log(), Promise<Bool>())
        let (gate, victim) = (Promise<Bool>(), Promise<AlarmID>())
        clock.schedule(at: Instant(microseconds: 0)) {
            _ = gate.wait(atMost: patience)
            if let id = victim.wait(atMost: patience) { clock.cancel(id) }
        }
        victim.fulfil(clock.schedule(at: Instant(microseconds: 1)) { fired.add("victim") })
        clock.schedule(at: Instant(microseconds: 2)) { done.fulfil(true) }
        gate.fulfil(true)
        #expect(done.wait(atMost: patience) == true)
        #expect(fired.all.isEmpty)
    }

    @Test("none fires after shutting down has returned, and shutting down may be repeated")
    func shutDown() {
        let clock = SystemClock()
        let fired = Log()
        for index in 0..<1_000 {
            clock.schedule(at: clock.now() + .microseconds(Int64(index))) { fired.add("x") }
        }
        clock.shutDown()
        let count = fired.all.count
        clock.shutDown()
        clock.schedule(at: Instant(microseconds: 0)) { fired.add("late") }
        #expect(fired.all.count == count)
        #expect(clock.now() <= clock.now())
    }

    @Test("an alarm may shut its own clock down")
    func shutDownFromAlarm() {
        let (clock, done) = (SystemClock(), Promise<Bool>())
        clock.schedule(at: Instant(microseconds: 0)) {
            clock.shutDown()
            done.fulfil(true)
        }
        #expect(done.wait(atMost: patience) == true)
        clock.shutDown()
    }
}

@Suite("Steps of the wall clock")
struct WallClockStepTests {
    /// A wall clock that can be set, beside the machine's monotonic one.
    private final class Wall: @unchecked Sendable {
        // Unchecked: `ahead` is touched under `lock`.
        private let lock = Lock()
        private var ahead: Duration = .zero

        func step(by duration: Duration) { lock.withLock { ahead += duration } }

        func read() -> Int64 {
            let seconds = ContinuousClock.now - Self.start
            return lock.withLock { (seconds + ahead).microseconds } + 1_767_225_600_000_000
        }

        private static let start = ContinuousClock.now
    }

    @Test("the time follows a step at once, and the steady time does not", arguments: [600, -600, 86_400])
    func readings(seconds: Int64) {
        let wall = Wall()
        let clock = SystemClock(wallClock: { wall.read() })
        defer { clock.shutDown() }
        let (now, steady) = (clock.now(), clock.steady())
        wall.step(by: .seconds(seconds))
        let stepped = clock.now() - now - .seconds(seconds)
        #expect(stepped >= .milliseconds(-1) && stepped < .seconds(60))
        #expect(clock.steady() - steady >= .zero && clock.steady() - steady < .seconds(60))
        let distance = clock.shift - .seconds(seconds)
        #expect(distance > .milliseconds(-100) && distance < .milliseconds(100))
        #expect(clock.now() - clock.steady() >= clock.shift - .seconds(60))
    }

    @Test("nobody asks for the time, and the step is told all the same, once")
    func told() {
        let wall = Wall()
        let clock = SystemClock(wallClock: { wall.read() })
        defer { clock.shutDown() }
        let (steps, done) = (Log(), Promise<Bool>())
        clock.whenStepped { step in
            steps.add("\((step.milliseconds + 500) / 1000)")
            done.fulfil(true)
        }
        wall.step(by: .seconds(-600))
        #expect(done.wait(atMost: patience) == true)
        #expect(steps.all == ["-599"] || steps.all == ["-600"])
    }

    @Test("an alarm for a time fires when the wall clock shows it, one after a duration when that has passed")
    func alarms() {
        let wall = Wall()
        let clock = SystemClock(wallClock: { wall.read() })
        defer { clock.shutDown() }
        let (fired, done) = (Log(), Promise<Bool>())
        clock.schedule(at: clock.now() + .seconds(3_600)) { fired.add("time") }
        clock.schedule(after: .seconds(3_600)) { fired.add("duration") }
        clock.schedule(at: clock.now() + .seconds(7_300)) { fired.add("later") }
        clock.whenStepped { _ in clock.schedule(after: .milliseconds(20)) { done.fulfil(true) } }
        wall.step(by: .seconds(7_200))
        #expect(done.wait(atMost: patience) == true)
        #expect(fired.all == ["time"])
    }

    @Test("a time that the wall clock has been set back from is waited for again")
    func alarmsAfterAStepBack() {
        let wall = Wall()
        let clock = SystemClock(wallClock: { wall.read() })
        defer { clock.shutDown() }
        let (fired, told, done) = (Log(), Promise<Bool>(), Promise<Bool>())
        clock.whenStepped { _ in told.fulfil(true) }
        let due = clock.now() + .milliseconds(1_500)
        wall.step(by: .seconds(-600))
        clock.schedule(at: due) { fired.add("time") }
        clock.schedule(after: .milliseconds(1_600)) { done.fulfil(true) }
        #expect(told.wait(atMost: patience) == true && done.wait(atMost: patience) == true)
        #expect(fired.all.isEmpty)
    }

    @Test("a difference of less than half a second is no step")
    func jitter() {
        let wall = Wall()
        let clock = SystemClock(wallClock: { wall.read() })
        defer { clock.shutDown() }
        wall.step(by: .milliseconds(400))
        _ = clock.now()
        #expect(clock.shift == .zero)
    }
}

/// Texts as they were added.
final class Log: @unchecked Sendable {
    // Unchecked: `list` is touched under `lock`.
    private let lock = Lock()
    private var list: [String] = []

    func add(_ text: String) { lock.withLock { list.append(text) } }
    var all: [String] { lock.withLock { list } }
}
