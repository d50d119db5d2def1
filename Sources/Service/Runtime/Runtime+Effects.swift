import Billing
import Engine
import Ports
import Storage
import Values
import Workflow

// What is done once the entries that justify it are durable (I1).

extension Runtime {
    /// Turns effects into actions for after the lock.
    ///
    /// Called under the lock.
    func carryOut(_ effects: [RunEffect], of slot: RunSlot) -> [Action] {
        guard fatal == nil else { return [] }
        var actions: [Action] = []
        var unsent: [Int] = []
        var mustPause = false
        // A cancel or a pause decided together with a send comes before it: nothing new starts.
        let isEnding = slot.machine.state.ending != nil
        let isHeld = slot.machine.state.isHeld
        let sends = effects.contains(where: \.isSend)
        let maySend = sends && !isStopping && !isEnding && !isHeld && hasRoom(slot)
        // An undoing is what ends a run, as is learning what became of a request; neither waits for a top-up.
        for effect in effects {
            switch effect {
            // Not in flight: after a reload an answer that had waited may have settled it in the same decision.
            case .send(let step, let attempt, let request):
                let (isInFlight, isUndoing) = slot.machine.standing(of: step, attempt: attempt)
                guard isInFlight else { continue }
                if maySend || isUndoing && !isStopping && !isHeld {
                    actions.append(send(slot, step, attempt, request, isUndoing: isUndoing))
                } else {
                    unsent.append(step)
                    slot.machine.noteUnsent(step)
                }
            case .abandon(let step): actions.append(abandon(slot, step))
            case .wake(let step, let instant, let isWallTime):
                setAlarm(at: instant, isWallTime: isWallTime, of: slot, step: step)
            case .wakeRun(let instant): setAlarm(at: instant, isWallTime: false, of: slot, step: nil)
            case .signal(let step, let target, let signal):
                actions.append(deliver(signal, to: target, from: slot.run, step: step, of: slot.tenant))
            case .call(let step, let call):
                // Its child takes the time and waits for room itself.
                if isStopping || isEnding || isHeld || !isFunded(slot) {
                    unsent.append(step)
                } else {
                    let tenant = slot.tenant
                    actions.append(errand { [self] in startChild(call, of: tenant, step: step) })
                }
            case .awaitChild(let step, let child): actions += awaitChild(child, of: slot, step: step)
            case .cancelChild(let child, let reason, let cutsFinally):
                let tenant = slot.tenant
                actions.append(
                    errand { [self] in cancel(child, of: tenant, reason: reason, cutsFinally: cutsFinally) })
            case .reply(let reply):
                if let replier = slot.replier {
                    slot.replier = nil
                    actions.append { replier(reply) }
                }
            case .goOn where isStopping || hasRoom(slot): actions.append(goOn(slot.run))
            case .goOn: mustPause = true
            case .finish(let outcome): actions += finish(slot, outcome)
            }
        }
        // While stopping, what was not sent is sent by the next process: the journal has it.
        if mustPause || !unsent.isEmpty, !isStopping {
            let now = clock.now()
            slot.waitingInputs.insert(
                isHeld ? .withheld(unsent: unsent, at: now) : .fundsEnded(unsent: unsent, at: now), at: 0)
        }
        return actions + decideWaiting(slot) + settleHold(of: slot)
    }

    private func send(
        _ slot: RunSlot, _ step: Int, _ attempt: Int, _ request: consuming OutboundRequest, isUndoing: Bool
    ) -> Action {
        request.egress = slot.isMetered ? options.tenantEgress : options.operatorEgress
        request.egress.pool = slot.tenant.number
        request.egress.usesReserve = !slot.isMetered
        request.bodyByteCountMax = options.answerByteCountMax
        request.tag = .init(run: slot.run.number, step: step)
        sentCount += 1
        // An undoing goes on without room.
        if slot.isMetered, !isUndoing { request.gate = slot }
        beginHold(of: slot, timeout: request.timeout)
        let run = slot.run
        guard slot.machine.plan.hasRaces else {
            return { [self, request] in
                transport.send(request) { outcome in
                    self.handleAnswer(run, step: step, attempt: attempt, outcome)
                }
            }
        }
        return { [self, request] in
            // Its race may be decided by now: on another thread, or by the answer to a request just before.
            let (isUnsent, unsentActions) = lock.withLock { dropUnsent(slot, step) }
            guard !isUnsent else { return perform(unsentActions) }
            let transfer = transport.send(request) { outcome in
                self.handleAnswer(run, step: step, attempt: attempt, outcome)
            }
            let isLost = lock.withLock {
                slot.transfers[step] = transfer
                return slot.abandoned.contains(step)
            }
            if isLost { transport.cancel(transfer) }
        }
    }

    /// Whether a request has been given up before it left; it counts as sent no longer, and nothing is held for it.
    ///
    /// Called under the lock.
    private func dropUnsent(_ slot: RunSlot, _ step: Int) -> (isUnsent: Bool, actions: [Action]) {
        guard slot.abandoned.contains(step) else { return (false, []) }
        sentCount -= 1
        if sentCount == 0 { allAnswered.broadcast() }
        slot.hold.endAttempts(1)
        return (true, settleHold(of: slot) + flush())
    }

