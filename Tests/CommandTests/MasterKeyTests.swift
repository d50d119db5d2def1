import Engine
import Foundation
import OpenSSLCrypto
import Runtime
import SQLiteStore
import Storage
import Testing
import Values

@testable import Commands

@Suite("The master key's rotation")
struct MasterKeyTests {
    private let folder: TemporaryFolder
    private var data: String { "\(folder.path)/data" }
    private var keyFile: String { "\(data)/master.key" }
    private let cryptography = OpenSSLCryptography()

    init() throws {
        folder = try TemporaryFolder()
        let made = CommandLineRun(["init", "--data", "\(folder.path)/data", "--json"])
        #expect(made.code == 0, "\(made.error)")
    }

    private func store() throws -> SQLiteStore {
        let cryptography = cryptography
        return try SQLiteStore.open(
            path: "\(data)/millrace.db", sha256: { cryptography.sha256($0) },
            clock: { Instant(microseconds: 1) })
    }

    private func key(_ file: String) throws -> [UInt8] { try MasterKey.read(file: file).bytes }

    private func withVault<Output>(
        _ masterKey: [UInt8], _ body: (SecretVault) throws -> Output
    ) throws -> Output {
        let store = try store()
        defer { store.close() }
        return try body(SecretVault(store: store, cryptography: cryptography, masterKey: masterKey))
    }

    private func addSecrets(_ count: Int) throws {
        let masterKey = try key(keyFile)
        let store = try store()
        defer { store.close() }
        let keys = try #require(try SealingKeys(of: store, masterKey: masterKey, cryptography))
        let secrets = (0..<count).map { number in
            let tenant = TenantID(number: Int64(2 + number / 100))
            let name = "KEY_\(number % 100)"
            return SealedSecret(
                tenant: tenant, name: name,
                sealed: keys.sealSecret(Array("value \(number)".utf8), name, of: tenant),
                hosts: ["api.test"], updatedAt: Instant(microseconds: 1))
        }
        for secret in secrets { try store.setSecret(secret) }
    }

    private func expectValues(_ count: Int, under masterKey: [UInt8]) throws {
        try withVault(masterKey) { vault in
            for tenant in 0..<(count + 99) / 100 {
                let open = try vault.secrets(of: TenantID(number: Int64(2 + tenant))).byName
                for name in 0..<min(100, count - tenant * 100) {
                    let secret = open["KEY_\(name)"]
                    #expect(secret?.value == "value \(tenant * 100 + name)" && secret?.hosts == ["api.test"])
                }
            }
        }
    }

    private func rotate(_ arguments: [String] = [], environment: [String: String] = [:]) -> CommandLineRun {
        CommandLineRun(
            ["master-key", "rotate", "--data", data, "--json"] + arguments, environment: environment)
    }

