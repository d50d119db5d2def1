import Engine
package import Ports
import Schedules
package import Storage
package import Values
package import Workflow

/// Starts the runs of schedule triggers.
///
/// One alarm on the clock stands for the earliest occurrence of all workflows. Each occurrence has a dedupe key,
/// `schedule:<workflow>:<instant>`, so that it starts one run however often it is handled. How far the
/// occurrences have been handled is one setting of the store for all workflows, together with the few that
/// still wait; a workflow's own begin when its current version was deployed. So nothing has to be kept for a
/// workflow, and a changed expression has no past to catch up with.
package final class Scheduler: @unchecked Sendable {
    // Unchecked: everything below `lock` is read and written under it.
    struct Key: Hashable, Comparable {
        var tenant: TenantID
        var workflow: String

        static func < (left: Key, right: Key) -> Bool {
            left.tenant == right.tenant ? left.workflow < right.workflow : left.tenant < right.tenant
        }
    }

    /// One schedule trigger.
    struct Item {
        let rule: ScheduleRule
        let next: NextOccurrence
        var nextAt: Instant?
    }

    struct Entry {
        var items: [Item]
        var startsAfter: Instant
    }

    /// An occurrence that has not been started or dropped yet.
    struct Waiting: Hashable {
        var key: Key
        var at: Instant
        var overlap: ScheduleRule.Overlap
    }

    /// An occurrence that is handled later than this was missed although the process ran.
    ///
    /// The machine was halted, or its clock was stepped over it: `catch_up` decides then.
    static let lateness = Duration.seconds(60)
    static let catchUpMax = 100
    static let retryPause = Duration.seconds(5)
    static let settingName = "schedules"
    /// What has been handled further ahead than this was handled under a clock that has since been set back;
    /// what lies nearer is waited out.
    static let setBackMin = Duration.seconds(60)

    let runtime: Runtime
    private let zones: any TimeZones
    let lock = Lock()
    private var entries: [Key: Entry] = [:]
    var waiting: [Waiting] = []
    /// Occurrences whose start has not been answered.
    var starting: Set<Waiting> = []
    var open: [Key: Set<RunID>] = [:]
    var handledUntil = Instant(microseconds: 0)
    /// The latest that it has ever been.
    var furthestHandled = Instant(microseconds: 0)
    /// When this process began to handle occurrences, by the steady clock.
    private var begunAt = Instant(microseconds: 0)
    private var alarm: (id: AlarmID, at: Instant)?
    var refused: [TriggerRefusal] = []
    private var isRunning = false
    var isSaveScheduled = false
    /// Whether an alarm is set for what could not be started just now: one for all of it.
    var isRetryScheduled = false
    /// Held while a workflow is looked up and entered, so that the newest version is entered last.
    private let reloading = Lock()

    package init(runtime: Runtime, zones: any TimeZones) {
        self.runtime = runtime
        self.zones = zones
        runtime.catalog.whenChanged { [weak self] tenant, name in self?.reload(name, of: tenant) }
    }

    /// Reads every workflow in service and catches up; to be called once, after ``Runtime/recover()``.
    ///
    /// - Throws: ``StoreError`` where the store cannot be read; no run has been started then.
    package func start() throws(StoreError) {
        let now = runtime.clock.now()
        let kept = ScheduleProgress(try runtime.store.setting(Self.settingName))
        let workflows = try runtime.store.currentWorkflows()
        let running = try runtime.openRuns(startedBy: "schedule")
        let isSetBack = kept.map { $0.until > now + Self.setBackMin } ?? false
        lock.withLock {
            isRunning = true
            begunAt = runtime.clock.steady()
            handledUntil = isSetBack ? now : kept?.until ?? now
            furthestHandled = max(handledUntil, kept?.furthest ?? now)
        }
        if isSetBack { warnOfClock(kept?.until ?? now, now) }
        // Most workflows have no schedule, and reading a source costs far more than looking for a word.
        for deployed in workflows where deployed.source.mayName("schedule") {
            enter(deployed, try runtime.catalog.plan(named: deployed.name, of: deployed.tenant))
        }
        lock.withLock {
            for waiter in kept?.waiting ?? [] {
                let key = Key(tenant: waiter.tenant, workflow: waiter.workflow)
                // One of a time that is still to come will come again.
                guard entries[key] != nil, !isSetBack || waiter.at <= now else { continue }
                waiting.append(Waiting(key: key, at: waiter.at, overlap: waiter.overlap))
            }
        }
        for (run, tenant, workflow) in running {
            track(run, Key(tenant: tenant, workflow: workflow))
        }
        runtime.clock.whenStepped { [weak self] _ in self?.clockStepped() }
        tick()
    }

    /// The schedules go on from now, and not from where a clock that was ahead has left them.
    private func warnOfClock(_ handled: Instant, _ now: Instant) {
        runtime.log.write(
            .warning, "schedule.clock_set_back",
            [("handled_until", .string(handled.text)), ("now", .string(now.text))])
    }

    // MARK: - Workflows

    /// A workflow was deployed or deleted.
    private func reload(_ name: String, of tenant: TenantID) {
        guard lock.withLock({ isRunning }) else { return }
        reloading.lock()
        do throws(StoreError) {
            if let deployed = try runtime.store.workflow(name, of: tenant) {
                enter(deployed, try runtime.catalog.plan(named: name, of: tenant))
            } else {
                remove(Key(tenant: tenant, workflow: name))
            }
        } catch {
            runtime.log.write(
                .error, "schedule.not_read", [("workflow", .string(name)), ("error", .string(error.label))])
        }
        reloading.unlock()
        lock.withLock { setAlarm() }
    }

    private func enter(_ deployed: DeployedWorkflow, _ plan: RunPlan?) {
        let key = Key(tenant: deployed.tenant, workflow: deployed.name)
        let rules = plan?.definition.schedules ?? []
        guard !rules.isEmpty else { return remove(key) }
        let items = rules.compactMap { item($0, key) }
        // Deployed under a clock that was ahead, it would be silent until then; what has been handled stands all
        // the same.
        let isFromAhead = deployed.deployedAt > runtime.clock.now()
        let startsAfter = isFromAhead ? Instant(microseconds: 0) : deployed.deployedAt
        lock.withLock {
            let after = max(handledUntil, startsAfter)
            entries[key] = Entry(
                items: items.map { item in
                    var item = item
                    item.nextAt = item.next.next(after: after)
                    return item
                }, startsAfter: startsAfter)
        }
    }

    private func remove(_ key: Key) {
        lock.withLock {
            entries[key] = nil
            waiting.removeAll { $0.key == key }
        }
    }

    private func item(_ rule: ScheduleRule, _ key: Key) -> Item? {
        do {
            let next = NextOccurrence(try CronExpression(rule.cron), in: try zones.rules(of: rule.timeZone))
            return Item(rule: rule, next: next)
        } catch {
            // Checked when it was deployed; the database of zones may have changed since.
            runtime.log.write(
                .error, "schedule.unusable",
                [("workflow", .string(key.workflow)), ("reason", .string("\(error)"))])
            return nil
        }
    }

    /// The schedules of a workflow in the order of its file, each with its next instant; nil where it never
    /// comes again.
    package func schedules(of name: String, tenant: TenantID) -> [(rule: ScheduleRule, nextAt: Instant?)] {
        lock.withLock {
            entries[Key(tenant: tenant, workflow: name)]?.items.map { ($0.rule, $0.nextAt) } ?? []
        }
    }
}

