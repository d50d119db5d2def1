package import Engine
package import Ports
package import Storage
package import Values
package import Workflow

/// The workflows that are in service, as plans ready to run; read from the store on first use.
package final class Catalog: @unchecked Sendable {
    // Unchecked: the dictionaries are read and written under `lock`.
    private struct Name: Hashable {
        var tenant: TenantID
        var name: String
    }

    private struct Digest: Hashable {
        var tenant: TenantID
        var digest: [UInt8]
    }

    /// Plans kept in memory; beyond it they are read again.
    private static let planCountMax = 2_000

    private let store: any WorkflowStore
    private let loader: any DefinitionLoader
    private let cryptography: any Cryptography
    private let lock = Lock()
    /// Held over a change in the store and in memory, so that a slow reader cannot bring back what
    /// was replaced meanwhile.
    private let changing = Lock()
    private var current: [Name: RunPlan] = [:]
    private var byDigest: [Digest: RunPlan] = [:]
    private var changeListener: (@Sendable (TenantID, String) -> Void)?

    package init(store: any WorkflowStore, loader: any DefinitionLoader, cryptography: any Cryptography) {
        self.store = store
        self.loader = loader
        self.cryptography = cryptography
    }

    /// Calls `listener` after each deployment and deletion, with no lock held; the last one set is called.
    func whenChanged(_ listener: @escaping @Sendable (TenantID, String) -> Void) {
        lock.withLock { changeListener = listener }
    }

    /// Reads a source without deploying it.
    package func check(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        loader.check(source)
    }

    /// What must be in service for a change to be made.
    package enum Expectation: Sendable, Hashable {
        case anything
        /// Nothing under that name.
        case nothing
        /// The version of this digest.
        case digest([UInt8])

        func admits(_ live: DeployedWorkflow?) -> Bool {
            switch self {
            case .anything: true
            case .nothing: live == nil
            case .digest(let digest): live?.digest == digest
            }
        }
    }

    /// What became of a change.
    package enum Change: Sendable, Hashable {
        /// The version that is in service now; false if it was before.
        case deployed(DeployedWorkflow, isNew: Bool)
        case deleted
        /// There was nothing to delete.
        case missing
        /// What is in service is not what was expected; nothing was changed.
        case unexpected(live: DeployedWorkflow?)
    }

    /// Puts a source into service, which the caller has checked.
    package func deploy(
        _ definition: WorkflowDefinition, source: [UInt8], of tenant: TenantID, at: Instant,
        expecting: Expectation = .anything
    ) throws(StoreError) -> Change {
        let digest = cryptography.sha256(source)
        return try change(definition.name, of: tenant, expecting) { live throws(StoreError) in
            let deployed = try store.deployWorkflow(
                definition.name, of: tenant, digest: digest, source: source, at: at)
            keep(RunPlan(definition: definition, digest: digest), of: tenant, isCurrent: true)
            return .deployed(deployed, isNew: deployed.number != live?.number)
        }
    }

    /// Takes a workflow out of service; runs under way go on.
    package func delete(
        _ name: String, of tenant: TenantID, expecting: Expectation = .anything
    ) throws(StoreError) -> Change {
        try change(name, of: tenant, expecting) { live throws(StoreError) in
            let existed = try store.deleteWorkflow(name, of: tenant)
            lock.withLock { _ = current.removeValue(forKey: Name(tenant: tenant, name: name)) }
            return existed ? .deleted : .missing
        }
    }

    /// One change at a time, so that what is expected cannot be replaced between the look and the change.
    private func change(
        _ name: String, of tenant: TenantID, _ expectation: Expectation,
        _ body: (DeployedWorkflow?) throws(StoreError) -> Change
    ) throws(StoreError) -> Change {
        changing.lock()
        var isDone = false
        defer { if isDone { announce(name, tenant) } }
        defer { changing.unlock() }
        let live = try store.workflow(name, of: tenant)
        guard expectation.admits(live) else { return .unexpected(live: live) }
        let change = try body(live)
        isDone = true
        return change
    }

    private func announce(_ name: String, _ tenant: TenantID) {
        lock.withLock { changeListener }?(tenant, name)
    }

    /// The plan in service under that name; nil where there is none or it no longer loads.
    package func plan(named name: String, of tenant: TenantID) throws(StoreError) -> RunPlan? {
        if let known = lock.withLock({ current[Name(tenant: tenant, name: name)] }) { return known }
        changing.lock()
        defer { changing.unlock() }
        guard let deployed = try store.workflow(name, of: tenant) else { return nil }
        return load(deployed, isCurrent: true)
    }

    /// The plan that a run is pinned to.
    package func plan(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> RunPlan? {
        if let known = lock.withLock({ byDigest[Digest(tenant: tenant, digest: digest)] }) { return known }
        guard let deployed = try store.workflow(digest: digest, of: tenant) else { return nil }
        return load(deployed, isCurrent: false)
    }

    /// Plans of the operator that listen to a hook, by name.
    package func listeners(to event: String) throws(StoreError) -> [RunPlan] {
        var plans: [RunPlan] = []
        for deployed in try store.workflows(of: .operatorTenant, after: nil, limit: 200) {
            guard let plan = try plan(named: deployed.name, of: .operatorTenant) else { continue }
            if plan.definition.triggers.contains(where: { $0.kind == .hook(event: event) }) {
                plans.append(plan)
            }
        }
        return plans
    }

    private func load(_ deployed: DeployedWorkflow, isCurrent: Bool) -> RunPlan? {
        guard let definition = loader.load(deployed.source).definition else { return nil }
        let plan = RunPlan(definition: definition, digest: deployed.digest)
        keep(plan, of: deployed.tenant, isCurrent: isCurrent)
        return plan
    }

    private func keep(_ plan: RunPlan, of tenant: TenantID, isCurrent: Bool) {
        lock.withLock {
            if byDigest.count >= Self.planCountMax {
                byDigest.removeAll()
                current.removeAll()
            }
            byDigest[Digest(tenant: tenant, digest: plan.digest)] = plan
            if isCurrent { current[Name(tenant: tenant, name: plan.definition.name)] = plan }
        }
    }
}
