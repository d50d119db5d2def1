package import Engine
import Ports
package import Storage
package import Values

// Reading runs back from their journals.

extension Runtime {
    /// Reads every run that is running or paused, sets each going again, and raises what was not yet announced.
    ///
    /// Called once, before anything else arrives. Runs that wait stay in the store until their time comes, so
    /// that however many they are, none of them keeps a process from starting. Returns how many runs are open.
    ///
    /// - Throws: ``StoreError`` where the store cannot be read; nothing has been sent then.
    @discardableResult
    package func recover() throws(StoreError) -> Int {
        try catalog.loadRunListeners()
        var last: RunID?
        var count = 0
        var read: [RunID] = []
        while true {
            let page = try store.openRuns(after: last, limit: 500)
            for record in page where try readBack(record) { read.append(record.run) }
            count += page.count
            guard let newest = page.last else { break }
            last = newest.run
        }
        try setGoing(read)
        for depletion in try store.pendingDepletions() { announce(depletion) }
        sweepMail()
        try resumeErasures()
        scheduleHousekeeping()
        let (waiting, actions) = lock.withLock { (waitingCount, setWakeAlarm()) }
        perform(actions)
        return count + waiting
    }

    /// Sets runs going once all are in memory, because they may depend on each other.
    private func setGoing(_ runs: [RunID]) throws(StoreError) {
        let adoptions = lock.withLock { self.adoptions(by: runs) }
            .merging(try childrenInDoubt(of: runs)) { $0 + $1 }
        for run in runs {
            lock.lock()
            let actions = slots[run].map { setGoing($0, after: adoptions[run] ?? []) + flush() } ?? []
            lock.unlock()
            perform(actions)
        }
        for run in runs { try cancelIfOrphaned(run) }
        perform(lock.withLock { queues.keys.sorted().flatMap { admitNext($0) } })
    }

    /// Whether the run can be read.
    private func readBack(_ record: RunRecord) throws(StoreError) -> Bool {
        guard let slot = try slot(of: record) else {
            try keepTurn(ofUnreadable: record)
            return false
        }
        lock.withLock {
            slots[record.run] = slot
            noteDescendants(of: slot)
            takePlace(slot)
            restoreQueue(slot)
        }
        return true
    }

    /// A run that is not in memory, read from the store; nil after noting why it cannot be read.
    func slot(of record: RunRecord) throws(StoreError) -> RunSlot? {
        guard let machine = try machine(of: record) else { return nil }
        let generation = vault.generation
        let secrets = try vault.secrets(of: record.tenant)
        let slot = RunSlot(
            tenant: record.tenant,
            funds: record.tenant == .operatorTenant ? nil : lock.withLock { funds(of: record.tenant) },
            machine: machine,
            surroundings: try surroundings(
                of: record.tenant, plan: machine.plan, secrets: secrets, generation: generation),
            secretGeneration: generation, sealer: vault.sealer(of: record.tenant))
        if record.status == .waiting { slot.stored = .waiting(until: record.wakeAt) }
        return slot
    }

    /// The run as its journal tells it; nil after noting why it cannot be read.
    private func machine(of record: RunRecord) throws(StoreError) -> RunMachine? {
        guard let plan = try catalog.plan(digest: record.digest, of: record.tenant) else {
            strand(record.run, "its workflow's source no longer loads in this version")
            return nil
        }
        var records: [JournalRecord] = []
        let stored = try store.entries(of: record.run)
        for entry in stored {
            do throws(JournalProblem) {
                records.append(
                    try JournalRecord(stored: entry, of: record.run, by: vault.sealer(of: record.tenant)))
            } catch {
                strand(record.run, "its journal entry \(error.key) cannot be read: \(error.reason)")
                return nil
            }
        }
        var machine = RunMachine(run: record.run, plan: plan, records: records)
        machine.noteFacts(of: records, stored: stored)
        return machine
    }

    /// Called under the lock, with a machine that has just been read.
    private func setGoing(_ slot: RunSlot, after adoptions: [RunInput] = []) -> [Action] {
        stuck[slot.run] = nil
        slot.waitingInputs.insert(contentsOf: adoptions + [.recovered(at: clock.now())], at: 0)
        return decideWaiting(slot)
    }

    /// Reads one run again after the store refused one of its commits; its inputs have waited.
    func reload(_ slot: RunSlot) {
        let run = lock.withLock { slot.run }
        do throws(StoreError) {
            guard let record = try store.run(run, of: slot.tenant) else {
                lock.lock()
                stuck[run] = nil
                let actions = giveUp(slot, "its record is gone") + flush()
                lock.unlock()
                return perform(actions)
            }
            let machine = try machine(of: record)
            lock.lock()
            var actions: [Action] = []
            if let machine {
                slot.machine = machine
                slot.stored = record.status == .waiting ? .waiting(until: record.wakeAt) : .open
                slot.isCommitting = false
                // Its end may have been stored although the store did not say so.
                actions = machine.state.outcome.map { finish(slot, $0) } ?? setGoing(slot)
            } else {
                actions = giveUp(slot, stuck[run] ?? "its journal cannot be read")
            }
            actions += flush()
            lock.unlock()
            perform(actions)
            announcePending(of: slot.tenant)
            // Its end may have been stored although the store did not say so.
            sweepMailLater()
        } catch {
            clock.schedule(after: .seconds(1)) { [self] in reload(slot) }
        }
    }

