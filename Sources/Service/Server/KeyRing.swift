package import Ports
package import Storage
package import Values

/// Makes, finds and revokes API keys, of which only a hash of the secret part is stored.
///
/// A key is written `mk_<13 digits of its id>_<64 hex digits>`.
package final class KeyRing: @unchecked Sendable {
    // Unchecked: `known` is read and written under `lock`.
    private let store: any TenantStore
    private let cryptography: any Cryptography
    private let lock = Lock()
    /// Keys that were looked up before; revoking one drops it.
    private var known = LRUCache<KeyID, APIKey>(weightMax: 10_000)

    package init(store: any TenantStore, cryptography: any Cryptography) {
        self.store = store
        self.cryptography = cryptography
    }

    /// Makes a key; its secret is returned this once.
    package func make(
        for tenant: TenantID, scope: APIKey.Scope, at: Instant
    ) throws(StoreError) -> (key: APIKey, secret: String) {
        let number = cryptography.randomBytes(count: 8).reduce(Int64(0)) { $0 << 8 | Int64($1) } & Int64.max
        let id = KeyID(number: number)
        let secret = Hex.encode(cryptography.randomBytes(count: 32))
        let key = APIKey(
            key: id, tenant: tenant, scope: scope, secretHash: cryptography.sha256(Array(secret.utf8)),
            createdAt: at)
        try store.addKey(key)
        return (key, "mk_\(id.description.dropFirst(4))_\(secret)")
    }

    /// The key behind an `Authorization` header; nil for none, a wrong or a revoked one.
    func key(authorization: String?) throws(StoreError) -> APIKey? {
        // The scheme's letters may have either case (RFC 9110, 11.1), those of a key may not.
        guard let authorization, authorization.prefix(7).lowercased() == "bearer ",
            authorization.dropFirst(7).hasPrefix("mk_")
        else { return nil }
        let parts = authorization.dropFirst(10).split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.count == 64, let id = KeyID("key_" + parts[0]) else {
            return nil
        }
        guard let key = try lookUp(id), key.revokedAt == nil else { return nil }
        let hash = cryptography.sha256(Array(parts[1].utf8))
        return cryptography.equals(hash, key.secretHash) ? key : nil
    }

    private func lookUp(_ id: KeyID) throws(StoreError) -> APIKey? {
        // The lock is held over the reading, so that a key revoked meanwhile cannot be kept as live.
        try lock.withLock { () throws(StoreError) in
            if let key = known.use(id) { return key }
            guard let key = try store.key(id) else { return nil }
            known.insert(key, for: id)
            return key
        }
    }

    /// Looks a tenant's keys up again: they have been deleted.
    func forget(_ tenant: TenantID) {
        lock.withLock { known.removeAll { $0.tenant == tenant } }
    }

    func revoke(_ id: KeyID, of tenant: TenantID, at: Instant) throws(StoreError) -> KeyRevocation {
        try lock.withLock { () throws(StoreError) in
            known.remove(id)
            return try store.revokeKey(id, of: tenant, at: at)
        }
    }
}
