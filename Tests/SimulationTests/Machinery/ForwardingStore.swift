import Billing
import Storage
import Values

/// Passes every call on to another store; what stands between the two overrides what it changes.
class ForwardingStore: Store, @unchecked Sendable {
    // Unchecked: used by one thread.
    typealias Completion = @Sendable (Result<CommitReceipt, StoreError>) -> Void

    /// Where calls go; two stores can be asked the same in turn.
    var inner: any Store

    init(_ inner: any Store) { self.inner = inner }

    /// Where every call that only reads comes through.
    func reading<Output>(_ body: () throws(StoreError) -> Output) throws(StoreError) -> Output { try body() }

    /// Where every call that waits for the disk comes through.
    func writing<Output>(
        _ what: String, _ body: () throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        try body()
    }

    var epoch: Int64 { inner.epoch }
    var byteCountOnDisk: Int64 { inner.byteCountOnDisk }
    var flushCount: Int64 { inner.flushCount }
    func close() { inner.close() }

    func commit(_ commit: RunCommit, inPlace: Bool, completion: @escaping Completion) {
        inner.commit(commit, inPlace: inPlace, completion: completion)
    }

    // MARK: - Runs

    func run(_ run: RunID, of tenant: TenantID) throws(StoreError) -> RunRecord? {
        try reading { () throws(StoreError) in try inner.run(run, of: tenant) }
    }

    func runs(of tenant: TenantID, _ query: RunQuery) throws(StoreError) -> [RunRecord] {
        try reading { () throws(StoreError) in try inner.runs(of: tenant, query) }
    }

    func entries(of run: RunID) throws(StoreError) -> [StoredEntry] {
        try reading { () throws(StoreError) in try inner.entries(of: run) }
    }

    func openRuns(after: RunID?, limit: Int) throws(StoreError) -> [RunRecord] {
        try reading { () throws(StoreError) in try inner.openRuns(after: after, limit: limit) }
    }

    func waitingRuns(after: WakeTime?, limit: Int) throws(StoreError) -> [WakeTime] {
        try reading { () throws(StoreError) in try inner.waitingRuns(after: after, limit: limit) }
    }

    func waitingRun(_ run: RunID) throws(StoreError) -> RunRecord? {
        try reading { () throws(StoreError) in try inner.waitingRun(run) }
    }

    func waitingRuns(startedBy trigger: String) throws(StoreError) -> [RunRecord] {
        try reading { () throws(StoreError) in try inner.waitingRuns(startedBy: trigger) }
    }

    func waitingRunCount() throws(StoreError) -> Int {
        try reading { () throws(StoreError) in try inner.waitingRunCount() }
    }

    func duplicate(
        of dedupe: RunCommit.Dedupe, workflow: String, of tenant: TenantID
    ) throws(StoreError) -> CommitReceipt? {
        try reading { () throws(StoreError) in
            try inner.duplicate(of: dedupe, workflow: workflow, of: tenant)
        }
    }

    func newestRun() throws(StoreError) -> RunID? {
        try reading { () throws(StoreError) in try inner.newestRun() }
    }

    func deleteRuns(
        finishedBefore instant: Instant, startedSince: Instant?, limit: Int
    ) throws(StoreError) -> Int {
        try writing("deleteRuns") { () throws(StoreError) in
            try inner.deleteRuns(finishedBefore: instant, startedSince: startedSince, limit: limit)
        }
    }

    func checkRoom() throws(StoreError) {
        try writing("checkRoom") { () throws(StoreError) in try inner.checkRoom() }
    }

    func forgetDedupeKeys(before instant: Instant, limit: Int) throws(StoreError) -> Int {
        try writing("forgetDedupeKeys") { () throws(StoreError) in
            try inner.forgetDedupeKeys(before: instant, limit: limit)
        }
    }

    func pendingMail(after: MailPlace?, limit: Int) throws(StoreError) -> [Mail] {
        try reading { () throws(StoreError) in try inner.pendingMail(after: after, limit: limit) }
    }

    func dropMail(_ places: [MailPlace]) throws(StoreError) {
        try writing("dropMail") { () throws(StoreError) in try inner.dropMail(places) }
    }

    func pendingDepletions() throws(StoreError) -> [Depletion] {
        try reading { () throws(StoreError) in try inner.pendingDepletions() }
    }

