package import Storage
package import Values

extension MemoryStore {
    package func deployWorkflow(
        _ name: String, of tenant: TenantID, digest: [UInt8], source: [UInt8], at: Instant,
        listensToRuns: Bool
    ) throws(StoreError) -> DeployedWorkflow {
        try write { tables throws(StoreError) in
            let key = MemoryTables.TenantName(tenant, name)
            var row = tables.workflows[key] ?? MemoryTables.WorkflowRow()
            if let current = row.current, current.digest == digest { return current }
            let deployed = DeployedWorkflow(
                tenant: tenant, name: name, number: (row.versions.last?.number ?? 0) + 1, digest: digest,
                source: source, deployedAt: at)
            row.versions.append(deployed)
            row.isDeleted = false
            row.listensToRuns = listensToRuns
            tables.workflows[key] = row
            return deployed
        }
    }

    package func runListeners() throws(StoreError) -> [WorkflowAddress] {
        try read { tables throws(StoreError) in
            let found = tables.workflows.filter { $0.value.listensToRuns && $0.value.current != nil }
            return found.keys
                .sorted {
                    ($0.tenant, String(decoding: $0.name, as: UTF8.self))
                        < ($1.tenant, String(decoding: $1.name, as: UTF8.self))
                }
                .map { WorkflowAddress(tenant: $0.tenant, name: String(decoding: $0.name, as: UTF8.self)) }
        }
    }

    package func workflow(_ name: String, of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try read { tables throws(StoreError) in
            tables.workflows[MemoryTables.TenantName(tenant, name)]?.current
        }
    }

    package func workflow(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try read { tables throws(StoreError) in
            let versions = tables.workflows.filter { $0.key.tenant == tenant }.values.flatMap(\.versions)
            return versions.filter { $0.digest == digest }.max { $0.deployedAt < $1.deployedAt }
        }
    }

    package func workflows(
        of tenant: TenantID, after: String?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow] {
        try read { tables throws(StoreError) in
            let start = Array((after ?? "").utf8)
            let found = tables.workflows.filter {
                $0.key.tenant == tenant && start.lexicographicallyPrecedes($0.key.name)
            }
            let sorted = found.sorted { $0.key.name.lexicographicallyPrecedes($1.key.name) }
            return Array(sorted.compactMap(\.value.current).prefix(max(0, limit)))
        }
    }

    package func workflowNames(of tenant: TenantID) throws(StoreError) -> [String] {
        try workflows(of: tenant, after: nil, limit: .max).map(\.name)
    }

    package func workflowCounts(of tenant: TenantID) throws(StoreError) -> WorkflowCounts {
        try read { tables throws(StoreError) in
            let rows = tables.workflows.filter { $0.key.tenant == tenant }.values
            return WorkflowCounts(
                inService: rows.count { $0.current != nil },
                versions: rows.reduce(0) { $0 + $1.versions.count })
        }
    }

    package func allVersions(
        of tenant: TenantID, after: (name: String, number: Int64)?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow] {
        try read { tables throws(StoreError) in
            let all = tables.workflows.filter { $0.key.tenant == tenant }
                .sorted { $0.key.name.lexicographicallyPrecedes($1.key.name) }.flatMap(\.value.versions)
            let rest = all.drop { version in
                guard let after else { return false }
                return version.name.hasSameBytes(as: after.name)
                    ? version.number <= after.number
                    : version.name.utf8.lexicographicallyPrecedes(after.name.utf8)
            }
            return Array(rest.prefix(max(0, limit)))
        }
    }

    package func versions(
        of name: String, of tenant: TenantID, before: Int64?, limit: Int
    ) throws(StoreError) -> [WorkflowVersion] {
        try read { tables throws(StoreError) in
            let all = tables.workflows[MemoryTables.TenantName(tenant, name)]?.versions ?? []
            return all.reversed().filter { $0.number < before ?? .max }.prefix(max(0, limit)).map {
                WorkflowVersion(number: $0.number, digest: $0.digest, deployedAt: $0.deployedAt)
            }
        }
    }

    package func version(
        _ number: Int64, of name: String, of tenant: TenantID
    ) throws(StoreError) -> DeployedWorkflow? {
        try read { tables throws(StoreError) in
            tables.workflows[MemoryTables.TenantName(tenant, name)]?.versions.first { $0.number == number }
        }
    }

    package func deleteWorkflow(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try write { tables throws(StoreError) in
            let key = MemoryTables.TenantName(tenant, name)
            guard tables.workflows[key]?.current != nil else { return false }
            tables.workflows[key]?.isDeleted = true
            return true
        }
    }

    package func currentWorkflows() throws(StoreError) -> [DeployedWorkflow] {
        try read { tables throws(StoreError) in
            let sorted = tables.workflows.sorted {
                $0.key.tenant == $1.key.tenant
                    ? $0.key.name.lexicographicallyPrecedes($1.key.name) : $0.key.tenant < $1.key.tenant
            }
            return sorted.compactMap(\.value.current)
        }
    }

    // MARK: - Refusals

    package func countRefusals(_ refusals: [TriggerRefusal]) throws(StoreError) {
        try write { tables throws(StoreError) in
            for refusal in refusals {
                let key = MemoryTables.TenantName(refusal.tenant, refusal.workflow)
                var counted = refusal
                counted.count += tables.refusals[key]?[refusal.reason]?.count ?? 0
                tables.refusals[key, default: [:]][refusal.reason] = counted
            }
        }
    }

    package func refusals(of workflow: String, of tenant: TenantID) throws(StoreError) -> [TriggerRefusal] {
        try read { tables throws(StoreError) in
            let found = tables.refusals[MemoryTables.TenantName(tenant, workflow)] ?? [:]
            return found.values.sorted {
                $0.reason.rawValue.utf8.lexicographicallyPrecedes($1.reason.rawValue.utf8)
            }
        }
    }
}

extension MemoryTables.WorkflowRow {
    /// What triggers start; nil where it was deleted.
    fileprivate var current: DeployedWorkflow? { isDeleted ? nil : versions.last }
}
