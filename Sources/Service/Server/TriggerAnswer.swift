import Engine
import Ingress
import Ports
import Storage
import Values

/// What a trigger's caller is told.
enum TriggerAnswer {
    static func answer(to reply: TriggerReply) -> InboundResponse {
        switch reply {
        case .accepted(let run, let duplicate):
            Answer.json(202, ["run_id": .string("\(run)"), "duplicate": .bool(duplicate)])
        case .pending(let run):
            Answer.json(202, ["run_id": .string("\(run)"), "duplicate": false, "pending": true])
        case .skipped(let active):
            Answer.json(
                202, ["run_id": .string("\(active)"), "duplicate": false, "skipped": true])
        case .finished(let run, let outcome): Answer.json(200, finished(run, outcome))
        case .replied(let reply):
            InboundResponse(status: reply.status, headers: reply.headers, body: reply.body)
        case .workflowUnknown: Answer.error(404, "workflow_not_found", "there is no workflow of that name")
        case .notTriggerable:
            Answer.error(409, "not_triggerable", "this workflow has no trigger of type http or manual")
        case .malformedBody(let reason): Answer.error(400, "malformed_body", reason)
        case .keyMissing(let code, let reason): Answer.error(422, code, reason)
        case .bodyUnfit(let violations):
            Answer.error(
                422, "body_unfit", "the body does not fit the trigger's schema",
                details: .array(violations.prefix(20).map { .string($0) }))
        case .refused: Answer.error(401, "refused", "the trigger's guard refused this request")
        case .guardFailed:
            // Strangers are answered as well, so what it was is told to the owner alone.
            Answer.error(
                500, "guard_failed",
                "an expression of the trigger failed: refusals of GET /api/workflows/{name} say which")
        case .computedTooMuch(let wait):
            Answer.error(
                503, "computed_too_much",
                "this tenant's expressions have lately taken more computing time than one may: try again later",
                headers: [retryAfter(wait)])
        case .keyReused(let first):
            Answer.error(
                409, "idempotency_key_reused", "this Idempotency-Key came before with another body",
                details: ["run_id": .string("\(first)")])
        case .unfunded:
            Answer.error(402, "balance_depleted", "the balance is used up: buy minutes, then trigger again")
        case .tooMany(let wait):
            Answer.error(
                429, "too_many_requests", "this webhook is called too often: deliver it again later",
                headers: [retryAfter(wait)])
        case .suspended: Answer.suspended
        case .tooManyRuns: Answer.tooManyRuns
        case .overloaded: Answer.unavailable
        case .unavailable(let error): Answer.store(error)
        }
    }

    /// In whole seconds, rounded up, at least 1.
    private static func retryAfter(_ wait: Duration) -> HTTPHeader {
        HTTPHeader("Retry-After", String(max(1, (wait.milliseconds + 999) / 1000)))
    }

    /// As above, but a stranger learns nothing about what exists.
    static func publicAnswer(to reply: TriggerReply) -> InboundResponse {
        switch reply {
        case .workflowUnknown, .notTriggerable: Answer.notFound
        default: answer(to: reply)
        }
    }

    static func finished(_ run: RunID, _ outcome: RunOutcome) -> Value {
        [
            "run_id": .string("\(run)"), "status": .string(outcome.status.rawValue), "output": outcome.output,
            "error": error(outcome),
        ]
    }

    static func error(_ outcome: RunOutcome) -> Value {
        guard let error = outcome.error else { return .null }
        return [
            "code": .string(error.code), "message": .string(error.message),
            "step": outcome.failedStep.map { .string($0) } ?? .null,
        ]
    }
}
