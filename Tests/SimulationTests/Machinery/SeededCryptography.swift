import OpenSSLCrypto
import Ports
import TestSupport

/// The real digests, and randomness from a seed.
final class SeededCryptography: Cryptography, @unchecked Sendable {
    // Unchecked: used by one thread.
    private let real = OpenSSLCryptography()
    private var random: SeededRandom

    init(_ random: SeededRandom) { self.random = random }

    func sha256(_ bytes: [UInt8]) -> [UInt8] { real.sha256(bytes) }

    func hmac(_ algorithm: String, key: [UInt8], data: [UInt8]) -> [UInt8]? {
        real.hmac(algorithm, key: key, data: data)
    }

    func equals(_ left: [UInt8], _ right: [UInt8]) -> Bool { real.equals(left, right) }

    func randomBytes(count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    func seal(_ plaintext: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8] {
        real.seal(plaintext, key: key, context: context)
    }

    func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]? {
        real.open(sealed, key: key, context: context)
    }
}
