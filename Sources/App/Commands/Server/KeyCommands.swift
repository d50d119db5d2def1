import OpenSSLCrypto
import SQLiteStore
import Server
import Storage
import Values

/// `keys create`: a key of the operator's, through the server or, if every key is lost, on the file.
enum KeyCommands {
    static let all = [
        Command(
            "keys create", "create a key of the operator, also offline on the database of a stopped server",
            options: [
                Option("offline", .flag, "use the database file and the master key, while no server runs"),
                Option("scope", .choice(["full", "internal"]), "permissions of the key (default full)"),
            ] + APIClient.options
                + SettingTable.server.filter { ["data", "database", "master-key-file"].contains($0.name) }
                .map(\.option),
            details: """
                The key is shown only once. With --offline no key is needed: use it if all keys of the
                operator are lost. It needs the right to read the database and the master key.

                    millrace keys create --offline --data millrace-data
                """, run: create)
    ]

    @Sendable private static func create(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let scope = invocation.arguments.text("scope") ?? "full"
        let made: (key: String, secret: String)
        if invocation.arguments.has("offline") {
            made = try createOffline(invocation, APIKey.Scope(rawValue: scope) ?? .full)
        } else {
            let answer = try APIClient(invocation).call(
                .createKey, ["operator"], json: ["scope": .string(scope)]
            ).value
            made = (answer["key_id"]?.text ?? "", answer["secret"]?.text ?? "")
        }
        if invocation.isJSON {
            invocation.console.print(["key_id": .string(made.key), "secret": .string(made.secret)])
        } else {
            invocation.console.print("key:    \(made.key)")
            invocation.console.print("secret: \(made.secret)   (shown only once)")
        }
        return .ok
    }

    private static func createOffline(
        _ invocation: Invocation, _ scope: APIKey.Scope
    ) throws(CommandFailure) -> (key: String, secret: String) {
        try OfflineStore.use(
            invocation, otherwise: "with the server running: `millrace tenants keys create operator`"
        ) {
            store, _, now throws(CommandFailure) in
            let keys = KeyRing(store: store, cryptography: OpenSSLCryptography())
            do throws(StoreError) {
                let made = try keys.make(for: .operatorTenant, scope: scope, at: now)
                return ("\(made.key.key)", made.secret)
            } catch {
                throw CommandFailure(
                    .internal, "store_\(error.label)", "no key was made: \(StoreText.sentence(error))")
            }
        }
    }
}
