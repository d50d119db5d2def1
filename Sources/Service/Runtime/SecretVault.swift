package import Engine
package import Ports
package import Storage
package import Values

/// Seals secrets for the store and opens them for evaluations (I9).
///
/// AES-256-GCM under a key derived from the master key for each tenant; tenant and name are bound
/// to each, so that a sealed value moved to another row does not open.
package final class SecretVault: @unchecked Sendable {
    // Unchecked: `opened` and `generation` are read and written under `lock`.
    private let store: any TenantStore
    private let cryptography: any Cryptography
    private let masterKey: [UInt8]
    private let lock = Lock()
    private var opened: [TenantID: OpenSecrets] = [:]
    private var changes: Int = 0
    /// Values that were replaced while this process runs: an answer under way may still hold one.
    private var replaced: [TenantID: [String: [String]]] = [:]
    /// Of each secret, the newest.
    private static let replacedCountMax = 8

    /// - Parameters:
    ///   - store: Where sealed secrets are.
    ///   - cryptography: Seals and opens.
    ///   - masterKey: 32 bytes, from a file or the environment, never from the database.
    package init(store: any TenantStore, cryptography: any Cryptography, masterKey: [UInt8]) {
        self.store = store
        self.cryptography = cryptography
        self.masterKey = masterKey
    }

    /// Makes the tokens by which outsiders signal one run; from the master key, so that they outlive a restart.
    package var signalKey: [UInt8] {
        cryptography.hmac("sha256", key: masterKey, data: Array("millrace signal key 1".utf8)) ?? masterKey
    }

    /// Rises with each change of any secret.
    package var generation: Int { lock.withLock { changes } }

    package func set(
        _ name: String, _ value: String, hosts: [String], of tenant: TenantID, at: Instant
    ) throws(StoreError) {
        let before = try secrets(of: tenant).byName[name]?.value
        let sealed = cryptography.seal(
            Array(value.utf8), key: key(of: tenant), context: context(tenant, name))
        try store.setSecret(
            SealedSecret(tenant: tenant, name: name, sealed: sealed, hosts: hosts, updatedAt: at))
        forget(tenant, name, before)
    }

    package func delete(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool {
        let before = try secrets(of: tenant).byName[name]?.value
        let existed = try store.deleteSecret(name, of: tenant)
        forget(tenant, name, before)
        return existed
    }

    /// All of a tenant's secrets.
    ///
    /// One that does not open under this master key is left out, so that
    /// reading it is an error and never an empty text.
    package func secrets(of tenant: TenantID) throws(StoreError) -> OpenSecrets {
        if let known = lock.withLock({ opened[tenant] }) { return known }
        let before = generation
        var secrets = OpenSecrets()
        for sealed in try store.secrets(of: tenant) {
            guard
                let bytes = cryptography.open(
                    sealed.sealed, key: key(of: tenant), context: context(tenant, sealed.name)),
                let text = String(validating: bytes, as: UTF8.self)
            else { continue }
            secrets.byName[sealed.name] = OpenSecrets.Secret(value: text, hosts: sealed.hosts)
        }
        lock.withLock { if changes == before { opened[tenant] = secrets } }
        return secrets
    }

    /// Earlier values of these secrets, to be kept out of journals like the present ones; all of them where
    /// `names` is nil.
    func replacedValues(of tenant: TenantID, named names: [String]?) -> [String] {
        lock.withLock {
            guard let known = replaced[tenant] else { return [] }
            return known.filter { names?.contains($0.key) ?? true }.values.flatMap(\.self)
        }
    }

    private func forget(_ tenant: TenantID, _ name: String, _ before: String?) {
        lock.withLock {
            opened[tenant] = nil
            changes += 1
            guard let before else { return }
            let values = (replaced[tenant]?[name] ?? []).filter { $0 != before }.suffix(
                Self.replacedCountMax - 1)
            replaced[tenant, default: [:]][name] = values + [before]
        }
    }

    private func key(of tenant: TenantID) -> [UInt8] {
        cryptography.hmac("sha256", key: masterKey, data: Array("millrace secret key 1 \(tenant)".utf8))
            ?? masterKey
    }

    private func context(_ tenant: TenantID, _ name: String) -> [UInt8] {
        Array("1|\(tenant.description.utf8.count):\(tenant)|\(name.utf8.count):\(name)".utf8)
    }
}
