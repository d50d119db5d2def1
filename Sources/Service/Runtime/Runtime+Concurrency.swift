import Engine
import Ports
import Storage
package import Values
import Workflow

// How many runs of a workflow go at once.

extension Runtime {
    /// Keys are kept with the run, so their length is bounded.
    private static let keyByteCountMax = 512

    /// The key under which a start counts; nil for none.
    ///
    /// - Throws: Where the expression fails, or gives no key.
    func concurrencyKey(
        of request: StartRequest, _ surroundings: Surroundings
    ) throws(KeyFault) -> String? {
        guard let rule = request.plan.definition.concurrency else { return nil }
        let scope = TriggerScope(
            trigger: TriggerView(request.start), vars: request.plan.definition.vars,
            tenant: TenantFacts(
                tenant: request.tenant.tenant, name: request.start.tenantName,
                externalCustomerID: request.start.externalCustomerID),
            secrets: surroundings.secrets, now: request.start.at)
        let begun = allowance.reading()
        defer { allowance.charge(request.tenant.tenant, since: begun) }
        let value = try rule.key.key(in: scope)
        switch value {
        case .null: return nil
        case .string(let text) where text.isEmpty: return nil
        case .string, .int, .number:
            let key = vault.concealed(value.text, by: surroundings.redactor)
            guard key.utf8.count <= Self.keyByteCountMax else {
                throw .failed(.notAValue(reason: "the key is longer than \(Self.keyByteCountMax) bytes"))
            }
            return key
        default:
            throw .failed(.notAValue(reason: "a key is text, a number or null, not a \(value.kindName)"))
        }
    }

    /// What a start at the limit comes to.
    enum Admittance {
        case goes, waits
        /// Nothing is started, and this is the answer.
        case ends(StartResult)
        /// It is tried again later, without an answer until then.
        case isPostponed
    }

    /// Takes a run in under its key, or says why not.
    ///
    /// Called under the lock.
    func admit(
        _ run: RunID, _ key: ConcurrencyKey, _ request: StartRequest,
        tryAgain: @escaping @Sendable () -> Void
    ) -> Admittance {
        guard let rule = request.plan.definition.concurrency else { return .goes }
        if let queue = queues[key], queue.isFull(limit: rule.limit) {
            let callers = waitingAncestors(of: request.start.parent)
            let isAtLimit = queue.active.count >= rule.limit
            if rule.onLimit == .skip, isAtLimit, !queue.active.isSubset(of: callers) {
                guard let answer = skipped(queue, request) else {
                    queues[key]?.postponed.append(tryAgain)
                    return .isPostponed
                }
                return .ends(answer)
            }
            queuedCalls.enter(run, under: key, callers: callers)
            if !callers.isEmpty, queuedCalls.isDeadlock(run, limit: rule.limit, under: key, in: queues) {
                queuedCalls.leave(run)
                return .ends(repeated(request) ?? Self.deadlock)
            }
        }
        return queues[key, default: ConcurrencyQueue()].enter(run, limit: rule.limit) ? .waits : .goes
    }

    private static let deadlock = StartResult.refused(
        code: "call_deadlock",
        message:
            "the run would wait for ever: all that hold the places under its concurrency key wait, call by "
            + "call, for runs that wait for such places themselves")

    /// The start that came before under the same key, or why that cannot be told; nil where this is the first.
    private func repeated(_ request: StartRequest) -> StartResult? {
        guard let dedupe = request.dedupe else { return nil }
        do throws(StoreError) {
            let first = try store.duplicate(
                of: dedupe, workflow: request.plan.definition.name, of: request.tenant.tenant)
            guard case .duplicate(let run, let isSameContent)? = first else { return nil }
            return .duplicate(of: run, isSameContent: isSameContent)
        } catch { return .unavailable(error) }
    }

    /// The answer to a start too many; nil where the runs in its way are not durable yet.
    ///
    /// A repeat of a start that counts is that start, and not one too many.
    private func skipped(_ queue: ConcurrencyQueue, _ request: StartRequest) -> StartResult? {
        if let first = repeated(request) { return first }
        guard let active = queue.active.filter({ slots[$0] != nil }).min() else { return nil }
        metrics.add("runs_skipped_total")
        return .skipped(of: active)
    }

    /// The runs that wait, step by step, for the end of a run with that parent.
    private func waitingAncestors(of parent: RunParent?) -> Set<RunID> {
        var (ancestors, next) = (Set<RunID>(), parent)
        while let parent = next, !parent.isDetached, ancestors.insert(parent.run).inserted {
            next = slots[parent.run]?.machine.state.start?.parent
        }
        return ancestors
    }

