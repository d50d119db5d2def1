import Billing
import Engine
import Ports
import Storage
import Values
import Workflow

// From a decision to the disk and back.

extension Runtime {
    /// Lines a commit up for the store.
    ///
    /// `settle` runs under the lock once it is durable or refused; what
    /// it returns is done after the lock is given up. Called under the lock, before ``flush()``.
    func submit(
        _ commit: RunCommit, settle: @escaping (Result<CommitReceipt, StoreError>) -> [Action]
    ) {
        outbox.append(Pending(commit, settle))
    }

    /// Hands what is lined up to the store, and acts at once on what the store did in place.
    ///
    /// Called
    /// under the lock, at the end of what was begun under it.
    func flush(mayCommitInPlace: Bool = true) -> [Action] {
        var actions: [Action] = []
        while !outbox.isEmpty {
            let batch = outbox
            outbox.removeAll(keepingCapacity: true)
            let isAlone = mayCommitInPlace && batch.count == 1 && slots.count + startingCount <= 1
            for pending in batch {
                pending.beginCall()
                store.commit(pending.commit, inPlace: isAlone) { [self] result in
                    if !pending.keepsInPlace(result) { takeBack(pending, result) }
                }
                if let result = pending.takeInPlaceResult() {
                    actions += note(result, pending.commit) + pending.settle(result)
                }
            }
        }
        return actions
    }

    /// On the store's thread: collects the results of a group, and has the transport's thread act on
    /// them all under one lock.
    ///
    /// There the requests that follow are sent without another hand-off.
    private func takeBack(_ pending: Pending, _ result: Result<CommitReceipt, StoreError>) {
        // A start's caller waits for its answer, which the store's thread can give at once.
        if pending.commit.isStart {
            lock.lock()
            let actions = note(result, pending.commit) + pending.settle(result) + flush()
            lock.unlock()
            return perform(actions)
        }
        let isFirst = settledLock.withLock {
            settled.append((pending, result))
            return settled.count == 1
        }
        if isFirst { transport.perform { [self] in settleAll() } }
    }

    private func settleAll() {
        let batch = settledLock.withLock {
            defer { settled.removeAll(keepingCapacity: true) }
            return settled
        }
        lock.lock()
        var actions: [Action] = []
        for (pending, result) in batch {
            actions += note(result, pending.commit) + pending.settle(result)
        }
        actions += flush()
        lock.unlock()
        perform(actions)
    }

    /// Learns the balance and raises the alarm at its end.
    ///
    /// Called under the lock.
    private func note(_ result: Result<CommitReceipt, StoreError>, _ commit: RunCommit) -> [Action] {
        let tenant = commit.tenant
        if isOutOfRoom, case .success = result { noteRoom() }
        switch result {
        case .success(.stored(let balance, let depletion)):
            if let balance { funds(of: tenant).balance = balance }
            let actions = actions(upon: commit.mail)
            guard let depletion else { return actions }
            // On the clock's thread: this one may be the store's, which cannot wait for itself.
            return actions + [{ [self] in clock.schedule(after: .zero) { self.announce(depletion) } }]
        case .success(.duplicate): return []
        case .failure(let error):
            metrics.add("store_errors_total", "error=\"\(error.label)\"")
            // It may have been stored all the same, and its charge with it.
            funds[tenant]?.balance = nil
            if error == .full, !isOutOfRoom { noteFullDisk() }
            return error.isRetryable || error.isAboutOneCommit ? [] : die(error)
        }
    }

    /// The store takes nothing more: nothing further is decided or sent.
    ///
    /// Called under the lock.
    private func die(_ error: StoreError) -> [Action] {
        guard fatal == nil else { return [] }
        fatal = error
        log.write(.error, "store.failed", [("error", .string(error.label)), ("detail", .string("\(error)"))])
        return [{ [onFatal] in onFatal(error) }]
    }

    // MARK: - A full disk

    /// Between two looks whether there is room again: with nothing ready, no commit may come that would tell.
    private static let roomCheckPause = Duration.seconds(1)

    /// Called under the lock.
    private func noteFullDisk() {
        isOutOfRoom = true
        log.write(.error, "store.full", [])
        checkRoomLater()
    }

    /// Called under the lock.
    private func noteRoom() {
        isOutOfRoom = false
        log.write(.info, "store.has_room", [])
    }

    private func checkRoomLater() {
        clock.schedule(after: Self.roomCheckPause) { [self] in checkRoom() }
    }

    /// On the clock's thread.
    private func checkRoom() {
        guard lock.withLock({ isOutOfRoom && !isStopping && fatal == nil }) else { return }
        do throws(StoreError) {
            try store.checkRoom()
            lock.withLock { if isOutOfRoom { noteRoom() } }
        } catch {
            checkRoomLater()
        }
    }

    func commit(of decision: Decision, slot: RunSlot) -> RunCommit {
        var commit = RunCommit(
            run: slot.run, tenant: slot.tenant,
            entries: decision.records.map { $0.stored(of: slot.run, by: slot.sealer) },
            isMetered: slot.isMetered)
        slot.machine.noteFacts(of: decision.records, stored: commit.entries)
        for record in decision.records {
            switch record.entry {
            case .runPaused, .runResumed, .runHeld, .runReleased, .cancelRequested, .runTimedOut,
                .runTooLarge, .outputFailed, .runFinalizing, .finallyCut:
                commit.status = slot.machine.state.isAtRest ? .paused : .running
            case .runFinished(let outcome):
                commit.status = RunStatus(outcome.status)
                commit.finishedAt = record.at
                commit.runChargeMilliseconds = slot.machine.state.chargedMilliseconds
                commit.mail = mail(ofEndOf: slot, at: record.at)
            default: break
            }
        }
        return commit
    }
}

/// A commit under way.
///
/// Its completion may be called on the caller's own thread while that still holds
/// the lock (in place), or later on the store's.
final class Pending: @unchecked Sendable {
    // Unchecked: `isInCall` and `inPlaceResult` are touched by the calling thread only; `settle` runs
    // under the runtime's lock.
    let commit: RunCommit
    let settle: (Result<CommitReceipt, StoreError>) -> [Runtime.Action]
    private var caller: UInt = 0
    private var isInCall = false
    private var inPlaceResult: Result<CommitReceipt, StoreError>?

    init(_ commit: RunCommit, _ settle: @escaping (Result<CommitReceipt, StoreError>) -> [Runtime.Action]) {
        self.commit = commit
        self.settle = settle
    }

    /// The current thread is about to hand it to the store; not always the one that decided it.
    func beginCall() {
        caller = CurrentThread.identity
        isInCall = true
    }

    /// Whether this is the caller's thread, still in its call: then the result waits for it.
    func keepsInPlace(_ result: Result<CommitReceipt, StoreError>) -> Bool {
        guard CurrentThread.identity == caller, isInCall else { return false }
        inPlaceResult = result
        return true
    }

    func takeInPlaceResult() -> Result<CommitReceipt, StoreError>? {
        isInCall = false
        return inPlaceResult
    }
}

extension RunStatus {
    init(_ status: RunOutcome.Status) {
        switch status {
        case .succeeded: self = .succeeded
        case .failed: self = .failed
        case .cancelled: self = .cancelled
        }
    }
}

extension StoreError {
    /// Whether the store itself is well and only this one thing was refused.
    var isAboutOneCommit: Bool {
        switch self {
        case .exists, .missing, .outOfRange: true
        default: false
        }
    }
}
