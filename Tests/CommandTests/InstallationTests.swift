import Commands
import Foundation
import Testing
import Values

@Suite("An installation")
struct InstallationTests {
    @Test("a second init refuses and changes nothing")
    func initRefusesToOverwrite() throws {
        let folder = try TemporaryFolder()
        let first = CommandLineRun(["init", "--data", "\(folder.path)/data", "--json"])
        #expect(first.code == 0)
        let key = try Files.read("\(folder.path)/data/master.key")
        let second = CommandLineRun(["init", "--data", "\(folder.path)/data"])
        #expect(second.code == 2)
        #expect(second.error.contains("exists already"))
        #expect(try Files.read("\(folder.path)/data/master.key") == key)
    }

    @Test("the folder, the key and the database are for their owner alone")
    func filesArePrivate() throws {
        let folder = try TemporaryFolder()
        let data = "\(folder.path)/data"
        #expect(CommandLineRun(["init", "--data", data]).code == 0)
        for (path, mode) in [(data, 0o700), ("\(data)/master.key", 0o600), ("\(data)/millrace.db", 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == mode, "\(path)")
        }
    }

    @Test("a server with another master key does not start")
    func wrongMasterKeyIsRefused() throws {
        let folder = try TemporaryFolder()
        #expect(CommandLineRun(["init", "--data", "\(folder.path)/data"]).code == 0)
        let other = String(repeating: "ab", count: 32)
        let run = serve(folder, environment: ["MILLRACE_MASTER_KEY": other])
        #expect(run.code == 2)
        #expect(run.problem["code"] == "wrong_master_key")
        let short = serve(folder, environment: ["MILLRACE_MASTER_KEY": "abcd"])
        #expect(short.problem["code"] == "bad_master_key")
    }

    @Test("a server without an installation says how to make one")
    func missingInstallationIsNamed() throws {
        let folder = try TemporaryFolder()
        let run = serve(folder, environment: ["MILLRACE_MASTER_KEY": String(repeating: "ab", count: 32)])
        #expect(run.code == 2)
        #expect(run.problem["hint"]?.text.contains("millrace init") == true)
    }

    @Test("two servers on one database: the second is refused, the first goes on")
    func secondServerIsRefused() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let second = serve(fixture.folder)
        #expect(second.code == 1)
        #expect(second.error.contains("in use by another process"), "\(second.error)")
        #expect(try fixture.openRunCount(atMost: .seconds(1)) == 0)
    }

    @Test("a taken address is named")
    func takenAddressIsNamed() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let address = try #require(fixture.child?.url.dropFirst(7))
        let run = CommandLineRun(
            ["serve", "--data", "\(fixture.folder.path)/data", "--listen", String(address), "--json"])
        #expect(run.code == 2)
        #expect(run.problem["code"] == "cannot_listen")
    }

    @Test("a wrong key exits with 3, a fault of the billing workflow with 5")
    func refusalsExitWithThreeAndFaultsWithFive() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let url = try #require(fixture.child?.url)
        let wrong = CommandLineRun(["balance", "--server", url, "--key", "mk_wrong", "--json"])
        #expect(wrong.code == 3)
        #expect(wrong.problem["code"] == "unauthorized")
        let missing = CommandLineRun([
            "run", "run_0000000000001", "--server", url, "--key", fixture.operatorKey,
        ])
        #expect(missing.code == 3)
        let tenant = try fixture.makeTenant()
        let unsold = CommandLineRun(["buy", "1", "--server", url, "--key", tenant.key, "--json"])
        #expect(unsold.code == 5)
        #expect(unsold.problem["code"] == "billing_not_configured")
    }

    @Test("a run that fails exits with 1 for who waits for it")
    func failedRunExitsWithOne() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let environment = [
            "MILLRACE_SERVER": try #require(fixture.child?.url), "MILLRACE_KEY": fixture.operatorKey,
        ]
        let source = """
            name: failing
            version: 1
            triggers:
              - type: http
            steps:
              give_up:
                fail: no such luck
            """
        let path = try fixture.folder.write("failing.yaml", source)
        #expect(CommandLineRun(["deploy", path], environment: environment).code == 0)
        let run = CommandLineRun(["trigger", "failing", "{}", "--wait", "--json"], environment: environment)
        #expect(run.code == 1)
        #expect(run.value["status"] == "failed")
        let events = CommandLineRun(
            ["run", run.value["run_id"]?.text ?? "", "--events"], environment: environment)
        #expect(events.output.contains("run.started"), "\(events.output)")
    }

    @Test("a tenant's step never reaches the server's own ports, whatever the lists allow")
    func ownPortsAreDenied() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let tenant = try fixture.makeTenant()
        let child = try #require(fixture.child)
        for (number, url) in [child.url, child.internalURL].enumerated() {
            let source = """
                name: nosy-\(number)
                version: 1
                triggers:
                  - type: http
                steps:
                  look:
                    request: {method: GET, url: "\(url)/healthz"}
                    retry: {max: 0}
                """
            let path = try fixture.folder.write("nosy.yaml", source)
            let environment = ["MILLRACE_SERVER": child.url, "MILLRACE_KEY": tenant.key]
            #expect(CommandLineRun(["deploy", path], environment: environment).code == 0)
            let run = CommandLineRun(
                ["trigger", "nosy-\(number)", "--wait", "--json"], environment: environment)
            #expect(run.code == 1)
            #expect(run.value["error"]?["code"] == "destination_refused", "\(run.output)")
        }
    }

    private func serve(_ folder: TemporaryFolder, environment: [String: String] = [:]) -> CommandLineRun {
        CommandLineRun(
            [
                "serve", "--data", "\(folder.path)/data", "--listen", "127.0.0.1:0", "--internal-listen",
                "127.0.0.1:0", "--json",
            ], environment: environment)
    }
}