    /// A run with a key is over, or its start was not stored: the next may go.
    ///
    /// Called under the lock.
    func leaveQueue(_ slot: RunSlot) -> [Action] {
        guard let key = slot.concurrencyKey, queues[key] != nil else { return [] }
        queues[key]?.leave(slot.run)
        queuedCalls.leave(slot.run)
        return admitNext(key)
    }

    /// Lets all go whose turn it is, and tries again what waited to know.
    ///
    /// Called under the lock.
    func admitNext(_ key: ConcurrencyKey) -> [Action] {
        guard var queue = queues[key] else { return [] }
        // Two references to the queue would copy it with each change.
        queues[key] = nil
        var actions = queue.postponed.map { errand($0) }
        queue.postponed = []
        while let run = queue.admitNext() {
            queuedCalls.leave(run)
            actions.append(errand { [self] in goOnIfQueued(run) })
        }
        if !queue.isEmpty { queues[key] = queue }
        return actions
    }

    /// A run whose start is not durable yet is told when it is: see ``admitAfterStart(_:)``.
    private func goOnIfQueued(_ run: RunID) {
        handle(run, .admitted(at: clock.now()))
    }

    /// A start is durable: its turn may have come meanwhile, and others may have waited to know of it.
    ///
    /// Called under the lock.
    func admitAfterStart(_ slot: RunSlot) -> [Action] {
        guard let key = slot.concurrencyKey else { return [] }
        var actions: [Action] = []
        if slot.machine.state.isQueued, queues[key]?.active.contains(slot.run) == true {
            actions += decide(slot, .admitted(at: clock.now()))
        }
        actions += (queues[key]?.postponed ?? []).map { errand($0) }
        queues[key]?.postponed = []
        return actions
    }

    /// Enters a run that was read back from its journal; called by rising run, under the lock.
    ///
    /// A run is younger than the one that calls it, so those that wait for its end are known by then.
    func restoreQueue(_ slot: RunSlot) {
        guard let key = slot.machine.state.start?.concurrencyKey else { return }
        let definition = slot.machine.plan.definition
        let place = ConcurrencyKey(tenant: slot.tenant, workflow: definition.name, key: key)
        slot.concurrencyKey = place
        let isQueued = slot.machine.state.isQueued
        queues[place, default: ConcurrencyQueue()].restore(
            slot.run, isQueued: isQueued, limit: definition.concurrency?.limit ?? 1)
        guard isQueued else { return }
        let callers = waitingAncestors(of: slot.machine.state.start?.parent)
        queuedCalls.enter(slot.run, under: place, callers: callers)
    }

    /// Keeps the place of a run that went before a restart and cannot be read now.
    ///
    /// It may have done half of what nobody else may do meanwhile, and a version that can read it goes on with that;
    /// a cancel frees the place. One whose own start cannot be read has no key that is known, and one that waited for
    /// its turn has none to keep.
    func keepTurn(ofUnreadable record: RunRecord) throws(StoreError) {
        let entries = try store.entries(of: record.run)
        let sealer = vault.sealer(of: record.tenant)
        guard let first = entries.first,
            // An entry that cannot be read names no key.
            case .runStarted(let start)? = (try? JournalRecord(stored: first, of: record.run, by: sealer))?
                .entry,
            let key = start.concurrencyKey,
            !start.isQueued || entries.contains(where: { $0.kind == "run.admitted" })
        else { return }
        let place = ConcurrencyKey(tenant: record.tenant, workflow: record.workflow, key: key)
        lock.withLock {
            queues[place, default: ConcurrencyQueue()].restore(record.run, isQueued: false, limit: 1)
        }
    }

    // MARK: - Looking

    /// Those of the runs that wait for others with their concurrency key.
    package func queued(among runs: some Sequence<RunID>) -> Set<RunID> {
        lock.withLock {
            Set(runs.filter { slots[$0]?.machine.state.isQueued == true })
        }
    }

    /// Runs of the tenant that wait so, newest first, below `before`.
    package func queuedRuns(of tenant: TenantID, before: RunID?, limit: Int) -> [RunID] {
        let found = lock.withLock {
            slots.values.filter { $0.tenant == tenant && $0.machine.state.isQueued }.map(\.run)
        }
        return Array(found.filter { run in before.map { run < $0 } ?? true }.sorted(by: >).prefix(limit))
    }
}
