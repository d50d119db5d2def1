import Engine
package import Ports
package import Runtime
import Storage
import Values
package import Workflow

/// Turns requests into runs: guard, schema and dedupe first, then one commit, then the answer.
///
/// Nothing is answered 202 before the run is durable, and nothing is stored before the guard has
/// passed: a refused request leaves only a count.
package final class Ingress: Sendable {
    let runtime: Runtime
    package let refusals: RefusalCounter
    private let replyWait: Duration
    private let webhookLimit: WebhookLimit?

    /// - Parameters:
    ///   - runtime: Where runs start.
    ///   - replyWait: How long `reply: result` holds a request.
    ///   - webhookLimit: How often each public webhook may be called; nil for any number of times.
    package init(
        runtime: Runtime, replyWait: Duration = .seconds(30), webhookLimit: WebhookLimit? = nil
    ) {
        self.runtime = runtime
        self.webhookLimit = webhookLimit
        self.replyWait = replyWait
        refusals = RefusalCounter(runtime: runtime)
    }

    /// Starts a run, or says why not; `reply` is called exactly once, from any thread.
    package func trigger(_ call: TriggerCall, reply: @escaping @Sendable (TriggerReply) -> Void) {
        let plan: RunPlan
        let secrets: OpenSecrets
        do throws(StoreError) {
            guard let found = try runtime.catalog.plan(named: call.workflow, of: call.tenant.tenant) else {
                return reply(.workflowUnknown)
            }
            plan = found
            secrets = try runtime.vault.secrets(of: call.tenant.tenant)
        } catch {
            return reply(.unavailable(error))
        }
        let triggers = plan.definition.triggers.filter { call.source.allows($0.kind) }
        guard !triggers.isEmpty else { return reply(.notTriggerable) }
        if let suspension = runtime.suspension(of: call.tenant.tenant),
            call.source == .key || suspension.webhooks == .refuse
        {
            return turnAwaySuspended(call, reply)
        }
        // Only of what exists is count kept, and nothing is computed for what is too much.
        if call.source == .publicAddress, let webhookLimit,
            let wait = webhookLimit.admit(call.tenant.tenant, call.workflow, at: call.request.receivedAt)
        {
            refuse(call, .rate, "more requests than `webhook-rate` and `webhook-burst` allow")
            return reply(.tooMany(retryAfter: wait))
        }
        guard runtime.allowance.admits(call.tenant.tenant) else {
            return turnAway(call, for: runtime.allowance.wait(of: call.tenant.tenant), reply)
        }
        let begun = runtime.allowance.reading()
        let verdict = Admission(call: call, plan: plan, secrets: secrets).verdict(
            among: triggers, reading: runtime.allowance.reading)
        runtime.allowance.charge(call.tenant.tenant, since: begun)
        switch verdict {
        case .admitted(let trigger, let dedupe, let body):
            start(call, plan, trigger, dedupe: dedupe, body: body, reply: reply)
        case .malformedBody(let reason):
            refuse(call, .malformedBody, reason)
            reply(.malformedBody(reason: shown(reason, to: call)))
        case .keyMissing(let reason):
            refuse(call, .dedupeKey, reason)
            reply(.keyMissing(code: "dedupe_key_missing", reason: reason))
        case .refused:
            refuse(call, .guardFalse, "the guard was false")
            reply(.refused)
        case .guardFailed(let message):
            noteFailure(call, message)
            reply(.guardFailed)
        case .unfit(let violations):
            refuse(call, .schema, violations.first ?? "")
            reply(.bodyUnfit(violations.map { shown($0, to: call) }))
        }
    }

    private func turnAwaySuspended(_ call: TriggerCall, _ reply: (TriggerReply) -> Void) {
        refuse(call, .suspended, "the tenant is suspended")
        reply(.suspended)
    }

    private func turnAway(_ call: TriggerCall, for wait: Duration, _ reply: (TriggerReply) -> Void) {
        refuse(call, .guardError, "expressions took too long before: requests are turned away for a while")
        reply(.computedTooMuch(retryAfter: wait))
    }

    /// A text about a request without the tenant's secrets (I9); nothing where they cannot be read just now.
    private func shown(_ text: String, to call: TriggerCall) -> String {
        (try? runtime.vault.redactor(of: call.tenant.tenant)).map { ShownText.line($0.redact(text)) } ?? ""
    }

    /// An expression of the workflow's own raised an error: its owner sees which.
    private func noteFailure(_ call: TriggerCall, _ text: String) {
        let text = shown(text, to: call)
        refuse(call, .guardError, text)
        runtime.log.write(
            .error, "trigger.guard_failed",
            [
                ("tenant", .string("\(call.tenant.tenant)")), ("workflow", .string(call.workflow)),
                ("message", .string(text)),
            ])
    }

    /// The headers that a run keeps and sees: none that is a credential or a signature of the request itself.
    package static func kept(_ headers: [HTTPHeader]) -> [HTTPHeader] {
        headers.filter { !CredentialHeaders.contains($0.name) }
    }

    private func refuse(_ call: TriggerCall, _ reason: TriggerRefusal.Reason, _ detail: String) {
        refusals.count(
            reason, shown(detail, to: call), workflow: call.workflow, tenant: call.tenant.tenant,
            at: call.request.receivedAt)
    }

    private func start(
        _ call: TriggerCall, _ plan: RunPlan, _ trigger: Trigger, dedupe: String?, body: Value,
        reply: @escaping @Sendable (TriggerReply) -> Void
    ) {
        let commitKey: RunCommit.Dedupe?
        do throws(StoreError) { commitKey = try self.commitKey(call, trigger, dedupe: dedupe) } catch {
            return reply(.unavailable(error))
        }
        let kept = Self.kept(call.request.headers)
        var start = RunStart(
            triggerKind: trigger.kind.name, headers: kept, query: call.request.query, body: call.request.body,
            at: call.request.receivedAt, tenantName: call.tenant.name,
            externalCustomerID: call.tenant.externalCustomerID)
        start.parsedBody = body
        let waiting = trigger.repliesWithResult ? WaitingReply(reply) : nil
        let request = StartRequest(
            tenant: call.tenant, plan: plan, start: start, dedupe: commitKey,
            keepsWithoutFunds: call.source == .publicAddress, waiter: waiting?.finisher,
            replier: waiting?.replier)
        runtime.start(request) { [self] (result: StartResult) in
            switch result {
            case .started(let run):
                guard let waiting else { return reply(.accepted(run, duplicate: false)) }
                if waiting.begin(run) {
                    runtime.clock.schedule(after: replyWait) { waiting.giveUp() }
                }
            case .duplicate(let first, let isSameContent):
                reply(isSameContent ? .accepted(first, duplicate: true) : .keyReused(first))
            case .skipped(let active): reply(.skipped(of: active))
            case .refused(let code, let reason) where code == "concurrency_key_missing":
                refuse(call, .concurrencyKey, reason)
                reply(.keyMissing(code: code, reason: shown(reason, to: call)))
            case .refused(_, let message):
                noteFailure(call, message)
                reply(.guardFailed)
            case .unfunded:
                refuse(call, .balance, "the balance is used up")
                reply(.unfunded)
            case .suspended: turnAwaySuspended(call, reply)
            case .tooManyRuns:
                refuse(call, .openRuns, "more runs were open than `open-runs-per-tenant-max` allows")
                reply(.tooManyRuns)
            case .computedTooMuch(let wait): turnAway(call, for: wait, reply)
            case .overloaded: reply(.overloaded)
            case .unavailable(let error): reply(.unavailable(error))
            }
        }
    }

    /// The workflow's own `dedupe` goes before the caller's Idempotency-Key; only the latter is bound
    /// to the body, because a provider may word a second delivery differently.
    private func commitKey(
        _ call: TriggerCall, _ trigger: Trigger, dedupe: String?
    ) throws(StoreError) -> RunCommit.Dedupe? {
        let tenant = call.tenant.tenant
        if let dedupe {
            return RunCommit.Dedupe(key: try runtime.vault.concealed("dedupe:" + dedupe, of: tenant))
        }
        guard call.source == .key, let key = call.request.headers["idempotency-key"], !key.isEmpty else {
            return nil
        }
        return RunCommit.Dedupe(
            key: try runtime.vault.concealed("key:" + key, of: tenant),
            fingerprint: runtime.fingerprint(call.request.body))
    }
}

