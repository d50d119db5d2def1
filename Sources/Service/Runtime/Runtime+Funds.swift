package import Billing
import Engine
import Ports
import Storage
package import Values

// What runs may use of their tenant's balance. The balance is charged after an attempt, so what is in flight is
// held off it: a run may send while something is left, of a balance above zero and of what a tenant may overdraw,
// beside what the tenant's other runs hold and what it has used itself. So a balance falls below zero by what may
// be overdrawn and the time of one attempt at most, and a tenant with any balance can always have one run in flight.

extension Runtime {
    /// How a tenant stands when a run of it starts.
    struct Standing {
        /// Nil where it is not metered.
        var funds: TenantFunds?
        /// Whether its balance is above zero.
        var isFunded: Bool
        /// Whether something of it is left beside what is held.
        var hasRoom: Bool
        /// Nil for a tenant that is not suspended.
        var suspension: Tenant.Suspension?
    }

    /// The balance from memory where it is positive, else from the store.
    func standing(of tenant: Tenant) throws(StoreError) -> Standing {
        guard tenant.isMetered else { return Standing(funds: nil, isFunded: true, hasRoom: true) }
        let (funds, known, hasRoom, suspension) = lock.withLock {
            let funds = self.funds(of: tenant.tenant)
            return (funds, funds.balance, funds.hasRoom(), suspended[tenant.tenant])
        }
        if let suspension {
            return Standing(funds: funds, isFunded: false, hasRoom: false, suspension: suspension)
        }
        if let known, known > 0 { return Standing(funds: funds, isFunded: true, hasRoom: hasRoom) }
        let read = try store.account(of: tenant.tenant).balanceMilliseconds
        return lock.withLock {
            // Only where nothing is known: a receipt that came meanwhile is newer than what was read.
            if funds.balance == nil { funds.balance = read }
            return Standing(funds: funds, isFunded: read > 0, hasRoom: read > 0 && funds.hasRoom())
        }
    }

    /// Called under the lock.
    func funds(of tenant: TenantID) -> TenantFunds {
        if let known = funds[tenant] { return known }
        let made = TenantFunds(
            tenant: tenant, isSuspended: suspended[tenant] != nil, overdraftMax: options.overdraftMax
        ) {
            [weak self] slot, timeout, now in
            self?.mayStartLate(slot, timeout: timeout, at: now) ?? false
        }
        funds[tenant] = made
        return made
    }

    /// What runs of a tenant may still take off its balance by what they have in flight.
    package func heldMilliseconds(of tenant: TenantID) -> Int64 {
        lock.withLock { funds[tenant]?.heldMilliseconds ?? 0 }
    }

    /// Whether the tenant has anything at all, and may use it.
    ///
    /// Called under the lock.
    func isFunded(_ slot: RunSlot) -> Bool {
        guard let funds = slot.funds else { return true }
        guard !funds.isSuspended else { return false }
        if let known = funds.balance, known > 0 { return true }
        return read(funds) && (funds.balance ?? 0) > 0
    }

    /// Whether a run may send, or go on computing.
    ///
    /// Before a run pauses the store is asked, because a credit may have come between; that and the pausing
    /// happen under one lock, so a credit either is seen here or finds the run paused. Called under the lock.
    func hasRoom(_ slot: RunSlot) -> Bool {
        guard let funds = slot.funds else { return true }
        // Most tenants have plenty.
        if funds.hasRoom() { return true }
        guard !funds.isSuspended else { return false }
        return hasRoomBesideOthers(slot, funds) || read(funds) && hasRoomBesideOthers(slot, funds)
    }

    /// What a run has in flight itself counts by the time that it has taken: sent with more, it ends no later
    /// than that attempt.
    private func hasRoomBesideOthers(_ slot: RunSlot, _ funds: TenantFunds) -> Bool {
        funds.hasRoom(besides: slot.hold.milliseconds - slot.hold.elapsedMilliseconds(at: clock.steady()))
    }

    /// Reads the balance again; where that fails, it is tried later, and paused runs go on then.
    private func read(_ funds: TenantFunds) -> Bool {
        do throws(StoreError) {
            funds.balance = try store.account(of: funds.tenant).balanceMilliseconds
            funds.failedReadCount = 0
            return true
        } catch {
            readLater(funds, because: error)
            return false
        }
    }

    private func readLater(_ funds: TenantFunds, because error: StoreError) {
        guard !funds.isReadDue, !isStopping, fatal == nil else { return }
        funds.isReadDue = true
        let delay = Duration.seconds(1 << min(funds.failedReadCount, 6))
        funds.failedReadCount += 1
        log.write(
            .warning, "balance.not_read",
            [("tenant", .string("\(funds.tenant)")), ("error", .string(error.label))])
        clock.schedule(after: delay) { [self] in
            lock.withLock { funds.isReadDue = false }
            balanceChanged(of: funds.tenant)
        }
    }

