import Clocks
import Glibc
import OpenSSLCrypto
import SQLiteStore
import Server
import Storage
import Values

/// `init`: makes an installation.
enum InitCommand {
    static let command = Command(
        "init", "make an installation: data folder, master key, database, and the operator's first keys",
        options: SettingTable.options(
            SettingTable.server.filter { ["data", "database", "master-key-file"].contains($0.name) }),
        details: """
            Prints the operator's key and an internal key, for the operator's workflows, once: keep them.
            Keep the master key file apart from backups of the database, and do not lose it.
            With MILLRACE_MASTER_KEY set no key file is written. Refuses to overwrite anything.
            """, run: run)

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        umask(0o077)
        let known = SettingTable.server
        let settings = try SettingValues(
            known, arguments: invocation.arguments, environment: invocation.environment)
        let database = ServeCommand.databasePath(settings)
        try refuseIfThere(database, "a database")
        do throws(Files.Problem) {
            try Files.makeFolder(settings.text("data") ?? ".", mode: 0o700)
            try Files.makeFolder(Files.folder(of: database), mode: 0o700)
        } catch {
            throw CommandFailure(
                .internal, "folder", "the folder cannot be made: \(error.reason)", place: error.path)
        }
        let cryptography = OpenSSLCryptography()
        let key = try masterKey(settings, invocation.environment, cryptography)
        let made = try fill(database, key, cryptography)
        report(made, database: database, key: key, invocation)
        return .ok
    }

    private static func refuseIfThere(_ path: String, _ what: String) throws(CommandFailure) {
        guard !Files.exists(path) else {
            throw CommandFailure(
                .usage, "exists", "\(what) exists already; nothing was changed", place: path,
                hint: "start it with `millrace serve`, or choose another folder with --data")
        }
    }

    private static func masterKey(
        _ settings: SettingValues, _ environment: [String: String], _ cryptography: OpenSSLCryptography
    ) throws(CommandFailure) -> MasterKey {
        if environment[MasterKey.variable] != nil {
            return try MasterKey.read(settings, environment: environment)
        }
        let path = MasterKey.path(settings)
        try refuseIfThere(path, "a master key")
        let digits = Hex.encode(cryptography.randomBytes(count: 32))
        do throws(Files.Problem) { try Files.create(path, Array((digits + "\n").utf8), mode: 0o600) } catch {
            throw CommandFailure(
                .internal, "key_unwritable", "the master key cannot be written: \(error.reason)", place: path)
        }
        return try MasterKey(digits: digits, place: path)
    }

    private struct Made {
        var operatorKey: String
        var internalKey: String
    }

    private static func fill(
        _ database: String, _ key: MasterKey, _ cryptography: OpenSSLCryptography
    ) throws(CommandFailure) -> Made {
        let clock = SystemClock()
        defer { clock.shutDown() }
        do throws(StoreError) {
            let store = try SQLiteStore.open(
                path: database, sha256: { cryptography.sha256($0) }, clock: { clock.now() })
            defer { store.close() }
            let keys = KeyRing(store: store, cryptography: cryptography)
            let now = clock.now()
            try store.addTenant(Tenant(tenant: .operatorTenant, name: "operator", createdAt: now))
            let full = try keys.make(for: .operatorTenant, scope: .full, at: now)
            let inner = try keys.make(for: .operatorTenant, scope: .internal, at: now)
            // Last, because `serve` takes it as the sign of a whole installation.
            try store.setSetting(MasterKey.settingName, key.check(cryptography))
            return Made(operatorKey: full.secret, internalKey: inner.secret)
        } catch {
            throw CommandFailure(
                .internal, "store_\(error.label)",
                "the database cannot be made: \(StoreText.sentence(error))",
                place: database)
        }
    }

    private static func report(_ made: Made, database: String, key: MasterKey, _ invocation: Invocation) {
        if invocation.isJSON {
            return invocation.console.print([
                "database": .string(database), "master_key": .string(key.place),
                "operator_key": .string(made.operatorKey),
                "internal_key": .string(made.internalKey),
            ])
        }
        invocation.console.print(
            """
            database:     \(database)
            master key:   \(key.place)
            operator key: \(made.operatorKey)
            internal key: \(made.internalKey)

            The two keys are shown this once. Next: `millrace serve`, and in another terminal
            `export MILLRACE_KEY=<operator key>`.
            """)
    }
}
