import Values

/// Answers as they come in from any thread, to be waited for.
final class Gathered<Answer: Sendable>: @unchecked Sendable {
    // Unchecked: `list` is read and written under `lock`.
    private let lock = Lock()
    private let changed = Condition()
    private var list: [Answer] = []

    func add(_ answer: Answer) {
        lock.withLock {
            list.append(answer)
            changed.broadcast()
        }
    }

    /// All answers once there are `count`, or those that came within 20 s.
    func wait(for count: Int) -> [Answer] {
        let end = ContinuousClock.now + .seconds(20)
        lock.lock()
        defer { lock.unlock() }
        while list.count < count {
            let left = end - ContinuousClock.now
            if left <= .zero || !changed.wait(lock, atMost: left) { break }
        }
        return list
    }
}
