package import Engine
import Ports
package import Storage
package import Values
import Workflow

// What people do to runs.

/// What became of a cancel, a pause or a resume.
package enum OrderResult: Sendable, Equatable {
    /// Durable (I5); `status` is the run's from now on: a resume may lead to its end at once.
    case done(status: RunStatus)
    /// The run is over, not open, or not of that tenant: nothing was changed.
    case over
}

extension Runtime {
    /// Ends a run of that tenant: nothing new starts, what is in flight is let finish.
    ///
    /// One that cannot go on is ended as it is.
    ///
    /// - Parameters:
    ///   - run: The run.
    ///   - tenant: Whose run it must be.
    ///   - reason: For people.
    ///   - cutsFinally: Whether its `finally` steps are ended, too, if they are all that is left.
    ///   - completion: Called once: true when the cancel is durable (I5) or the run has ended meanwhile, false
    ///     where it is not open or not of that tenant. Not called any more once the store has failed.
    package func cancel(
        _ run: RunID, of tenant: TenantID, reason: String, cutsFinally: Bool = true,
        completion: @escaping @Sendable (Bool) -> Void = { _ in }
    ) {
        order(.cancelRequested(reason: reason, cutsFinally: cutsFinally, at: clock.now()), run, of: tenant) {
            [self] status in
            guard status == nil else { return completion(true) }
            // Not here: this may be the store's thread, which cannot wait for itself.
            perform([errand { [self] in endStuck(run, of: tenant, reason: reason, completion: completion) }])
        }
    }

    /// Pauses a run of that tenant: nothing new starts, what is in flight is let finish; sleeps and waits go on.
    ///
    /// Independent of a pause for want of balance; a second pause changes nothing. Parameters and `completion`
    /// are as for ``cancel(_:of:reason:completion:)``.
    package func pause(
        _ run: RunID, of tenant: TenantID, reason: String,
        completion: @escaping @Sendable (OrderResult) -> Void
    ) {
        order(.held(reason: reason, at: clock.now()), run, of: tenant) { status in
            // It ended meanwhile.
            completion(status.flatMap { $0.isFinal ? nil : .done(status: $0) } ?? .over)
        }
    }

    /// Lets a run go on that a person has paused; without a balance it stays paused for that.
    package func resume(
        _ run: RunID, of tenant: TenantID, completion: @escaping @Sendable (OrderResult) -> Void
    ) {
        order(.released(at: clock.now()), run, of: tenant) { status in
            completion(status.map { .done(status: $0) } ?? .over)
        }
    }

    /// Gives an order to an open run; `completion` gets nil where it is not open or not of that tenant.
    private func order(
        _ input: RunInput, _ run: RunID, of tenant: TenantID,
        completion: @escaping @Sendable (RunStatus?) -> Void
    ) {
        withSlot(run) { [self] slot in
            guard let slot, slot.tenant == tenant else { return [{ completion(nil) }] }
            slot.orderWaiters.append(completion)
            return decide(slot, input)
        }
    }

    /// Called under the lock, where nothing of the run is on its way to the disk.
    func tellOrderWaiters(of slot: RunSlot) -> [Action] {
        guard !slot.orderWaiters.isEmpty else { return [] }
        defer { slot.orderWaiters = [] }
        let state = slot.machine.state
        let status = state.outcome.map { RunStatus($0.status) } ?? (state.isAtRest ? .paused : .running)
        return slot.orderWaiters.map { waiter in { waiter(status) } }
    }
}

// MARK: - Retry and fork

/// A run to be made out of another one.
package struct ForkRequest: Sendable {
    package enum Version: String, Sendable, CaseIterable {
        /// The source that the first run is pinned to.
        case same
        /// What is in service under that name now.
        case current
    }

    package var tenant: Tenant
    /// The first run, of that tenant.
    package var record: RunRecord
    package var kind: RunOrigin.Kind
    /// As in ``RunFork/Wish``.
    package var step: String?
    package var body: Value?
    package var version: Version
    package var dedupe: RunCommit.Dedupe?

    package init(
        tenant: Tenant, record: RunRecord, kind: RunOrigin.Kind, step: String? = nil, body: Value? = nil,
        version: Version = .same, dedupe: RunCommit.Dedupe? = nil
    ) {
        self.tenant = tenant
        self.record = record
        self.kind = kind
        self.step = step
        self.body = body
        self.version = version
        self.dedupe = dedupe
    }
}

/// What became of it; nothing is stored but where `start` says so.
package enum ForkResult: Sendable {
    case start(StartResult)
    case refused(RunFork.Refusal)
    /// The first run or its source cannot be read: why.
    case unreadable(String)
    /// No workflow of that name is in service.
    case workflowUnknown
    /// No trigger of that kind takes the new body: what is wrong with it.
    case bodyUnfit([String])
}

extension Runtime {
    /// Starts a run that goes on from another; `completion` is called once it is durable, or refused.
    package func fork(_ request: ForkRequest, completion: @escaping @Sendable (ForkResult) -> Void) {
        do throws(StoreError) {
            let reading = try reading(of: request.record)
            guard case .read(let machine, let records) = reading else {
                return completion(.unreadable(reading.problem ?? ""))
            }
            guard let plan = try plan(for: request, machine) else { return completion(.workflowUnknown) }
            if let violations = violations(request, plan) { return completion(.bodyUnfit(violations)) }
            let wish = RunFork.Wish(
                kind: request.kind, step: request.step, body: request.body, tenantName: request.tenant.name,
                externalCustomerID: request.tenant.externalCustomerID, at: clock.now())
            let fork: RunFork
            do throws(RunFork.Refusal) {
                fork = try RunFork(of: machine, records: records, onto: plan, wish)
            } catch {
                return completion(.refused(error))
            }
            var start = StartRequest(
                tenant: request.tenant, plan: plan, start: fork.start, dedupe: request.dedupe,
                keepsWithoutFunds: false)
            start.fork = fork
            self.start(start) { completion(.start($0)) }
        } catch {
            completion(.start(.unavailable(error)))
        }
    }

    private func plan(for request: ForkRequest, _ machine: RunMachine) throws(StoreError) -> RunPlan? {
        switch request.version {
        case .same: machine.plan
        case .current: try catalog.plan(named: request.record.workflow, of: request.tenant.tenant)
        }
    }

    /// What no trigger of the run's kind would take about a new body; nil where one takes it.
    private func violations(_ request: ForkRequest, _ plan: RunPlan) -> [String]? {
        guard let body = request.body else { return nil }
        var found: [String]?
        for trigger in plan.definition.triggers where trigger.kind.name == request.record.trigger {
            let violations = trigger.schema?.validate(body) ?? []
            if violations.isEmpty { return nil }
            found = found ?? violations.map(\.text)
        }
        return found
    }
}
