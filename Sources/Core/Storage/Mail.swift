package import Values

/// A message on which the process that owns a tenant must act once.
///
/// It is stored in the commit that causes it and removed in the commit that acts on it. So neither a crash nor a lost
/// answer loses it, and it is acted on once.
package struct Mail: Sendable, Hashable {
    package var place: MailPlace
    /// The content, in a form that depends on the kind of mail.
    package var body: [UInt8]
    package var at: Instant

    package init(tenant: TenantID, key: String, body: [UInt8], at: Instant) {
        place = MailPlace(tenant: tenant, key: key)
        self.body = body
        self.at = at
    }
}

/// The identity of a mail: its addressee, and a key that is unique for the addressee.
package struct MailPlace: Sendable, Hashable, Comparable {
    package var tenant: TenantID
    /// Begins with the kind of the mail, such as `run_end:…`.
    package var key: String

    package init(tenant: TenantID, key: String) {
        self.tenant = tenant
        self.key = key
    }

    /// Orders by tenant, then by the bytes of the key.
    package static func < (left: MailPlace, right: MailPlace) -> Bool {
        left.tenant == right.tenant
            ? left.key.utf8.lexicographicallyPrecedes(right.key.utf8) : left.tenant < right.tenant
    }
}
