import OpenSSLCrypto
import Ports
import Storage
import Values

/// The key that seals secrets: from the environment or a file, never from the database.
struct MasterKey: Sendable {
    static let variable = "MILLRACE_MASTER_KEY"
    /// The store's setting that holds ``check(_:)``.
    static let settingName = "master_key_check"

    /// 32 bytes.
    let bytes: [UInt8]
    /// Where it came from, for messages.
    let place: String

    /// Reads the key that the settings name.
    ///
    /// - Throws: ``CommandFailure`` with exit code 2 where there is none or it is not 64 hex digits.
    static func read(_ settings: SettingValues, environment: [String: String]) throws(CommandFailure)
        -> MasterKey
    {
        if let digits = environment[variable] { return try MasterKey(digits: digits, place: variable) }
        let path = path(settings)
        let text: [UInt8]
        do throws(Files.Problem) { text = try Files.read(path, atMost: 4096) } catch {
            throw CommandFailure(
                .usage, "no_master_key", "the master key cannot be read: \(error.reason)", place: path,
                hint:
                    "make an installation with `millrace init`, or name the key's file with --master-key-file"
            )
        }
        return try MasterKey(digits: String(decoding: text, as: UTF8.self), place: path)
    }

    static func path(_ settings: SettingValues) -> String {
        settings.text("master-key-file") ?? "\(settings.text("data") ?? ".")/master.key"
    }

    init(digits: String, place: String) throws(CommandFailure) {
        guard let bytes = Hex.decode(digits.trimmed), bytes.count == 32 else {
            throw CommandFailure(
                .usage, "bad_master_key", "the master key must be 64 hex digits", place: place)
        }
        (self.bytes, self.place) = (bytes, place)
    }

    /// Tells whether a database belongs to this key, and tells nobody the key.
    func check(_ cryptography: some Cryptography) -> [UInt8] {
        cryptography.hmac("sha256", key: bytes, data: Array("millrace master key check 1".utf8)) ?? []
    }

    /// Refuses a database that was made under another key, before a secret fails to open.
    func verify(against store: some TenantStore, _ cryptography: some Cryptography) throws(CommandFailure) {
        let stored: [UInt8]?
        do throws(StoreError) { stored = try store.setting(Self.settingName) } catch {
            throw CommandFailure(.internal, "store_\(error.label)", StoreText.sentence(error))
        }
        guard let stored else {
            throw CommandFailure(
                .usage, "not_initialised", "the database holds no installation",
                hint: "make one with `millrace init`")
        }
        guard cryptography.equals(stored, check(cryptography)) else {
            throw CommandFailure(
                .usage, "wrong_master_key", "this is not the master key that the database was made with",
                place: place,
                hint: "use the key that `millrace init` wrote; secrets cannot be opened with any other")
        }
    }
}