    @Test("ten thousand secrets are sealed anew, twice; the old key opens nothing", .timeLimit(.minutes(2)))
    func secretsAreSealedAnew() throws {
        try addSecrets(10_000)
        let first = try key(keyFile)
        let signalKey = try withVault(first) { $0.signalKey }
        let rotated = rotate()
        #expect(rotated.code == 0 && rotated.value["secrets"] == 10_000, "\(rotated.error)")
        let second = try key(keyFile)
        #expect(second != first && !Files.exists(keyFile + ".new"))
        #expect(try key(keyFile + ".old") == first)
        try expectValues(10_000, under: second)
        // The addresses that runs have handed out go on working.
        #expect(try withVault(second) { $0.signalKey } == signalKey)
        try withVault(first) { (vault: SecretVault) throws in
            #expect(try vault.secrets(of: TenantID(number: 2)).byName.isEmpty)
            #expect(throws: StoreError.self) {
                try vault.set(
                    "A", "a value", hosts: [], of: TenantID(number: 2), at: Instant(microseconds: 1))
            }
        }
        #expect(rotate().value["secrets"] == 10_000)
        try expectValues(10_000, under: try key(keyFile))
        #expect(try key(keyFile + ".old.2") == second)
        let old = try MasterKey.read(file: keyFile + ".old")
        let store = try store()
        defer { store.close() }
        #expect(throws: CommandFailure.self) { try old.verify(against: store, cryptography) }
    }

    @Test("what was sealed with its root's number opens after rotations, and nowhere else")
    func sealedValuesOutliveRotations() throws {
        let store = try store()
        defer { store.close() }
        var masterKey = try key(keyFile)
        let (tenant, other) = (TenantID(number: 5), TenantID(number: 6))
        let context = Array("journal".utf8)
        var sealed: [[UInt8]] = []
        for number in 0..<3 {
            let keys = try #require(try SealingKeys(of: store, masterKey: masterKey, cryptography))
            sealed.append(keys.seal([UInt8(number)], of: tenant, context: context))
            let next = cryptography.randomBytes(count: 32)
            _ = try SealingKeys.rotate(store, from: masterKey, to: next, cryptography)
            let old = try SealingKeys(of: store, masterKey: masterKey, cryptography)
            #expect(old == nil, "the old key opens nothing any more")
            masterKey = next
        }
        let keys = try #require(try SealingKeys(of: store, masterKey: masterKey, cryptography))
        for (number, value) in sealed.enumerated() {
            #expect(keys.open(value, of: tenant, context: context) == [UInt8(number)])
            #expect(keys.open(value, of: other, context: context) == nil)
            #expect(keys.open(value, of: tenant, context: Array("other".utf8)) == nil)
        }
        #expect(keys.open([2, 0, 0, 0, 9] + sealed[0].dropFirst(5), of: tenant, context: context) == nil)
        #expect(keys.open([], of: tenant, context: context) == nil)
    }

    @Test("a rotation that is interrupted anywhere leaves a server that starts")
    func interruptionsAreSurvived() throws {
        try addSecrets(3)
        let first = try key(keyFile)
        // Before the database was changed: the new key waits beside the old one, and is used by the next try.
        let digits = String(repeating: "ab", count: 32)
        _ = try folder.write("data/master.key.new", digits + "\n")
        #expect(try MasterKey.read(file: keyFile).fitting("\(data)/millrace.db").bytes == first)
        // After it was changed, before the key has its name.
        let second = try key(keyFile + ".new")
        let store = try store()
        #expect(try SealingKeys.rotate(store, from: first, to: second, cryptography) == 3)
        store.close()
        let fitting = try MasterKey.read(file: keyFile).fitting("\(data)/millrace.db")
        #expect(fitting.bytes == second && fitting.place == keyFile)
        #expect(try key(keyFile) == second && key(keyFile + ".old") == first)
        #expect(!Files.exists(keyFile + ".new"))
        try expectValues(3, under: second)
    }

    @Test("a rotation is refused with a wrong key, beside a server, with a secret that does not open")
    func rotationsAreRefused() throws {
        try addSecrets(2)
        let first = try key(keyFile)
        let wrong = rotate(
            ["--new-key-file", "\(folder.path)/next"],
            environment: [MasterKey.variable: String(repeating: "0", count: 64)])
        #expect(wrong.problem["code"] == "wrong_master_key")
        let variable = [MasterKey.variable: Hex.encode(first)]
        #expect(rotate(environment: variable).problem["hint"]?.text.contains("name a file") == true)
        let same = try folder.write("same", Hex.encode(first))
        #expect(rotate(["--new-key-file", same], environment: variable).problem["code"] == "same_master_key")
        let served = try store()
        #expect(rotate().problem["code"] == "in_use")
        try served.setSecret(
            SealedSecret(
                tenant: TenantID(number: 2), name: "BAD", sealed: [1], hosts: [],
                updatedAt: Instant(microseconds: 1)))
        served.close()
        let broken = rotate()
        #expect(broken.code == 1 && broken.problem["message"]?.text.contains("BAD") == true)
        try expectValues(2, under: first)
        let store = try store()
        #expect(try store.deleteSecret("BAD", of: TenantID(number: 2)))
        store.close()
        // With the key in a variable the new one is where the option says, and nothing is renamed.
        let rotated = rotate(["--new-key-file", "\(folder.path)/next"], environment: variable)
        #expect(rotated.code == 0 && rotated.value["old_key"] == .null, "\(rotated.error)")
        try expectValues(2, under: try key("\(folder.path)/next"))
    }
}
