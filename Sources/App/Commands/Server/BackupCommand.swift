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
        let check = try patiently { () throws(CommandFailure) in
            try CheckedCopy.make(from: source, to: target, of: .database)
        }
        return CheckedCopy.report(
            check, ["backup": .string(target), "database": .string(source)], "backed up to \(target)",
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
            try copy.publish()
            return check
        } catch {
            throw failure(error, source, target, kind)
        }
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