// MARK: - Time

extension Scheduler {
    /// When this process began to handle occurrences, by the wall clock as it is set now.
    ///
    /// Called under the lock.
    var runningSince: Instant { begunAt.moved(by: runtime.clock.shift) }

    /// On the clock's thread, which has moved the alarm already.
    private func clockStepped() {
        let now = runtime.clock.now()
        let handled = lock.withLock {
            defer { if handledUntil > now + Self.setBackMin { goBack(to: now) } }
            return handledUntil
        }
        if handled > now + Self.setBackMin { warnOfClock(handled, now) }
        tick()
    }

    /// Occurrences are handled from `now` on once more: else none would be until the clock shows again what it did.
    ///
    /// Called under the lock.
    private func goBack(to now: Instant) {
        handledUntil = now
        waiting.removeAll { $0.at > now }
        for (key, entry) in entries {
            let startsAfter = entry.startsAfter > now ? Instant(microseconds: 0) : entry.startsAfter
            let items = entry.items.map { item in
                var item = item
                item.nextAt = item.next.next(after: max(now, startsAfter))
                return item
            }
            entries[key] = Entry(items: items, startsAfter: startsAfter)
        }
    }

    /// Called under the lock.
    func setAlarm() {
        guard isRunning else { return }
        let next = entries.values.lazy.flatMap(\.items).compactMap(\.nextAt).min()
        if let alarm {
            if alarm.at == next { return }
            runtime.clock.cancel(alarm.id)
        }
        alarm = next.map { next in
            (runtime.clock.schedule(at: next) { [weak self] in self?.tick() }, next)
        }
    }

    /// Handles all that is due, and sets the next alarm.
    private func tick() {
        let now = runtime.clock.now()
        lock.withLock {
            alarm = nil
            for key in entries.keys.sorted() { takeDue(key, now) }
            handledUntil = max(handledUntil, now)
            furthestHandled = max(furthestHandled, now)
            setAlarm()
        }
        advance()
        scheduleSave()
    }

    /// Up to where nothing is caught up with, although a clock that was set back has left it open.
    ///
    /// What was started before that starts no second run as long as its dedupe key is kept, which is made at its
    /// time or later; what is older than any key is not to be started any more. Where no clock was ever set back,
    /// this says nothing that is not known anyway. Called under the lock.
    private func surelyHandled(_ now: Instant) -> Instant {
        min(furthestHandled, now + .microseconds(-runtime.options.dedupeRetention.microseconds))
    }

    /// Moves what is due at one workflow to the occurrences that wait.
    ///
    /// Called under the lock.
    private func takeDue(_ key: Key, _ now: Instant) {
        guard var entry = entries[key] else { return }
        let after = max(handledUntil, entry.startsAfter, surelyHandled(now))
        for index in entry.items.indices {
            let item = entry.items[index]
            guard let nextAt = item.nextAt, nextAt <= now else { continue }
            for at in occurrences(of: item, after: after, now: now) {
                let occurrence = Waiting(key: key, at: at, overlap: item.rule.overlap)
                if !waiting.contains(where: { $0.key == key && $0.at == at }) { waiting.append(occurrence) }
            }
            entry.items[index].nextAt = item.next.next(after: now)
        }
        entries[key] = entry
    }
}

extension WorkflowDefinition {
    /// The rules of its schedule triggers, in the order of the file.
    fileprivate var schedules: [ScheduleRule] {
        triggers.compactMap { if case .schedule(let rule) = $0.kind { rule } else { nil } }
    }
}
