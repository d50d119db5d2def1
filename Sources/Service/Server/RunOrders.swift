import Engine
import Ingress
import Ports
import Runtime
import Storage
import Values

/// Answers what people do to one run: `POST /api/runs/{id}/cancel`, `/pause`, `/resume`, `/retry`, `/fork`.
struct RunOrders {
    let runtime: Runtime
    let call: Call
    let record: RunRecord

    static let names: Set<String> = ["cancel", "pause", "resume", "retry", "fork"]

    private static let stepByteCountMax = 300

    /// - Parameter name: One of ``names``.
    /// - Throws: ``Refusal`` where the body or a header does not fit.
    func take(_ name: String) throws(Refusal) {
        switch name {
        case "cancel": try cancel()
        case "pause": try pause()
        case "resume": try resume()
        case "retry": try fork(.retry)
        default: try fork(.fork)
        }
    }

    private func reason(_ standard: String) throws(Refusal) -> String {
        try Call.text(try call.object(["reason"]), "reason", byteCountMax: 500) ?? standard
    }

    private func cancel() throws(Refusal) {
        let reason = try reason("cancelled by the tenant")
        runtime.cancel(record.run, of: record.tenant, reason: reason) {
            [runtime, respond = call.respond, record] in
            respond(
                $0
                    ? Answer.json(202, ["run_id": .string("\(record.run)")])
                    : Self.notOpen(record.run, runtime, "cancelled"))
        }
    }

    private func pause() throws(Refusal) {
        let reason = try reason("paused by the tenant")
        runtime.pause(record.run, of: record.tenant, reason: reason) {
            [runtime, respond = call.respond, record] in
            respond(Self.answer(to: $0, record.run, runtime, "paused"))
        }
    }

    private func resume() throws(Refusal) {
        _ = try call.object([])
        runtime.resume(record.run, of: record.tenant) { [runtime, respond = call.respond, record] in
            respond(Self.answer(to: $0, record.run, runtime, "resumed"))
        }
    }

    private static func answer(
        to result: OrderResult, _ run: RunID, _ runtime: Runtime, _ what: String
    ) -> InboundResponse {
        switch result {
        case .done(let status):
            Answer.json(202, ["run_id": .string("\(run)"), "status": .string(status.rawValue)])
        case .over: notOpen(run, runtime, what)
        }
    }

    private static func notOpen(_ run: RunID, _ runtime: Runtime, _ what: String) -> InboundResponse {
        if let problem = runtime.whyStuck(run) {
            let message = "the run cannot continue, and was not \(what): \(problem)"
            return Answer.error(409, "run_unreadable", message)
        }
        return Answer.error(409, "run_over", "the run is over: nothing was \(what)")
    }
}

// MARK: - Retry and fork

extension RunOrders {
    private func fork(_ kind: RunOrigin.Kind) throws(Refusal) {
        var request = ForkRequest(tenant: call.tenant, record: record, kind: kind)
        let body = try call.object(kind == .retry ? [] : ["step", "input", "version"])
        if kind == .fork {
            let step = try Call.text(body, "step", byteCountMax: Self.stepByteCountMax)
            request.step = try Call.required(step, "step")
            request.body = body["input"]
            if let text = try Call.text(body, "version", byteCountMax: 20) {
                guard let version = ForkRequest.Version(rawValue: text) else {
                    throw Refusal(422, "version_unknown", "version is same or current")
                }
                request.version = version
            }
        }
        request.dedupe = try dedupe(kind)
        runtime.fork(request) { [respond = call.respond] in respond(Self.answer(to: $0)) }
    }

    /// The caller's key, bound to the run and to what is asked of it.
    private func dedupe(_ kind: RunOrigin.Kind) throws(Refusal) -> RunCommit.Dedupe? {
        guard let key = try call.request.idempotencyKey() else { return nil }
        let asked = Array("\(kind.rawValue) \(record.run) ".utf8) + call.request.body
        let kept = try storing { () throws(StoreError) in
            try runtime.vault.concealed("order:" + key, of: call.tenant.tenant)
        }
        return RunCommit.Dedupe(key: kept, fingerprint: runtime.fingerprint(asked))
    }

    private static func answer(to result: ForkResult) -> InboundResponse {
        switch result {
        case .start(.started(let run)):
            Answer.json(202, ["run_id": .string("\(run)"), "duplicate": false])
        case .start(.duplicate(let run, true)):
            Answer.json(202, ["run_id": .string("\(run)"), "duplicate": true])
        case .start(.duplicate(let run, false)):
            Answer.error(
                409, "idempotency_key_reused", "this Idempotency-Key came before with another request",
                details: ["run_id": .string("\(run)")])
        case .start(.unfunded):
            Answer.error(402, "balance_depleted", "the balance is used up: buy minutes, then try again")
        case .start(.suspended): Answer.suspended
        case .start(.skipped(let active)):
            Answer.json(202, ["run_id": .string("\(active)"), "duplicate": false, "skipped": true])
        case .start(.refused(let code, let message)): Answer.error(422, code, message)
        case .start(.tooManyRuns): Answer.tooManyRuns
        case .start(.computedTooMuch(let wait)):
            TriggerAnswer.answer(to: .computedTooMuch(retryAfter: wait))
        case .start(.overloaded): Answer.unavailable
        case .start(.unavailable(let error)): Answer.store(error)
        case .refused(let refusal): answer(to: refusal)
        case .unreadable(let reason): Answer.error(409, "run_unreadable", reason)
        case .workflowUnknown:
            Answer.error(
                409, "workflow_not_found", "no workflow of that name is in service: use version same")
        case .bodyUnfit(let violations):
            Answer.error(
                422, "body_unfit", "the input does not fit the trigger's schema",
                details: .array(violations.prefix(20).map { .string($0) }))
        }
    }

    private static func answer(to refusal: RunFork.Refusal) -> InboundResponse {
        switch refusal {
        case .notOver:
            Answer.error(409, "run_not_over", "the run is not over: cancel it first, or fork it from a step")
        case .nothingToRetry:
            Answer.error(409, "run_succeeded", "the run has succeeded: fork it from a step to do that again")
        case .ending:
            Answer.error(409, "run_ending", "the run is ending: try again once it is over")
        case .stepUnknown(let step):
            Answer.error(422, "step_unknown", "the workflow has no step `\(step)` of its own scope")
        case .undoingFailed(let step):
            Answer.error(
                409, "undoing_failed",
                "undoing step `\(step)` failed, so whether its work stands is not known: look there, then "
                    + "fork the run from `\(step)` to do it again, or from a later step to leave it",
                details: ["step": .string(step)])
        case .stepChanged(let step):
            Answer.error(
                409, "step_changed",
                "step `\(step)` is a group or has a strategy in one of the versions alone, so its outcome does not "
                    + "fit: fork from `\(step)`, or with version same",
                details: ["step": .string(step)])
        case .outcomeMissing(let missing, let step):
            Answer.error(
                409, "outcome_missing",
                "step `\(step)` comes after `\(missing)`, which the run has no outcome of: "
                    + "fork from `\(missing)`, or with version same",
                details: ["step": .string(missing)])
        }
    }
}
