import Engine
import Ports
import Storage
import Values
import Workflow

// Runs that start others: the child's start once, and its end to the parent.

extension Runtime {
    /// Between two tries of a start that could not be stored just now.
    private static let callPause = Duration.seconds(1)

    /// Starts the child that a step asks for, and tells the step what became of it.
    ///
    /// The dedupe key is the step's: asked again after a crash, it is the same child.
    func startChild(_ call: ChildCall, of tenant: TenantID, step: Int) {
        let parent = call.parent.run
        guard mayStillCall(parent, step) else { return }
        do throws(StoreError) {
            guard let owner = try self.tenant(tenant),
                let plan = try catalog.plan(named: call.workflow, of: tenant)
            else {
                let message = "no workflow \(call.workflow) of this tenant is in service"
                return noteNoChild(call, step, StepError(code: "unknown_workflow", message: message))
            }
            var start = RunStart(
                triggerKind: "call", headers: [HTTPHeader("content-type", "application/json")], query: [],
                body: JSON.bytes(call.input), at: clock.now(), tenantName: owner.name,
                externalCustomerID: owner.externalCustomerID)
            start.parsedBody = call.input
            // JSON cannot say all that a run computes, and after a restart the body is read anew.
            if call.input.holdsBytes || !call.input.isNested(atMost: JSON.depthMax) {
                start.input = call.input
            }
            start.sensitive = call.sensitive.map { $0.below("body") }
            start.parent = call.parent
            // The chain of ends goes on through calls, or two workflows could start each other for ever.
            start.cause = lock.withLock { slots[parent]?.machine.state.start?.cause }
            guard let place = placeOfChild(of: parent) else {
                return try refuseDescendant(call, plan.definition.name, of: tenant, step: step)
            }
            start.lineage = place
            let request = StartRequest(
                tenant: owner, plan: plan, start: start,
                dedupe: RunCommit.Dedupe(key: call.dedupeKey, scope: RunCommit.Dedupe.anyWorkflow),
                keepsWithoutFunds: true)
            self.start(request) { [self] in
                if !$0.isStarted { lock.withLock { descendants.giveBack(place.root) } }
                childStarted(call, of: tenant, step: step, $0)
            }
        } catch {
            callLater(call, of: tenant, step: step)
        }
    }

    /// The first start has led to as many runs as may be.
    ///
    /// A child that a process before this one started is told all the same.
    private func refuseDescendant(
        _ call: ChildCall, _ workflow: String, of tenant: TenantID, step: Int
    ) throws(StoreError) {
        let dedupe = RunCommit.Dedupe(key: call.dedupeKey, scope: RunCommit.Dedupe.anyWorkflow)
        if case .duplicate(let child, let isSameContent)? = try store.duplicate(
            of: dedupe, workflow: workflow, of: tenant)
        {
            return childStarted(
                call, of: tenant, step: step, .duplicate(of: child, isSameContent: isSameContent))
        }
        let limit = options.descendantCountMax
        let message =
            "one start has led to \(limit) runs by calls, the most that may be: pass lists on in larger parts, "
            + "or have the operator raise descendants-max"
        noteNoChild(call, step, StepError(code: "too_many_descendants", message: message))
    }

    /// Where the parent is ending, paused by a person or gone, nothing new starts.
    private func mayStillCall(_ parent: RunID, _ step: Int) -> Bool {
        lock.lock()
        guard let slot = slots[parent], fatal == nil else {
            lock.unlock()
            return false
        }
        let state = slot.machine.state
        guard state.ending != nil || state.isHeld else {
            lock.unlock()
            return true
        }
        let now = clock.now()
        let input: RunInput =
            state.isHeld ? .withheld(unsent: [step], at: now) : .fundsEnded(unsent: [step], at: now)
        let actions = decide(slot, input) + flush()
        lock.unlock()
        perform(actions)
        return false
    }

    private func childStarted(_ call: ChildCall, of tenant: TenantID, step: Int, _ result: StartResult) {
        switch result {
        case .started(let child), .duplicate(let child, _):
            handle(call.parent.run, .called(step: step, child: child, at: clock.now()))
        case .skipped(let active):
            let message = "\(call.workflow) is at its limit and skips: run \(active) goes on"
            noteNoChild(call, step, StepError(code: "child_skipped", message: message))
        case .refused(let code, let message):
            noteNoChild(call, step, StepError(code: code, message: "call: \(message)"))
        case .unfunded, .suspended, .tooManyRuns, .computedTooMuch, .overloaded, .unavailable:
            callLater(call, of: tenant, step: step)
        }
    }

    private func noteNoChild(_ call: ChildCall, _ step: Int, _ error: StepError) {
        handle(call.parent.run, .notCalled(step: step, error: error, at: clock.now()))
    }

    /// The engine is full, stopping, or its disk is: none of it is the step's fault.
    private func callLater(_ call: ChildCall, of tenant: TenantID, step: Int) {
        clock.schedule(after: Self.callPause) { [self] in
            startChild(call, of: tenant, step: step)
        }
    }

    // MARK: - The child's end

