import Clocks
import Foundation
import MicroHTTPServer
import Ports
import Testing
import Values

@testable import Commands

@Suite("millrace completions")
struct CompletionTests {
    /// What a shell prints, with its exit code.
    private func shell(_ program: String, _ arguments: [String]) throws -> (code: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    private func script(_ name: String, in folder: TemporaryFolder) throws -> String {
        let run = CommandLineRun(["completions", name])
        #expect(run.code == 0)
        return try folder.write(name, run.output)
    }

    @Test(
        "bash completes commands, their second words, options, and the values of options",
        arguments: [
            ("ru", "runs run"), ("secrets s", "set"), ("secrets ", "list set delete"), ("expl", "explain"),
            ("runs --stat", "--status"), ("runs --status f", "failed"), ("runs --fa", "--failed"),
            ("workflows ro", "rollback"), ("workflows rollback --t", "--to"), ("tenants keys re", "revoke"),
            ("completions f", "fish"), ("help bal", "balance"), ("--key k runs --x", ""), ("nothing ", ""),
        ])
    func bashCompletes(line: String, words: String) throws {
        let folder = try TemporaryFolder()
        let file = try script("bash", in: folder)
        let typed = ("millrace " + line).components(separatedBy: " ")
        let array = typed.map { "'\($0)'" }.joined(separator: " ")
        let result = try shell(
            "/bin/bash",
            [
                "--norc", "-c",
                ". \(file); COMP_WORDS=(\(array)); COMP_CWORD=\(typed.count - 1); _millrace; echo \"${COMPREPLY[*]}\"",
            ])
        #expect(result.code == 0 && result.output.trimmed == words, "\(result.output)")
    }

    @Test("bash completes names of files where an option takes one")
    func bashCompletesFiles() throws {
        let folder = try TemporaryFolder()
        let file = try script("bash", in: folder)
        _ = try folder.write("vars.yaml", "a: 1")
        let result = try shell(
            "/bin/bash",
            [
                "--norc", "-c",
                "cd \(folder.path); . \(file); COMP_WORDS=(millrace deploy --vars-file va); COMP_CWORD=3; _millrace; "
                    + "echo \"${COMPREPLY[*]}\"",
            ])
        #expect(result.output.trimmed == "vars.yaml")
    }

    @Test("each shell reads its script", arguments: [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["-n"])])
    func shellsReadTheirScripts(name: String, arguments: [String]) throws {
        let folder = try TemporaryFolder()
        let file = try script(name, in: folder)
        // Only bash is on every machine.
        let found = ["/bin", "/usr/bin", "/usr/local/bin"].map { "\($0)/\(name)" }.first(where: Files.exists)
        #expect(found != nil || name != "bash")
        guard let found else { return }
        let result = try shell(found, arguments + [file])
        #expect(result.code == 0 && result.output.isEmpty, "\(result.output)")
    }

    @Test("every command and option of the table is in every script", arguments: ["bash", "zsh", "fish"])
    func scriptsAreWhole(name: String) {
        let text = CommandLineRun(["completions", name]).output
        for command in Program.commands where !command.isHidden {
            #expect(text.contains("'\(command.name)'"), "\(command.name)")
            for option in command.options {
                #expect(
                    text.contains(name == "fish" ? " -l \(option.name) " : "--\(option.name)"),
                    "\(option.name)")
            }
        }
    }
}

@Suite("Times of the command line")
struct TimesTests {
    @Test(
        "times are shown in the machine's zone, summer and winter, and in UTC on demand",
        arguments: [
            ("EST+5", "2026-01-31T09:30:00.123Z", "2026-01-31 04:30:00 -05:00"),
            ("IST-5:30", "2026-01-31T20:00:00.000Z", "2026-02-01 01:30:00 +05:30"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-01T10:00:00.000Z", "2026-07-01 12:00:00 +02:00"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T10:00:00.000Z", "2026-01-01 11:00:00 +01:00"),
            ("UTC0", "2026-01-31T09:30:00.000Z", "2026-01-31 09:30:00 UTC"),
        ])
    func zonesAreFollowed(zone: String, time: String, shown: String) throws {
        let instant = try #require(Instant(rfc3339: time))
        #expect(Times.read(shown)?.seconds == instant.seconds, "what is shown can be typed again")
        // The zone is a process's own, so a process of its own is asked.
        let fixture = try ServedList(time)
        let output = try fixture.run(["tenants", "list"], zone: zone)
        #expect(output.contains(shown), "\(output)")
        #expect(try fixture.run(["tenants", "list", "--utc"], zone: zone).contains(" UTC"))
    }
}

/// A server that knows one tenant.
private final class ServedList: InboundHandler {
    private let time: String
    private let clock = SystemClock()

    init(_ time: String) throws { self.time = time }

    deinit { clock.shutDown() }

    func handle(_ request: InboundRequest, respond: @escaping @Sendable (InboundResponse) -> Void) {
        let body: Value = ["items": [["tenant_id": "ten_1", "created_at": .string(time)]], "next": .null]
        respond(
            InboundResponse(
                status: 200, headers: [HTTPHeader("Content-Type", "application/json")], body: JSON.bytes(body)
            ))
    }

    /// What the program under test prints in that time zone.
    func run(_ arguments: [String], zone: String) throws -> String {
        let clock = clock
        let listener = try MicroHTTPServer.start(
            address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() }, handler: self)
        defer { listener.shutDown(drain: .zero) }
        let process = Process()
        process.executableURL = URL(filePath: Repository.program)
        process.arguments = arguments + ["--server", "http://127.0.0.1:\(listener.port)", "--key", "mk_1"]
        process.environment = ["TZ": zone, "MILLRACE_CONFIG": "/dev/null"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return output
    }
}
