package import Values

/// Something that a tenant's home is to act upon once: stored in the commit that causes it, taken in the commit that
/// acts.
///
/// So neither a crash nor a lost answer loses it, and it is acted upon once.
package struct Mail: Sendable, Hashable {
    package var place: MailPlace
    /// What it says, in a form that its kind decides.
    package var body: [UInt8]
    package var at: Instant

    package init(tenant: TenantID, key: String, body: [UInt8], at: Instant) {
        place = MailPlace(tenant: tenant, key: key)
        self.body = body
        self.at = at
    }
}

/// What names a mail: its addressee, and a key that is unique among the addressee's.
package struct MailPlace: Sendable, Hashable, Comparable {
    package var tenant: TenantID
    /// Begins with the kind of the mail: `run_end:…`.
    package var key: String

    package init(tenant: TenantID, key: String) {
        self.tenant = tenant
        self.key = key
    }

    /// By tenant, then by the bytes of the key.
    package static func < (left: MailPlace, right: MailPlace) -> Bool {
        left.tenant == right.tenant
            ? left.key.utf8.lexicographicallyPrecedes(right.key.utf8) : left.tenant < right.tenant
    }
}
