import Ports
package import Runtime
package import Storage
package import Values

/// Counts what triggers turn away and writes the counts to the store once a second, not once a request.
package final class RefusalCounter: @unchecked Sendable {
    // Unchecked: `counts` and `isScheduled` are read and written under `lock`.
    private struct Key: Hashable {
        var tenant: TenantID
        var workflow: String
        var reason: TriggerRefusal.Reason
    }

    private let runtime: Runtime
    private let lock = Lock()
    private var counts: [Key: TriggerRefusal] = [:]
    private var isScheduled = false

    package init(runtime: Runtime) { self.runtime = runtime }

    /// - Parameters:
    ///   - reason: Why; also the metric's label.
    ///   - detail: For people, without secrets; cut at 1 KiB.
    ///   - workflow: Whose trigger.
    ///   - tenant: Whose workflow.
    ///   - at: When.
    package func count(
        _ reason: TriggerRefusal.Reason, _ detail: String, workflow: String, tenant: TenantID, at: Instant
    ) {
        runtime.metrics.add("triggers_refused_total", "reason=\"\(reason.rawValue)\"")
        let key = Key(tenant: tenant, workflow: workflow, reason: reason)
        let detail = ShownText.line(detail)
        let mustSchedule = lock.withLock {
            let count = (counts[key]?.count ?? 0) + 1
            counts[key] = TriggerRefusal(
                tenant: tenant, workflow: workflow, reason: reason, count: count, lastAt: at,
                lastDetail: detail)
            defer { isScheduled = true }
            return !isScheduled
        }
        if mustSchedule {
            runtime.clock.schedule(after: .seconds(1)) { [self] in flush() }
        }
    }

    /// Writes what was counted; what the store refuses is kept for the next time.
    package func flush() {
        let taken = lock.withLock {
            defer { counts.removeAll() }
            isScheduled = false
            return counts.values.sorted {
                ($0.tenant, $0.workflow, $0.reason.rawValue) < ($1.tenant, $1.workflow, $1.reason.rawValue)
            }
        }
        guard !taken.isEmpty else { return }
        do throws(StoreError) { try runtime.store.countRefusals(taken) } catch {
            runtime.log.write(.warning, "refusals.not_stored", [("error", .string(error.label))])
            lock.withLock { for refusal in taken { keep(refusal) } }
        }
    }

    /// Adds to what was counted meanwhile, whose facts are the newer ones.
    ///
    /// Called under the lock.
    private func keep(_ refusal: TriggerRefusal) {
        let key = Key(tenant: refusal.tenant, workflow: refusal.workflow, reason: refusal.reason)
        var kept = counts[key] ?? refusal
        if counts[key] != nil { kept.count += refusal.count }
        counts[key] = kept
    }
}
