import CCrypto

// AES-256-GCM. A sealed text is the nonce (12 bytes), the ciphertext and the tag (16 bytes).
extension OpenSSLCryptography {
    private static let nonceCount = 12
    private static let tagCount = 16
    private static let keyCount = 32

    /// Encrypts and authenticates `plaintext`, and authenticates `context`, under a random nonce.
    ///
    /// - Precondition: `key` has 32 bytes; libcrypto would read past the end of a shorter one.
    package func seal(_ plaintext: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8] {
        precondition(key.count == Self.keyCount, "a sealing key has 32 bytes")
        let nonce = randomBytes(count: Self.nonceCount)
        guard let (ciphertext, tag) = Self.encrypted(plaintext, key: key, nonce: nonce, context: context)
        else {
            preconditionFailure("libcrypto refused to seal")
        }
        return nonce + ciphertext + tag
    }

    /// Decrypts what ``seal(_:key:context:)`` made; nil if the key or context differs or the text was
    /// altered.
    package func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]? {
        guard key.count == Self.keyCount, sealed.count >= Self.nonceCount + Self.tagCount,
            Int32(exactly: sealed.count) != nil, let contextCount = Int32(exactly: context.count),
            let cipher = EVP_CIPHER_CTX_new()
        else { return nil }
        defer { EVP_CIPHER_CTX_free(cipher) }
        let ciphertext = Array(sealed[Self.nonceCount..<(sealed.count - Self.tagCount)])
        var tag = Array(sealed.suffix(Self.tagCount))
        let nonce = Array(sealed.prefix(Self.nonceCount))
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count + Self.tagCount)
        var written: Int32 = 0
        var rest: Int32 = 0
        guard EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), nil, key, nonce) == 1,
            context.isEmpty || EVP_DecryptUpdate(cipher, nil, &written, context, contextCount) == 1,
            EVP_DecryptUpdate(cipher, &plaintext, &written, ciphertext, Int32(ciphertext.count)) == 1,
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagCount), &tag) == 1,
            // The plaintext must not be used before this call confirms the tag.
            EVP_DecryptFinal_ex(cipher, &tag, &rest) == 1
        else { return nil }
        return Array(plaintext.prefix(Int(written)))
    }

    private static func encrypted(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], context: [UInt8]
    ) -> (ciphertext: [UInt8], tag: [UInt8])? {
        guard let plaintextCount = Int32(exactly: plaintext.count),
            let contextCount = Int32(exactly: context.count), let cipher = EVP_CIPHER_CTX_new()
        else { return nil }
        defer { EVP_CIPHER_CTX_free(cipher) }
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count + tagCount)
        var tag = [UInt8](repeating: 0, count: tagCount)
        var written: Int32 = 0
        var rest: Int32 = 0
        guard EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), nil, key, nonce) == 1,
            context.isEmpty || EVP_EncryptUpdate(cipher, nil, &written, context, contextCount) == 1,
            EVP_EncryptUpdate(cipher, &ciphertext, &written, plaintext, plaintextCount) == 1,
            EVP_EncryptFinal_ex(cipher, &tag, &rest) == 1,
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, Int32(tagCount), &tag) == 1
        else { return nil }
        return (Array(ciphertext.prefix(Int(written))), tag)
    }
}
