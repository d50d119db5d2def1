import Engine
import Ports
import Schedules
import Storage
import Values
import Workflow

// What becomes of an occurrence that is due.

extension Scheduler {
    /// What `catch_up` leaves of the occurrences in (after, now], by rising time.
    ///
    /// Called under the lock.
    func occurrences(of item: Item, after: Instant, now: Instant) -> [Instant] {
        let onTimeAfter = now + .microseconds(-Self.lateness.microseconds)
        switch item.rule.catchUp {
        case .none:
            return item.next.latest(
                Self.catchUpMax, after: max(after, onTimeAfter, runningSince), upTo: now)
        case .one: return item.next.latest(1, after: after, upTo: now)
        case .all: return item.next.latest(Self.catchUpMax, after: after, upTo: now)
        }
    }

    /// Starts what waits, as far as `overlap` allows.
    func advance() {
        let due = lock.withLock {
            var due: [Waiting] = []
            var kept: [Waiting] = []
            for occurrence in waiting {
                let isBusy =
                    !(open[occurrence.key] ?? []).isEmpty || starting.contains { $0.key == occurrence.key }
                switch occurrence.overlap {
                case .skip where isBusy: drop(occurrence, because: "overlap")
                case .queue where isBusy:
                    // Of several the newest waits.
                    if let index = kept.firstIndex(where: { $0.key == occurrence.key }) {
                        drop(kept[index], because: "overlap")
                        kept[index] = occurrence
                    } else {
                        kept.append(occurrence)
                    }
                default:
                    starting.insert(occurrence)
                    due.append(occurrence)
                }
            }
            waiting = kept
            return due
        }
        for occurrence in due { start(occurrence) }
    }

    /// Called under the lock.
    private func drop(_ occurrence: Waiting, because reason: String) {
        runtime.metrics.add("schedule_occurrences_dropped_total", "reason=\"\(reason)\"")
        runtime.log.write(
            .info, "schedule.dropped",
            [
                ("tenant", .string("\(occurrence.key.tenant)")),
                ("workflow", .string(occurrence.key.workflow)),
                ("scheduled_at", .string(occurrence.at.text)), ("reason", .string(reason)),
            ])
    }

    private func start(_ occurrence: Waiting) {
        let key = occurrence.key
        do throws(StoreError) {
            guard let tenant = try runtime.tenant(key.tenant),
                let plan = try runtime.catalog.plan(named: key.workflow, of: key.tenant)
            else { return settle(occurrence, nil) }
            let body: Value = [
                "scheduled_at": .string(occurrence.at.text), "workflow": .string(key.workflow),
            ]
            let start = RunStart(
                triggerKind: "schedule", headers: [HTTPHeader("content-type", "application/json")], query: [],
                body: JSON.bytes(body), at: runtime.clock.now(), tenantName: tenant.name,
                externalCustomerID: tenant.externalCustomerID)
            var request = StartRequest(
                tenant: tenant, plan: plan, start: start,
                dedupe: RunCommit.Dedupe(key: "schedule:\(key.workflow):\(occurrence.at.text)"),
                keepsWithoutFunds: false)
            request.isUnattended = true
            runtime.start(request) { [weak self] in self?.settle(occurrence, $0) }
        } catch {
            settle(occurrence, .unavailable(error))
        }
    }

    /// A start was answered, on any thread; nil where the workflow is gone.
    private func settle(_ occurrence: Waiting, _ result: StartResult?) {
        switch result {
        case .started(let run), .duplicate(let run, _): track(run, occurrence.key)
        case .unfunded:
            refuse(occurrence, .balance, "the balance is used up: a scheduled run was skipped")
        case .suspended:
            refuse(occurrence, .suspended, "the tenant was suspended: a scheduled run was skipped")
        case .skipped: lock.withLock { drop(occurrence, because: "concurrency") }
        case .refused(_, let message): refuse(occurrence, .guardError, message)
        case .tooManyRuns: return tryLater(dropAllButNewest(occurrence))
        case .computedTooMuch, .overloaded, .unavailable: return tryLater(occurrence)
        case nil: break
        }
        lock.withLock { _ = starting.remove(occurrence) }
        scheduleSave()
    }

