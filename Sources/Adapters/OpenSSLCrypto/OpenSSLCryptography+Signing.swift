import CCrypto
package import Ports

// Public-key signatures. No part of a key and no OpenSSL error leaves these functions.
extension OpenSSLCryptography {
    package func sign(_ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8]) -> [UInt8]? {
        defer { ERR_clear_error() }
        guard let pair = Self.key(key, isPrivate: true), let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_PKEY_free(pair)
            EVP_MD_CTX_free(context)
        }
        guard Self.isFit(pair, for: algorithm),
            EVP_DigestSignInit(context, nil, Self.digest(of: algorithm), nil, pair) == 1
        else { return nil }
        var count = 0
        guard EVP_DigestSign(context, nil, &count, data, data.count) == 1 else { return nil }
        var signature = [UInt8](repeating: 0, count: count)
        guard EVP_DigestSign(context, &signature, &count, data, data.count) == 1 else { return nil }
        signature.removeLast(signature.count - count)
        return algorithm == .es256 ? Self.joined(der: signature) : signature
    }

    package func verify(
        _ algorithm: SigningAlgorithm, key: [UInt8], data: [UInt8], signature: [UInt8]
    ) -> Bool? {
        defer { ERR_clear_error() }
        guard let pair = Self.key(key, isPrivate: false), let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_PKEY_free(pair)
            EVP_MD_CTX_free(context)
        }
        guard Self.isFit(pair, for: algorithm),
            EVP_DigestVerifyInit(context, nil, Self.digest(of: algorithm), nil, pair) == 1
        else { return nil }
        guard let encoded = algorithm == .es256 ? Self.der(joined: signature) : signature else {
            return false
        }
        return EVP_DigestVerify(context, encoded, encoded.count, data, data.count) == 1
    }

    /// Reads an unencrypted PEM key of at most 16 KiB.
    private static func key(_ pem: [UInt8], isPrivate: Bool) -> OpaquePointer? {
        guard let count = Int32(exactly: pem.count), count > 0, count <= 16_384 else { return nil }
        return pem.withUnsafeBytes { bytes -> OpaquePointer? in
            guard let memory = BIO_new_mem_buf(bytes.baseAddress, count) else { return nil }
            defer { BIO_free(memory) }
            // Without a callback, OpenSSL would prompt for a pass phrase on the terminal.
            return isPrivate
                ? PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in -1 }, nil)
                : PEM_read_bio_PUBKEY(memory, nil, { _, _, _, _ in -1 }, nil)
        }
    }

    private static func isFit(_ pair: OpaquePointer, for algorithm: SigningAlgorithm) -> Bool {
        switch algorithm {
        case .rs256: return EVP_PKEY_is_a(pair, "RSA") == 1 && (2048...4096).contains(EVP_PKEY_get_bits(pair))
        case .ed25519: return EVP_PKEY_is_a(pair, "ED25519") == 1
        case .es256, .es256DER:
            var name = [CChar](repeating: 0, count: 64)
            var count = 0
            return EVP_PKEY_is_a(pair, "EC") == 1
                && EVP_PKEY_get_group_name(pair, &name, name.count, &count) == 1
                && name.prefix(count).elementsEqual("prime256v1".utf8.map { CChar(bitPattern: $0) })
        }
    }

    private static func digest(of algorithm: SigningAlgorithm) -> OpaquePointer? {
        algorithm == .ed25519 ? nil : EVP_sha256()
    }

    // MARK: - The two forms of an ECDSA signature

    private static let numberCount = 32

    private static func joined(der: [UInt8]) -> [UInt8]? {
        der.withUnsafeBufferPointer { bytes -> [UInt8]? in
            var position = bytes.baseAddress
            guard let pair = d2i_ECDSA_SIG(nil, &position, bytes.count) else { return nil }
            defer { ECDSA_SIG_free(pair) }
            var out = [UInt8](repeating: 0, count: numberCount * 2)
            let isWhole = out.withUnsafeMutableBufferPointer { out -> Bool in
                guard let start = out.baseAddress else { return false }
                let size = Int32(numberCount)
                return BN_bn2binpad(ECDSA_SIG_get0_r(pair), start, size) == size
                    && BN_bn2binpad(ECDSA_SIG_get0_s(pair), start + numberCount, size) == size
            }
            return isWhole ? out : nil
        }
    }

    /// Encodes two unsigned numbers as a DER sequence of two integers.
    private static func der(joined: [UInt8]) -> [UInt8]? {
        guard joined.count == numberCount * 2 else { return nil }
        let body = integer(joined.prefix(numberCount)) + integer(joined.suffix(numberCount))
        return [0x30, UInt8(body.count)] + body
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.isEmpty || digits[0] >= 0x80 { digits.insert(0, at: 0) }
        return [0x02, UInt8(digits.count)] + digits
    }
}
