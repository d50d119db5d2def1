package import Values

/// How often each public webhook may be called: a token bucket for each tenant and workflow (W7).
///
/// A bucket is one instant.
package final class WebhookLimit: @unchecked Sendable {
    // Unchecked: `spentUntil` is read and written under `lock`.
    private struct Endpoint: Hashable {
        var tenant: TenantID
        var workflow: String
    }

    private let lock = Lock()
    private let interval: Duration
    private let burstTime: Duration
    /// When each bucket will be full again.
    private var spentUntil: LRUCache<Endpoint, Instant>

    /// - Parameters:
    ///   - perSecond: Requests a second that each endpoint takes in the long run, 1 to 1,000,000.
    ///   - burst: Requests that it takes at once, at least 1.
    ///   - endpointCountMax: Endpoints to keep count of; with more that are busy at the same time, the one that
    ///     was called longest ago begins anew.
    package init(perSecond: Int, burst: Int, endpointCountMax: Int = 10_000) {
        interval = .microseconds(1_000_000 / min(max(1, perSecond), 1_000_000))
        burstTime = interval * (max(1, burst) - 1)
        spentUntil = LRUCache(weightMax: endpointCountMax)
    }

    /// Takes a request in.
    ///
    /// - Parameters:
    ///   - tenant: Whose workflow it is.
    ///   - workflow: The workflow's name.
    ///   - now: When it came; a clock that is set back since the last request leaves the bucket empty at most.
    /// - Returns: Nil if there is room; else after how long there will be.
    package func admit(_ tenant: TenantID, _ workflow: String, at now: Instant) -> Duration? {
        let endpoint = Endpoint(tenant: tenant, workflow: workflow)
        return lock.withLock {
            let emptied = now + burstTime + interval
            let spent = min(max(spentUntil.use(endpoint) ?? now, now), emptied)
            let wait = spent - now - burstTime
            spentUntil.insert(wait > .zero ? spent : spent + interval, for: endpoint)
            return wait > .zero ? wait : nil
        }
    }

    /// Endpoints that are kept count of.
    package var endpointCount: Int { lock.withLock { spentUntil.count } }
}
