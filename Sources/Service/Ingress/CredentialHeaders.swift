import Values

/// Tells headers that carry a credential or a signature of the request itself from those that a run keeps.
///
/// By their names alone: secrets of the tenant are taken out of the values of all others as well.
package enum CredentialHeaders {
    /// Wherever they stand in a name.
    private static let parts: [StaticString] = [
        "authorization", "cookie", "token", "secret", "signature", "password", "passwd", "passphrase",
        "credential",
        "apikey", "hmac", "bearer",
    ]
    /// As a whole word of a name.
    private static let words: [StaticString] = ["auth", "sig", "pass", "pwd", "jwt", "session", "otp", "pin"]
    /// Words that make a key a credential: `x-api-key`, but not `idempotency-key`.
    private static let keyOwners: [StaticString] = [
        "api", "access", "app", "application", "account", "admin", "auth", "client", "consumer", "encryption",
        "function", "functions", "hook", "host", "license", "master", "private", "rapidapi", "secret",
        "server", "service",
        "shared", "signing", "subscription", "webhook",
    ]

    /// Whether a header of that name, in any case, carries one.
    package static func contains(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { contains($0) }
    }

    private static func contains(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        var wordStart = 0
        var lastWord = 0..<0
        for index in name.indices {
            if mayBegin[Int(name[index])], parts.contains(where: { begins(name, index, $0) }) { return true }
            guard name[index] == UInt8(ascii: "-") || name[index] == UInt8(ascii: "_") else { continue }
            if isCredential(name, wordStart..<index, after: lastWord) { return true }
            lastWord = wordStart..<index
            wordStart = index + 1
        }
        return isCredential(name, wordStart..<name.count, after: lastWord)
    }

    private static func isCredential(
        _ name: UnsafeBufferPointer<UInt8>, _ word: Range<Int>, after last: Range<Int>
    ) -> Bool {
        func isWord(_ range: Range<Int>, _ text: StaticString) -> Bool {
            range.count == text.utf8CodeUnitCount && begins(name, range.lowerBound, text)
        }
        if words.contains(where: { isWord(word, $0) }) { return true }
        if begins(name, word.lowerBound, "authentic") { return true }
        guard isWord(word, "key") else { return false }
        // A name that is nothing but `key` says no more than a credential does.
        return last.isEmpty || keyOwners.contains { isWord(last, $0) }
    }

    private static func begins(
        _ name: UnsafeBufferPointer<UInt8>, _ start: Int, _ text: StaticString
    ) -> Bool {
        UnsafeBufferPointer(rebasing: name[start...]).begins(withLowercase: text)
    }

    /// The letters with which ``parts`` begin, so that most places cost one look.
    private static let mayBegin: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for part in parts {
            table[Int(part.utf8Start[0])] = true
            table[Int(part.utf8Start[0]) - 0x20] = true
        }
        return table
    }()
}
