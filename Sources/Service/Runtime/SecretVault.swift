package import Engine
package import Ports
package import Storage
package import Values

/// Seals secrets for the store and opens them for evaluations (I9).
///
/// AES-256-GCM under a key of each tenant's own, derived from a root of ``SealingKeys``; tenant and name are bound
/// to each, so that a sealed value moved to another row does not open.
package final class SecretVault: @unchecked Sendable {
    // Unchecked: everything below `lock` is read and written under `lock`.
    private let store: any TenantStore
    private let cryptography: any Cryptography
    /// Nil where the master key is not that of the database.
    private let keys: SealingKeys?
    private let lock = Lock()
    private var opened: [TenantID: OpenSecrets] = [:]
    /// Of all values of a tenant, those that were replaced included.
    private var redactors: [TenantID: Redactor] = [:]
    private var changes: Int = 0
    /// Values that were replaced while this process runs: an answer under way may still hold one.
    private var replaced: [TenantID: [String: [String]]] = [:]
    /// Of each secret, the newest.
    private static let replacedCountMax = 8

    /// - Parameters:
    ///   - store: Where sealed secrets are.
    ///   - cryptography: Seals and opens.
    ///   - masterKey: 32 bytes, from a file or the environment, never from the database.
    /// - Throws: ``StoreError`` where the store cannot be read.
    package init(
        store: any TenantStore, cryptography: any Cryptography, masterKey: [UInt8]
    ) throws(StoreError) {
        self.store = store
        self.cryptography = cryptography
        keys = try SealingKeys(of: store, masterKey: masterKey, cryptography)
    }

    /// Makes the tokens by which outsiders signal one run; empty for no tokens, under a wrong master key.
    package var signalKey: [UInt8] { keys?.signalKey ?? [] }

    /// Rises with each change of any secret.
    package var generation: Int { lock.withLock { changes } }

    package func set(
        _ name: String, _ value: String, hosts: [String], of tenant: TenantID, at: Instant
    ) throws(StoreError) {
        let before = try secrets(of: tenant).byName[name]?.value
        guard let keys else {
            throw .failed(code: 0, message: "the sealing keys do not open under this master key")
        }
        try store.setSecret(
            SealedSecret(
                tenant: tenant, name: name, sealed: keys.sealSecret(Array(value.utf8), name, of: tenant),
                hosts: hosts, updatedAt: at))
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
            guard let bytes = keys?.openSecret(sealed.sealed, sealed.name, of: tenant),
                let text = String(validating: bytes, as: UTF8.self)
            else { continue }
            secrets.byName[sealed.name] = OpenSecrets.Secret(value: text, hosts: sealed.hosts)
        }
        lock.withLock { if changes == before { opened[tenant] = secrets } }
        return secrets
    }

    /// Takes all secrets of a tenant out of texts, and the values that were replaced while this process runs.
    ///
    /// Made once for each state of the secrets, whatever workflows they are for.
    package func redactor(of tenant: TenantID) throws(StoreError) -> Redactor {
        if let known = lock.withLock({ redactors[tenant] }) { return known }
        let before = generation
        let present = try secrets(of: tenant).byName.values.map(\.value)
        let earlier = lock.withLock { replaced[tenant]?.values.flatMap(\.self) ?? [] }
        let redactor = Redactor(secrets: present + earlier)
        lock.withLock { if changes == before { redactors[tenant] = redactor } }
        return redactor
    }

    /// A key by which things are told apart, as it may be stored: one that holds a secret is stored without it,
    /// with a mark in its place that nobody can make without the master key.
    package func concealed(_ key: String, of tenant: TenantID) throws(StoreError) -> String {
        concealed(key, by: try redactor(of: tenant))
    }

    /// As ``concealed(_:of:)``, with the tenant's redactor.
    func concealed(_ key: String, by redactor: Redactor) -> String {
        guard redactor.finds(in: key) else { return key }
        let mark = cryptography.hmac("sha256", key: signalKey, data: Array("key \(key)".utf8)) ?? []
        return redactor.redact(key) + "#" + Hex.encode(mark.prefix(16))
    }

    /// Keeps nothing of a tenant that has been erased.
    func forget(_ tenant: TenantID) {
        lock.withLock {
            (opened[tenant], replaced[tenant]) = (nil, nil)
            changes += 1
        }
    }

    private func forget(_ tenant: TenantID, _ name: String, _ before: String?) {
        lock.withLock {
            (opened[tenant], redactors[tenant]) = (nil, nil)
            changes += 1
            guard let before else { return }
            let values = (replaced[tenant]?[name] ?? []).filter { $0 != before }.suffix(
                Self.replacedCountMax - 1)
            replaced[tenant, default: [:]][name] = values + [before]
        }
    }
}

// MARK: - Sensitive values of runs

extension SecretVault {
    func sealer(of tenant: TenantID) -> any JournalSealer { TenantSealer(keys: keys, tenant: tenant) }
}

/// Seals under a tenant's key, bound to run and entry; a rotation of the master key changes nothing of it.
private struct TenantSealer: JournalSealer {
    /// Nil where the master key is not that of the database: nothing opens then, and nothing is kept in clear.
    let keys: SealingKeys?
    let tenant: TenantID

    func seal(_ plaintext: [UInt8], for place: String) -> [UInt8] {
        keys?.seal(plaintext, of: tenant, context: context(place)) ?? []
    }

    func open(_ sealed: [UInt8], for place: String) -> [UInt8]? {
        keys?.open(sealed, of: tenant, context: context(place))
    }

    private func context(_ place: String) -> [UInt8] { Array("journal 1|\(tenant)|\(place)".utf8) }
}
