import Ports
import Values

/// The key that the engine gives a request: `<run>/<path>`.
enum IdempotencyKey {
    /// Receivers take keys of 1 to 255 characters.
    static let byteCountMax = 255

    /// A key that would be too long has its end replaced by `~` and the SHA-256 of the whole, in hexadecimal.
    ///
    /// A path has no `~`, so a shortened key is never the key of another step.
    static func key(run: String, path: String, cryptography: any Cryptography) -> String {
        let whole = "\(run)/\(path)"
        guard whole.utf8.count > byteCountMax else { return whole }
        let digest = Hex.encode(cryptography.sha256(Array(whole.utf8)))
        let head = whole.utf8.prefix(byteCountMax - digest.utf8.count - 1)
        return String(decoding: head, as: UTF8.self) + "~" + digest
    }
}