    /// Has the end of a run told to a step of another; called under the lock.
    ///
    /// What is remembered here is only in memory: after a restart the parent asks again.
    func awaitChild(_ child: RunID, of slot: RunSlot, step: Int) -> [Action] {
        awaitedRuns[child] = AwaitingStep(run: slot.run, step: step)
        guard slots[child] == nil else { return [] }
        let tenant = slot.tenant
        return [errand { [self] in askForEnd(of: child, tenant) }]
    }

    /// Of a run that is not in memory; one that is open tells its end by itself.
    private func askForEnd(of child: RunID, _ tenant: TenantID) {
        do throws(StoreError) {
            guard let outcome = try storedOutcome(of: child, tenant) else { return }
            perform(lock.withLock { tellParent(of: child, outcome) })
        } catch {
            clock.schedule(after: Self.callPause) { [self] in askForEnd(of: child, tenant) }
        }
    }

    /// Nil while the run is open.
    private func storedOutcome(of run: RunID, _ tenant: TenantID) throws(StoreError) -> RunOutcome? {
        guard let record = try store.run(run, of: tenant) else {
            return RunOutcome(
                status: .failed, error: StepError(code: "run_deleted", message: "its record is gone"))
        }
        guard record.status.isFinal else { return nil }
        for entry in try store.entries(of: run).reversed() where entry.kind == "run.finished" {
            // An entry that cannot be read leaves what the record says.
            if case .runFinished(let outcome)? = (try? JournalRecord(stored: entry))?.entry { return outcome }
        }
        let status = RunOutcome.Status(rawValue: record.status.rawValue) ?? .failed
        return RunOutcome(status: status)
    }

    /// Called under the lock when a run is over.
    func tellParent(of child: RunID, _ outcome: RunOutcome) -> [Action] {
        guard let waiting = awaitedRuns.removeValue(forKey: child) else { return [] }
        return [
            errand { [self] in
                let input = RunInput.childEnded(
                    step: waiting.step, child: child, outcome, at: clock.now())
                handle(waiting.run, input)
            }
        ]
    }

    // MARK: - After a restart

    /// Makes up for what a crash kept from a parent: the entry that its child is durable.
    ///
    /// Called under the lock, with all open runs read and none set going. A parent that asks again finds the
    /// same child; but one that is paused or ending would not ask.
    func adoptions(by runs: [RunID]) -> [RunID: [RunInput]] {
        var inputs: [RunID: [RunInput]] = [:]
        for run in runs {
            guard let slot = slots[run], let parent = slot.machine.state.start?.parent,
                let owner = slots[parent.run], owner.tenant == slot.tenant
            else { continue }
            let step = owner.machine.position(of: parent.step)
            inputs[parent.run, default: []].append(.called(step: step, child: run, at: clock.now()))
        }
        return inputs
    }

    /// Children of ending parents that have started, and perhaps ended, before their parents' entries were durable.
    ///
    /// A parent that goes on asks again. One that is ending does not, and would neither wait for such a child nor
    /// undo it.
    func childrenInDoubt(of runs: [RunID]) throws(StoreError) -> [RunID: [RunInput]] {
        let doubts = lock.withLock {
            runs.compactMap { slots[$0] }.flatMap { slot in
                slot.machine.callsInDoubt.map { (slot.run, slot.tenant, $0.node, $0.dedupeKey) }
            }
        }
        var inputs: [RunID: [RunInput]] = [:]
        for (run, tenant, step, key) in doubts {
            let dedupe = RunCommit.Dedupe(key: key, scope: RunCommit.Dedupe.anyWorkflow)
            guard case .duplicate(let child, _)? = try store.duplicate(of: dedupe, workflow: "", of: tenant)
            else { continue }
            inputs[run, default: []].append(.called(step: step, child: child, at: clock.now()))
        }
        return inputs
    }

    /// Ends a child that the end of its parent has left behind.
    func cancelIfOrphaned(_ run: RunID) throws(StoreError) {
        let found = lock.withLock { () -> (RunParent, TenantID)? in
            guard let slot = slots[run], let parent = slot.machine.state.start?.parent, !parent.isDetached,
                slots[parent.run] == nil
            else { return nil }
            return (parent, slot.tenant)
        }
        guard let (parent, tenant) = found, try storedOutcome(of: parent.run, tenant) != nil else { return }
        cancel(run, of: tenant, reason: "the run that called it, \(parent.run), is over", cutsFinally: false)
    }
}

/// A step that waits for the end of a run.
struct AwaitingStep {
    var run: RunID
    var step: Int
}

// MARK: - Errands

extension Runtime {
    /// An action for later, on the transport's thread and on nobody's stack.
    ///
    /// A run's end may start the next run, whose end starts the next: each would stand on the stack of the
    /// one before. And the store's thread, which brings most ends, cannot wait for what needs the store.
    func errand(_ action: @escaping Action) -> Action {
        { [self] in
            let isFirst = errandLock.withLock {
                errands.append(action)
                defer { areErrandsRunning = true }
                return !areErrandsRunning
            }
            if isFirst { transport.perform { [self] in runErrands() } }
        }
    }

    private func runErrands() {
        while true {
            let batch = errandLock.withLock {
                defer { errands.removeAll(keepingCapacity: true) }
                if errands.isEmpty { areErrandsRunning = false }
                return errands
            }
            if batch.isEmpty { return }
            perform(batch)
        }
    }
}
