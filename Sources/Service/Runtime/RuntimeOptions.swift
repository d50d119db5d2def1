package import Ports

/// Settings of the runtime; see `docs/configuration.md` for their sources.
package struct RuntimeOptions: Sendable {
    /// How the world reaches this server, without a slash at the end.
    package var publicURL = "http://127.0.0.1:7070"
    /// Where steps of ordinary tenants may connect.
    package var tenantEgress = EgressPolicy.publicOnly
    /// Where steps of the operator may connect: also its own internal API.
    package var operatorEgress = EgressPolicy.publicOnly
    /// Runs in memory, of all tenants, before triggers are answered 503; runs that only wait are not there.
    ///
    /// The operator's go on up to an eighth more.
    package var openRunCountMax = 100_000
    /// Of these, runs of one tenant before its triggers are answered 429, at least 1; nil for a quarter.
    ///
    /// The operator's are not counted so.
    package var openRunCountPerTenantMax: Int?
    /// Bytes of a run's journal, its facts and bodies, above which the run fails.
    package var runByteCountMax = 64 << 20
    /// Bytes of an answer's body, decoded; a longer one fails the attempt.
    package var answerByteCountMax = 1 << 20
    /// Runs that one start may lead to by calls, at any depth, before a call fails; at least 1.
    package var descendantCountMax = 10_000
    /// Runs that are over are deleted after this; at least a day.
    package var runRetention: Duration = .seconds(30 * 86_400)
    /// Dedupe keys of tenants are forgotten after this; the operator's never are.
    package var dedupeRetention: Duration = .seconds(30 * 86_400)
    /// A run that does nothing for longer than this leaves memory until then.
    package var parkingDelay: Duration = .seconds(5)
    /// How far below zero a balance may fall by what is in flight, beside the time of one attempt; 0 or more.
    ///
    /// Without any, a tenant whose balance is small against its timeouts runs little at once, however
    /// short its requests are in truth.
    package var overdraftMax: Duration = .zero
    /// Between two rounds of deleting.
    package var housekeepingInterval: Duration = .seconds(60)

    package init() {}

    /// What ``openRunCountPerTenantMax`` says, or stands for.
    var openRunCountMaxOfTenant: Int { max(1, openRunCountPerTenantMax ?? openRunCountMax / 4) }
}
