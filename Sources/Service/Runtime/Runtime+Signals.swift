package import Engine
import Ports
import Storage
package import Values

/// What became of a signal.
package enum SignalResult: Sendable, Equatable {
    /// Durable (I5).
    case stored
    /// It came before under the same key; that one is durable.
    case duplicate
    /// The run is over, unknown, or of another tenant.
    case runOver
    /// The run keeps as many unread signals as it may, and no step waits for this one.
    case full
    /// No step of the run's workflow waits for a signal of that name; these are the ones that steps wait for.
    case notAwaited([String])
}

extension SignalResult {
    /// What a sender is told of a signal that no step waits for.
    package static func notAwaitedMessage(_ name: String, among names: [String]) -> String {
        let list = names.joined(separator: ", ")
        let known = names.isEmpty ? "it waits for none" : "its steps wait for: \(list)"
        return "no step of the run's workflow waits for the signal '\(name)': it was not kept; \(known)"
    }
}

extension Runtime {
    /// Signals that a run keeps unread.
    static let mailboxCountMax = 1_000

    /// Gives a signal to a run of that tenant; `completion` is called once it is durable, or refused.
    package func signal(
        _ run: RunID, of tenant: TenantID, _ signal: RunSignal,
        completion: @escaping @Sendable (SignalResult) -> Void
    ) {
        withSlot(run) { [self] slot in
            guard let slot, slot.tenant == tenant else {
                return [
                    { [self] in completion(hasTaken(signal.id, run, of: tenant) ? .duplicate : .runOver) }
                ]
            }
            // Also its id is kept without secrets, and found again by what was kept.
            var signal = signal
            signal.id = vault.concealed(signal.id, by: slot.surroundings.redactor)
            let isKnown = slot.machine.state.hasSignal(signal.id)
            if isKnown, !slot.isCommitting { return [{ completion(.duplicate) }] }
            let awaited = slot.machine.plan.signalNames
            guard awaited.contains(signal.name) else { return [{ completion(.notAwaited(awaited)) }] }
            guard hasRoom(for: signal.name, slot) else { return [{ completion(.full) }] }
            slot.signalWaiters.append((signal.id, completion))
            return decide(slot, .signalled(signal, at: clock.now()))
        }
    }

    /// Whether the run can keep one more signal, or has a step that takes this one at once.
    ///
    /// What nobody reads must not shut out the one that the run waits for. Of several of that name in one
    /// moment only the first is sure to be taken.
    private func hasRoom(for name: String, _ slot: RunSlot) -> Bool {
        let keptCount = slot.machine.state.mailboxCount + slot.waitingInputs.count(where: \.isSignal)
        if keptCount < Self.mailboxCountMax { return true }
        let isOnItsWay = slot.waitingInputs.contains {
            if case .signalled(let other, _) = $0 { other.name == name } else { false }
        }
        return !isOnItsWay && slot.machine.state.isWaiting(forSignal: name)
    }

    /// Whether a run that is over took that signal: a sender that crashed before it knew asks again.
    private func hasTaken(_ id: String, _ run: RunID, of tenant: TenantID) -> Bool {
        guard let known = try? store.run(run, of: tenant), known.status.isFinal,
            let entries = try? store.entries(of: run), let kept = try? vault.concealed(id, of: tenant)
        else { return false }
        return entries.contains { $0.key == "signal/" + kept }
    }

    /// Whose signals are durable by now, or never will be.
    ///
    /// Called under the lock, where nothing of the
    /// run is on its way to the disk.
    func tellSignalWaiters(of slot: RunSlot) -> [Action] {
        guard !slot.signalWaiters.isEmpty else { return [] }
        var actions: [Action] = []
        var waiting: [(String, @Sendable (SignalResult) -> Void)] = []
        for (id, completion) in slot.signalWaiters {
            if slot.machine.state.hasSignal(id) {
                actions.append { completion(.stored) }
            } else if slot.machine.state.outcome != nil || slot.machine.state.ending != nil {
                actions.append { completion(.runOver) }
            } else {
                waiting.append((id, completion))
            }
        }
        slot.signalWaiters = waiting
        return actions
    }

    /// Whether a token is the run's, compared in constant time.
    package func isSignalToken(_ token: String, for run: RunID) -> Bool {
        let surroundings = Surroundings(
            tenant: .operatorTenant, secrets: OpenSecrets(), redactor: Redactor(secrets: [] as [String]),
            cryptography: cryptography, signalKey: vault.signalKey)
        guard let right = surroundings.signalToken(for: run) else { return false }
        return cryptography.equals(Array(right.utf8), Array(token.utf8))
    }

    /// Whose run that is; nil where it is not open.
    package func tenant(ofOpen run: RunID) -> TenantID? {
        let inMemory = { [self] in lock.withLock { slots[run]?.tenant } }
        // Asked once more, because it may have come back into memory in between.
        return inMemory() ?? (try? store.waitingRun(run))?.tenant ?? inMemory()
    }

    /// For a signal whose sender gave no key.
    package func newSignalID() -> String { "id:" + Hex.encode(cryptography.randomBytes(count: 12)) }
}
