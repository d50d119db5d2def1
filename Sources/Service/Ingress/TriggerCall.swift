package import Engine
package import Ports
package import Storage
package import Values

/// A request that wants to start a run, from a webhook or a tenant with a key.
package struct TriggerCall: Sendable {
    package enum Source: Sendable {
        /// Anyone, at the public address: only `webhook` triggers.
        case publicAddress
        /// Someone with a key of the tenant: `http` and `manual` triggers.
        case key
    }

    package var tenant: Tenant
    package var workflow: String
    package var source: Source
    package var request: InboundRequest

    package init(tenant: Tenant, workflow: String, source: Source, request: InboundRequest) {
        self.tenant = tenant
        self.workflow = workflow
        self.source = source
        self.request = request
    }
}

/// What the caller is told.
package enum TriggerReply: Sendable {
    /// Durable (I5).
    case accepted(RunID, duplicate: Bool)
    /// The caller has waited for the run as long as one may, and the run goes on.
    case pending(RunID)
    /// The workflow skips runs beyond its limit: no run was started, and this one goes on.
    case skipped(of: RunID)
    /// The run that the caller waited for is over.
    case finished(RunID, RunOutcome)
    /// A `reply` step of the run answered.
    case replied(RunReply)
    case workflowUnknown
    /// The workflow has no trigger that this caller may use.
    case notTriggerable
    case malformedBody(reason: String)
    /// A part of a key is missing: without it, other deliveries would count as this one, or wait for it. The code is
    /// `dedupe_key_missing` or `concurrency_key_missing`.
    case keyMissing(code: String, reason: String)
    case bodyUnfit([String])
    /// A guard said no: no run exists.
    case refused
    /// A guard raised an error: the sender should deliver again.
    case guardFailed
    /// The tenant's expressions have taken more time than one may; there is room again after that.
    case computedTooMuch(retryAfter: Duration)
    /// The Idempotency-Key came before with another body.
    case keyReused(RunID)
    case unfunded
    /// The operator has suspended the tenant.
    case suspended
    /// The endpoint is called too often; there is room again after that.
    case tooMany(retryAfter: Duration)
    /// The tenant has as many runs open as one may.
    case tooManyRuns
    case overloaded
    case unavailable(StoreError)
}
