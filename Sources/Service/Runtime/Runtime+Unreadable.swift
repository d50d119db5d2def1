import Engine
import Ports
import Storage
package import Values

// A run whose journal this version cannot read cannot go on, but a person can end it.

extension Runtime {
    /// Why a run is open and cannot go on in this process; nil for any other run.
    package func whyStuck(_ run: RunID) -> String? { lock.withLock { stuck[run] } }

    /// What a person can do about a run that cannot go on.
    package static let stuckAdvice =
        "start the version that wrote it, or cancel the run: that ends it as it is, without undoing what it has done"

    /// Ends, as cancelled, a run that cannot be read or has been given up.
    ///
    /// Nothing of its journal is needed for that but its last number. What it has done is not undone, because nobody
    /// can tell what that is.
    ///
    /// - Parameters:
    ///   - run: A run that is not in memory.
    ///   - tenant: Whose run it must be.
    ///   - reason: For people.
    ///   - completion: Called once: true when the end is durable, false if the run is over, not of that tenant, or can
    ///     go on.
    func endStuck(
        _ run: RunID, of tenant: TenantID, reason: String, completion: @escaping @Sendable (Bool) -> Void
    ) {
        do throws(StoreError) {
            guard let record = try store.run(run, of: tenant), !record.status.isFinal,
                let problem = try problem(of: record)
            else { return completion(false) }
            let outcome = RunOutcome(
                status: .cancelled,
                error: StepError(
                    code: "cancelled",
                    message: try shown("\(reason); what it had done was not undone: \(problem)", to: tenant)))
            let entries = try store.entries(of: run)
            let commit = end(of: record, after: entries.last?.sequence ?? 0, outcome)
            lock.lock()
            submit(commit) { [self] result in
                guard case .success = result else { return [{ completion(false) }] }
                return forget(record, outcome) + [{ completion(true) }] + endings(of: entries, tenant)
            }
            let actions = flush()
            lock.unlock()
            perform(actions)
        } catch {
            guard error.isRetryable else { return completion(false) }
            clock.schedule(at: clock.now() + .seconds(1)) { [self] in
                endStuck(run, of: tenant, reason: reason, completion: completion)
            }
        }
    }

    /// Why the run cannot go on; nil for one that is in memory or can be read.
    private func problem(of record: RunRecord) throws(StoreError) -> String? {
        let (isOpen, known) = lock.withLock { (slots[record.run] != nil, stuck[record.run]) }
        if isOpen { return nil }
        if let known { return known }
        return try reading(of: record).problem
    }

    /// Within what an error may take, and without secrets.
    private func shown(_ text: String, to tenant: TenantID) throws(StoreError) -> String {
        ShownText.line(try vault.redactor(of: tenant).redact(text))
    }

    private func end(of record: RunRecord, after sequence: Int64, _ outcome: RunOutcome) -> RunCommit {
        let now = clock.now()
        let entry = JournalRecord(
            sequence: sequence + 1, at: now, chargeMilliseconds: 0, entry: .runFinished(outcome))
        return RunCommit(
            run: record.run, tenant: record.tenant, entries: [entry.stored], status: .cancelled,
            finishedAt: now, isMetered: record.tenant != .operatorTenant)
    }

    /// What this process still remembers of the run, given up; called under the lock.
    private func forget(_ record: RunRecord, _ outcome: RunOutcome) -> [Action] {
        let run = record.run
        stuck[run] = nil
        if record.status == .waiting { waitingCount -= 1 }
        metrics.add("runs_finished_total", "outcome=\"\(outcome.status.rawValue)\"")
        log.write(.warning, "run.ended_unread", [("run", .string("\(run)"))])
        let waiters = awaited.removeValue(forKey: run)?.waiters ?? []
        return tellParent(of: run, outcome) + giveUpTurn(of: run)
            + waiters.map { waiter in { waiter(outcome) } }
    }

    /// Its place under a concurrency key; called under the lock.
    private func giveUpTurn(of run: RunID) -> [Action] {
        let keys = queues.filter { $0.value.active.contains(run) || $0.value.line.contains { $0.run == run } }
            .map(\.key)
        queuedCalls.leave(run)
        return keys.sorted().flatMap { key -> [Action] in
            queues[key]?.leave(run)
            return admitNext(key)
        }
    }

    /// Ends the children of which the journal still tells.
    private func endings(of entries: [StoredEntry], _ tenant: TenantID) -> [Action] {
        entries.compactMap { entry in
            // An entry that cannot be read names no child.
            guard case .stepCalling(_, let child)? = (try? JournalRecord(stored: entry))?.entry else {
                return nil
            }
            return errand { [self] in
                cancel(child, of: tenant, reason: "the run that called it has been cancelled")
            }
        }
    }
}
