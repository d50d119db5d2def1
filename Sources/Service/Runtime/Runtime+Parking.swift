import Engine
import Ports
import Storage
import Values

// Runs that only wait are not in memory: their rows say `waiting` and until when. They are read back when
// that time has come, or when someone asks for them.

extension Runtime {
    /// What is done with a run, under the lock; nil where it is not open.
    typealias SlotUse = @Sendable (RunSlot?) -> [Action]

    /// Who waits for a run that has left memory.
    struct Awaited {
        var waiters: [@Sendable (RunOutcome) -> Void]
        var replier: (@Sendable (RunReply) -> Void)?
    }

    /// Does something with a run that is in memory, or waits in the store.
    ///
    /// `use` is called under the lock: at once, or on the thread that reads the run back. While one thread
    /// reads, what others want of the run waits for it, so that no run is read twice. A run that cannot be
    /// read just now is tried again every second.
    func withSlot(_ run: RunID, _ use: @escaping SlotUse) {
        lock.lock()
        if slots[run] != nil || fatal != nil {
            let actions = use(fatal == nil ? slots[run] : nil) + flush()
            lock.unlock()
            return perform(actions)
        }
        let isFirst = loading[run] == nil
        loading[run, default: []].append(use)
        lock.unlock()
        if isFirst { load([run]) }
    }

    /// Reads runs back that are marked in ``loading``, and sets them going together.
    private func load(_ runs: [RunID]) {
        var read: [(run: RunID, slot: RunSlot?)] = []
        for (index, run) in runs.enumerated() {
            do throws(StoreError) {
                let record = try store.waitingRun(run)
                let others = read.count { $0.slot?.tenant == record?.tenant }
                if let record, lock.withLock({ isHeldBack(record, after: others) }) { continue }
                read.append((run, try readBack(record)))
            } catch {
                let rest = Array(runs[index...])
                clock.schedule(after: .seconds(1)) { [self] in load(rest) }
                break
            }
        }
        lock.lock()
        var actions: [Action] = []
        for (run, slot) in read { actions += take(slot, run) }
        // Never in place: most are out of memory, so that in a crowd of signals each would seem to be alone.
        actions += flush(mayCommitInPlace: false)
        lock.unlock()
        perform(actions)
    }

    /// A waiting run as its journal tells it; nil for one that is not waiting or cannot be read.
    private func readBack(_ record: RunRecord?) throws(StoreError) -> RunSlot? {
        guard let record, let slot = try slot(of: record),
            slot.machine.state.outcome == nil
        else { return nil }
        return slot
    }

    /// Called under the lock, with what was read.
    private func take(_ slot: RunSlot?, _ run: RunID) -> [Action] {
        let uses = loading.removeValue(forKey: run) ?? []
        guard let slot, fatal == nil else { return uses.flatMap { $0(nil) } }
        waitingCount -= 1
        slots[run] = slot
        noteDescendants(of: slot)
        takePlace(slot)
        stuck[run] = nil
        if let awaited = awaited.removeValue(forKey: run) {
            slot.waiters = awaited.waiters
            slot.replier = awaited.replier
        }
        slot.waitingInputs = [.recovered(at: clock.now())]
        // The first may find nothing to do, and those behind it must not be given what has left memory.
        slot.isHandedOut = true
        let actions = uses.flatMap { $0(slot) }
        slot.isHandedOut = false
        return actions + decideWaiting(slot) + leaveIfAtRest(slot)
    }
}

// MARK: - Leaving

extension Runtime {
    /// Says in a commit that the run waits from then on, or no longer does.
    ///
    /// Called under the lock, before the commit is handed on.
    func park(_ commit: inout RunCommit, _ slot: RunSlot, _ decision: Decision) {
        guard commit.status?.isFinal != true else { return }
        // Most decisions send something, and need no look at the state.
        if !decision.effects.contains(where: \.isSend), let rest = slot.machine.rest,
            isLong(rest, slot)
        {
            commit.status = .waiting
            commit.wakeAt = rest.until
        } else if slot.stored != .open, commit.status == nil {
            commit.status = .running
        }
    }

    /// Whether a rest is worth the reading of the whole journal at its end.
    ///
    /// A loop that waits a little in each turn would else read more each time than it ever does.
    private func isLong(_ rest: RunMachine.Rest, _ slot: RunSlot) -> Bool {
        let reading = Duration.milliseconds(slot.machine.state.sequence)
        return rest.until.map { $0 > clock.now() + max(options.parkingDelay, reading) } ?? true
    }

    /// Lets go of a run that was read back and has nothing to do.
    ///
    /// Called under the lock.
    func leaveIfAtRest(_ slot: RunSlot) -> [Action] {
        guard slot.mayLeave, slots[slot.run] === slot, let rest = slot.machine.rest,
            isLong(rest, slot),
            slot.stored == .waiting(until: rest.until)
        else { return [] }
        return leave(slot)
    }

