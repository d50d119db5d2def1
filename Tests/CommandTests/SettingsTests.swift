import Commands
import Foundation
import Ports
import Testing

@Suite("Settings")
struct SettingsTests {
    private func listen(flag: String?, variable: String?, file: String?) throws -> String? {
        let folder = try TemporaryFolder()
        let path = try folder.write("millrace.conf", file.map { "# comment\n\nlisten = \($0)\n" } ?? "")
        let command = try #require(Program.commands.first { $0.name == "serve" })
        let arguments = ["--config", path] + (flag.map { ["--listen", $0] } ?? [])
        let parsed = try ArgumentParser(commands: Program.commands).parse(arguments, for: command)
        let environment = variable.map { ["MILLRACE_LISTEN": $0] } ?? [:]
        return try SettingValues(SettingTable.server, arguments: parsed, environment: environment).text(
            "listen")
    }

    @Test("a flag comes before a variable, a variable before the file, the file before the default")
    func orderOfSources() throws {
        #expect(
            try listen(flag: "127.0.0.1:1", variable: "127.0.0.1:2", file: "127.0.0.1:3") == "127.0.0.1:1")
        #expect(try listen(flag: nil, variable: "127.0.0.1:2", file: "127.0.0.1:3") == "127.0.0.1:2")
        #expect(try listen(flag: nil, variable: nil, file: "127.0.0.1:3") == "127.0.0.1:3")
        #expect(try listen(flag: nil, variable: nil, file: nil) == "127.0.0.1:7070")
    }

    @Test(
        "a wrong value names its source",
        arguments: [("flag", "--listen"), ("variable", "MILLRACE_LISTEN"), ("file", "millrace.conf:3")])
    func wrongValueNamesItsSource(source: String, place: String) throws {
        let failure = #expect(throws: CommandFailure.self) {
            try listen(
                flag: source == "flag" ? "nowhere" : nil, variable: source == "variable" ? "nowhere" : nil,
                file: source == "file" ? "nowhere" : nil)
        }
        #expect(failure?.exitCode == .usage)
        #expect(failure?.place?.hasSuffix(place) == true)
    }

    @Test(
        "a file with an unknown name, a name twice or no equals sign is refused with its line",
        arguments: [
            ("liste = 1", 1, "did you mean `listen`"), ("key = a\nkey = b", 2, "set twice"),
            ("# x\nhello", 2, "no `name = value`"),
        ])
    func badFilesAreRefused(text: String, line: Int, reason: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("settings", text)
        let run = CommandLineRun(["balance", "--config", path])
        #expect(run.code == 2)
        #expect(run.error.contains("\(path):\(line)"), "\(run.error)")
        #expect(run.error.contains(reason), "\(run.error)")
    }

    @Test("an address may end with slashes, and is used without them")
    func slashesAreDropped() throws {
        let command = try #require(Program.commands.first { $0.name == "serve" })
        let parsed = try ArgumentParser(commands: Program.commands).parse(
            ["--public-url", "https://x.example/millrace//"], for: command)
        let settings = try SettingValues(SettingTable.server, arguments: parsed, environment: [:])
        #expect(settings.url("public-url") == "https://x.example/millrace")
    }

    @Test("every default is a value that its own check accepts", arguments: SettingTable.all)
    func defaultsAreAccepted(setting: Setting) {
        guard let standard = setting.standard, !standard.isEmpty else { return }
        #expect(setting.complaint(about: standard) == nil)
    }

    @Test(
        "values out of bounds are refused",
        arguments: [
            ("server-threads", "0"), ("server-threads", "65"), ("server-threads", "two"),
            ("drain-time", "11m"),
            ("drain-time", "25"), ("run-retention", "1h"), ("dedupe-retention", "29d"), ("currency", "eur"),
            ("currency", "EURO"), ("listen", "localhost:80"), ("listen", "127.0.0.1:99999"),
            ("listen", "[127.0.0.1]:1"),
            ("tenant-egress", "10.0.0.0/33"), ("tenant-egress", "example.com"),
            ("tenant-egress", "127.0.0.1:port"),
            ("tenant-egress", "[::1"), ("price-per-minute", "-1"), ("data", ""),
            ("public-url", "millrace.example"), ("public-url", "ftp://x.example"), ("public-url", "https://"),
            ("public-url", "https://:80"), ("public-url", "https://x.example/a b"),
            ("public-url", "https://x.example?a=b"), ("server", "127.0.0.1:7070"),
        ])
    func valuesOutOfBoundsAreRefused(name: String, value: String) throws {
        let setting = try #require(SettingTable.all.first { $0.name == name })
        #expect(setting.complaint(about: value) != nil)
    }

    @Test("addresses, ranges and ports are read in both families")
    func destinationsAreRead() {
        let read = Destinations.readAll("10.0.0.0/8, 127.0.0.1:9000,[::1]:80, fd00::/8 ,[fd00::/8]:443")
        let expected: [EgressPolicy.Destination] = [
            .init(range: "10.0.0.0/8", port: nil), .init(range: "127.0.0.1", port: 9000),
            .init(range: "::1", port: 80),
            .init(range: "fd00::/8", port: nil), .init(range: "fd00::/8", port: 443),
        ]
        #expect(read == expected)
    }
}
