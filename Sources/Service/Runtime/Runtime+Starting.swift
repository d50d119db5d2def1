import Billing
import Engine
import Ports
import Storage
import Values
import Workflow

extension Runtime {
    /// Stores a new run and, once it is durable, calls `completion` and sets it going.
    package func start(_ request: StartRequest, completion: @escaping @Sendable (StartResult) -> Void) {
        // Read before the secrets: a change in between makes the run look again, not miss it.
        let generation = vault.generation
        let surroundings: Surroundings
        let standing: Standing
        do throws(StoreError) {
            let secrets = try vault.secrets(of: request.tenant.tenant)
            surroundings = try self.surroundings(
                of: request.tenant.tenant, plan: request.plan, secrets: secrets, generation: generation)
            standing = try self.standing(of: request.tenant)
        } catch {
            return completion(.unavailable(error))
        }
        if let suspension = standing.suspension {
            // A child is part of a run that is there already, and pauses with it.
            let isKept = request.keepsWithoutFunds && suspension.webhooks == .keep
            guard isKept || request.start.parent != nil else { return completion(.suspended) }
        } else {
            guard standing.isFunded || request.keepsWithoutFunds else { return completion(.unfunded) }
        }
        let run = ids.next(at: request.start.at)
        let slot = RunSlot(
            tenant: request.tenant.tenant, funds: standing.funds,
            machine: RunMachine(run: run, plan: request.plan),
            surroundings: surroundings, secretGeneration: generation,
            sealer: vault.sealer(of: request.tenant.tenant))
        if let waiter = request.waiter { slot.waiters.append(waiter) }
        slot.replier = request.replier
        var start = request.start
        start.clockShift = clockShift
        do throws(KeyFault) {
            start.concurrencyKey = try concurrencyKey(of: request, slot.surroundings)
        } catch {
            let message = ShownText.line(surroundings.redactor.redact("concurrency.key: \(error.message)"))
            let code = error.isMissingPart ? "concurrency_key_missing" : "concurrency_key"
            guard request.isUnattended else { return completion(.refused(code: code, message: message)) }
            start.fault = StepError(code: code, message: message)
        }

        guard allowance.admits(slot.tenant) else {
            return completion(.computedTooMuch(retryAfter: allowance.wait(of: slot.tenant)))
        }
        // Decided before the lock is taken, because nobody knows of the run yet; where others count with it,
        // they have a say first.
        var prepared =
            start.concurrencyKey == nil ? prepare(slot, start, request, isFunded: standing.hasRoom) : nil

        lock.lock()
        if let refusal = refusal(of: start, slot) {
            lock.unlock()
            return completion(refusal)
        }
        if prepared == nil {
            switch admit(slot, start, request, completion) {
            case .goes: break
            case .waits: start.isQueued = true
            case .isPostponed: return lock.unlock()
            case .ends(let result):
                lock.unlock()
                return completion(result)
            }
            prepared = prepare(slot, start, request, isFunded: standing.hasRoom)
        }
        if let prepared { submit(prepared, slot, completion) }
        quietStartCount = request.start.at - lastStartAt > Self.quietStartInterval ? quietStartCount + 1 : 0
        lastStartAt = request.start.at
        // The first of a crowd also comes after a pause; a second pause tells the two apart.
        let actions = flush(mayCommitInPlace: quietStartCount > 1)
        lock.unlock()
        perform(actions)
    }

    /// What a start comes to, and how it is stored.
    private struct PreparedStart {
        var decision: Decision
        var commit: RunCommit
    }

    private func prepare(
        _ slot: RunSlot, _ start: RunStart, _ request: StartRequest, isFunded: Bool
    ) -> PreparedStart {
        let begun = allowance.reading()
        let decision = slot.machine.handle(request.input(start, isFunded: isFunded), in: slot.surroundings)
        allowance.charge(slot.tenant, since: begun)
        var commit = commit(of: decision, slot: slot)
        commit.dedupe = request.dedupe
        commit.settles = request.settles
        commit.takes = request.takes
        park(&commit, slot, decision)
        commit.start = RunRecord(
            run: slot.run, tenant: slot.tenant, workflow: request.plan.definition.name,
            digest: request.plan.digest, trigger: request.start.triggerKind,
            status: commit.status ?? .running, startedAt: request.start.at,
            finishedAt: commit.finishedAt, wakeAt: commit.wakeAt, origin: start.origin?.run)
        return PreparedStart(decision: decision, commit: commit)
    }

    /// Called under the lock.
    private func submit(
        _ prepared: PreparedStart, _ slot: RunSlot, _ completion: @escaping @Sendable (StartResult) -> Void
    ) {
        startingCount += 1
        takePlace(slot)
        let (decision, stored) = (prepared.decision, prepared.commit.stored)
        submit(prepared.commit) { [self] result in
            startingCount -= 1
            if case .success(.stored) = result { slot.stored = stored }
            return settleStart(slot, decision, result, completion)
        }
    }

    /// Called under the lock.
    private func admit(
        _ slot: RunSlot, _ start: RunStart, _ request: StartRequest,
        _ completion: @escaping @Sendable (StartResult) -> Void
    ) -> Admittance {
        guard let key = start.concurrencyKey else { return .goes }
        let place = ConcurrencyKey(
            tenant: slot.tenant, workflow: request.plan.definition.name, key: key)
        slot.concurrencyKey = place
        return admit(slot.run, place, request) { [self] in self.start(request, completion: completion) }
    }

    private func settleStart(
        _ slot: RunSlot, _ decision: Decision, _ result: Result<CommitReceipt, StoreError>,
        _ completion: @escaping @Sendable (StartResult) -> Void
    ) -> [Action] {
        let run = slot.run
        switch result {
        case .success(.stored):
            metrics.add("runs_started_total")
            if slot.stored != .open {
                return [{ completion(.started(run)) }] + leaveAtStart(slot, decision.effects)
            }
            slots[run] = slot
            var actions: [Action] = [{ completion(.started(run)) }] + carryOut(decision.effects, of: slot)
            actions += admitAfterStart(slot)
            return actions
        case .success(.duplicate(let first, let isSameContent)):
            giveBackPlace(slot)
            return leaveQueue(slot) + [{ completion(.duplicate(of: first, isSameContent: isSameContent)) }]
        case .failure(let error):
            giveBackPlace(slot)
            return leaveQueue(slot) + [{ completion(.unavailable(error)) }]
        }
    }

    /// What a plan's runs rest on; made once for each plan and state of the secrets.
    ///
    /// - Throws: ``StoreError`` where the secrets cannot be read.
    func surroundings(
        of tenant: TenantID, plan: RunPlan, secrets: OpenSecrets, generation: Int
    ) throws(StoreError) -> Surroundings {
        let key = ObjectIdentifier(plan)
        let known = surroundingsLock.withLock { knownSurroundings.use(key) }
        if let known, known.plan === plan, known.generation == generation { return known.surroundings }
        let made = Surroundings(
            tenant: tenant, secrets: secrets, redactor: try vault.redactor(of: tenant),
            cryptography: cryptography, signalKey: vault.signalKey, publicURL: options.publicURL,
            gauge: gauge,
            runByteCountMax: options.runByteCountMax)
        surroundingsLock.withLock {
            let known = KnownSurroundings(plan: plan, generation: generation, surroundings: made)
            knownSurroundings.insert(known, for: key)
        }
        return made
    }
}
