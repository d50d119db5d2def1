import Values

/// The true time of the simulated world, and all that is going to happen, in the order of its instants.
///
/// Nothing happens but by ``step()``, on one thread, so that one seed always gives one story.
final class Timeline: @unchecked Sendable {
    // Unchecked: used by one thread.
    private struct Happening {
        let at: Instant
        let number: UInt64
        let action: @Sendable () -> Void

        func comesBefore(_ other: Happening) -> Bool {
            at == other.at ? number < other.number : at < other.at
        }
    }

    private(set) var now: Instant
    private var heap: [Happening] = []
    private var withdrawn: Set<UInt64> = []
    private var count: UInt64 = 0

    init(at start: Instant) { now = start }

    var isEmpty: Bool { heap.isEmpty }

    /// Plans something; in the past means now.
    @discardableResult
    func plan(at instant: Instant, _ action: @escaping @Sendable () -> Void) -> UInt64 {
        count += 1
        heap.append(Happening(at: max(instant, now), number: count, action: action))
        var index = heap.count - 1
        while index > 0, heap[index].comesBefore(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
        return count
    }

    @discardableResult
    func plan(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> UInt64 {
        plan(at: now + delay, action)
    }

    /// What is still to come holds on to all that the story was about.
    func forgetAll() { heap = [] }

    func withdraw(_ number: UInt64) { withdrawn.insert(number) }

    /// Time passes and nothing happens meanwhile: what was due is late.
    func stall(for duration: Duration) { now = now + duration }

    /// Lets the next thing happen; false where there is none.
    func step() -> Bool {
        while let next = takeFirst() {
            if withdrawn.remove(next.number) != nil { continue }
            now = max(now, next.at)
            next.action()
            return true
        }
        return false
    }

    private func takeFirst() -> Happening? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if heap[child].comesBefore(heap[least]) { least = child }
            }
            if least == index { return first }
            heap.swapAt(index, least)
            index = least
        }
    }
}
