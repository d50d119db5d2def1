import Billing
import Glibc
import OpenSSLCrypto
import SQLiteStore
import Storage
import Values

/// `backup`: a verified copy of the database, made while the server runs.
enum BackupCommand {
    static let command = Command(
        "backup", "copy the database into a verified file, while the server runs or not",
        operands: [Operand("FILE")],
        options: SettingTable.options(SettingTable.server.filter { ["data", "database"].contains($0.name) }),
        details: """
            Run it on the machine of the server, as the same user; the server is not held up.
            The copy is one state of the database. It is written to FILE.partial, checked from end to end (every
            page and index, every ledger), synced, and only then named FILE. An existing FILE is never replaced.
            FILE.sha256 gets the checksum that `restore` compares: keep it with the copy.
            Exits with 1 if a ledger does not agree: the copy is kept, and is a faithful copy of the database.
            The master key is not in the copy: docs/backup.md.
            """, run: run)

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        umask(0o077)
        let settings = try SettingValues(
            SettingTable.server, arguments: invocation.arguments, environment: invocation.environment)
        let (source, target) = (ServeCommand.databasePath(settings), invocation.arguments.operands[0])
        guard Files.exists(source) else {
            throw CommandFailure(
                .usage, "no_database", "there is no database", place: source,
                hint: "name its folder with --data, or the file with --database")
        }
        try CheckedCopy.checkTarget(target)
        try CheckedCopy.checkSource(source)
        let check = try patiently { () throws(CommandFailure) in
            try CheckedCopy.make(from: source, to: target, of: .database)
        }
        return CheckedCopy.report(
            check,
            [
                "backup": .string(target), "database": .string(source),
                "checksum": .string(BackupChecksum.path(of: target)),
            ], "backed up to \(target), its checksum to \(BackupChecksum.path(of: target))",
            invocation)
    }

    /// On a thread of low priority: the server's commits come first.
    private static func patiently(
        _ body: @escaping @Sendable () throws(CommandFailure) -> DatabaseCheck
    ) throws(CommandFailure) -> DatabaseCheck {
        let result = Promise<Result<DatabaseCheck, CommandFailure>>()
        let thread = WorkerThread(name: "backup") {
            _ = nice(10)
            do throws(CommandFailure) { result.fulfil(.success(try body())) } catch {
                result.fulfil(.failure(error))
            }
        }
        defer { thread.join() }
        return try result.wait().get()
    }
}

/// A copy that is checked before it gets its name, as `backup` and `restore` make it.
enum CheckedCopy {
    enum Source {
        case database
        case backup
    }

    /// Copies, checks and publishes; `acceptsFindings` takes a backup whose ledgers do not agree.
    ///
    /// - Throws: ``CommandFailure`` for whatever kept the copy from being made; nothing of it is left then.
    static func make(
        from source: String, to target: String, of kind: Source, acceptsFindings: Bool = false
    ) throws(CommandFailure) -> DatabaseCheck {
        let cryptography = OpenSSLCryptography()
        do throws(StoreError) {
            let copy = try DatabaseCopy(to: target, isToBeServed: kind == .backup)
            try copy.copy(from: source)
            let check = try DatabaseCheck(ofFile: copy.partialPath) { cryptography.sha256($0) }
            if kind == .backup, !acceptsFindings, let first = check.ledger.findings.first {
                throw StoreError.failed(
                    code: 0, message: "\(first.tenant) entry \(first.sequence): \(first.reason)")
            }
            if kind == .database { try writeChecksum(of: copy.partialPath, as: target) }
            try copy.publish()
            return check
        } catch {
            throw failure(error, source, target, kind)
        }
    }

    private static func writeChecksum(of file: String, as backup: String) throws(StoreError) {
        do throws(Files.Problem) { try BackupChecksum.write(of: file, as: backup) } catch {
            throw .failed(code: 5, message: "cannot write \(error.path): \(error.reason)")
        }
    }

    /// - Throws: Exit code 2 if no file can be made there.
    static func checkTarget(_ target: String) throws(CommandFailure) {
        if Files.isFolder(target) {
            throw CommandFailure(
                .usage, "is_a_folder", "this is a folder and no file", place: target,
                hint: "name a file in it: \(target.hasSuffix("/") ? target : target + "/")millrace.db")
        }
        guard let obstacle = Files.obstacle(toWritingIn: Files.folder(of: target)) else { return }
        throw CommandFailure(
            .usage, "folder_unwritable", "no file can be made in this folder: \(obstacle.reason)",
            place: obstacle.path,
            hint: "make the folder, or name another; the user that runs this must own it")
    }

    /// - Throws: Exit code 2 if the file cannot be read.
    static func checkSource(_ source: String) throws(CommandFailure) {
        if Files.isFolder(source) {
            throw CommandFailure(.usage, "is_a_folder", "this is a folder and no file", place: source)
        }
        guard access(source, R_OK) != 0 else { return }
        throw CommandFailure(
            .usage, "file_unreadable", "the file cannot be read: \(Files.problem(source).reason)",
            place: source, hint: "run this as the user of the server, or as root")
    }

    private static func failure(
        _ error: StoreError, _ source: String, _ target: String, _ kind: Source
    ) -> CommandFailure {
        switch error {
        case .exists(let what):
            return CommandFailure(
                .usage, "exists", "\(what) exists already; nothing was changed", place: target,
                hint: kind == .backup
                    ? "stop the server, and move the old database and its -wal and -shm files away together"
                    : "name another file, for instance with the date in it")
        case .full:
            return CommandFailure(
                .notOK, "store_full", "the disk is full; nothing was kept", place: target,
                hint: "a copy needs as much room as the database")
        case .failed(0, let message):
            return CommandFailure(
                .notOK, "ledger_findings", "a ledger of the backup does not agree: \(message)", place: source,
                hint: "use an older backup, or accept it as it is with --accept-findings")
        case _ where error.isInUse:
            return CommandFailure(
                .notOK, "in_use", "no copy was made: \(StoreText.sentence(error))", place: target,
                hint: "a server runs on this database: stop it, or name another file with --to")
        default:
            return CommandFailure(
                .notOK, "copy_failed", "no copy was made: \(StoreText.sentence(error))", place: source,
                hint: kind == .backup ? "use another backup" : "keep the backups that you have")
        }
    }

    /// Prints what was copied; the exit code says whether all ledgers agree.
    static func report(
        _ check: DatabaseCheck, _ facts: Value, _ done: String, _ invocation: Invocation
    ) -> ExitCode {
        let findings = check.ledger.findings
        if invocation.isJSON {
            var object = facts.object ?? Object()
            object["tenants"] = .int(Int64(check.tenantCount))
            object["runs"] = .int(Int64(check.runCount))
            object["open_runs"] = .int(Int64(check.openRunCount))
            object["newest_run"] = check.newestRun.map { .string("\($0.run)") } ?? .null
            object["newest_run_at"] = check.newestRun.map { .string($0.startedAt.text) } ?? .null
            object["ledger"] = BillingCommands.value(of: check.ledger)
            invocation.console.print(.object(object))
        } else {
            invocation.console.print(done)
            invocation.console.print(
                "  \(counted(check.tenantCount, "tenant")), \(counted(check.runCount, "run")), \(check.openRunCount) of them open; "
                    + "the newest began \(check.newestRun?.startedAt.text ?? "never")")
            invocation.console.print(
                "  \(check.ledger.entryCount) ledger entries: "
                    + (findings.isEmpty
                        ? "all agree" : "\(findings.count) do not agree (`millrace ledger verify`)"))
        }
        return findings.isEmpty ? .ok : .notOK
    }
}
