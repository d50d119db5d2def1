import Engine
import Ports
package import Storage
package import Values
import Workflow

// What the server asks beside runs.

extension Runtime {
    /// A tenant, from memory where it was asked for before.
    package func tenant(_ id: TenantID) throws(StoreError) -> Tenant? {
        let (known, generation) = lock.withLock { (tenants.use(id), tenantGeneration) }
        if let known { return known }
        guard let tenant = try store.tenant(id) else { return nil }
        lock.withLock {
            // Changed while it was read: what was read may be older.
            guard generation == tenantGeneration else { return }
            tenants.insert(tenant, for: id)
        }
        return tenant
    }

    /// Its row has changed.
    package func forgetTenant(_ id: TenantID) {
        lock.withLock {
            tenants.remove(id)
            tenantGeneration += 1
        }
    }

    package func newTenantID() -> TenantID { TenantID(number: randomNumber() | 1 << 62) }

    package func newPurchaseID() -> PurchaseID { PurchaseID(number: randomNumber()) }

    /// 63 random bits: ids that outsiders see and must not guess.
    private func randomNumber() -> Int64 {
        cryptography.randomBytes(count: 8).reduce(Int64(0)) { $0 << 8 | Int64($1) } & Int64.max
    }

    /// Steps, output, error and trigger of a run, folded from its journal.
    package func view(of record: RunRecord) throws(StoreError) -> Object {
        var object = Object()
        let reading = try reading(of: record, opensSealed: false)
        guard case .read(let machine, let records) = reading else {
            let problem = reading.problem ?? ""
            object["note"] = .string(record.status.isFinal ? problem : "\(problem): \(Self.stuckAdvice)")
            // Its end may be the one entry that can be read.
            if let outcome = try recordedEnd(of: record.run) {
                object["output"] = outcome.output
                object["error"] = Self.value(of: outcome)
            }
            return object
        }
        // A run in memory also knows what is in flight just now.
        let (live, isSuspended) = lock.withLock {
            (slots[record.run]?.machine, suspended[record.tenant] != nil)
        }
        let view = (live ?? machine).view(
            errorsIn: records, pausedBy: isSuspended ? "suspension" : "balance",
            in: machine.plan.hasGuards ? try standIns(for: record, machine.plan, asAddresses: false) : nil)
        guard let live, live.state.hasInFlight else { return view }
        return noting(transport.placeWaits(ofRun: record.run.number), in: view, of: live)
    }

    /// Of a request that has not left yet, what it waits for is a place and not an answer.
    private func noting(_ waits: [PlaceWait], in view: Object, of machine: RunMachine) -> Object {
        guard !waits.isEmpty, let steps = view["steps"]?.array else { return view }
        let byPath = Dictionary(waits.map { (machine.path(of: $0.step), $0) }) { first, _ in first }
        var view = view
        view["steps"] = .array(
            steps.map { step in
                guard let wait = byPath[step["id"]?.text ?? ""], var object = step.object,
                    step["waits_for"]?["kind"] == "answer"
                else { return step }
                object["waits_for"] = wait.value
                return .object(object)
            })
        return view
    }

    /// The outcome of a run that is over; nil where no entry tells it.
    private func recordedEnd(of run: RunID) throws(StoreError) -> RunOutcome? {
        for entry in try store.entries(of: run).reversed() where entry.kind == "run.finished" {
            // One that cannot be read tells nothing.
            if case .runFinished(let outcome)? = (try? JournalRecord(stored: entry))?.entry { return outcome }
        }
        return nil
    }

    private static func value(of outcome: RunOutcome) -> Value {
        guard let error = outcome.error else { return .null }
        return [
            "code": .string(error.code), "message": .string(error.message),
            "step": outcome.failedStep.map { .string($0) } ?? .null,
        ]
    }

    /// A run read from its journal, whether it is over or not.
    enum Reading {
        case read(RunMachine, [JournalRecord])
        /// Its source no longer loads, or an entry cannot be read: why.
        case unreadable(String)

        var problem: String? {
            if case .unreadable(let reason) = self { return reason }
            return nil
        }
    }

    func reading(of record: RunRecord, opensSealed: Bool = true) throws(StoreError) -> Reading {
        guard let plan = try catalog.plan(digest: record.digest, of: record.tenant) else {
            return .unreadable("the workflow's source no longer loads in this version: see the events")
        }
        // For people there are masks in the places of sensitive values.
        let sealer = opensSealed ? vault.sealer(of: record.tenant) : nil
        var records: [JournalRecord] = []
        for entry in try store.entries(of: record.run) {
            do throws(JournalProblem) {
                records.append(try JournalRecord(stored: entry, of: record.run, by: sealer))
            } catch {
                return .unreadable("the journal entry \(error.key) cannot be read: \(error.reason)")
            }
        }
        return .read(RunMachine(run: record.run, plan: plan, records: records), records)
    }
}

extension Runtime {
    /// Runs that are not over and that such a trigger started, but for those that a person made out of another,
    /// oldest first.
    ///
    /// - Throws: ``StoreError`` where those out of memory cannot be read.
    func openRuns(startedBy kind: String) throws(StoreError) -> [(
        run: RunID, tenant: TenantID, workflow: String
    )] {
        let waiting = try store.waitingRuns(startedBy: kind).map { ($0.run, $0.tenant, $0.workflow) }
        let open = lock.withLock {
            slots.values.compactMap { slot -> (RunID, TenantID, String)? in
                guard let start = slot.machine.state.start, start.triggerKind == kind, start.origin == nil
                else { return nil }
                return (slot.run, slot.tenant, slot.machine.plan.definition.name)
            }
        }
        return (waiting + open).sorted { $0.0 < $1.0 }
    }
}

extension PlaceWait {
    /// For `waits_for`.
    fileprivate var value: Value {
        let (of, count): (Value, Int) =
            switch limit {
            case .host(let count): ("host", count)
            case .shareOfHost(let count): ("share_of_host", count)
            case .all(let count): ("all", count)
            case .shareOfAll(let count): ("share_of_all", count)
            }
        return [
            "kind": "place", "of": of, "places": .int(Int64(count)), "host": .string(host),
            "since": .string(since.text),
        ]
    }
}