    /// A receipt that never came may have told of a balance that ran out; what is known by now is not told twice.
    private func announcePending(of tenant: TenantID) {
        // Unreadable just now: it stays in the outbox, and the next reading finds it.
        let pending = (try? store.pendingDepletions()) ?? []
        for depletion in pending where depletion.tenant == tenant { announce(depletion) }
    }

    /// Lets go of a run that cannot go on in this process, and tells all who wait for it.
    ///
    /// It is not over: the next process reads its journal and tries again. But nobody is kept waiting for that:
    /// who asked for its end is told a failure, with the code `run_stuck`; who gave it an order or a signal that
    /// is not durable, what is told of a run that is not open. Called under the lock.
    func giveUp(_ slot: RunSlot, _ reason: String) -> [Action] {
        slots[slot.run] = nil
        cancelAlarms(of: slot)
        let outcome = RunOutcome(status: .failed, error: StepError(code: "run_stuck", message: reason))
        defer { (slot.waiters, slot.orderWaiters, slot.signalWaiters, slot.replier) = ([], [], [], nil) }
        return dropHold(of: slot) + tellParent(of: slot.run, outcome)
            + slot.orderWaiters.map { waiter in { waiter(nil) } }
            + slot.signalWaiters.map { waiter in { waiter.completion(.runOver) } }
            + slot.waiters.map { waiter in { waiter(outcome) } }
    }

    private func strand(_ run: RunID, _ problem: String) {
        let reason = "\(problem): \(Self.stuckAdvice)"
        lock.withLock { stuck[run] = reason }
        log.write(.error, "run.stuck", [("run", .string("\(run)")), ("reason", .string(reason))])
    }
}

// MARK: - Housekeeping

extension Runtime {
    private func scheduleHousekeeping(isBehind: Bool = false) {
        // Behind after a busy day: small portions, but soon after each other.
        let pause = isBehind ? min(.seconds(1), options.housekeepingInterval) : options.housekeepingInterval
        clock.schedule(after: pause) { [self] in
            let isBehind = keepHouse()
            if !lock.withLock({ isStopping || fatal != nil }) { scheduleHousekeeping(isBehind: isBehind) }
        }
    }

    /// Deletes what is past its retention, in small portions, so that nothing else waits for long.
    ///
    /// Returns whether more is waiting to be deleted.
    @discardableResult
    package func keepHouse() -> Bool {
        let now = clock.now()
        let (runLimit, keyLimit) = (200, 500)
        do throws(StoreError) {
            let before = Instant(microseconds: now.microseconds - options.runRetention.microseconds)
            let since = lock.withLock { retention.startedSince(at: now) }
            let deleted = try store.deleteRuns(
                finishedBefore: before, startedSince: since, limit: runLimit)
            if deleted < runLimit {
                lock.withLock { retention.noteDeleted(upTo: before, isWhole: since == nil, at: now) }
            }
            let forgotten = try store.forgetDedupeKeys(
                before: Instant(microseconds: now.microseconds - options.dedupeRetention.microseconds),
                limit: keyLimit)
            metrics.add("runs_deleted_total", "", Int64(deleted))
            metrics.add("dedupe_keys_forgotten_total", "", Int64(forgotten))
            return deleted == runLimit || forgotten == keyLimit
        } catch {
            log.write(.warning, "housekeeping.failed", [("error", .string(error.label))])
            return false
        }
    }
}

// MARK: - Looking, stopping

extension Runtime {
    /// Whether runs can start, and if not, why.
    package var readiness: (isReady: Bool, reason: String) {
        lock.withLock {
            if let fatal { return (false, "the store has failed: \(fatal.label)") }
            if isStopping { return (false, "stopping") }
            if isOutOfRoom { return (false, "there is no room on the disk") }
            return (true, "ready")
        }
    }

    /// Runs that are not over, how many of them only wait and are not in memory, attempts in flight, and runs
    /// that cannot go on.
    package var load: (openRuns: Int, waitingRuns: Int, sent: Int, stuck: [RunID: String]) {
        lock.withLock { (slots.count + startingCount + waitingCount, waitingCount, sentCount, stuck) }
    }

    /// Calls `waiter` when the run is over, or `otherwise` where it is not open (any more).
    package func whenOver(
        _ run: RunID, otherwise: @escaping @Sendable () -> Void,
        _ waiter: @escaping @Sendable (RunOutcome) -> Void
    ) {
        withSlot(run) { slot in
            slot?.waiters.append(waiter)
            return slot == nil ? [otherwise] : []
        }
    }

    /// As ``whenOver(_:otherwise:_:)``; returns false where the run is not open.
    ///
    /// Waits while a run out of memory is read; not for the clock's thread.
    package func whenOver(_ run: RunID, _ waiter: @escaping @Sendable (RunOutcome) -> Void) -> Bool {
        let isOpen = Promise<Bool>()
        withSlot(run) { slot in
            slot?.waiters.append(waiter)
            return [{ isOpen.fulfil(slot != nil) }]
        }
        return isOpen.wait()
    }

    /// Sends nothing more, waits up to `limit` for the answers under way, and returns whether all
    /// came.
    ///
    /// What is left is sent again by the next process under the same keys (I3).
    @discardableResult
    package func drain(atMost limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        lock.lock()
        defer { lock.unlock() }
        isStopping = true
        while sentCount > 0 {
            let left = end - ContinuousClock.now
            if left <= .zero || !allAnswered.wait(lock, atMost: left) { return sentCount == 0 }
        }
        return true
    }
}

extension Runtime {
    /// SHA-256, to tell two contents under one key apart.
    package func fingerprint(_ bytes: [UInt8]) -> [UInt8] { cryptography.sha256(bytes) }
}