    func dropDepletion(_ depletion: Depletion) throws(StoreError) {
        try writing("dropDepletion") { () throws(StoreError) in try inner.dropDepletion(depletion) }
    }

    // MARK: - Ledgers

    func account(of tenant: TenantID) throws(StoreError) -> Account {
        try reading { () throws(StoreError) in try inner.account(of: tenant) }
    }

    func ledger(of tenant: TenantID, before: Int64?, limit: Int) throws(StoreError) -> [LedgerEntry] {
        try reading { () throws(StoreError) in try inner.ledger(of: tenant, before: before, limit: limit) }
    }

    func credit(_ credit: Credit) throws(StoreError) -> CreditOutcome {
        try writing("credit") { () throws(StoreError) in try inner.credit(credit) }
    }

    func addPurchase(_ purchase: Purchase) throws(StoreError) {
        try writing("addPurchase") { () throws(StoreError) in try inner.addPurchase(purchase) }
    }

    func purchase(_ id: PurchaseID) throws(StoreError) -> Purchase? {
        try reading { () throws(StoreError) in try inner.purchase(id) }
    }

    func openPurchaseCount(of tenant: TenantID, since instant: Instant) throws(StoreError) -> Int {
        try reading { () throws(StoreError) in try inner.openPurchaseCount(of: tenant, since: instant) }
    }

    func verifyLedgers() throws(StoreError) -> LedgerVerification {
        try reading { () throws(StoreError) in try inner.verifyLedgers() }
    }

    // MARK: - Tenants

    func addTenant(_ tenant: Tenant) throws(StoreError) {
        try writing("addTenant") { () throws(StoreError) in try inner.addTenant(tenant) }
    }

    func tenant(_ id: TenantID) throws(StoreError) -> Tenant? {
        try reading { () throws(StoreError) in try inner.tenant(id) }
    }

    func tenants(after: TenantID?, limit: Int) throws(StoreError) -> [Tenant] {
        try reading { () throws(StoreError) in try inner.tenants(after: after, limit: limit) }
    }

    func setExternalCustomer(_ externalCustomerID: String, of tenant: TenantID) throws(StoreError) {
        try writing("setExternalCustomer") { () throws(StoreError) in
            try inner.setExternalCustomer(externalCustomerID, of: tenant)
        }
    }

    func setSuspension(_ suspension: Tenant.Suspension?, of tenant: TenantID) throws(StoreError) {
        try writing("setSuspension") { () throws(StoreError) in
            try inner.setSuspension(suspension, of: tenant)
        }
    }

    func suspendedTenants() throws(StoreError) -> [Tenant] {
        try reading { () throws(StoreError) in try inner.suspendedTenants() }
    }

    func ledgerDays(of tenant: TenantID, from: Instant, to: Instant) throws(StoreError) -> [LedgerDay] {
        try reading { () throws(StoreError) in try inner.ledgerDays(of: tenant, from: from, to: to) }
    }

    func beginErasure(of tenant: TenantID, at: Instant) throws(StoreError) {
        try writing("beginErasure") { () throws(StoreError) in try inner.beginErasure(of: tenant, at: at) }
    }

    func tenantsBeingErased() throws(StoreError) -> [Tenant] {
        try reading { () throws(StoreError) in try inner.tenantsBeingErased() }
    }

    func eraseData(of tenant: TenantID, limit: Int, at: Instant) throws(StoreError) -> Bool {
        try writing("eraseData") { () throws(StoreError) in
            try inner.eraseData(of: tenant, limit: limit, at: at)
        }
    }

    func allVersions(
        of tenant: TenantID, after: (name: String, number: Int64)?, limit: Int
    ) throws(StoreError) -> [DeployedWorkflow] {
        try reading { () throws(StoreError) in
            try inner.allVersions(of: tenant, after: after, limit: limit)
        }
    }

    func addKey(_ key: APIKey) throws(StoreError) {
        try writing("addKey") { () throws(StoreError) in try inner.addKey(key) }
    }

    func key(_ id: KeyID) throws(StoreError) -> APIKey? {
        try reading { () throws(StoreError) in try inner.key(id) }
    }

    func keys(of tenant: TenantID) throws(StoreError) -> [APIKey] {
        try reading { () throws(StoreError) in try inner.keys(of: tenant) }
    }

