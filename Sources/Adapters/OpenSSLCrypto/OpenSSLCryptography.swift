import CCrypto
import Ports

/// Cryptography on libcrypto's EVP interface.
///
/// Stateless; all methods may be called from any thread.
package struct OpenSSLCryptography: Cryptography {
    /// Fetched once, because each implicit fetch takes a lock and searches the providers.
    private let digests: FetchedDigests

    package init() { digests = FetchedDigests.shared }

    package func sha256(_ bytes: [UInt8]) -> [UInt8] {
        Self.filling(32) { out in
            bytes.withUnsafeBufferPointer { input in
                EVP_Digest(input.baseAddress, input.count, out, nil, digests.sha256, nil) == 1
            }
        }
    }

    /// The SHA-256 of data that is too large for memory.
    ///
    /// - Parameter next: Returns the next part, or an empty one at the end.
    /// - Returns: 32 bytes.
    /// - Throws: What `next` throws.
    package func sha256<Failure: Error>(
        parts next: () throws(Failure) -> [UInt8]
    ) throws(Failure) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        precondition(EVP_DigestInit_ex(context, digests.sha256, nil) == 1, "libcrypto cannot begin a digest")
        while true {
            let part = try next()
            if part.isEmpty { break }
            precondition(
                EVP_DigestUpdate(context, part, part.count) == 1, "libcrypto cannot go on with a digest")
        }
        return Self.filling(32) { EVP_DigestFinal_ex(context, $0, nil) == 1 }
    }

    package func sha512(_ bytes: [UInt8]) -> [UInt8] {
        Self.filling(64) { out in
            bytes.withUnsafeBufferPointer { input in
                EVP_Digest(input.baseAddress, input.count, out, nil, digests.named("sha512")?.0, nil) == 1
            }
        }
    }

    package func hmac(_ algorithm: String, key: [UInt8], data: [UInt8]) -> [UInt8]? {
        guard let (digest, count) = digests.named(algorithm), let keyCount = Int32(exactly: key.count) else {
            return nil
        }
        // libcrypto takes a null key as "the key of the previous call", so an empty key needs an address.
        let addressable = key.isEmpty ? [0] : key
        return Self.filling(count) { out in
            var written: UInt32 = 0
            let made = HMAC(digest, addressable, keyCount, data, data.count, out, &written)
            return made != nil && Int(written) == count
        }
    }

    package func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }

    package func randomBytes(count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return Self.filling(count) { out in
            guard let size = Int32(exactly: count) else { return false }
            return RAND_bytes(out, size) == 1
        }
    }

    /// A buffer of `count` bytes that `body` fills completely.
    ///
    /// The process stops if `body` fails: no caller could go on without a digest or random bytes, and zeros
    /// would be unsafe.
    private static func filling(_ count: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Bool) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
            guard let start = buffer.baseAddress, body(start) else {
                preconditionFailure("libcrypto refused a digest or random bytes")
            }
            initialised = count
        }
    }
}

/// The digests, fetched once per process.
private final class FetchedDigests: @unchecked Sendable {
    // Unchecked: written once at initialisation; libcrypto allows the use of a fetched digest on any thread.
    static let shared = FetchedDigests()

    let sha256: OpaquePointer?
    private let sha1: OpaquePointer?
    private let sha384: OpaquePointer?
    private let sha512: OpaquePointer?

    private init() {
        sha1 = EVP_MD_fetch(nil, "SHA1", nil)
        sha256 = EVP_MD_fetch(nil, "SHA2-256", nil)
        sha384 = EVP_MD_fetch(nil, "SHA2-384", nil)
        sha512 = EVP_MD_fetch(nil, "SHA2-512", nil)
        precondition(sha256 != nil, "libcrypto has no SHA-256: its providers are not installed")
    }

    /// The digest with that name, and its length in bytes; nil if the name is unknown.
    func named(_ algorithm: String) -> (OpaquePointer, Int)? {
        let found: (OpaquePointer?, Int) =
            switch algorithm {
            case "sha1": (sha1, 20)
            case "sha256": (sha256, 32)
            case "sha384": (sha384, 48)
            case "sha512": (sha512, 64)
            default: (nil, 0)
            }
        return found.0.map { ($0, found.1) }
    }
}
