package import Values

/// Tenants, their keys and their secrets.
///
/// Every member names one tenant (I10), except the operator's lists.
package protocol TenantStore: Sendable {
    /// - Throws: ``StoreError/exists(what:)`` if the id is taken.
    func addTenant(_ tenant: Tenant) throws(StoreError)
    func tenant(_ id: TenantID) throws(StoreError) -> Tenant?
    /// Tenants with an id above `after`, by rising id.
    func tenants(after: TenantID?, limit: Int) throws(StoreError) -> [Tenant]
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func setExternalCustomer(_ externalCustomerID: String, of tenant: TenantID) throws(StoreError)

    /// Suspends a tenant, or ends its suspension if nil.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func setSuspension(_ suspension: Tenant.Suspension?, of tenant: TenantID) throws(StoreError)
    /// All suspended tenants, by rising id.
    func suspendedTenants() throws(StoreError) -> [Tenant]

    /// Begins the erasure of a tenant: deletes its keys and suspends it for good, with webhooks refused.
    ///
    /// A second call changes nothing.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func beginErasure(of tenant: TenantID, at: Instant) throws(StoreError)
    /// Tenants whose erasure has begun and is not complete, by rising id.
    func tenantsBeingErased() throws(StoreError) -> [Tenant]
    /// Deletes up to `limit` runs of a tenant, open or not, with their journals; after the last one, its
    /// other data.
    ///
    /// The ledger, the references of credits and the purchases stay. The tenant's row loses its name and
    /// customer id. The charges of runs are kept as sums, as
    /// ``RunStore/deleteRuns(finishedBefore:startedSince:limit:)`` does. `limit` does not bound the last
    /// call, which deletes all keys, secrets, workflows and dedupe keys in one transaction.
    ///
    /// - Returns: Whether the erasure is complete.
    func eraseData(of tenant: TenantID, limit: Int, at: Instant) throws(StoreError) -> Bool

    /// - Throws: ``StoreError/exists(what:)`` if the id is taken.
    func addKey(_ key: APIKey) throws(StoreError)
    func key(_ id: KeyID) throws(StoreError) -> APIKey?
    func keys(of tenant: TenantID) throws(StoreError) -> [APIKey]
    /// Revokes a key for good, except the operator's last full key: without it nobody could make another
    /// through the API.
    func revokeKey(_ id: KeyID, of tenant: TenantID, at: Instant) throws(StoreError) -> KeyRevocation

    /// Adds or replaces a secret.
    func setSecret(_ secret: SealedSecret) throws(StoreError)
    func secret(_ name: String, of tenant: TenantID) throws(StoreError) -> SealedSecret?
    /// The tenant's secrets, sorted by name.
    func secrets(of tenant: TenantID) throws(StoreError) -> [SealedSecret]
    /// Deletes a secret; false if it does not exist.
    func deleteSecret(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool
    /// The secrets of all tenants, by tenant and name.
    func allSecrets() throws(StoreError) -> [SealedSecret]
    /// Replaces the sealed values of existing secrets and sets settings, in one transaction.
    ///
    /// - Throws: ``StoreError/missing(what:)`` if a secret does not exist; nothing has changed then.
    func reseal(_ secrets: [SealedSecret], settings: [String: [UInt8]]) throws(StoreError)
    /// A named value of the installation (the sealing check, settings); nil if it was never set.
    func setting(_ name: String) throws(StoreError) -> [UInt8]?
    func setSetting(_ name: String, _ value: [UInt8]) throws(StoreError)
}

/// A customer of the installation, or its operator.
package struct Tenant: Sendable, Hashable {
    package var tenant: TenantID
    /// For people; at most 200 bytes.
    package var name: String
    /// The payment provider's id for this tenant; the only payment data kept.
    package var externalCustomerID: String?
    package var createdAt: Instant
    /// Set while the tenant is suspended.
    package var suspension: Suspension?

    /// Set once the erasure has begun.
    package var erasure: Erasure?

    /// The erasure of a tenant: its data is deleted, and its ledger stays under an id that identifies nobody.
    package struct Erasure: Sendable, Hashable {
        package var since: Instant
        /// Nil while runs end and data is deleted.
        package var endedAt: Instant?

        package init(since: Instant, endedAt: Instant? = nil) {
            self.since = since
            self.endedAt = endedAt
        }
    }

    /// A suspension: no run of the tenant starts, and its runs pause before their next step.
    package struct Suspension: Sendable, Hashable {
        /// How webhooks are handled meanwhile.
        package enum Webhooks: String, Sendable, CaseIterable {
            /// Each starts a run that is paused at once.
            case keep
            /// They are answered 403, so that senders deliver again or give up.
            case refuse
        }

        package var since: Instant
        /// For people; at most 500 bytes.
        package var reason: String
        package var webhooks: Webhooks

        package init(since: Instant, reason: String, webhooks: Webhooks) {
            self.since = since
            self.reason = reason
            self.webhooks = webhooks
        }
    }

    package init(tenant: TenantID, name: String, externalCustomerID: String? = nil, createdAt: Instant) {
        self.tenant = tenant
        self.name = name
        self.externalCustomerID = externalCustomerID
        self.createdAt = createdAt
    }

    /// Whether its runs are charged.
    package var isMetered: Bool { tenant != .operatorTenant }
}

/// A key of a tenant, with the hash of its secret instead of the secret.
package struct APIKey: Sendable, Hashable {
    package enum Scope: String, Sendable {
        /// All operations of its tenant; for the operator's tenant also the operator's.
        case full
        /// The internal API only.
        case `internal`
    }

    package var key: KeyID
    package var tenant: TenantID
    package var scope: Scope
    /// SHA-256 of the secret part, 32 bytes; the secret itself is shown once and never stored.
    package var secretHash: [UInt8]
    package var createdAt: Instant
    package var revokedAt: Instant?

    package init(
        key: KeyID, tenant: TenantID, scope: Scope, secretHash: [UInt8], createdAt: Instant,
        revokedAt: Instant? = nil
    ) {
        self.key = key
        self.tenant = tenant
        self.scope = scope
        self.secretHash = secretHash
        self.createdAt = createdAt
        self.revokedAt = revokedAt
    }
}

/// The outcome of revoking a key.
package enum KeyRevocation: Sendable, Hashable {
    case revoked
    /// The tenant has no such live key.
    case unknown
    /// The key is the operator's last live full key; it stays live.
    case lastOperatorKey
}

/// An encrypted secret, as the store keeps it.
package struct SealedSecret: Sendable, Hashable {
    package var tenant: TenantID
    /// `[A-Z][A-Z0-9_]*`, at most 64 characters.
    package var name: String
    /// AES-256-GCM under the master key; bound to tenant and name.
    package var sealed: [UInt8]
    /// The hosts to which it may be sent; empty for any.
    package var hosts: [String]
    package var updatedAt: Instant

    package init(tenant: TenantID, name: String, sealed: [UInt8], hosts: [String], updatedAt: Instant) {
        self.tenant = tenant
        self.name = name
        self.sealed = sealed
        self.hosts = hosts
        self.updatedAt = updatedAt
    }
}
