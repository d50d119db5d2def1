import Storage
import Testing
import Values

@Suite("Store contract: tenants, keys, secrets and workflows")
struct TenantContractTests {
    @Test("tenants are added once, listed by id and changed", arguments: StoreBackend.allCases)
    func tenantsAreKept(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        for number: Int64 in [3, 1, 2] { try store.addTenant(Sample.tenantRow(TenantID(number: number))) }
        #expect(throws: StoreError.exists(what: "tenant \(TenantID(number: 1))")) {
            try store.addTenant(Sample.tenantRow(TenantID(number: 1)))
        }
        #expect(try store.tenants(after: nil, limit: 2).map(\.tenant.number) == [1, 2])
        #expect(try store.tenants(after: TenantID(number: 1), limit: 9).map(\.tenant.number) == [2, 3])
        try store.setExternalCustomer("cus_1", of: TenantID(number: 2))
        #expect(try store.tenant(TenantID(number: 2))?.externalCustomerID == "cus_1")
        #expect(try store.tenant(TenantID(number: 3)) == Sample.tenantRow(TenantID(number: 3)))
        #expect(throws: StoreError.missing(what: "tenant \(TenantID(number: 9))")) {
            try store.setExternalCustomer("cus_1", of: TenantID(number: 9))
        }
    }

    @Test("I10: a key is revoked by its own tenant only, once", arguments: StoreBackend.allCases)
    func keysAreRevokedByTheirTenant(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        let id = KeyID(number: 5)
        var key = APIKey(
            key: id, tenant: Sample.tenant, scope: .internal, secretHash: [1, 2], createdAt: Sample.noon)
        try store.addKey(key)
        #expect(throws: StoreError.exists(what: "key \(id)")) { try store.addKey(key) }
        #expect(try store.keys(of: Sample.other).isEmpty)
        #expect(try store.revokeKey(id, of: Sample.other, at: Sample.noon) == .unknown)
        #expect(try store.key(id) == key)
        #expect(try store.revokeKey(id, of: Sample.tenant, at: Sample.noon) == .revoked)
        #expect(try store.revokeKey(id, of: Sample.tenant, at: Sample.at(1)) == .unknown)
        key.revokedAt = Sample.noon
        #expect(try store.keys(of: Sample.tenant) == [key])
    }

    @Test(
        "the operator's last full key stays live, whatever else is revoked", arguments: StoreBackend.allCases)
    func lastOperatorKeyStays(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        func add(_ number: Int64, _ tenant: TenantID, _ scope: APIKey.Scope) throws -> KeyID {
            let id = KeyID(number: number)
            try store.addKey(
                APIKey(key: id, tenant: tenant, scope: scope, secretHash: [1], createdAt: Sample.noon))
            return id
        }
        let keys = try [add(1, .operatorTenant, .full), add(2, .operatorTenant, .full)]
        let inner = try add(3, .operatorTenant, .internal)
        let tenants = try add(4, Sample.tenant, .full)
        // A tenant may be left without a key: the operator makes it another.
        #expect(try store.revokeKey(tenants, of: Sample.tenant, at: Sample.noon) == .revoked)
        #expect(try store.revokeKey(inner, of: .operatorTenant, at: Sample.noon) == .revoked)
        let outcomes = Gathering<KeyRevocation>()
        let threads = keys.map { key in
            WorkerThread(name: "revoke") {
                outcomes.add(Result { try store.revokeKey(key, of: .operatorTenant, at: Sample.noon) })
            }
        }
        for thread in threads { thread.join() }
        #expect(try outcomes.sorted { $0 == .revoked && $1 != .revoked } == [.revoked, .lastOperatorKey])
        let live = try store.keys(of: .operatorTenant).filter { $0.revokedAt == nil }.map(\.key)
        #expect(live.count == 1)
        #expect(try store.revokeKey(live[0], of: .operatorTenant, at: Sample.at(1)) == .lastOperatorKey)
    }

    @Test("I10: secrets are a tenant's own, replaced and deleted by name", arguments: StoreBackend.allCases)
    func secretsAreKept(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        func secret(_ name: String, _ sealed: [UInt8], _ hosts: [String] = []) -> SealedSecret {
            SealedSecret(
                tenant: Sample.tenant, name: name, sealed: sealed, hosts: hosts, updatedAt: Sample.noon)
        }
        try store.setSecret(secret("B", [1], ["api.stripe.com", "x.test"]))
        try store.setSecret(secret("A", [0, 7]))
        #expect(try store.secret("B", of: Sample.tenant) == secret("B", [1], ["api.stripe.com", "x.test"]))
        try store.setSecret(secret("B", [2]))
        #expect(try store.secrets(of: Sample.tenant) == [secret("A", [0, 7]), secret("B", [2])])
        #expect(try store.secret("A", of: Sample.other) == nil)
        #expect(try !store.deleteSecret("A", of: Sample.other))
        #expect(try store.deleteSecret("A", of: Sample.tenant))
        #expect(try !store.deleteSecret("A", of: Sample.tenant))
        try store.setSetting("check", [])
        #expect(try store.setting("check") == [])
        try store.setSetting("check", [1, 0])
        #expect(try store.setting("check") == [1, 0])
        #expect(try store.setting("other") == nil)
    }

    @Test("each new source of a workflow has the next number", arguments: StoreBackend.allCases)
    func workflowsAreVersioned(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        func deploy(_ name: String, _ digest: UInt8, of tenant: TenantID = Sample.tenant) throws -> Int64 {
            try store.deployWorkflow(
                name, of: tenant, digest: [digest], source: [digest, digest], at: Sample.noon,
                listensToRuns: false
            ).number
        }
        #expect(try deploy("b", 1) == 1)
        #expect(try deploy("b", 1) == 1)
        #expect(try deploy("b", 2) == 2)
        #expect(try deploy("a", 3) == 1)
        #expect(try deploy("a", 4, of: Sample.other) == 1)
        #expect(try store.workflow("b", of: Sample.tenant)?.source == [2, 2])
        #expect(try store.workflow(digest: [1], of: Sample.tenant)?.number == 1)
        #expect(try store.workflow(digest: [4], of: Sample.tenant) == nil)
        #expect(try store.workflows(of: Sample.tenant, after: nil, limit: 9).map(\.name) == ["a", "b"])
        #expect(try store.workflows(of: Sample.tenant, after: "a", limit: 9).map(\.name) == ["b"])
        #expect(try store.workflowCounts(of: Sample.tenant) == WorkflowCounts(inService: 2, versions: 3))
        #expect(try store.deleteWorkflow("b", of: Sample.tenant))
        #expect(try !store.deleteWorkflow("b", of: Sample.tenant))
        #expect(try store.workflow("b", of: Sample.tenant) == nil)
        #expect(try store.workflowCounts(of: Sample.tenant) == WorkflowCounts(inService: 1, versions: 3))
        #expect(try store.workflow(digest: [2], of: Sample.tenant)?.number == 2)
        #expect(try store.currentWorkflows().map(\.digest) == [[3], [4]])
        #expect(try deploy("b", 2) == 3)
        func numbers(before: Int64? = nil, limit: Int = 9) throws -> [Int64] {
            try store.versions(of: "b", of: Sample.tenant, before: before, limit: limit).map(\.number)
        }
        #expect(try numbers() == [3, 2, 1] && numbers(limit: 2) == [3, 2] && numbers(before: 2) == [1])
        #expect(try numbers(limit: 0) == [] && numbers(before: 1) == [])
        #expect(try store.version(1, of: "b", of: Sample.tenant)?.source == [1, 1])
        #expect(try store.version(2, of: "b", of: Sample.tenant)?.source == [2, 2])
        #expect(try store.version(4, of: "b", of: Sample.tenant) == nil)
        #expect(try store.version(1, of: "b", of: Sample.other) == nil)
        #expect(try store.workflowNames(of: Sample.tenant) == ["a", "b"])
        #expect(try store.deleteWorkflow("b", of: Sample.tenant))
        #expect(try store.workflowNames(of: Sample.tenant) == ["a"])
        #expect(try numbers() == [3, 2, 1], "versions of a deleted workflow are kept")
    }

    @Test("refusals are counted with the last one's reason", arguments: StoreBackend.allCases)
    func refusalsAreCounted(backend: StoreBackend) throws {
        let harness = try backend.start()
        let store = harness.store
        func refusal(_ reason: TriggerRefusal.Reason, _ count: Int64, _ detail: String) -> TriggerRefusal {
            TriggerRefusal(
                tenant: Sample.tenant, workflow: "w", reason: reason, count: count, lastAt: Sample.at(count),
                lastDetail: detail)
        }
        try store.countRefusals([refusal(.schema, 2, "x"), refusal(.balance, 1, "y")])
        try store.countRefusals([refusal(.schema, 3, "z")])
        var schema = refusal(.schema, 3, "z")
        schema.count = 5
        #expect(try store.refusals(of: "w", of: Sample.tenant) == [refusal(.balance, 1, "y"), schema])
        #expect(try store.refusals(of: "w", of: Sample.other).isEmpty)
    }
}

/// Results that several threads come to.
final class Gathering<Output: Sendable>: @unchecked Sendable {
    // Unchecked: `results` is read and written under `lock`.
    private let lock = Lock()
    private var results: [Result<Output, any Error>] = []

    func add(_ result: Result<Output, any Error>) { lock.withLock { results.append(result) } }

    func sorted(by precedes: (Output, Output) -> Bool) throws -> [Output] {
        try lock.withLock { results }.map { try $0.get() }.sorted(by: precedes)
    }
}
