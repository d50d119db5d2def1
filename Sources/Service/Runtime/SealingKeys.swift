package import Ports
package import Storage
package import Values

/// The keys under which secrets are sealed, of which the newest seals and all open.
///
/// A root key is never in the database in clear. Root 0 is the first master key itself: an installation whose master
/// key was never rotated has no row of keys. A rotation adds a random root, and writes all roots as one value, sealed
/// under the new master key: so it is one row, however much was sealed under the older roots.
package struct SealingKeys: Sendable {
    /// The store's setting that holds the sealed roots.
    package static let settingName = "sealing_keys"
    /// The store's setting that holds ``check(of:_:)``.
    package static let checkName = "master_key_check"

    /// Makes the tokens by which outsiders signal one run; a rotation keeps it, or the addresses that runs have
    /// handed out would stop working.
    package let signalKey: [UInt8]
    private var roots: [[UInt8]]
    private let cryptography: any Cryptography

    private static let rootByteCount = 32
    /// Of a value that names its root: the form, and the root's number in four bytes.
    private static let headerByteCount = 5
    private static let form: UInt8 = 2

    private init(signalKey: [UInt8], roots: [[UInt8]], _ cryptography: any Cryptography) {
        self.signalKey = signalKey
        self.roots = roots
        self.cryptography = cryptography
    }

    /// Reads the keys of a database; nil where they do not open under this master key.
    package init?(
        of store: some TenantStore, masterKey: [UInt8], _ cryptography: any Cryptography
    ) throws(StoreError) {
        guard let sealed = try store.setting(Self.settingName) else {
            let signalKey = cryptography.hmac(
                "sha256", key: masterKey, data: Array("millrace signal key 1".utf8))
            self.init(signalKey: signalKey ?? masterKey, roots: [masterKey], cryptography)
            return
        }
        guard
            let bytes = cryptography.open(
                sealed, key: Self.wrappingKey(of: masterKey, cryptography), context: Self.wrappingContext),
            bytes.count >= 2 * Self.rootByteCount, bytes.count % Self.rootByteCount == 0
        else { return nil }
        let parts = stride(from: 0, to: bytes.count, by: Self.rootByteCount).map {
            Array(bytes[$0..<($0 + Self.rootByteCount)])
        }
        self.init(signalKey: parts[0], roots: Array(parts.dropFirst()), cryptography)
    }

    /// Tells whether a database belongs to a master key, and tells nobody the key.
    package static func check(of masterKey: [UInt8], _ cryptography: some Cryptography) -> [UInt8] {
        cryptography.hmac("sha256", key: masterKey, data: Array("millrace master key check 1".utf8)) ?? []
    }

    // MARK: - Sealing

    /// Seals under the newest root; the result names it, and opens after any number of rotations.
    package func seal(_ plaintext: [UInt8], of tenant: TenantID, context: [UInt8]) -> [UInt8] {
        let number = roots.count - 1
        let header = [Self.form] + (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
        return header
            + cryptography.seal(plaintext, key: key(of: tenant, under: roots[number]), context: context)
    }

    /// What ``seal(_:of:context:)`` sealed; nil where tenant, context or value is not what it was.
    package func open(_ sealed: [UInt8], of tenant: TenantID, context: [UInt8]) -> [UInt8]? {
        guard sealed.count > Self.headerByteCount, sealed[0] == Self.form else { return nil }
        let number = sealed[1..<Self.headerByteCount].reduce(0) { $0 << 8 | Int($1) }
        guard number < roots.count else { return nil }
        return cryptography.open(
            Array(sealed[Self.headerByteCount...]), key: key(of: tenant, under: roots[number]),
            context: context)
    }

    /// As the table of secrets holds it: without the root's number until the first rotation, which seals all anew.
    package func sealSecret(_ value: [UInt8], _ name: String, of tenant: TenantID) -> [UInt8] {
        let context = Self.context(tenant, name)
        guard roots.count == 1 else { return seal(value, of: tenant, context: context) }
        return cryptography.seal(value, key: key(of: tenant, under: roots[0]), context: context)
    }

    package func openSecret(_ sealed: [UInt8], _ name: String, of tenant: TenantID) -> [UInt8]? {
        let context = Self.context(tenant, name)
        guard roots.count == 1 else { return open(sealed, of: tenant, context: context) }
        return cryptography.open(sealed, key: key(of: tenant, under: roots[0]), context: context)
    }

    private func key(of tenant: TenantID, under root: [UInt8]) -> [UInt8] {
        cryptography.hmac("sha256", key: root, data: Array("millrace secret key 1 \(tenant)".utf8)) ?? root
    }

    private static func context(_ tenant: TenantID, _ name: String) -> [UInt8] {
        Array("1|\(tenant.description.utf8.count):\(tenant)|\(name.utf8.count):\(name)".utf8)
    }

    // MARK: - Rotating

    /// Makes `new` the master key of a database that nobody else has open: a new root, all secrets sealed under it, the
    /// roots sealed under `new`, and the check value of `new`, in one transaction.
    ///
    /// A crash at any instant leaves the database under exactly one of the two keys.
    ///
    /// - Returns: How many secrets were sealed anew.
    /// - Throws: ``StoreError/failed(code:message:)`` where `old` is not the master key, or a secret does not open;
    ///   nothing was changed then.
    package static func rotate(
        _ store: some TenantStore, from old: [UInt8], to new: [UInt8], _ cryptography: any Cryptography
    ) throws(StoreError) -> Int {
        guard let keys = try SealingKeys(of: store, masterKey: old, cryptography) else {
            throw .failed(code: 0, message: "the sealing keys do not open under this master key")
        }
        var next = keys
        next.roots.append(cryptography.randomBytes(count: rootByteCount))
        var resealed: [SealedSecret] = []
        for var secret in try store.allSecrets() {
            guard let value = keys.openSecret(secret.sealed, secret.name, of: secret.tenant) else {
                throw .failed(
                    code: 0,
                    message:
                        "the secret \(secret.name) of \(secret.tenant) does not open: delete or set it first")
            }
            secret.sealed = next.sealSecret(value, secret.name, of: secret.tenant)
            resealed.append(secret)
        }
        try store.reseal(
            resealed,
            settings: [settingName: next.wrapped(under: new), checkName: check(of: new, cryptography)])
        return resealed.count
    }

    private static let wrappingContext = Array("millrace sealing keys 1".utf8)

    private static func wrappingKey(of masterKey: [UInt8], _ cryptography: any Cryptography) -> [UInt8] {
        cryptography.hmac("sha256", key: masterKey, data: wrappingContext) ?? masterKey
    }

    private func wrapped(under masterKey: [UInt8]) -> [UInt8] {
        cryptography.seal(
            signalKey + roots.flatMap(\.self), key: Self.wrappingKey(of: masterKey, cryptography),
            context: Self.wrappingContext)
    }
}
