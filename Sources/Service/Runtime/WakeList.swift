import Storage
import Values

/// The next times at which waiting runs go on by themselves; a value without clock or store.
///
/// It holds the earliest ones only. Of those behind, the store tells once these are used up, so that a
/// million sleeping runs take no more memory than a thousand.
struct WakeList {
    /// Latest first, so that the next to come is taken from the end.
    private var times: [WakeTime] = []
    /// Every run that waits up to this one is in `times`, or was taken; nil where nothing is known yet.
    private(set) var knownUpTo: WakeTime?
    /// Whether that goes for every run.
    private var isComplete = false
    /// Whether a page is being read: what is told meanwhile may have come too late for it.
    private(set) var isRefilling = false

    /// Above this many, all but the first ``pageSize`` are left to the store.
    static let countMax = 2_000
    /// How many the store is asked for at once.
    static let pageSize = 1_000

    /// When the next run goes on; nil where none does, or where only the store knows.
    var next: Instant? { times.last?.at }

    /// Whether the store must be asked for what comes next.
    var needsRefill: Bool { times.isEmpty && !isComplete && !isRefilling }

    /// Notes a run whose wait is durable; the same twice is one.
    mutating func insert(_ time: WakeTime) {
        guard isComplete || isRefilling || knownUpTo.map({ time <= $0 }) ?? false else { return }
        let index = position(of: time)
        guard index == times.count || times[index] != time else { return }
        times.insert(time, at: index)
        if times.count > Self.countMax, !isRefilling { shrink() }
    }

    /// Takes out up to `limit` that are due.
    mutating func takeDue(at now: Instant, atMost limit: Int) -> [WakeTime] {
        var due: [WakeTime] = []
        while due.count < limit, let last = times.last, last.at <= now {
            times.removeLast()
            due.append(last)
        }
        return due
    }

    /// From now on everything told is kept, until the page is here.
    mutating func beginRefill() { isRefilling = true }

    /// The page that follows ``knownUpTo``, or nil where it could not be read.
    mutating func endRefill(_ page: [WakeTime]?) {
        isRefilling = false
        guard let page else { return }
        isComplete = page.count < Self.pageSize
        if let last = page.last { knownUpTo = max(knownUpTo ?? last, last) }
        isRefilling = true
        for time in page { insert(time) }
        isRefilling = false
        // What lies behind is durable, so a later page has it.
        if !isComplete, let knownUpTo { times.removeAll { $0 > knownUpTo } }
        if times.count > Self.countMax { shrink() }
    }

    private mutating func shrink() {
        times.removeFirst(times.count - Self.pageSize)
        knownUpTo = times.first
        isComplete = false
    }

    /// Where a time stands or belongs.
    private func position(of time: WakeTime) -> Int {
        var (low, high) = (0, times.count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] > time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
