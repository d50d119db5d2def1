package import Values

/// Tenants, their keys and their secrets.
///
/// Every member but the operator's lists names one tenant (I10).
package protocol TenantStore: Sendable {
    /// - Throws: ``StoreError/exists(what:)`` for a taken id.
    func addTenant(_ tenant: Tenant) throws(StoreError)
    func tenant(_ id: TenantID) throws(StoreError) -> Tenant?
    /// By rising id, with id above `after`.
    func tenants(after: TenantID?, limit: Int) throws(StoreError) -> [Tenant]
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func setExternalCustomer(_ externalCustomerID: String, of tenant: TenantID) throws(StoreError)

    /// Suspends a tenant, or with nil lets it go on.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func setSuspension(_ suspension: Tenant.Suspension?, of tenant: TenantID) throws(StoreError)
    /// All tenants that are suspended, by rising id.
    func suspendedTenants() throws(StoreError) -> [Tenant]

    /// Begins to erase a tenant: it has no keys from then on, and is suspended for good, webhooks refused.
    ///
    /// A second call changes nothing.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for an unknown tenant.
    func beginErasure(of tenant: TenantID, at: Instant) throws(StoreError)
    /// Tenants whose erasure has begun and is not over, by rising id.
    func tenantsBeingErased() throws(StoreError) -> [Tenant]
    /// Deletes up to `limit` runs of a tenant, open or not, with their journals; once there are none, all else but its
    /// ledger, the references of its credits and its purchases, and its row loses name and customer.
    ///
    /// What runs were charged is kept as sums, as ``RunStore/deleteRuns(finishedBefore:startedSince:limit:)`` does.
    ///
    /// - Returns: Whether all is done.
    func eraseData(of tenant: TenantID, limit: Int, at: Instant) throws(StoreError) -> Bool

    func addKey(_ key: APIKey) throws(StoreError)
    func key(_ id: KeyID) throws(StoreError) -> APIKey?
    func keys(of tenant: TenantID) throws(StoreError) -> [APIKey]
    /// Ends a key for good, but never the operator's last one of full scope: nobody could make another through the API.
    func revokeKey(_ id: KeyID, of tenant: TenantID, at: Instant) throws(StoreError) -> KeyRevocation

    /// Replaces or adds; the version rises by 1 with each.
    func setSecret(_ secret: SealedSecret) throws(StoreError)
    func secret(_ name: String, of tenant: TenantID) throws(StoreError) -> SealedSecret?
    /// Sorted by name.
    func secrets(of tenant: TenantID) throws(StoreError) -> [SealedSecret]
    /// Whether there was one.
    func deleteSecret(_ name: String, of tenant: TenantID) throws(StoreError) -> Bool
    /// Those of all tenants, by tenant and name.
    func allSecrets() throws(StoreError) -> [SealedSecret]
    /// Gives these secrets, which exist, other sealed values, and sets settings, all in one transaction.
    ///
    /// - Throws: ``StoreError/missing(what:)`` for a secret that does not exist; nothing was changed then.
    func reseal(_ secrets: [SealedSecret], settings: [String: [UInt8]]) throws(StoreError)
    /// A named value of the installation itself (the sealing check, settings); nil where never set.
    func setting(_ name: String) throws(StoreError) -> [UInt8]?
    func setSetting(_ name: String, _ value: [UInt8]) throws(StoreError)
}

/// A customer of the installation, or its operator.
package struct Tenant: Sendable, Hashable {
    package var tenant: TenantID
    /// For people; at most 200 bytes.
    package var name: String
    /// The payment provider's id of this tenant; the only payment data kept.
    package var externalCustomerID: String?
    package var createdAt: Instant
    /// Nil for one whose runs may start and go on.
    package var suspension: Suspension?

    /// Nil for one that is not to be erased.
    package var erasure: Erasure?

    /// All that a tenant sent, stored and ran is deleted; its ledger stays, under an id that says nothing.
    package struct Erasure: Sendable, Hashable {
        package var since: Instant
        /// Nil while runs end and data is deleted.
        package var endedAt: Instant?

        package init(since: Instant, endedAt: Instant? = nil) {
            self.since = since
            self.endedAt = endedAt
        }
    }

    /// Nothing of the tenant starts, and its runs pause before their next step.
    package struct Suspension: Sendable, Hashable {
        /// What becomes of webhooks meanwhile.
        package enum Webhooks: String, Sendable, CaseIterable {
            /// Each starts a run that is paused at once.
            case keep
            /// They are answered 403, so that their senders deliver them again or give up.
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

/// A key of a tenant, with the hash of its secret in place of the secret.
package struct APIKey: Sendable, Hashable {
    package enum Scope: String, Sendable {
        /// All of its own tenant; for the operator tenant also the operator's calls.
        case full
        /// The internal API and nothing else.
        case `internal`
    }

    package var key: KeyID
    package var tenant: TenantID
    package var scope: Scope
    /// SHA-256 of the secret part, 32 bytes; the secret itself is shown once and never kept.
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

/// What became of revoking a key.
package enum KeyRevocation: Sendable, Hashable {
    case revoked
    /// The tenant has no such key that is live.
    case unknown
    /// It is the last live key of full scope that the operator has; it stays live.
    case lastOperatorKey
}

/// A secret as the store keeps it: encrypted, and named.
package struct SealedSecret: Sendable, Hashable {
    package var tenant: TenantID
    /// `[A-Z][A-Z0-9_]*`, at most 64 characters.
    package var name: String
    /// AES-256-GCM under the master key; bound to tenant and name.
    package var sealed: [UInt8]
    /// Hosts that it may be sent to; empty for any.
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
