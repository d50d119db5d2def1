import Values

/// What a metered tenant has, and what of it is spoken for, as this process knows it.
///
/// Beside the balance it holds the sum of what the tenant's runs may still take by what they have in flight;
/// see ``RunHold``. Only in memory: a process that starts has nothing in flight.
final class TenantFunds: @unchecked Sendable {
    // Unchecked: read and written under the runtime's lock.
    let tenant: TenantID
    /// How far below zero the balance may fall by what is in flight, in milliseconds.
    private let overdraftMilliseconds: Int64
    /// In milliseconds, as last heard; nil where the store must be asked.
    var balance: Int64?
    /// Whether the operator has suspended the tenant: then there is no room, whatever the balance.
    var isSuspended: Bool
    /// The sum of its runs' holds, in milliseconds.
    private(set) var heldMilliseconds: Int64 = 0
    /// Its runs that wait for room; those that are over since then may be among them.
    private(set) var paused = PausedRuns()
    /// Its runs in memory, those whose start is being stored among them.
    var openRunCount = 0
    /// Its runs out of memory that are due and wait for others of it to leave; some may have come back since.
    var heldBack = PausedRuns()
    /// How often in a row the balance could not be read.
    var failedReadCount = 0
    /// Whether an alarm is set to read it again.
    var isReadDue = false

    /// Whether an attempt of that run may still start which has waited in the transport's queue.
    let mayStartLate: @Sendable (RunSlot, Duration, Instant) -> Bool

    init(
        tenant: TenantID, isSuspended: Bool, overdraftMax: Duration,
        mayStartLate: @escaping @Sendable (RunSlot, Duration, Instant) -> Bool
    ) {
        self.tenant = tenant
        self.isSuspended = isSuspended
        overdraftMilliseconds = overdraftMax.milliseconds
        self.mayStartLate = mayStartLate
    }

    /// Changes a run's hold, and the sum with it.
    func change(_ hold: inout RunHold, _ change: (inout RunHold) -> Void) {
        let before = hold.milliseconds
        change(&hold)
        heldMilliseconds += hold.milliseconds - before
    }

    /// Whether something is left beside what is held: in all, or but for `exempt` milliseconds of it.
    ///
    /// Never at a balance of zero or below, nor while the tenant is suspended.
    func hasRoom(besides exempt: Int64 = 0) -> Bool {
        guard !isSuspended, let balance, balance > 0 else { return false }
        return balance + overdraftMilliseconds - (heldMilliseconds - exempt) > 0
    }

    func addPaused(_ run: RunID) { paused.insert(run) }

    func takeOldestPaused() -> RunID? { paused.popFirst() }

    /// Notes that one of them is over; `isStill` tells which are not, should it be time to tidy up.
    func dropPaused(isStill: (RunID) -> Bool) { paused.noteGone(isStill: isStill) }
}

/// What a run may still take off its tenant's balance by what it has in flight.
///
/// A run's time is the union of its attempts' times. So it holds what lies between the first instant that is
/// not charged yet and the last at which an attempt of it can end; all of them steady instants of the clock.
struct RunHold {
    /// Attempts sent, of which no answer has been decided and stored.
    private(set) var attemptCount = 0
    /// In milliseconds.
    private(set) var milliseconds: Int64 = 0
    /// All run time before this is charged.
    private var chargedUpTo = Instant(microseconds: 0)
    /// By when every attempt in flight has ended.
    private(set) var end = Instant(microseconds: 0)
    /// By when the next attempts of a run that is being resumed have ended; nil for none.
    private var grantEnd: Instant?

    /// Time in flight that is not charged yet.
    func elapsedMilliseconds(at now: Instant) -> Int64 {
        attemptCount == 0 ? 0 : max(0, Self.milliseconds(now - chargedUpTo))
    }

    /// An attempt is sent.
    ///
    /// - Parameters:
    ///   - now: When.
    ///   - timeout: After which it has ended.
    mutating func beginAttempt(at now: Instant, timeout: Duration) {
        if attemptCount == 0 { (chargedUpTo, end) = (now, now) }
        attemptCount += 1
        end = max(end, now + timeout)
        measure()
    }

    /// An attempt starts later than it was handed on, and so ends later.
    mutating func extend(to end: Instant) {
        self.end = max(self.end, end)
        measure()
    }

    /// Answers are decided and stored; what was held for them is so until ``settle()``.
    mutating func endAttempts(_ count: Int) { attemptCount = max(0, attemptCount - count) }

    /// Run time was charged.
    mutating func charge(_ charged: Int64) {
        chargedUpTo = chargedUpTo + .milliseconds(charged)
        measure()
    }

    /// Keeps room for a run that is being resumed, until it has sent.
    mutating func grant(at now: Instant, timeout: Duration) {
        if attemptCount == 0 { (chargedUpTo, end) = (now, now) }
        grantEnd = now + timeout
        measure()
    }

    /// Nothing of the run is on its way to the disk any more: what is not in flight is not held.
    mutating func settle() {
        grantEnd = nil
        if attemptCount == 0 { end = chargedUpTo }
        measure()
    }

    private mutating func measure() {
        let last = grantEnd.map { max($0, end) } ?? end
        milliseconds = max(0, Self.milliseconds(last - chargedUpTo))
    }

    /// Rounded up.
    private static func milliseconds(_ duration: Duration) -> Int64 {
        let microseconds = duration.microseconds
        return microseconds > 0 ? (microseconds + 999) / 1000 : 0
    }
}

/// Runs, of which the oldest is taken first; adding and taking take logarithmic time.
struct PausedRuns {
    /// A binary heap, the oldest first.
    private var heap: [RunID] = []
    /// Of those in `heap`, how many are known to be over.
    private var goneCount = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func insert(_ run: RunID) {
        heap.append(run)
        rise(heap.count - 1)
    }

    mutating func popFirst() -> RunID? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        } else {
            goneCount = 0
        }
        return first
    }

    /// One of them is over; once most are, they are forgotten.
    mutating func noteGone(isStill: (RunID) -> Bool) {
        goneCount += 1
        guard goneCount > 64, goneCount * 2 > heap.count else { return }
        // An ascending array is a heap.
        heap = heap.filter(isStill).sorted()
        goneCount = 0
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            guard smallest != index else { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