    /// The tenant has as many runs open as one may, perhaps for days: of each workflow one occurrence waits.
    ///
    /// - Returns: The newest of them, which is not among ``waiting``.
    private func dropAllButNewest(_ occurrence: Waiting) -> Waiting {
        lock.withLock {
            var newest = occurrence
            waiting.removeAll { other in
                guard other.key == occurrence.key else { return false }
                drop(other.at < newest.at ? other : newest, because: "open_runs")
                if other.at > newest.at { newest = other }
                return true
            }
            if newest.at != occurrence.at { starting.remove(occurrence) }
            return newest
        }
    }

    /// The engine is full, or its disk is: the occurrence waits, and all that wait are tried again together.
    private func tryLater(_ occurrence: Waiting) {
        let isReady = runtime.readiness.isReady
        let mustSchedule = lock.withLock {
            starting.remove(occurrence)
            waiting.append(occurrence)
            guard isReady, !isRetryScheduled else { return false }
            isRetryScheduled = true
            return true
        }
        guard mustSchedule else { return }
        runtime.clock.schedule(after: Self.retryPause) { [weak self] in
            self?.lock.withLock { self?.isRetryScheduled = false }
            self?.advance()
            self?.scheduleSave()
        }
    }

    /// Remembers that a run is open until it is over.
    func track(_ run: RunID, _ key: Key) {
        lock.withLock { _ = open[key, default: []].insert(run) }
        runtime.whenOver(run, otherwise: { [weak self] in self?.runIsOver(run, key) }) { [weak self] _ in
            self?.runIsOver(run, key)
        }
    }

    private func runIsOver(_ run: RunID, _ key: Key) {
        let mustAdvance = lock.withLock {
            open[key]?.remove(run)
            if open[key]?.isEmpty == true { open[key] = nil }
            return waiting.contains { $0.key == key }
        }
        guard mustAdvance else { return }
        // On the clock's thread: this one may hold what a start needs.
        runtime.clock.schedule(after: .zero) { [weak self] in
            self?.advance()
            self?.scheduleSave()
        }
    }

    /// The occurrence is skipped, and counted.
    private func refuse(_ occurrence: Waiting, _ reason: TriggerRefusal.Reason, _ detail: String) {
        runtime.metrics.add("triggers_refused_total", "reason=\"\(reason.rawValue)\"")
        lock.withLock {
            refused.append(
                TriggerRefusal(
                    tenant: occurrence.key.tenant, workflow: occurrence.key.workflow, reason: reason,
                    count: 1, lastAt: occurrence.at, lastDetail: detail))
        }
    }
}

// MARK: - Keeping

extension Scheduler {
    /// Writes what has been handled soon, on the clock's thread: this one may be the store's, which cannot
    /// wait for itself.
    func scheduleSave() {
        let mustSchedule = lock.withLock {
            defer { isSaveScheduled = true }
            return !isSaveScheduled
        }
        guard mustSchedule else { return }
        runtime.clock.schedule(after: .zero) { [weak self] in self?.save() }
    }

    private func save() {
        let (progress, refusals) = lock.withLock {
            isSaveScheduled = false
            defer { refused = [] }
            let inOrder = starting.sorted { ($0.at, $0.key) < ($1.at, $1.key) }
            let unsettled = (waiting + inOrder).map {
                ScheduleProgress.Waiter(
                    tenant: $0.key.tenant, workflow: $0.key.workflow, at: $0.at, overlap: $0.overlap)
            }
            let progress = ScheduleProgress(
                until: handledUntil, furthest: furthestHandled, waiting: unsettled)
            return (progress, refused)
        }
        do throws(StoreError) {
            if !refusals.isEmpty { try runtime.store.countRefusals(refusals) }
            try runtime.store.setSetting(Self.settingName, progress.bytes)
        } catch {
            // Handled once more after a restart: the dedupe keys keep it from starting anything twice.
            runtime.log.write(.warning, "schedule.not_kept", [("error", .string(error.label))])
        }
    }
}