extension TriggerCall.Source {
    package func allows(_ kind: Trigger.Kind) -> Bool {
        switch (self, kind) {
        case (.publicAddress, .webhook), (.key, .http), (.key, .manual): true
        default: false
        }
    }
}

/// Holds the caller of a `reply: result` trigger until its run ends or the time is over; whichever
/// comes first answers, once.
private final class WaitingReply: @unchecked Sendable {
    // Unchecked: everything is read and written under `lock`.
    private let lock = Lock()
    /// Nil once it was called.
    ///
    /// The alarm for giving up holds this object long after that, and what hangs on the reply and the
    /// outcome may be megabytes.
    private var reply: (@Sendable (TriggerReply) -> Void)?
    private var run: RunID?
    private var outcome: RunOutcome?
    private var replied: RunReply?

    init(_ reply: @escaping @Sendable (TriggerReply) -> Void) { self.reply = reply }

    var finisher: @Sendable (RunOutcome) -> Void { { [self] outcome in finish(outcome) } }

    var replier: @Sendable (RunReply) -> Void {
        { [self] reply in
            answer { [self] in
                replied = reply
                return run == nil ? nil : .replied(reply)
            }
        }
    }

    /// The run is durable; it may already have replied, or be over.
    ///
    /// - Returns: Whether the caller still waits.
    func begin(_ run: RunID) -> Bool {
        answer { [self] in
            self.run = run
            if let replied { return .replied(replied) }
            return outcome.map { .finished(run, $0) }
        }
        return lock.withLock { reply != nil }
    }

    private func finish(_ outcome: RunOutcome) {
        answer { [self] in
            self.outcome = outcome
            return run.map { .finished($0, outcome) }
        }
    }

    func giveUp() { answer { [self] in run.map { .pending($0) } } }

    private func answer(_ make: () -> TriggerReply?) {
        let call: (reply: @Sendable (TriggerReply) -> Void, answer: TriggerReply)? = lock.withLock {
            guard let reply, let answer = make() else { return nil }
            self.reply = nil
            (outcome, replied) = (nil, nil)
            return (reply, answer)
        }
        if let call { call.reply(call.answer) }
    }
}
