/// Digests, signatures, randomness and sealing, from a well-kept library.
package protocol Cryptography: Sendable {
    func sha256(_ bytes: [UInt8]) -> [UInt8]
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
}
