/// Digests, signatures, randomness and encryption, from a maintained library.
package protocol Cryptography: Sendable {
    /// The SHA-256 digest, 32 bytes.
    func sha256(_ bytes: [UInt8]) -> [UInt8]
    /// The SHA-512 digest, 64 bytes.
    func sha512(_ bytes: [UInt8]) -> [UInt8]
    /// The HMAC of `data`; nil if the algorithm is none of `sha1`, `sha256`, `sha384`, `sha512`.
    func hmac(_ algorithm: String, key: [UInt8], data: [UInt8]) -> [UInt8]?
    /// Whether both are the same bytes, in a time that depends on their lengths only.
    func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool
    /// Random bytes of key quality.
    func randomBytes(count: Int) -> [UInt8]
    /// Encrypts with AES-256-GCM under a fresh nonce; the result contains nonce, ciphertext and tag.
    ///
    /// - Parameters:
    ///   - plaintext: The bytes to encrypt.
    ///   - key: 32 bytes.
    ///   - context: Authenticated with the result; ``open(_:key:context:)`` needs the same bytes.
    /// - Returns: The argument for ``open(_:key:context:)``.
    func seal(_ plaintext: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]
    /// Decrypts a sealed text; nil if the key or the context differs or the text was altered.
    func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]?
    /// Signs `data` with a private key in PEM; nil if the key does not fit the algorithm.
    ///
    /// ES256 uses a random number, so its signatures differ each time.
    func sign(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8]) -> [UInt8]?
    /// Whether a signature of `data` was made with the private key of this public key in PEM.
    ///
    /// Nil if the key does not fit the algorithm.
    func verify(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8], signature: [UInt8]) -> Bool?
}

/// Placeholders for test doubles: an empty SHA-512 digest, and no signatures.
extension Cryptography {
    package func sha512(_ bytes: [UInt8]) -> [UInt8] { [] }
    package func sign(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8]) -> [UInt8]? { nil }
    package func verify(
        _ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8], signature: [UInt8]
    ) -> Bool? { nil }
}

/// Public-key signature algorithms, by their names in JSON Web Signatures.
package enum SigningAlgorithm: String, Sendable, CaseIterable {
    /// RSA with PKCS #1 v1.5 and SHA-256; keys of 2048 to 4096 bits.
    case rs256 = "RS256"
    /// ECDSA on P-256 with SHA-256; a signature is r and s, 32 bytes each.
    case es256 = "ES256"
    /// Like ES256, but with signatures in DER, as in certificates and most clouds.
    case es256DER = "ES256-DER"
    case ed25519 = "Ed25519"
}
