import Ports
import Values

/// The engine's own idempotency key for a request: `<run>/<path>`.
enum IdempotencyKey {
    /// Receivers accept keys of 1 to 255 characters.
    static let byteCountMax = 255

    /// The key of a step; if it is too long, its end is replaced by `~` and the SHA-256 of the whole in
    /// hexadecimal.
    ///
    /// A path contains no `~`, so a shortened key never equals another step's key.
    static func key(run: String, path: String, cryptography: any Cryptography) -> String {
        let whole = "\(run)/\(path)"
        guard whole.utf8.count > byteCountMax else { return whole }
        let digest = Hex.encode(cryptography.sha256(Array(whole.utf8)))
        let head = whole.utf8.prefix(byteCountMax - digest.utf8.count - 1)
        return String(decoding: head, as: UTF8.self) + "~" + digest
    }
}
