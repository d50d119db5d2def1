import Glibc
import OpenSSLCrypto
import Ports
import Runtime
import SQLiteStore
import Storage
import Values

/// The key that seals secrets: from the environment or a file, never from the database.
struct MasterKey: Sendable {
    static let variable = "MILLRACE_MASTER_KEY"
    /// The store's setting that holds ``check(_:)``.
    static let settingName = SealingKeys.checkName

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

    /// Where a rotation writes the new key before the database knows it.
    static func successorPath(_ path: String) -> String { path + ".new" }

    /// The key that a database is under: this one or, if a rotation was interrupted after it had changed the database,
    /// the new one beside it, which then takes this one's place.
    ///
    /// A database that is under neither is left to ``verify(against:_:)``.
    func fitting(_ database: String) throws(CommandFailure) -> MasterKey {
        let successor = Self.successorPath(place)
        guard place != Self.variable, Files.exists(successor) else { return self }
        let next = try MasterKey.read(file: successor)
        guard Self.storedCheck(of: database) == next.check(OpenSSLCryptography()) else { return self }
        _ = try MasterKey.replace(place, by: successor)
        return try MasterKey.read(file: place)
    }

    /// Nil where the database cannot be read: whoever opens it says why.
    private static func storedCheck(of database: String) -> [UInt8]? {
        let cryptography = OpenSSLCryptography()
        guard
            let store = try? SQLiteStore.openForReading(path: database, sha256: { cryptography.sha256($0) })
        else { return nil }
        defer { store.close() }
        return try? store.setting(settingName)
    }

    /// Gives the new key's file the old one's name, and keeps the old one beside it; returns where.
    static func replace(_ path: String, by successor: String) throws(CommandFailure) -> String {
        var kept = path + ".old"
        var number = 1
        while link(path, kept) != 0 {
            guard errno == EEXIST, number < 1000 else {
                throw CommandFailure(
                    .internal, "key_unwritable",
                    "the old master key cannot be kept: \(String(cString: strerror(errno)))",
                    place: kept)
            }
            number += 1
            kept = "\(path).old.\(number)"
        }
        guard rename(successor, path) == 0 else {
            throw CommandFailure(
                .internal, "key_unwritable",
                "the new master key cannot be named: \(String(cString: strerror(errno)))",
                place: path, hint: "rename \(successor) to it")
        }
        Files.syncFolder(of: path)
        return kept
    }

    static func read(file path: String) throws(CommandFailure) -> MasterKey {
        let text: [UInt8]
        do throws(Files.Problem) { text = try Files.read(path, atMost: 4096) } catch {
            throw CommandFailure(
                .usage, "no_master_key", "the master key cannot be read: \(error.reason)", place: path)
        }
        return try MasterKey(digits: String(decoding: text, as: UTF8.self), place: path)
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
        SealingKeys.check(of: bytes, cryptography)
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
