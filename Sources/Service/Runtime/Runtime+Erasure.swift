import Ports
package import Storage
package import Values

// Erasing a tenant, in small portions on the clock's thread: its open runs are ended, then everything is deleted. The
// tenant's row says how far it is, so that the next process goes on with it.

extension Runtime {
    /// Runs of a tenant that are deleted in one transaction.
    private static let erasurePortion = 200
    private static let erasurePause = Duration.milliseconds(10)
    /// Between two looks whether the runs that were cancelled are over.
    private static let endingPause = Duration.milliseconds(250)

    /// Begins to erase a tenant, durably; calling it again does no harm.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    package func erase(_ tenant: TenantID) throws(StoreError) {
        try suspensionLock.withLock { () throws(StoreError) in
            let isUnderWay = try store.tenant(tenant)?.erasure != nil
            try store.beginErasure(of: tenant, at: clock.now())
            let suspension = try store.tenant(tenant)?.suspension
            lock.withLock {
                suspended[tenant] = suspension
                tenants.remove(tenant)
                tenantGeneration += 1
                funds(of: tenant).isSuspended = true
            }
            // A start that came just before is stored by then, and ended like the others.
            if !isUnderWay { goOnErasing(tenant, after: Self.endingPause) }
        }
    }

    /// Goes on with what an earlier process began.
    func resumeErasures() throws(StoreError) {
        for tenant in try store.tenantsBeingErased() { goOnErasing(tenant.tenant, after: .zero) }
    }

    /// Runs that are not over, but for those that cannot be read, which nothing could end.
    package func unendedRuns(of tenant: TenantID, limit: Int) throws(StoreError) -> [RunID] {
        var found: [RunID] = []
        for status in [RunStatus.running, .paused, .waiting] {
            let query = RunQuery(status: status, limit: min(limit, RunQuery.limitMax))
            found += try store.runs(of: tenant, query).map(\.run)
        }
        return lock.withLock { found.filter { stuck[$0] == nil } }
    }

    private func goOnErasing(_ tenant: TenantID, after pause: Duration) {
        clock.schedule(at: clock.now() + pause) { [self] in
            guard !lock.withLock({ isStopping || fatal != nil }) else { return }
            var pause = Self.endingPause
            do throws(StoreError) {
                let open = try unendedRuns(of: tenant, limit: Self.erasurePortion)
                for run in open { cancel(run, of: tenant, reason: "the tenant is erased") }
                if open.isEmpty {
                    guard try !eraseData(of: tenant) else { return }
                    pause = Self.erasurePause
                }
            } catch {
                log.write(
                    .warning, "tenant.not_erased",
                    [("tenant", .string("\(tenant)")), ("error", .string(error.label))])
                pause = .seconds(1)
            }
            goOnErasing(tenant, after: pause)
        }
    }

    /// Whether all is erased.
    private func eraseData(of tenant: TenantID) throws(StoreError) -> Bool {
        let isDone = try store.eraseData(of: tenant, limit: Self.erasurePortion, at: clock.now())
        guard isDone else { return false }
        forgetTenant(tenant)
        vault.forget(tenant)
        log.write(.info, "tenant.erased", [("tenant", .string("\(tenant)"))])
        return true
    }
}
