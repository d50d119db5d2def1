import OpenSSLCrypto
import Runtime
import SQLiteStore
import Storage
import Values

/// `master-key rotate`: another master key for a stopped server.
enum MasterKeyCommands {
    static let all = [
        Command(
            "master-key rotate", "encrypt all secrets with a new master key, while no server runs",
            options: [
                Option(
                    "new-key-file", placeholder: "FILE",
                    "where the new key is written, or stands already; needed with MILLRACE_MASTER_KEY")
            ]
                + SettingTable.options(
                    SettingTable.server.filter { ["data", "database", "master-key-file"].contains($0.name) }),
            details: """
                The new key is written beside the old one, the database is changed in one transaction, and then the new
                key takes the old one's name. After an interruption at any point, the server and this command continue
                with the key that the database uses. After the change the old key is refused.
                It is kept as master.key.old: only it decrypts backups from before. Destroy it with them.
                """, run: rotate)
    ]

    @Sendable private static func rotate(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let outcome = try OfflineStore.use(invocation, otherwise: "in its next pause") {
            store, key, _ throws(CommandFailure) in try rotate(store, from: key, invocation)
        }
        if invocation.isJSON {
            invocation.console.print([
                "secrets": .int(Int64(outcome.count)), "master_key": .string(outcome.place),
                "old_key": outcome.kept.map { .string($0) } ?? .null,
            ])
            return .ok
        }
        invocation.console.print("sealed \(outcome.count) secrets under a new master key: \(outcome.place)")
        invocation.console.print(
            outcome.kept.map { "the old key is kept for backups from before: \($0)" }
                ?? "set \(MasterKey.variable) to the digits in it before you start the server")
        return .ok
    }

    private struct Outcome {
        var count: Int
        /// Where the new key is.
        var place: String
        /// Where the old one is, if it was a file.
        var kept: String?
    }

    private static func rotate(
        _ store: SQLiteStore, from key: MasterKey, _ invocation: Invocation
    ) throws(CommandFailure) -> Outcome {
        let isVariable = key.place == MasterKey.variable
        guard
            let path = invocation.arguments.text("new-key-file")
                ?? (isVariable ? nil : MasterKey.successorPath(key.place))
        else {
            throw .usage(
                "--new-key-file is missing", hint: "name a file for the new key: the old one is in a variable"
            )
        }
        let cryptography = OpenSSLCryptography()
        let next = try successor(at: path, cryptography)
        guard next.bytes != key.bytes else {
            throw CommandFailure(
                .usage, "same_master_key", "the new master key is the old one; nothing was changed",
                place: path)
        }
        let count: Int
        do throws(StoreError) {
            count = try SealingKeys.rotate(store, from: key.bytes, to: next.bytes, cryptography)
        } catch {
            throw CommandFailure(
                .notOK, "not_rotated", "nothing was changed: \(StoreText.sentence(error))", place: key.place)
        }
        if isVariable { return Outcome(count: count, place: path) }
        return Outcome(count: count, place: key.place, kept: try MasterKey.replace(key.place, by: path))
    }

    /// The key in that file, which is made if it is missing, and durable before the database needs it.
    private static func successor(
        at path: String, _ cryptography: OpenSSLCryptography
    ) throws(CommandFailure) -> MasterKey {
        if Files.exists(path) { return try MasterKey.read(file: path) }
        let digits = Hex.encode(cryptography.randomBytes(count: 32))
        do throws(Files.Problem) { try Files.create(path, Array((digits + "\n").utf8), mode: 0o600) } catch {
            throw CommandFailure(
                .internal, "key_unwritable", "the new master key cannot be written: \(error.reason)",
                place: path)
        }
        Files.syncFolder(of: path)
        return try MasterKey(digits: digits, place: path)
    }
}
