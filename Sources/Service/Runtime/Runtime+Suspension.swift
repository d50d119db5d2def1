package import Storage
package import Values

// A tenant that is suspended has no room, whatever its balance: that one rule keeps its runs from sending and its
// starts from starting, and lets its runs stand in line as those without a balance do.

extension Runtime {
    /// Nil for a tenant that is not suspended.
    package func suspension(of tenant: TenantID) -> Tenant.Suspension? {
        lock.withLock { suspended[tenant] }
    }

    /// Suspends a tenant, or with nil lets it go on; durable when this returns.
    ///
    /// What is in flight is let finish and is charged; then each run pauses before its next step. Compensations that
    /// are due go on: a suspension leaves nothing half undone.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    package func setSuspension(
        _ suspension: Tenant.Suspension?, of tenant: TenantID
    ) throws(StoreError) {
        try suspensionLock.withLock { () throws(StoreError) in
            try store.setSuspension(suspension, of: tenant)
            lock.lock()
            suspended[tenant] = suspension
            tenants.remove(tenant)
            tenantGeneration += 1
            let funds = funds(of: tenant)
            funds.isSuspended = suspension != nil
            let actions = resumePaused(funds) + flush()
            lock.unlock()
            perform(actions)
        }
    }
}