    /// A run whose first commit says that it waits.
    ///
    /// Called under the lock. Someone may have found it in the store already, and read it.
    func leaveAtStart(_ slot: RunSlot, _ effects: [RunEffect]) -> [Action] {
        let actions = carryOut(effects.filter { !$0.isAlarm }, of: slot)
        guard let other = slots[slot.run] else { return actions + leave(slot) }
        waitingCount += 1
        giveBackPlace(slot)
        other.waiters += slot.waiters
        if other.replier == nil { other.replier = slot.replier }
        return actions
    }

    /// Forgets a run whose wait is durable.
    ///
    /// Called under the lock.
    func leave(_ slot: RunSlot) -> [Action] {
        slots[slot.run] = nil
        cancelAlarms(of: slot)
        waitingCount += 1
        if !slot.waiters.isEmpty || slot.replier != nil {
            awaited[slot.run] = Awaited(waiters: slot.waiters, replier: slot.replier)
        }
        let actions = dropHold(of: slot)
        guard case .waiting(let until) = slot.stored, let until else { return actions }
        wakes.insert(WakeTime(at: until, run: slot.run))
        return actions + setWakeAlarm()
    }
}

extension RunSlot {
    /// Whether nothing of it is on its way and nobody in this process needs it.
    var mayLeave: Bool {
        !isCommitting && !isHandedOut && waitingInputs.isEmpty && orderWaiters.isEmpty
            && signalWaiters.isEmpty
    }
}

extension RunCommit {
    /// How the row stands once it is stored.
    var stored: RunSlot.Stored { status == .waiting ? .waiting(until: wakeAt) : .open }
}

// MARK: - Waking

extension Runtime {
    /// Runs woken at once: in between, other alarms have their turn.
    private static let wakeCountMax = 64
    /// With this many attempts in flight no more runs are woken: a million that sleep until the same
    /// instant must not all be in memory then.
    private static let sentCountMaxForWaking = 10_000

    /// Sets the one alarm on the clock that stands for all runs out of memory.
    ///
    /// Called under the lock.
    func setWakeAlarm() -> [Action] {
        guard !isStopping, fatal == nil else { return [] }
        if wakes.needsRefill {
            wakes.beginRefill()
            return [{ [self] in clock.schedule(after: .zero) { self.refillWakes() } }]
        }
        guard let next = wakes.next else { return [] }
        setWakeAlarm(at: next)
        return []
    }

    private func setWakeAlarm(at instant: Instant) {
        if let wakeAlarm {
            if wakeAlarm.at <= instant { return }
            clock.cancel(wakeAlarm.id)
        }
        wakeAlarm = (clock.schedule(at: instant) { [self] in wakeDue() }, instant)
    }

    /// On the clock's thread: wakes what is due, a portion at a time.
    private func wakeDue() {
        lock.lock()
        wakeAlarm = nil
        guard !isStopping, fatal == nil else { return lock.unlock() }
        let now = clock.now()
        guard sentCount < Self.sentCountMaxForWaking else {
            wakeAlarm = (clock.schedule(after: .milliseconds(20)) { [self] in wakeDue() }, now)
            return lock.unlock()
        }
        let due = markLoading(wakes.takeDue(at: now, atMost: Self.wakeCountMax))
        lock.unlock()
        load(due)
        lock.lock()
        let actions = setWakeAlarm()
        lock.unlock()
        perform(actions)
    }

    /// Those that this thread is to read back: one that is in memory, or on its way, has alarms of its own.
    ///
    /// Called under the lock.
    private func markLoading(_ times: [WakeTime]) -> [RunID] {
        times.compactMap { time in
            guard slots[time.run] == nil, loading[time.run] == nil else { return nil }
            loading[time.run] = []
            return time.run
        }
    }

    /// Reads waiting runs back, a portion at a time, so that each waits until the right time of a wall clock that
    /// has been set back: what is to end after a duration would else end that much later.
    ///
    /// A clock that was set forward needs no such thing: a run that it wakes too early waits on.
    func placeWaitingRuns(after last: WakeTime?) {
        let page: [WakeTime]
        do throws(StoreError) {
            page = try store.waitingRuns(after: last, limit: Self.wakeCountMax)
        } catch {
            clock.schedule(after: .seconds(1)) { [self] in placeWaitingRuns(after: last) }
            return
        }
        lock.lock()
        guard !isStopping, fatal == nil else { return lock.unlock() }
        let runs = markLoading(page)
        lock.unlock()
        load(runs)
        guard page.count == Self.wakeCountMax else { return }
        clock.schedule(after: .milliseconds(5)) { [self] in placeWaitingRuns(after: page.last) }
    }

    /// On the clock's thread: asks the store for the next page.
    private func refillWakes() {
        let after = lock.withLock { wakes.knownUpTo }
        var page: [WakeTime]?
        do throws(StoreError) { page = try store.waitingRuns(after: after, limit: WakeList.pageSize) } catch {
            log.write(.warning, "wakes.not_read", [("error", .string(error.label))])
        }
        lock.lock()
        wakes.endRefill(page)
        guard page != nil else {
            wakes.beginRefill()
            lock.unlock()
            clock.schedule(after: .seconds(1)) { [self] in refillWakes() }
            return
        }
        let actions = setWakeAlarm()
        lock.unlock()
        perform(actions)
    }
}