    /// A credit has been stored: paused runs of the tenant go on, as many as there is room for.
    package func balanceChanged(of tenant: TenantID) {
        lock.lock()
        let funds = funds(of: tenant)
        let actions = (read(funds) ? resumePaused(funds) : []) + flush()
        lock.unlock()
        perform(actions)
    }

    /// Minutes have been taken back: runs of the tenant find it out before they send, and a balance that has crossed
    /// zero is announced.
    package func balanceTaken(by entry: LedgerEntry) {
        balanceChanged(of: entry.tenant)
        if let depletion = Depletion(crossedBy: entry) { announce(depletion) }
    }

    /// Lets paused runs go on while there is room, the oldest first: they have waited longest, and the order is
    /// the same on every machine.
    ///
    /// Each keeps room for what it will send, so that none is resumed only to pause again. Called under the lock.
    func resumePaused(_ funds: TenantFunds) -> [Action] {
        var actions: [Action] = []
        guard !funds.isSuspended else { return actions }
        while !funds.paused.isEmpty, !isStopping, fatal == nil {
            // Where nothing is held, no later end of a hold will look at it.
            if funds.balance == nil || funds.heldMilliseconds == 0 && !funds.hasRoom(), !read(funds) {
                break
            }
            guard let balance = funds.balance, balance > 0, let run = funds.takeOldestPaused() else { break }
            guard let slot = slots[run], slot.isAmongPaused else { continue }
            guard hasRoomBesideOthers(slot, funds) else {
                funds.addPaused(run)
                break
            }
            slot.isAmongPaused = false
            let now = clock.steady()
            funds.change(&slot.hold) { $0.grant(at: now, timeout: slot.machine.plan.requestTimeoutMax) }
            actions += decide(slot, .fundsReturned(at: clock.now()))
        }
        return actions
    }
}

// MARK: - Holds

extension Runtime {
    /// An attempt of a run is about to be sent.
    ///
    /// Called under the lock.
    func beginHold(of slot: RunSlot, timeout: Duration) {
        guard let funds = slot.funds else { return }
        let now = clock.steady()
        funds.change(&slot.hold) { $0.beginAttempt(at: now, timeout: timeout) }
    }

    /// What waited behind `requests-max`, or for its host, ends later than was held for it: it starts where there
    /// is room for that, and else pauses the run as if it had been decided now.
    private func mayStartLate(_ slot: RunSlot, timeout: Duration, at now: Instant) -> Bool {
        lock.withLock {
            guard let funds = slot.funds, slots[slot.run] === slot, slot.hold.end < now + timeout else {
                return true
            }
            guard hasRoom(slot) else { return false }
            funds.change(&slot.hold) { $0.extend(to: now + timeout) }
            return true
        }
    }

    /// What a decision charges is off the balance, and need not be held any more.
    ///
    /// Called under the lock, once the balance is known.
    /// - Parameters:
    ///   - decision: That is durable.
    ///   - answerCount: How many attempts' answers it rests on.
    ///   - slot: Whose it is.
    func noteCharge(of decision: Decision, answerCount: Int, to slot: RunSlot) {
        guard let funds = slot.funds, slot.hold.attemptCount > 0 else { return }
        slot.hold.endAttempts(answerCount)
        let charged = decision.records.reduce(Int64(0)) { $0 + $1.chargeMilliseconds }
        if charged > 0 { funds.change(&slot.hold) { $0.charge(charged) } }
    }

    /// All that was decided about a run is durable and carried out: it holds what is in flight and nothing
    /// else, and where it is paused it stands in line.
    ///
    /// Called under the lock.
    func settleHold(of slot: RunSlot) -> [Action] {
        guard let funds = slot.funds, !slot.isCommitting, slot.waitingInputs.isEmpty else { return [] }
        let before = slot.hold.milliseconds
        if before > 0 { funds.change(&slot.hold) { $0.settle() } }
        var mayResume = slot.hold.milliseconds < before || slot.hold.milliseconds == 0
        if !slot.isAmongPaused, slot.machine.state.isPaused, slots[slot.run] === slot {
            slot.isAmongPaused = true
            funds.addPaused(slot.run)
            mayResume = true
        }
        return mayResume ? resumePaused(funds) : []
    }

    /// A run leaves memory, or is over.
    ///
    /// Called under the lock, when it is not among the open runs any more.
    func dropHold(of slot: RunSlot) -> [Action] {
        guard let funds = slot.funds else { return [] }
        giveBackPlace(slot)
        if slot.isAmongPaused {
            slot.isAmongPaused = false
            funds.dropPaused { slots[$0]?.isAmongPaused ?? false }
        }
        funds.change(&slot.hold) { $0 = RunHold() }
        return resumePaused(funds)
    }
}
