import Billing
import Foundation
import OpenSSLCrypto
import Processes
import SQLiteStore
import StandIns
import Storage
import TestSupport
import Testing
import Values

@testable import Commands

@Suite("Backups", .serialized)
struct BackupTests {
    /// Goal: a backup taken at any instant of a busy server holds all that was acknowledged before it began, and a
    /// server goes on with it.
    @Test("every backup under load restores to all that was acknowledged before it", .timeLimit(.minutes(4)))
    func backupsUnderLoadAreWhole() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        let load = Load(client: try fixture.client(key: tenant.key), padding: 2_000)
        load.begin(threadCount: 4)
        var backups: [(path: String, acknowledged: [String])] = []
        for number in 1...5 {
            usleep(150_000)
            let acknowledged = Array(load.acknowledged.values)
            let path = "\(fixture.folder.path)/backup-\(number).db"
            #expect(try Self.millrace(["backup", path, "--data", "\(fixture.folder.path)/data"]) == 0)
            #expect(load.acknowledged.count > acknowledged.count, "the backup held the intake up")
            backups.append((path, acknowledged))
        }
        fixture.kill()
        load.end()
        #expect(backups.last.map { $0.acknowledged.count > 100 } == true, "hardly any load")
        for backup in backups { try expectWhole(backup.path, backup.acknowledged, of: tenant.id, fixture) }
        // The last one in place of the database that was lost.
        for suffix in ["", "-wal", "-shm"] { unlink(fixture.database + suffix) }
        let restored = CommandLineRun(
            ["restore", backups[4].path, "--data", "\(fixture.folder.path)/data", "--json"])
        #expect(restored.code == 0 && restored.value["master_key"] == "fits", "\(restored.error)")
        try fixture.start()
        #expect(try fixture.openRunCount(atMost: .seconds(30)) == 0)
        #expect(fixture.stop() == 0)
        try expectEnded(fixture.database, backups[4].acknowledged, of: tenant.id)
        // An attempt that was in flight when the backup was taken went out again, under its first key.
        #expect(fixture.orders.effectCounts.itemsUnderSeveralKeys == 0)
    }

    /// The program itself, in a process of its own, as a person or cron runs it; its exit code.
    private static func millrace(_ arguments: [String]) throws -> Int32 {
        try ChildProcess.start(
            [Repository.program] + arguments, environment: ["MILLRACE_CONFIG": "/dev/null"],
            isInheriting: false
        ).wait()
    }

    private func expectWhole(
        _ backup: String, _ acknowledged: [String], of tenant: String, _ fixture: ServerFixture
    ) throws {
        let target = "\(fixture.folder.path)/restored/\(UUID().uuidString).db"
        let restored = CommandLineRun([
            "restore", backup, "--to", target, "--data", "\(fixture.folder.path)/data",
        ])
        #expect(restored.code == 0, "\(restored.error)")
        #expect(restored.output.contains("all agree"))
        let header = try Files.read(backup, atMost: 100)
        #expect(header[18] == 1 && header[19] == 1, "the backup asks for a log beside it")
        #expect(!Files.exists(backup + "-wal") && !Files.exists(backup + ".partial"))
        let store = try Self.open(target)
        defer { store.close() }
        let tenant = try #require(TenantID(tenant))
        let lost = try acknowledged.filter { try store.run(try #require(RunID($0)), of: tenant) == nil }
        #expect(lost.isEmpty, "\(lost.count) of \(acknowledged.count) acknowledged runs are not in \(backup)")
        let verification = try store.verifyLedgers()
        #expect(verification.findings.isEmpty && verification.entryCount > 1)
        let balance = try store.account(of: tenant).balanceMilliseconds
        #expect(balance == verification.creditedMilliseconds - verification.usedMilliseconds)
    }

    private func expectEnded(_ database: String, _ acknowledged: [String], of tenant: String) throws {
        let store = try Self.open(database)
        defer { store.close() }
        let tenant = try #require(TenantID(tenant))
        let states = try acknowledged.map { try store.run(try #require(RunID($0)), of: tenant)?.status }
        #expect(states.allSatisfy { $0 == .succeeded })
        #expect(try store.verifyLedgers().findings.isEmpty)
    }

    private static func open(_ path: String) throws -> SQLiteStore {
        let cryptography = OpenSSLCryptography()
        return try SQLiteStore.openForReading(path: path) { cryptography.sha256($0) }
    }

    private func installation() throws -> (folder: TemporaryFolder, data: String, operatorKey: String) {
        let folder = try TemporaryFolder()
        let made = CommandLineRun(["init", "--data", "\(folder.path)/data", "--json"])
        #expect(made.code == 0)
        return (folder, "\(folder.path)/data", try #require(made.value["operator_key"]?.string))
    }

    @Test("a backup replaces nothing, and leaves nothing half done")
    func backupReplacesNothing() throws {
        let (folder, data, _) = try installation()
        let backup = "\(folder.path)/b.db"
        let first = CommandLineRun(["backup", backup, "--data", data, "--json"])
        #expect(first.code == 0 && first.value["tenants"] == 1 && first.value["ledger"]?["findings"] == [])
        let bytes = try Files.read(backup)
        let second = CommandLineRun(["backup", backup, "--data", data, "--json"])
        #expect(second.code == 2 && second.problem["code"] == "exists")
        #expect(try Files.read(backup) == bytes)
        // What a killed backup left is overwritten.
        _ = try folder.write("c.db.partial", String(repeating: "x", count: 100_000))
        #expect(CommandLineRun(["backup", "\(folder.path)/c.db", "--data", data]).code == 0)
        #expect(!Files.exists("\(folder.path)/c.db.partial"))
        // The log of a file that was there would be applied to the new one.
        _ = try folder.write("d.db-wal", "x")
        let stale = CommandLineRun(["backup", "\(folder.path)/d.db", "--data", data, "--json"])
        #expect(
            stale.problem["code"] == "exists" && stale.problem["message"]?.text.contains("d.db-wal") == true)
        let none = CommandLineRun([
            "backup", "\(folder.path)/e.db", "--data", "\(folder.path)/none", "--json",
        ])
        #expect(none.code == 2 && none.problem["code"] == "no_database")
        let nowhere = CommandLineRun(["backup", "\(folder.path)/no/e.db", "--data", data, "--json"])
        #expect(nowhere.code == 2 && nowhere.problem["code"] == "folder_unwritable")
        #expect(nowhere.error.contains("the folder does not exist"))
        let isFolder = CommandLineRun(["backup", folder.path, "--data", data, "--json"])
        #expect(isFolder.code == 2 && isFolder.problem["code"] == "is_a_folder")
        var status = stat()
        #expect(stat(backup, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test("a damaged database gives no backup, and a damaged backup no database")
    func damageIsRefused() throws {
        let (folder, data, _) = try installation()
        let backup = "\(folder.path)/b.db"
        #expect(CommandLineRun(["backup", backup, "--data", data]).code == 0)
        var bytes = try Files.read(backup)
        // Behind the first page, which holds the schema.
        for index in 8_192..<12_288 { bytes[index] ^= 0x5A }
        try Files.replace("\(folder.path)/bad.db", bytes)
        let target = "\(folder.path)/t.db"
        let restored = CommandLineRun(["restore", "\(folder.path)/bad.db", "--to", target, "--json"])
        #expect(restored.code == 1 && restored.problem["code"] == "copy_failed")
        #expect(!Files.exists(target) && !Files.exists(target + ".partial"))
        let copied = CommandLineRun(
            ["backup", "\(folder.path)/b2.db", "--database", "\(folder.path)/bad.db", "--json"])
        #expect(copied.code == 1 && copied.problem["code"] == "copy_failed")
        #expect(!Files.exists("\(folder.path)/b2.db") && !Files.exists("\(folder.path)/b2.db.partial"))
        for text in ["", "no database at all"] {
            let odd = try folder.write("odd.db", text)
            #expect(CommandLineRun(["restore", odd, "--to", target, "--json"]).code == 1)
        }
        let cut = Array(try Files.read(backup).prefix(20_000))
        try Files.replace("\(folder.path)/cut.db", cut)
        #expect(CommandLineRun(["restore", "\(folder.path)/cut.db", "--to", target, "--json"]).code == 1)
        #expect(!Files.exists(target))
    }

    @Test("a byte that changes anywhere in a backup, or is added to it, is found")
    func changedBytes() throws {
        let (folder, data, _) = try installation()
        let backup = "\(folder.path)/b.db"
        #expect(CommandLineRun(["backup", backup, "--data", data]).code == 0)
        let bytes = try Files.read(backup)
        let checksum = try Files.read(backup + ".sha256")
        #expect(String(decoding: checksum, as: UTF8.self).hasSuffix("  b.db\n"))
        let (changed, target) = ("\(folder.path)/changed.db", "\(folder.path)/t.db")
        try Files.replace(changed + ".sha256", checksum)
        var random = SeededRandom(seed: 5)
        for number in 0..<40 {
            var copy = bytes
            switch number {
            case 0: copy.append(0)
            case 1: copy.removeLast()
            default:
                copy[Int.random(in: copy.indices, using: &random)] ^=
                    1 << UInt8.random(in: 0...7, using: &random)
            }
            try Files.replace(changed, copy)
            let restored = CommandLineRun(["restore", changed, "--to", target, "--json"])
            #expect(restored.code == 1 && restored.problem["code"] == "backup_changed", "\(restored.error)")
            #expect(!Files.exists(target) && !Files.exists(target + ".lock"))
        }
        try Files.replace(changed, bytes)
        let same = CommandLineRun(["restore", changed, "--to", target, "--json"])
        #expect(same.code == 0 && same.value["checksum"] == "matches", "\(same.error)")
        // A backup without its checksum is restored, and the answer says what is not known.
        unlink(backup + ".sha256")
        let bare = CommandLineRun(["restore", backup, "--to", "\(folder.path)/u.db"])
        #expect(bare.code == 0 && bare.output.contains("is not known"))
        try Files.replace(backup + ".sha256", Array("0000  b.db\n".utf8))
        #expect(CommandLineRun(["restore", backup, "--to", "\(folder.path)/v.db"]).code == 1)
        let accepted = CommandLineRun(["restore", backup, "--to", "\(folder.path)/v.db", "--accept-findings"])
        #expect(accepted.code == 0, "\(accepted.error)")
    }

    @Test("a workflow's source that was changed in the file is found")
    func changedSources() throws {
        let (folder, data, _) = try installation()
        let source = Array("name: nap\nversion: 1\ntriggers: [{type: http}]\nsteps: [{sleep: 3s}]\n".utf8)
        let cryptography = OpenSSLCryptography()
        let store = try SQLiteStore.open(
            path: "\(data)/millrace.db", sha256: { cryptography.sha256($0) },
            clock: { Instant(microseconds: 1) })
        _ = try store.deployWorkflow(
            "nap", of: .operatorTenant, digest: cryptography.sha256(source), source: source,
            at: Instant(microseconds: 1), listensToRuns: false)
        store.close()
        let backup = "\(folder.path)/b.db"
        let backed = CommandLineRun(["backup", backup, "--data", data])
        #expect(backed.code == 0, "\(backed.error)")
        let changed = try Files.read(backup).split(
            separator: Array("sleep: 3s".utf8), omittingEmptySubsequences: false)
        try #require(changed.count > 1)
        try Files.replace("\(folder.path)/bad.db", Array(changed.joined(separator: Array("sleep: 9s".utf8))))
        let target = "\(folder.path)/t.db"
        let restored = CommandLineRun(["restore", "\(folder.path)/bad.db", "--to", target, "--json"])
        #expect(restored.code == 1 && restored.problem["code"] == "copy_failed")
        #expect(restored.error.contains("version 1 of workflow nap"), "\(restored.error)")
        #expect(!Files.exists(target))
        #expect(CommandLineRun(["restore", backup, "--to", target]).code == 0)
    }

    @Test("a restore replaces nothing, writes where no server runs, and wants the backup's master key")
    func restoreIsCareful() throws {
        let (folder, data, _) = try installation()
        let backup = "\(folder.path)/b.db"
        #expect(CommandLineRun(["backup", backup, "--data", data]).code == 0)
        let there = CommandLineRun(["restore", backup, "--data", data, "--json"])
        #expect(there.code == 2 && there.problem["code"] == "exists")
        let (otherFolder, otherData, _) = try installation()
        unlink("\(otherData)/millrace.db")
        let wrong = CommandLineRun(["restore", backup, "--data", otherData, "--json"])
        #expect(wrong.code == 2 && wrong.problem["code"] == "wrong_master_key")
        #expect(!Files.exists("\(otherData)/millrace.db"))
        unlink("\(otherData)/master.key")
        let keyless = CommandLineRun(["restore", backup, "--data", otherData])
        #expect(keyless.code == 0 && keyless.output.contains("there is no master key at"))
        let server = try SQLiteStore.open(
            path: "\(folder.path)/served.db", sha256: { OpenSSLCryptography().sha256($0) },
            clock: { Instant(microseconds: 1) })
        for suffix in ["", "-wal", "-shm"] { unlink("\(folder.path)/served.db" + suffix) }
        let served = CommandLineRun(["restore", backup, "--to", "\(folder.path)/served.db", "--json"])
        #expect(served.code == 1 && served.problem["code"] == "in_use", "\(served.error)")
        server.close()
        _ = otherFolder
    }

    @Test("the way back in: a key made on the file opens the server that had none left")
    func lostKeysAreReplaced() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let data = "\(fixture.folder.path)/data"
        let busy = CommandLineRun(["keys", "create", "--offline", "--data", data, "--json"])
        #expect(busy.code == 1 && busy.problem["code"] == "in_use", "\(busy.error)")
        let client = try fixture.client(key: fixture.operatorKey)
        let keys = try client.call("GET", "/api/tenants/operator/keys").value["items"]?.array ?? []
        let full = try #require(keys.first { $0["scope"] == "full" }?["key_id"]?.text)
        let url = try #require(fixture.child?.url)
        let environment = ["MILLRACE_KEY": fixture.operatorKey, "MILLRACE_SERVER": url]
        let last = CommandLineRun(
            ["tenants", "keys", "revoke", "operator", full, "--json"], environment: environment)
        #expect(last.code == 3 && last.problem["code"] == "last_operator_key", "\(last.error)")
        let online = CommandLineRun(["keys", "create", "--json"], environment: environment)
        #expect(online.code == 0)
        #expect(fixture.stop() == 0)
        let made = CommandLineRun(["keys", "create", "--offline", "--data", data, "--json"])
        #expect(made.code == 0, "\(made.error)")
        let other = String(repeating: "0", count: 64)
        let foreign = CommandLineRun(
            ["keys", "create", "--offline", "--data", data, "--json"],
            environment: [MasterKey.variable: other])
        #expect(foreign.code == 2 && foreign.problem["code"] == "wrong_master_key")
        try fixture.start()
        let opened = try fixture.client(key: try #require(made.value["secret"]?.string))
        #expect(try opened.call("GET", "/api/tenants").status == 200)
        // Now there are three: the first two may go.
        #expect(
            CommandLineRun(["tenants", "keys", "revoke", "operator", full], environment: environment).code
                == 0)
    }
}
