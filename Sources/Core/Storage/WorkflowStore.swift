package import Values

/// Deployed workflows with all their versions, and the refusals of their triggers.
package protocol WorkflowStore: Sendable {
    /// Makes `source` the current version of a tenant's workflow.
    ///
    /// If the current version has the same source, nothing changes and that version is returned. Otherwise
    /// the number rises by 1, starting at 1. Deploying a deleted workflow restores it with the next number.
    ///
    /// - Parameters:
    ///   - name: The workflow's name.
    ///   - tenant: Its tenant.
    ///   - digest: SHA-256 of the source, 32 bytes.
    ///   - source: The file.
    ///   - at: The time of the deployment.
    ///   - listensToRuns: Whether the ends of other runs start it, for ``runListeners()``.
    /// - Returns: The version in service.
    /// - Throws: ``StoreError`` if the store failed; the version in service is unchanged then.
    func deployWorkflow(
        _ name: String, of tenant: TenantID, digest: [UInt8], source: [UInt8], at: Instant,
        listensToRuns: Bool
    ) throws(StoreError) -> DeployedWorkflow
    /// The current version; nil if there is none or the workflow is deleted.
    func workflow(_ name: String, of tenant: TenantID) throws(StoreError) -> DeployedWorkflow?
    /// A version by its digest, to which a run is pinned; current or not, deleted or not.
    func workflow(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> DeployedWorkflow?
    /// Current versions with a name above `after`, by name.
    func workflows(of tenant: TenantID, after: String?, limit: Int) throws(StoreError) -> [DeployedWorkflow]
    /// The names of all workflows in service, sorted as bytes.
    func workflowNames(of tenant: TenantID) throws(StoreError) -> [String]
    /// The number of a tenant's workflows in service, and of all their stored versions.
    func workflowCounts(of tenant: TenantID) throws(StoreError) -> WorkflowCounts
    /// At most `limit` versions of a workflow with numbers below `before`, newest first; deleted workflows
    /// included.
    func versions(
        of name: String, of tenant: TenantID, before: Int64?, limit: Int
    ) throws(StoreError) -> [WorkflowVersion]
    /// One version by its number, in service or not; nil if there is none.
    func version(
        _ number: Int64, of name: String, of tenant: TenantID
    ) throws(StoreError) -> DeployedWorkflow?
    /// Versions of all of a tenant's workflows, deleted ones included, by name and number, after a place.
    func allVersions(
        of tenant: TenantID, after: (name: String, number: Int64)?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow]
    /// Takes a workflow out of service: no trigger starts it, and its open runs continue.
    ///
    /// - Returns: Whether the workflow was in service.
    func deleteWorkflow(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool
    /// The workflows in service that the ends of other runs start, of all tenants, by tenant and name.
    func runListeners() throws(StoreError) -> [WorkflowAddress]
    /// Every current workflow of every tenant, for loading triggers at start.
    func currentWorkflows() throws(StoreError) -> [DeployedWorkflow]

    /// Adds to the counts of requests that triggers refused.
    func countRefusals(_ refusals: [TriggerRefusal]) throws(StoreError)
    /// The counts of a workflow's refusals, one for each reason, sorted by reason.
    func refusals(of workflow: String, of tenant: TenantID) throws(StoreError) -> [TriggerRefusal]
}

/// The identity of a workflow.
package struct WorkflowAddress: Sendable, Hashable {
    package var tenant: TenantID
    package var name: String

    package init(tenant: TenantID, name: String) {
        self.tenant = tenant
        self.name = name
    }
}

/// One version of a workflow, with its source.
package struct DeployedWorkflow: Sendable, Hashable {
    package var tenant: TenantID
    package var name: String
    /// Counts the deployments of this name, from 1.
    package var number: Int64
    /// SHA-256 of the source, 32 bytes.
    package var digest: [UInt8]
    package var source: [UInt8]
    package var deployedAt: Instant

    package init(
        tenant: TenantID, name: String, number: Int64, digest: [UInt8], source: [UInt8], deployedAt: Instant
    ) {
        self.tenant = tenant
        self.name = name
        self.number = number
        self.digest = digest
        self.source = source
        self.deployedAt = deployedAt
    }
}

/// A version without its source, as lists show it.
package struct WorkflowVersion: Sendable, Hashable {
    package var number: Int64
    /// SHA-256 of the source, 32 bytes.
    package var digest: [UInt8]
    package var deployedAt: Instant

    package init(number: Int64, digest: [UInt8], deployedAt: Instant) {
        self.number = number
        self.digest = digest
        self.deployedAt = deployedAt
    }
}

/// The number of a tenant's workflows and versions.
package struct WorkflowCounts: Sendable, Hashable {
    package var inService: Int
    /// Versions of workflows in service and of deleted ones.
    package var versions: Int

    package init(inService: Int, versions: Int) {
        self.inService = inService
        self.versions = versions
    }
}

/// How often a trigger refused a request for one reason, and the last case.
package struct TriggerRefusal: Sendable, Hashable {
    package enum Reason: String, Sendable, CaseIterable {
        /// The guard was false: 401.
        case guardFalse = "guard_false"
        /// The guard raised an error: 500, so that the sender delivers again.
        case guardError = "guard_error"
        /// The body did not match its content type: 400.
        case malformedBody = "malformed_body"
        /// The body did not match the schema: 422.
        case schema
        /// A part of the `dedupe` key was missing: 422.
        case dedupeKey = "dedupe_key"
        /// A part of `concurrency.key` was missing: 422.
        case concurrencyKey = "concurrency_key"
        /// The tenant's balance was used up: 402.
        case balance
        /// The tenant was suspended: 403.
        case suspended
        /// The webhook was called too often: 429.
        case rate
        /// The tenant had the maximum number of open runs: 429.
        case openRuns = "open_runs"
    }

    package var tenant: TenantID
    package var workflow: String
    package var reason: Reason
    package var count: Int64
    package var lastAt: Instant
    /// The last error or violation as text; without secrets, at most 1 KiB.
    package var lastDetail: String

    package init(
        tenant: TenantID, workflow: String, reason: Reason, count: Int64, lastAt: Instant, lastDetail: String
    ) {
        self.tenant = tenant
        self.workflow = workflow
        self.reason = reason
        self.count = count
        self.lastAt = lastAt
        self.lastDetail = lastDetail
    }
}
