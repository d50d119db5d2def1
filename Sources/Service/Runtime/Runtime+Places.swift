import Engine
import Storage
import Values

// Places for runs in memory: so many for all, and of these so many for one tenant, so that none of them can keep
// the others out. What is counted is what is in memory or on its way there; a process that starts counts again as
// it reads its runs, so the counts need no rows.

extension Runtime {
    /// Why no place is left for a start; nil where there is one.
    ///
    /// Attached children may go beyond either limit, because their parents hold places until they are over. An
    /// eighth is the operator's alone, whom no limit for a tenant binds: tenants without balance that fill the
    /// rest must be able to pay. Called under the lock.
    func refusal(of start: RunStart, _ slot: RunSlot) -> StartResult? {
        guard !isStopping, fatal == nil else { return .overloaded }
        let factor = start.parent.map { $0.isDetached ? 1 : 2 } ?? 1
        if let funds = slot.funds, funds.openRunCount >= options.openRunCountMaxOfTenant * factor {
            return .tooManyRuns
        }
        let limit = options.openRunCountMax
        let limitOfAll = factor > 1 || slot.isMetered ? limit * factor : limit + limit / 8
        return slots.count + startingCount - excessRunCount < limitOfAll ? nil : .overloaded
    }

    /// A run comes into memory; to be called once for each.
    ///
    /// Called under the lock.
    func takePlace(_ slot: RunSlot) {
        guard let funds = slot.funds, !slot.hasPlace else { return }
        slot.hasPlace = true
        funds.openRunCount += 1
        if funds.openRunCount > options.openRunCountMaxOfTenant { excessRunCount += 1 }
    }

    /// It has left, or was never stored; a second call does nothing.
    ///
    /// Called under the lock.
    func giveBackPlace(_ slot: RunSlot) {
        guard let funds = slot.funds, slot.hasPlace else { return }
        slot.hasPlace = false
        if funds.openRunCount > options.openRunCountMaxOfTenant { excessRunCount -= 1 }
        funds.openRunCount -= 1
        if !funds.heldBack.isEmpty { letIn(funds) }
    }

    // MARK: - Waking

    /// Whether a run that is due, and that nobody asks for, waits until others of its tenant have left memory.
    ///
    /// Twice as many are let in as may start, or starts could take every place that becomes free. Of a crowd that
    /// wakes to be paused at once, for want of balance, the rest so stays where it costs nothing. Called
    /// under the lock, with the run marked in ``loading``.
    /// - Parameters:
    ///   - record: The run.
    ///   - count: How many more of its tenant have been read, and are about to come into memory.
    /// - Returns: Whether it waits, and is marked no longer.
    func isHeldBack(_ record: RunRecord, after count: Int) -> Bool {
        guard record.tenant != .operatorTenant, loading[record.run]?.isEmpty == true else { return false }
        let funds = funds(of: record.tenant)
        guard funds.openRunCount + count >= options.openRunCountMaxOfTenant * 2 else { return false }
        loading[record.run] = nil
        funds.heldBack.insert(record.run)
        metrics.add("wakes_held_back_total")
        return true
    }

    /// Has runs woken that were held back, the oldest first, as many as there are places.
    private func letIn(_ funds: TenantFunds) {
        for _ in 0..<max(0, options.openRunCountMaxOfTenant * 2 - funds.openRunCount) {
            guard let run = funds.heldBack.popFirst() else { break }
            // As long due as can be, so that the list takes it whatever it knows.
            wakes.insert(WakeTime(at: Instant(microseconds: 0), run: run))
        }
        // A list that holds something has nothing to be read first.
        if wakes.next != nil { _ = setWakeAlarm() }
    }
}
