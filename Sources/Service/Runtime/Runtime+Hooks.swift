package import Engine
import Ports
package import Storage
package import Values
import Workflow

// Events that the operator's workflows listen to.

/// One event for the operator's workflows.
struct HookEvent: Sendable {
    /// `on_purchase_requested` or `on_balance_depleted`.
    var name: String
    /// Ids and numbers only.
    var body: Value
    /// The same event raised again starts nothing.
    var key: String
}

extension Runtime {
    /// Between two tries to start a run that could not be started just now.
    private static let hookRetryPause = Duration.seconds(5)

    /// Starts a run of every operator workflow that listens to `event`.
    ///
    /// - Parameters:
    ///   - event: `on_purchase_requested` or `on_balance_depleted`.
    ///   - body: The payload: ids and numbers only.
    ///   - key: The same event raised again starts nothing.
    ///   - settles: The depletion that it answers; it stays in the outbox until every listener has a run.
    ///   - waiter: Called when the first run is over.
    ///   - completion: Called once: the first run's result, that of another listener that could not be started
    ///     just now, or nil if no workflow listens.
    package func raise(
        _ event: String, body: Value, key: String, settles: Depletion? = nil,
        waiter: (@Sendable (RunOutcome) -> Void)? = nil,
        completion: @escaping @Sendable (StartResult?) -> Void
    ) {
        let event = HookEvent(name: event, body: body, key: key)
        do throws(StoreError) {
            let listeners = try listeners(to: event)
            guard let tenant = try store.tenant(.operatorTenant), let first = listeners.first else {
                return completion(nil)
            }
            var request = request(event, of: tenant, plan: first)
            (request.settles, request.waiter) = (settles, waiter)
            let others = listeners.dropFirst().map { self.request(event, of: tenant, plan: $0) }
            guard settles != nil else {
                for other in others { startUntilKept(other) }
                return start(request, completion: completion)
            }
            startAll(others) { [self, request] failure in
                if let failure { completion(failure) } else { start(request, completion: completion) }
            }
        } catch {
            completion(.unavailable(error))
        }
    }

    private func request(_ event: HookEvent, of tenant: Tenant, plan: RunPlan) -> StartRequest {
        let start = RunStart(
            triggerKind: "hook", headers: [HTTPHeader("content-type", "application/json")], query: [],
            body: JSON.bytes(event.body), at: clock.now(), tenantName: tenant.name, externalCustomerID: nil)
        var request = StartRequest(
            tenant: tenant, plan: plan, start: start,
            dedupe: RunCommit.Dedupe(key: "\(event.name):\(event.key)"), keepsWithoutFunds: true)
        request.isUnattended = true
        return request
    }

    /// Starts a run, again and again if there is no room just now.
    private func startUntilKept(_ request: StartRequest) {
        start(request) { [self] result in
            noteRefusal(result, request.plan)
            guard result.mayBeRepeated, lock.withLock({ !isStopping && fatal == nil }) else { return }
            clock.schedule(after: Self.hookRetryPause) { [self] in startUntilKept(request) }
        }
    }

    /// Starts a run of each; `completion` gets a result that may be different the next time, if there is one.
    private func startAll(
        _ requests: [StartRequest], completion: @escaping @Sendable (StartResult?) -> Void
    ) {
        guard !requests.isEmpty else { return completion(nil) }
        let tally = StartTally(count: requests.count)
        for request in requests {
            start(request) { [self] result in
                noteRefusal(result, request.plan)
                guard tally.note(result) else { return }
                // This thread may be the store's, which cannot wait for itself.
                clock.schedule(after: .zero) { completion(tally.failure) }
            }
        }
    }

    private func noteRefusal(_ result: StartResult, _ plan: RunPlan) {
        guard case .refused(let code, let message) = result else { return }
        log.write(
            .error, "hook.refused",
            [
                ("workflow", .string(plan.definition.name)), ("code", .string(code)),
                ("message", .string(message)),
            ])
    }

    // MARK: - Listeners

    /// Listeners whose guard lets this payload pass.
    ///
    /// A guard that raises an error lets it pass, so that the run fails where everyone sees it.
    private func listeners(to event: HookEvent) throws(StoreError) -> [RunPlan] {
        let secrets = try vault.secrets(of: .operatorTenant)
        let now = clock.now()
        let found = try catalog.listeners(to: event.name)
        for name in found.broken {
            log.write(
                .error, "hook.listener_not_loaded",
                [("hook", .string(event.name)), ("workflow", .string(name))])
        }
        if found.plans.isEmpty { noteUnheard(event) }
        return found.plans.filter { plan in
            plan.definition.triggers.contains { trigger in
                trigger.kind == .hook(event: event.name) && passes(trigger, event, plan, secrets, at: now)
            }
        }
    }

