package import Engine
package import Ports
package import Storage
package import Values
package import Workflow

/// The workflows that are in service, as plans ready to run; read from the store on first use.
package final class Catalog: @unchecked Sendable {
    // Unchecked: the caches and the listeners are read and written under `lock`.
    private struct Name: Hashable {
        var tenant: TenantID
        var name: String
    }

    private struct Digest: Hashable {
        var tenant: TenantID
        var digest: [UInt8]
    }

    /// What the plans in service, and those that runs are pinned to, may weigh; others are compiled on use.
    package static let weightMax = 128 << 20
    /// Workflows that are read at once while listeners are looked for.
    private static let pageSize = 20

    private let store: any WorkflowStore
    private let loader: any DefinitionLoader
    private let cryptography: any Cryptography
    private let lock = Lock()
    /// Held over a change in the store and in memory, so that a slow reader cannot bring back what
    /// was replaced meanwhile.
    private let changing = Lock()
    private var current: LRUCache<Name, RunPlan>
    private var byDigest: LRUCache<Digest, RunPlan>
    /// Names of the operator's workflows that listen, by event; those of an event that was not raised are unknown.
    private var listenerNames: [String: [String]] = [:]
    private var operatorChangeCount = 0
    /// Rules of the workflows that the ends of other runs start, by tenant and name.
    private var runListeners: [TenantID: [String: [RunTriggerRule]]] = [:]
    private var changeListener: (@Sendable (TenantID, String) -> Void)?

    /// - Parameters:
    ///   - store: Where sources are.
    ///   - loader: Compiles them.
    ///   - cryptography: For their digests.
    ///   - weightMax: What the plans in memory may weigh, in bytes, twice: those in service, and all.
    package init(
        store: any WorkflowStore, loader: any DefinitionLoader, cryptography: any Cryptography,
        weightMax: Int = Catalog.weightMax
    ) {
        self.store = store
        self.loader = loader
        self.cryptography = cryptography
        current = LRUCache(weightMax: weightMax, resistsScans: true)
        byDigest = LRUCache(weightMax: weightMax, resistsScans: true)
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
            let rules = definition.runTriggers
            let deployed = try store.deployWorkflow(
                definition.name, of: tenant, digest: digest, source: source, at: at,
                listensToRuns: !rules.isEmpty)
            lock.withLock { note(rules, of: definition.name, tenant) }
            keep(RunPlan(definition: definition, digest: digest), of: deployed, isCurrent: true)
            return .deployed(deployed, isNew: deployed.number != live?.number)
        }
    }

    /// Takes a workflow out of service; runs under way go on.
    package func delete(
        _ name: String, of tenant: TenantID, expecting: Expectation = .anything
    ) throws(StoreError) -> Change {
        try change(name, of: tenant, expecting) { live throws(StoreError) in
            let existed = try store.deleteWorkflow(name, of: tenant)
            lock.withLock {
                _ = current.remove(Name(tenant: tenant, name: name))
                note([], of: name, tenant)
            }
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
        forgetListeners(tenant)
        isDone = true
        return change
    }

    private func announce(_ name: String, _ tenant: TenantID) {
        lock.withLock { changeListener }?(tenant, name)
    }

    // MARK: - Plans

    /// The plan in service under that name; nil if there is none or it no longer loads.
    package func plan(named name: String, of tenant: TenantID) throws(StoreError) -> RunPlan? {
        if let known = lock.withLock({ current.use(Name(tenant: tenant, name: name)) }) { return known }
        changing.lock()
        defer { changing.unlock() }
        guard let deployed = try store.workflow(name, of: tenant) else { return nil }
        return load(deployed, isCurrent: true)
    }

    /// The plan that a run is pinned to.
    package func plan(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> RunPlan? {
        if let known = lock.withLock({ byDigest.use(Digest(tenant: tenant, digest: digest)) }) {
            return known
        }
        guard let deployed = try store.workflow(digest: digest, of: tenant) else { return nil }
        return load(deployed, isCurrent: false)
    }

    /// One source has one plan in memory, as long as anything keeps it.
    private func load(_ deployed: DeployedWorkflow, isCurrent: Bool) -> RunPlan? {
        let key = Digest(tenant: deployed.tenant, digest: deployed.digest)
        if let known = lock.withLock({ byDigest.use(key) }) {
            keep(known, of: deployed, isCurrent: isCurrent)
            return known
        }
        guard let definition = loader.load(deployed.source).definition else { return nil }
        let plan = RunPlan(definition: definition, digest: deployed.digest)
        keep(plan, of: deployed, isCurrent: isCurrent)
        return plan
    }

    private func keep(_ plan: RunPlan, of deployed: DeployedWorkflow, isCurrent: Bool) {
        let weight = Self.weight(of: deployed.source)
        let digest = Digest(tenant: deployed.tenant, digest: plan.digest)
        lock.withLock {
            byDigest.insert(plan, for: digest, weight: weight)
            guard isCurrent else { return }
            current.insert(plan, for: Name(tenant: deployed.tenant, name: deployed.name), weight: weight)
        }
    }

    /// About what a plan takes in memory, in bytes.
    private static func weight(of source: [UInt8]) -> Int { 4_096 + 16 * source.count }

    // MARK: - Listeners

    /// Who listens to an event.
    package struct Listeners: Sendable {
        /// Plans of the operator, by name.
        package var plans: [RunPlan] = []
        /// Workflows of the operator that name the event and no longer load.
        package var broken: [String] = []
    }

    /// Who listens to an event of the operator's.
    package func listeners(to event: String) throws(StoreError) -> Listeners {
        var listeners = Listeners()
        for name in try names(listeningTo: event) {
            if let plan = try plan(named: name, of: .operatorTenant) {
                listeners.plans.append(plan)
            } else if try store.workflow(name, of: .operatorTenant) != nil {
                listeners.broken.append(name)
            }
        }
        return listeners
    }

    /// Learns which workflows the ends of runs start; to be called once, before any run ends.
    func loadRunListeners() throws(StoreError) {
        for address in try store.runListeners() {
            // One that does not load any more hears of nothing until it is deployed again.
            let rules = try plan(named: address.name, of: address.tenant)?.definition.runTriggers ?? []
            lock.withLock { note(rules, of: address.name, address.tenant) }
        }
    }

    /// Called under the lock.
    private func note(_ rules: [RunTriggerRule], of name: String, _ tenant: TenantID) {
        if rules.isEmpty, runListeners[tenant] == nil { return }
        runListeners[tenant, default: [:]][name] = rules.isEmpty ? nil : rules
        if runListeners[tenant]?.isEmpty == true { runListeners[tenant] = nil }
    }

    /// Names of the workflows that the end of such a run starts, sorted; never its own.
    func listeners(toEndsOf workflow: String, _ outcome: String, of tenant: TenantID) -> [String] {
        guard let listeners = lock.withLock({ runListeners[tenant] }) else { return [] }
        return listeners.filter { name, rules in
            !name.hasSameBytes(as: workflow)
                && rules.contains { $0.admits(workflow: workflow, outcome: outcome) }
        }.keys.sorted()
    }

    /// Whether the ends of other runs start the workflow.
    package static func hearsOfRuns(_ definition: WorkflowDefinition) -> Bool {
        !definition.runTriggers.isEmpty
    }

    /// The workflows of a tenant that the ends of runs start, without one of them.
    package func runListenerCount(of tenant: TenantID, except name: String) -> Int {
        lock.withLock { runListeners[tenant]?.keys.count { !$0.hasSameBytes(as: name) } ?? 0 }
    }

    private func forgetListeners(_ tenant: TenantID) {
        guard tenant == .operatorTenant else { return }
        lock.withLock {
            listenerNames = [:]
            operatorChangeCount += 1
        }
    }

    private func names(listeningTo event: String) throws(StoreError) -> [String] {
        let (known, changeCount) = lock.withLock { (listenerNames[event], operatorChangeCount) }
        if let known { return known }
        var names: [String] = []
        var after: String?
        repeat {
            let page = try store.workflows(of: .operatorTenant, after: after, limit: Self.pageSize)
            for deployed in page where deployed.source.mayName(event) {
                // One that does not load is named all the same, so that somebody hears of it.
                if try plan(named: deployed.name, of: .operatorTenant)?.listens(to: event) ?? true {
                    names.append(deployed.name)
                }
            }
            after = page.count == Self.pageSize ? page.last?.name : nil
        } while after != nil
        lock.withLock { if operatorChangeCount == changeCount { listenerNames[event] = names } }
        return names
    }
}

extension WorkflowDefinition {
    fileprivate var runTriggers: [RunTriggerRule] {
        triggers.compactMap { if case .run(let rule) = $0.kind { rule } else { nil } }
    }
}

extension RunPlan {
    fileprivate func listens(to event: String) -> Bool {
        definition.triggers.contains { $0.kind == .hook(event: event) }
    }
}
