import Testing
import Values

@Suite("Locks, conditions, promises, threads")
struct LockingTests {
    @Test("A lock lets one thread in at a time")
    func mutualExclusion() {
        let counter = Counter()
        let threads = (0..<8).map { _ in
            WorkerThread(name: "counting") { for _ in 0..<1000 { counter.increase() } }
        }
        for thread in threads { thread.join() }
        #expect(counter.count == 8000)
    }

    @Test("A lock is given up when its body throws")
    func throwingBody() {
        struct Problem: Error {}
        let lock = Lock()
        #expect(throws: Problem.self) { try lock.withLock { throw Problem() } }
        #expect(lock.withLock { true })
    }

    @Test("A timed wait ends by itself, not before its time")
    func timedWait() {
        let (lock, condition) = (Lock(), Condition())
        let start = ContinuousClock.now
        let end = start + .milliseconds(30)
        lock.withLock {
            while ContinuousClock.now < end { _ = condition.wait(lock, atMost: .milliseconds(30)) }
        }
        #expect(ContinuousClock.now - start >= .milliseconds(30))
        let isWoken = lock.withLock { condition.wait(lock, atMost: .seconds(-1)) }
        #expect(!isWoken)
    }

    @Test("A promise hands its first value to all who wait")
    func promises() {
        let promise = Promise<Int>()
        let sum = Counter()
        let threads = (0..<4).map { _ in
            WorkerThread(name: "waiting") { for _ in 0..<promise.wait() { sum.increase() } }
        }
        promise.fulfil(7)
        promise.fulfil(8)
        for thread in threads { thread.join() }
        #expect(sum.count == 28)
        #expect(promise.wait(atMost: .zero) == 7)
    }

    @Test("A promise that nobody fulfils is waited for no longer than asked")
    func unfulfilledPromise() {
        let promise = Promise<Int>()
        #expect(promise.wait(atMost: .milliseconds(20)) == nil)
        #expect(promise.wait(atMost: .seconds(-1)) == nil)
    }
}

/// A count that several threads raise.
private final class Counter: @unchecked Sendable {
    // Unchecked: `value` is read and written under `lock`.
    private let lock = Lock()
    private var value = 0

    var count: Int { lock.withLock { value } }
    func increase() { lock.withLock { value += 1 } }
}
