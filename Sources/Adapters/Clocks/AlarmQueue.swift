package import Ports
package import Values

/// A queue of alarms, ordered by instant and then by the order in which they were made.
///
/// A plain value without a clock. Its instants are steady ones. An alarm for a wall-clock time is kept at the
/// steady instant at which the wall clock will show that time; it moves if the wall clock is stepped.
///
/// A binary heap of (instant, number) beside a table of actions. ``remove(_:)`` takes an alarm out of the
/// table only; the heap is rebuilt once most of its entries are withdrawn. Both operations cost O(log n) on
/// average.
package struct AlarmQueue: Sendable {
    private struct Entry: Sendable {
        var instant: Instant
        let number: UInt64
        let followsWallClock: Bool

        static func < (left: Entry, right: Entry) -> Bool {
            left.instant == right.instant ? left.number < right.number : left.instant < right.instant
        }
    }

    private var heap: [Entry] = []
    private var actions: [UInt64: @Sendable () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    package init() {}

    package var count: Int { actions.count }

    /// Adds an alarm and returns its id, and whether it is now the earliest of all.
    package mutating func insert(
        at instant: Instant, followsWallClock: Bool = false, _ action: @escaping @Sendable () -> Void
    ) -> (id: AlarmID, isEarliest: Bool) {
        lastNumber += 1
        actions[lastNumber] = action
        heap.append(Entry(instant: instant, number: lastNumber, followsWallClock: followsWallClock))
        siftUp(heap.count - 1)
        return (AlarmID(number: lastNumber), heap.first?.number == lastNumber)
    }

    /// Withdraws an alarm; unknown ids are ignored.
    package mutating func remove(_ id: AlarmID) {
        guard actions.removeValue(forKey: id.number) != nil else { return }
        if heap.count > 64, heap.count > 2 * actions.count { compact() }
    }

    package mutating func removeAll() {
        heap = []
        actions = [:]
    }

    /// Moves the alarms for wall-clock times after the wall clock has been stepped by `step`.
    package mutating func wallClockStepped(by step: Duration) {
        for index in heap.indices where heap[index].followsWallClock {
            heap[index].instant = heap[index].instant.moved(by: .zero - step)
        }
        restoreOrder()
    }

    /// When the earliest alarm is due; nil if there is none.
    package mutating func nextInstant() -> Instant? {
        while let first = heap.first {
            if actions[first.number] != nil { return first.instant }
            removeFirst()
        }
        return nil
    }

    /// Removes and returns the earliest alarm if it is due at `now`; otherwise nil.
    package mutating func popDue(at now: Instant) -> (instant: Instant, action: @Sendable () -> Void)? {
        while let first = heap.first {
            guard let action = actions[first.number] else {
                removeFirst()
                continue
            }
            guard first.instant <= now else { return nil }
            removeFirst()
            actions[first.number] = nil
            return (first.instant, action)
        }
        return nil
    }

    // MARK: - Heap

    private mutating func compact() {
        heap = heap.filter { actions[$0.number] != nil }
        restoreOrder()
    }

    private mutating func restoreOrder() {
        for index in stride(from: heap.count / 2, through: 0, by: -1) { siftDown(index) }
    }

    private mutating func removeFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index] < heap[parent] else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            let left = 2 * index + 1
            if left < heap.count, heap[left] < heap[least] { least = left }
            if left + 1 < heap.count, heap[left + 1] < heap[least] { least = left + 1 }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
