import OpenSSLCrypto
import Ports
import Testing
import Values

@Suite("Cryptography over libcrypto")
struct CryptographyTests {
    private let cryptography = OpenSSLCryptography()

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("SHA-256 of the standard's examples")
    func digests() {
        #expect(
            Hex.encode(cryptography.sha256([]))
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            Hex.encode(cryptography.sha256(bytes("abc")))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    static let macs: [(String, String)] = [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha384",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        ),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd"
                + "caeab1a34d4a6b4b636e070a38bce737"
        ),
    ]

    /// RFC 4231, test case 2; RFC 2202, test case 2 for SHA-1.
    @Test("HMAC of the standards' examples", arguments: macs)
    func macsOfTheStandards(algorithm: String, expected: String) {
        let mac = cryptography.hmac(
            algorithm, key: bytes("Jefe"), data: bytes("what do ya want for nothing?"))
        #expect(mac.map { Hex.encode($0) } == expected)
    }

    @Test("an empty key is a key, and an unknown algorithm none")
    func emptyKeys() {
        _ = cryptography.hmac("sha256", key: bytes("before"), data: [])
        #expect(
            cryptography.hmac("sha256", key: [], data: []).map { Hex.encode($0) }
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
        #expect(cryptography.hmac("md5", key: [], data: []) == nil)
    }

    @Test("equality is of bytes and lengths")
    func comparing() {
        #expect(cryptography.equals([], []))
        #expect(cryptography.equals([1, 2], [1, 2]))
        #expect(!cryptography.equals([1, 2], [1, 3]))
        #expect(!cryptography.equals([1, 2], [1, 2, 3]))
    }

    @Test("random bytes are as many as asked and not the same twice")
    func randomness() {
        #expect(cryptography.randomBytes(count: 0).isEmpty)
        #expect(cryptography.randomBytes(count: 32).count == 32)
        #expect(cryptography.randomBytes(count: 32) != cryptography.randomBytes(count: 32))
    }

    @Test("what was sealed opens with the same key and context only", arguments: [0, 1, 15, 16, 17, 5000])
    func sealing(count: Int) {
        let key = cryptography.randomBytes(count: 32)
        let plaintext = cryptography.randomBytes(count: count)
        for context in [[], bytes("tenant")] {
            let sealed = cryptography.seal(plaintext, key: key, context: context)
            #expect(sealed.count == count + 28)
            #expect(cryptography.open(sealed, key: key, context: context) == plaintext)
            #expect(sealed != cryptography.seal(plaintext, key: key, context: context))
            #expect(cryptography.open(sealed, key: key, context: context + [1]) == nil)
            #expect(cryptography.open(sealed, key: key.reversed(), context: context) == nil)
            #expect(cryptography.open(sealed, key: [1], context: context) == nil)
            for position in stride(from: 0, to: sealed.count, by: max(1, sealed.count / 40)) {
                var changed = sealed
                changed[position] ^= 1
                #expect(cryptography.open(changed, key: key, context: context) == nil)
            }
        }
    }

    @Test("a text too short to be sealed does not open")
    func shortTexts() {
        let key = [UInt8](repeating: 7, count: 32)
        for count in 0..<28 {
            #expect(cryptography.open([UInt8](repeating: 0, count: count), key: key, context: []) == nil)
        }
    }

    /// The last example of the GCM specification with a 256-bit key and no text (its case 13).
    @Test("the published empty example opens")
    func publishedExample() {
        let tag = Hex.decode("530f8afbc74536b9a963b4f1c4cb738b") ?? []
        let sealed = [UInt8](repeating: 0, count: 12) + tag
        #expect(cryptography.open(sealed, key: [UInt8](repeating: 0, count: 32), context: []) == [])
    }
}
