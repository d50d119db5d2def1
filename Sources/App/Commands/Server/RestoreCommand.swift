import Glibc
import OpenSSLCrypto
import SQLiteStore
import Storage
import Values

/// `restore`: a backup becomes the database of an installation again.
enum RestoreCommand {
    static let command = Command(
        "restore", "make a database from a backup; an existing one is never replaced",
        operands: [Operand("BACKUP")],
        options: [
            Option("to", placeholder: "FILE", "the database file to write; without it that of the settings"),
            Option(
                "accept-findings", .flag,
                "restore even if a ledger of the backup does not agree, or its checksum"),
        ]
            + SettingTable.options(
                SettingTable.server.filter { ["data", "database", "master-key-file"].contains($0.name) }),
        details: """
            Compares the backup with BACKUP.sha256, and checks the copy as `backup` does, before it gets its name.
            Refuses to replace a file, or to write where a server runs. The master key must be that of the time of the
            backup: it is compared if it is at hand.
            Everything after the backup is lost: requests that were sent since then may be sent again.
            Read "What a restore means for money" in docs/backup.md before you start the server.
            """, run: run)

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        umask(0o077)
        let settings = try SettingValues(
            SettingTable.server, arguments: invocation.arguments, environment: invocation.environment)
        let source = invocation.arguments.operands[0]
        let target = invocation.arguments.text("to") ?? ServeCommand.databasePath(settings)
        guard Files.exists(source) else {
            throw CommandFailure(.usage, "no_backup", "there is no such backup", place: source)
        }
        try CheckedCopy.checkSource(source)
        try makeFolder(of: target)
        try CheckedCopy.checkTarget(target)
        let checksum = try checksum(of: source, invocation)
        let key = try masterKey(settings, invocation, of: source)
        let check = try CheckedCopy.make(
            from: source, to: target, of: .backup,
            acceptsFindings: invocation.arguments.has("accept-findings"))
        let code = CheckedCopy.report(
            check,
            [
                "database": .string(target), "backup": .string(source), "master_key": .string(key.word),
                "checksum": .string("\(checksum)"),
            ], "restored \(target) from \(source)", invocation)
        if !invocation.isJSON {
            if checksum == .missing {
                invocation.console.print(
                    "  there is no \(BackupChecksum.path(of: source)): whether the backup has changed is not known"
                )
            }
            invocation.console.print(key.advice)
        }
        return code
    }

    /// Compares the backup with its checksum.
    ///
    /// - Throws: Exit code 1 if the backup has changed and this is not accepted.
    private static func checksum(
        of source: String, _ invocation: Invocation
    ) throws(CommandFailure) -> BackupChecksum.Standing {
        let standing: BackupChecksum.Standing
        do throws(Files.Problem) { standing = try BackupChecksum.standing(of: source) } catch {
            throw CommandFailure(
                .usage, "file_unreadable", "the file cannot be read: \(error.reason)", place: error.path)
        }
        guard standing == .differs, !invocation.arguments.has("accept-findings") else { return standing }
        throw CommandFailure(
            .notOK, "backup_changed",
            "the backup is not the file that was written: its checksum is not that of "
                + BackupChecksum.path(of: source), place: source,
            hint: "use another backup, or accept this one as it is with --accept-findings")
    }

    private static func makeFolder(of target: String) throws(CommandFailure) {
        do throws(Files.Problem) { try Files.makeFolder(Files.folder(of: target), mode: 0o700) } catch {
            throw CommandFailure(
                .internal, "folder", "the folder cannot be made: \(error.reason)", place: error.path)
        }
    }

    private enum KeyStanding {
        case fits(String)
        case missing(String)

        var word: String {
            switch self {
            case .fits: "fits"
            case .missing: "missing"
            }
        }

        var advice: String {
            switch self {
            case .fits(let place): "  the master key (\(place)) fits; next: `millrace serve`"
            case .missing(let place):
                "  there is no master key at \(place): put the one there that the backup was made with"
            }
        }
    }

    /// Whether the master key that a server would use opens the backup; one that does not is refused here, not at the
    /// first start.
    private static func masterKey(
        _ settings: SettingValues, _ invocation: Invocation, of source: String
    ) throws(CommandFailure) -> KeyStanding {
        let path = MasterKey.path(settings)
        guard invocation.environment[MasterKey.variable] != nil || Files.exists(path) else {
            return .missing(path)
        }
        let key = try MasterKey.read(settings, environment: invocation.environment)
        let cryptography = OpenSSLCryptography()
        let backup: SQLiteStore
        do throws(StoreError) {
            backup = try SQLiteStore.openForReading(path: source) { cryptography.sha256($0) }
        } catch {
            throw CommandFailure(
                .notOK, "copy_failed", "no copy was made: \(StoreText.sentence(error))", place: source,
                hint: "use another backup")
        }
        defer { backup.close() }
        try key.verify(against: backup, cryptography)
        return .fits(key.place)
    }
}