    private func passes(
        _ trigger: Trigger, _ event: HookEvent, _ plan: RunPlan, _ secrets: OpenSecrets, at now: Instant
    ) -> Bool {
        guard let expression = trigger.guardExpression else { return true }
        let start = RunStart(
            triggerKind: "hook", headers: [], query: [], body: JSON.bytes(event.body), at: now,
            tenantName: "",
            externalCustomerID: nil)
        let scope = TriggerScope(
            trigger: TriggerView(start), vars: plan.definition.vars,
            tenant: TenantFacts(tenant: .operatorTenant, name: "operator", externalCustomerID: nil),
            secrets: secrets, now: now)
        do throws(ExpressionFailure) {
            return try GuardReading.isTrue(try expression.evaluate(in: scope))
        } catch {
            return true
        }
    }

    private func noteUnheard(_ event: HookEvent) {
        metrics.add("hooks_unheard_total", "hook=\"\(event.name)\"")
        log.write(.warning, "hook.unheard", [("hook", .string(event.name)), ("key", .string(event.key))])
    }
}

// MARK: - Depletions

extension Runtime {
    /// Raises `on_balance_depleted` for a depletion; the run's start removes it from the outbox.
    func announce(_ depletion: Depletion) {
        log.write(.info, "balance.depleted", [("tenant", .string("\(depletion.tenant)"))])
        metrics.add("balance_depletions_total")
        raiseDepletion(depletion)
    }

    private func raiseDepletion(_ depletion: Depletion) {
        // The alert is worth sending without the customer's id as well.
        let customer = (try? store.tenant(depletion.tenant))?.externalCustomerID
        let body: Value = [
            "tenant_id": .string("\(depletion.tenant)"), "balance_ms": .int(depletion.balanceMilliseconds),
            "external_customer_id": customer.map { .string($0) } ?? .null,
        ]
        raise(
            "on_balance_depleted", body: body, key: "\(depletion.tenant):\(depletion.sequence)",
            settles: depletion
        ) { [self] result in settle(depletion, result) }
    }

    private func settle(_ depletion: Depletion, _ result: StartResult?) {
        switch result {
        // That its run exists is what settles it. Not on this thread, which may be the store's.
        case nil, .duplicate: clock.schedule(after: .zero) { [self] in drop(depletion) }
        // It stays in the outbox: also a next process would announce it.
        case .refused(let code, let message):
            log.write(.error, "hook.refused", [("code", .string(code)), ("message", .string(message))])
        case .some(let result) where result.mayBeRepeated:
            guard lock.withLock({ !isStopping && fatal == nil }) else { return }
            clock.schedule(after: Self.hookRetryPause) { self.raiseDepletion(depletion) }
        default: break
        }
    }
}

extension Runtime {
    /// Takes a depletion out of the outbox, again and again if the disk is full.
    private func drop(_ depletion: Depletion) {
        do throws(StoreError) { try store.dropDepletion(depletion) } catch {
            // Until then it stays in the outbox, where the next process finds it.
            log.write(.warning, "hook.not_settled", [("error", .string(error.label))])
            guard error.isRetryable, lock.withLock({ !isStopping && fatal == nil }) else { return }
            clock.schedule(after: Self.hookRetryPause) { [self] in drop(depletion) }
        }
    }
}

extension StartResult {
    /// Whether the same start may be kept a little later.
    fileprivate var mayBeRepeated: Bool {
        switch self {
        case .tooManyRuns, .computedTooMuch, .overloaded, .unavailable, .suspended: true
        case .started, .duplicate, .skipped, .refused, .unfunded: false
        }
    }
}

/// Counts the starts that are still to be answered.
private final class StartTally: @unchecked Sendable {
    // Unchecked: `left` and `failed` are read and written under `lock`.
    private let lock = Lock()
    private var left: Int
    private var failed: StartResult?

    init(count: Int) { left = count }

    /// One of the results that may be different the next time.
    var failure: StartResult? { lock.withLock { failed } }

    /// Notes an answer; returns whether it was the last.
    func note(_ result: StartResult) -> Bool {
        lock.withLock {
            left -= 1
            if result.mayBeRepeated { failed = result }
            return left == 0
        }
    }
}