    /// Ends the transfer of a step whose answer nobody waits for any more; one that is over is left alone, and
    /// one that has not left does not leave.
    private func abandon(_ slot: RunSlot, _ step: Int) -> Action {
        { [self] in
            let transfer = lock.withLock {
                slot.abandoned.insert(step)
                return slot.transfers.removeValue(forKey: step)
            }
            if let transfer { transport.cancel(transfer) }
        }
    }

    /// Gives a signal to another run and tells the sender what became of it.
    private func deliver(
        _ signal: RunSignal, to target: String, from run: RunID, step: Int, of tenant: TenantID
    ) -> Action {
        { [self] in
            let answer: @Sendable (SignalResult) -> Void = { result in
                var error: StepError?
                switch result {
                case .stored, .duplicate: break
                case .runOver:
                    error = StepError(
                        code: "signal_unknown_run", message: "no run \(target) of this tenant is open")
                case .full:
                    error = StepError(code: "signal_mailbox_full", message: "the run keeps no more signals")
                case .notAwaited(let names):
                    error = StepError(
                        code: "signal_not_awaited",
                        message: SignalResult.notAwaitedMessage(signal.name, among: names))
                }
                self.handle(run, .delivered(step: step, error: error, at: self.clock.now()))
            }
            guard let id = RunID(target) else { return answer(.runOver) }
            self.signal(id, of: tenant, signal, completion: answer)
        }
    }

    /// Sets one of the run's timers, or lets it go on at once where that is due.
    ///
    /// Called under the lock.
    private func setAlarm(at instant: Instant, isWallTime: Bool, of slot: RunSlot, step: Int?) {
        // By the wall clock that the instant was computed with, which may have been stepped since.
        let shift = isWallTime ? clock.shift : slot.machine.knownClockShift() - clockShiftAtStart
        let now = clock.steady() + shift
        let input: @Sendable (Instant) -> RunInput = { now in
            step.map { .retryDue(step: $0, at: now) } ?? .timeoutDue(at: now)
        }
        guard instant > now else { return slot.waitingInputs.append(input(now)) }
        let run = slot.run
        let fire: @Sendable () -> Void = { [self] in handle(run, input(clock.now())) }
        let alarm =
            isWallTime ? clock.schedule(at: instant, fire) : clock.schedule(after: instant - now, fire)
        if let old = slot.alarms.updateValue(alarm, forKey: step ?? -1) { clock.cancel(old) }
    }

    /// Called under the lock.
    func cancelAlarms(of slot: RunSlot) {
        for alarm in slot.alarms.values { clock.cancel(alarm) }
        slot.alarms = [:]
    }

    /// Not at once: in between the lock is free for others.
    private func goOn(_ run: RunID) -> Action {
        { [self] in
            clock.schedule(after: .milliseconds(5)) {
                self.handle(run, .resumed(at: self.clock.now()))
            }
        }
    }

    func finish(_ slot: RunSlot, _ outcome: RunOutcome) -> [Action] {
        slots[slot.run] = nil
        stuck[slot.run] = nil
        cancelAlarms(of: slot)
        metrics.add("runs_finished_total", "outcome=\"\(outcome.status.rawValue)\"")
        // Also of signals: the end may have been read back from the journal, with some still waiting.
        return tellOrderWaiters(of: slot) + tellSignalWaiters(of: slot) + tellParent(of: slot.run, outcome)
            + leaveQueue(slot) + dropHold(of: slot)
            + slot.waiters.map { waiter in { waiter(outcome) } }
    }

    /// The commit was refused: what is in memory is ahead of the journal, so it is read again.
    ///
    /// Steps in
    /// flight are then sent once more, under the same keys (I3); inputs wait. Called under the lock.
    func loseTrack(of slot: RunSlot, _ inputs: [RunInput], because error: StoreError) -> [Action] {
        guard error.isRetryable || error.isAboutOneCommit else {
            slots[slot.run] = nil
            return dropHold(of: slot)
        }
        slot.waitingInputs = inputs + slot.waitingInputs
        let run = slot.run
        if case .outOfRange(let what) = error {
            let reason = "the store cannot record an outcome: out of range: \(what)"
            stuck[run] = reason
            return giveUp(slot, reason) + [
                { [log] in
                    log.write(.error, "run.stuck", [("run", .string("\(run)")), ("error", .string(what))])
                }
            ]
        }
        stuck[run] = "the store refused to record an outcome (\(error.label)); it is tried again"
        let delay = Duration.seconds(1 << min(slot.reloadCount, 6))
        slot.reloadCount += 1
        return [
            { [self] in
                log.write(
                    .warning, "run.reload", [("run", .string("\(run)")), ("error", .string(error.label))])
                clock.schedule(after: delay) { self.reload(slot) }
            }
        ]
    }
}

extension RunInput {
    var isSignal: Bool {
        if case .signalled = self { return true }
        return false
    }

    var isAnswer: Bool {
        if case .answered = self { return true }
        return false
    }

    /// Whether a person waits for it to be durable.
    var isOrder: Bool {
        switch self {
        case .cancelRequested, .held, .released: true
        default: false
        }
    }
}

extension RunEffect {
    var isSend: Bool {
        if case .send = self { return true }
        return false
    }
}

extension RunEffect {
    /// Whether it only asks for a timer, which a run that has left memory finds in its journal.
    var isAlarm: Bool {
        switch self {
        case .wake, .wakeRun: true
        default: false
        }
    }
}
