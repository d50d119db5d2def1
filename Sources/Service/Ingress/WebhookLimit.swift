package import Values

/// How often each public webhook may be called: a token bucket for each tenant and workflow (W7).
///
/// A bucket is one instant, and one that is full again is none at all, so what is kept is bounded by the
/// endpoints that are being called.
package final class WebhookLimit: @unchecked Sendable {
    // Unchecked: `spentUntil` is read and written under `lock`.
    private struct Endpoint: Hashable {
        var tenant: TenantID
        var workflow: String
    }

    private let lock = Lock()
    private let interval: Duration
    private let burstTime: Duration
    private let endpointCountMax: Int
    /// When each bucket will be full again.
    private var spentUntil: [Endpoint: Instant] = [:]

    /// - Parameters:
    ///   - perSecond: Requests a second that each endpoint takes in the long run, 1 to 1,000,000.
    ///   - burst: Requests that it takes at once, at least 1.
    ///   - endpointCountMax: Endpoints to keep count of; with more that are busy at the same time, all begin anew.
    package init(perSecond: Int, burst: Int, endpointCountMax: Int = 10_000) {
        interval = .microseconds(1_000_000 / min(max(1, perSecond), 1_000_000))
        burstTime = interval * (max(1, burst) - 1)
        self.endpointCountMax = endpointCountMax
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
            if let known = spentUntil[endpoint], known > emptied { spentUntil[endpoint] = emptied }
            let spent = max(spentUntil[endpoint] ?? now, now)
            guard spent - now <= burstTime else { return spent - now - burstTime }
            if spentUntil.count >= endpointCountMax, spentUntil[endpoint] == nil { makeRoom(at: now) }
            spentUntil[endpoint] = spent + interval
            return nil
        }
    }

    /// Endpoints that are kept count of.
    package var endpointCount: Int { lock.withLock { spentUntil.count } }

    private func makeRoom(at now: Instant) {
        spentUntil = spentUntil.filter { $0.value > now }
        // To let a few more in is better than to look through them all again with each request.
        if spentUntil.count > endpointCountMax / 2 { spentUntil.removeAll() }
    }
}