    func revokeKey(_ id: KeyID, of tenant: TenantID, at: Instant) throws(StoreError) -> KeyRevocation {
        try writing("revokeKey") { () throws(StoreError) in try inner.revokeKey(id, of: tenant, at: at) }
    }

    func setSecret(_ secret: SealedSecret) throws(StoreError) {
        try writing("setSecret") { () throws(StoreError) in try inner.setSecret(secret) }
    }

    func secret(_ name: String, of tenant: TenantID) throws(StoreError) -> SealedSecret? {
        try reading { () throws(StoreError) in try inner.secret(name, of: tenant) }
    }

    func secrets(of tenant: TenantID) throws(StoreError) -> [SealedSecret] {
        try reading { () throws(StoreError) in try inner.secrets(of: tenant) }
    }

    func deleteSecret(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try writing("deleteSecret") { () throws(StoreError) in try inner.deleteSecret(name, of: tenant) }
    }

    func allSecrets() throws(StoreError) -> [SealedSecret] {
        try reading { () throws(StoreError) in try inner.allSecrets() }
    }

    func reseal(_ secrets: [SealedSecret], settings: [String: [UInt8]]) throws(StoreError) {
        try writing("reseal") { () throws(StoreError) in try inner.reseal(secrets, settings: settings) }
    }

    func setting(_ name: String) throws(StoreError) -> [UInt8]? {
        try reading { () throws(StoreError) in try inner.setting(name) }
    }

    func setSetting(_ name: String, _ value: [UInt8]) throws(StoreError) {
        try writing("setSetting") { () throws(StoreError) in try inner.setSetting(name, value) }
    }

    // MARK: - Workflows

    func deployWorkflow(
        _ name: String, of tenant: TenantID, digest: [UInt8], source: [UInt8], at: Instant,
        listensToRuns: Bool
    ) throws(StoreError) -> DeployedWorkflow {
        try writing("deployWorkflow") { () throws(StoreError) in
            try inner.deployWorkflow(
                name, of: tenant, digest: digest, source: source, at: at, listensToRuns: listensToRuns)
        }
    }

    func runListeners() throws(StoreError) -> [WorkflowAddress] {
        try reading { () throws(StoreError) in try inner.runListeners() }
    }

    func workflow(_ name: String, of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try reading { () throws(StoreError) in try inner.workflow(name, of: tenant) }
    }

    func workflow(digest: [UInt8], of tenant: TenantID) throws(StoreError) -> DeployedWorkflow? {
        try reading { () throws(StoreError) in try inner.workflow(digest: digest, of: tenant) }
    }

    func workflows(of tenant: TenantID, after: String?, limit: Int) throws(StoreError) -> [DeployedWorkflow] {
        try reading { () throws(StoreError) in try inner.workflows(of: tenant, after: after, limit: limit) }
    }

    func workflowCounts(of tenant: TenantID) throws(StoreError) -> WorkflowCounts {
        try reading { () throws(StoreError) in try inner.workflowCounts(of: tenant) }
    }

    func workflowNames(of tenant: TenantID) throws(StoreError) -> [String] {
        try reading { () throws(StoreError) in try inner.workflowNames(of: tenant) }
    }

    func versions(
        of name: String, of tenant: TenantID, before: Int64?, limit: Int
    ) throws(StoreError) -> [WorkflowVersion] {
        try reading { () throws(StoreError) in
            try inner.versions(of: name, of: tenant, before: before, limit: limit)
        }
    }

    func version(
        _ number: Int64, of name: String, of tenant: TenantID
    ) throws(StoreError) -> DeployedWorkflow? {
        try reading { () throws(StoreError) in try inner.version(number, of: name, of: tenant) }
    }

    func deleteWorkflow(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        try writing("deleteWorkflow") { () throws(StoreError) in try inner.deleteWorkflow(name, of: tenant) }
    }

    func currentWorkflows() throws(StoreError) -> [DeployedWorkflow] {
        try reading { () throws(StoreError) in try inner.currentWorkflows() }
    }

    func countRefusals(_ refusals: [TriggerRefusal]) throws(StoreError) {
        try writing("countRefusals") { () throws(StoreError) in try inner.countRefusals(refusals) }
    }

    func refusals(of workflow: String, of tenant: TenantID) throws(StoreError) -> [TriggerRefusal] {
        try reading { () throws(StoreError) in try inner.refusals(of: workflow, of: tenant) }
    }
}
