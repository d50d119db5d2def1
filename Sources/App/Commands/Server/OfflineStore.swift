import Clocks
import Glibc
import OpenSSLCrypto
import SQLiteStore
import Storage
import Values

/// The database of an installation whose server does not run, opened with its lock and its master key.
enum OfflineStore {
    /// Opens the database, checks the master key, and lets `body` work on it; `hint` says what to do instead while a
    /// server runs.
    ///
    /// - Throws: ``CommandFailure`` with the code `in_use` if a server runs; nothing was changed then.
    static func use<Output>(
        _ invocation: Invocation, otherwise hint: String,
        _ body: (SQLiteStore, MasterKey, Instant) throws(CommandFailure) -> Output
    ) throws(CommandFailure) -> Output {
        umask(0o077)
        let settings = try SettingValues(
            SettingTable.server, arguments: invocation.arguments, environment: invocation.environment)
        let path = ServeCommand.databasePath(settings)
        guard Files.exists(path) else {
            throw CommandFailure(.usage, "no_database", "there is no database", place: path)
        }
        let key = try MasterKey.read(settings, environment: invocation.environment).fitting(path)
        let clock = SystemClock()
        defer { clock.shutDown() }
        let store = try open(path, clock, hint)
        defer { store.close() }
        try key.verify(against: store, OpenSSLCryptography())
        return try body(store, key, clock.now())
    }

    private static func open(
        _ path: String, _ clock: SystemClock, _ hint: String
    ) throws(CommandFailure) -> SQLiteStore {
        let cryptography = OpenSSLCryptography()
        do throws(StoreError) {
            return try SQLiteStore.open(
                path: path, sha256: { cryptography.sha256($0) }, clock: { clock.now() })
        } catch {
            guard !error.isInUse else {
                throw CommandFailure(
                    .notOK, "in_use", "a server runs on this database; nothing was changed", place: path,
                    hint: "stop the server first, or do it \(hint)")
            }
            throw CommandFailure(
                .notOK, "store_\(error.label)", "the database cannot be opened: \(StoreText.sentence(error))",
                place: path)
        }
    }
}
