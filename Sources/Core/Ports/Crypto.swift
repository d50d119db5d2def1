/// Digests, signatures, randomness and sealing, from a well-kept library.
package protocol Cryptography: Sendable {
    func sha256(_ bytes: [UInt8]) -> [UInt8]
    func sha512(_ bytes: [UInt8]) -> [UInt8]
    /// HMAC of `data`; nil where the algorithm is none of `sha1`, `sha256`, `sha384`, `sha512`.
    func hmac(_ algorithm: String, key: [UInt8], data: [UInt8]) -> [UInt8]?
    /// Whether both are the same bytes, in a time that depends on their lengths only.
    func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool
    /// Bytes from the system's generator for keys.
    func randomBytes(count: Int) -> [UInt8]
    /// AES-256-GCM with a fresh nonce: nonce, ciphertext and tag in one.
    ///
    /// - Parameters:
    ///   - plaintext: What to seal.
    ///   - key: 32 bytes.
    ///   - context: Bound to the result: opening needs the same bytes.
    /// - Returns: What ``open(_:key:context:)`` takes.
    func seal(_ plaintext: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]
    /// What was sealed, or nil where key, context or text is not what it was.
    func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]?
    /// A signature of `data` by a private key in PEM; nil if the key is not one for the algorithm.
    ///
    /// ES256 draws a random number: its signatures differ each time.
    func sign(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8]) -> [UInt8]?
    /// Whether a signature of `data` is that of the owner of a public key in PEM; nil if the key is not one for
    /// the algorithm.
    func verify(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8], signature: [UInt8]) -> Bool?
}

extension Cryptography {
    package func sha512(_ bytes: [UInt8]) -> [UInt8] { [] }
    package func sign(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8]) -> [UInt8]? { nil }
    package func verify(
        _ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8], signature: [UInt8]
    ) -> Bool? { nil }
}

/// Signatures with a pair of keys, by their names in JSON Web Signatures.
package enum SigningAlgorithm: String, Sendable, CaseIterable {
    /// RSA with PKCS #1 v1.5 and SHA-256; keys of 2048 to 4096 bits.
    case rs256 = "RS256"
    /// ECDSA on P-256 with SHA-256; a signature is r and s, 32 bytes each.
    case es256 = "ES256"
    /// As ES256, but a signature is DER, as certificates and most clouds have it.
    case es256DER = "ES256-DER"
    case ed25519 = "Ed25519"
}
