import Foundation
import Glibc
import Processes
import Testing
import Values

@testable import Commands

/// Goal: nobody takes for done what they cannot have read, and nothing goes on for a reader that has gone.
@Suite("Standard output")
struct StandardOutputTests {
    /// Runs the program through a shell; standard error is read.
    private func shell(_ line: String) throws -> (code: Int32, error: String) {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/error"
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let child = try ChildProcess.start(
            ["/bin/sh", "-c", line, Repository.program], environment: ["MILLRACE_CONFIG": "/dev/null"],
            error: file)
        let code = child.wait()
        return (code, String(decoding: try Files.read(path), as: UTF8.self))
    }

    @Test(
        "what cannot be written ends with 70 and is told, as text and as JSON",
        arguments: ["> /dev/full", ">&-", "--json > /dev/full"])
    func lostOutput(_ rest: String) throws {
        let run = try shell("exec \"$0\" version \(rest)")
        #expect(run.code == 70 && run.error.contains("standard output cannot be written"), "\(run)")
        #expect(rest.contains("json") == run.error.contains("\"output_unwritable\""), "\(run)")
    }

    @Test("a reader that has what it wanted is no fault", arguments: ["help", "help --json"])
    func goneReader(_ words: String) throws {
        let run = try shell("(\"$0\" \(words); echo \"ended with $?\" >&2) | head -c 1 > /dev/null")
        #expect(run.error.contains("ended with 0"), "\(run)")
    }

    @Test("following a run ends when nobody reads it any more")
    func followingEnds() throws {
        let fixture = try ServerFixture()
        try fixture.start()
        let key = try fixture.makeTenant().key
        let client = try fixture.client(key: key)
        let source = "{name: waits, version: 1, triggers: [{type: http}], steps: [{wait: go}]}"
        _ = try client.call("PUT", "/api/workflows/waits", body: Array(source.utf8))
        let run = try #require(
            try client.call("POST", "/api/workflows/waits/trigger", body: []).value["run_id"]?.string)
        let words = "run \(run) --follow --json --server \(client.server) --key \(key)"
        let followed = try shell(
            "(timeout 20 \"$0\" \(words); echo \"ended with $?\" >&2) | head -n 1 > /dev/null")
        #expect(followed.error.contains("ended with 0"), "\(followed)")
    }

    @Test("a key's file that is named on the command line goes before a key in the environment")
    func keyFileGoesFirst() throws {
        let environment = ["MILLRACE_KEY": "mk_other", "MILLRACE_SERVER": "http://127.0.0.1:1"]
        let run = CommandLineRun(
            ["balance", "--key-file", "/no/such/file", "--json"], environment: environment)
        #expect(run.problem["code"] == "key_unreadable", "\(run.error)")
        let both = ["balance", "--key-file", "/no/such/file", "--key", "mk_this", "--json"]
        #expect(CommandLineRun(both, environment: environment).problem["code"] == "unreachable")
        let folder = try TemporaryFolder()
        let config = try folder.write("config", "key-file = /no/such/file\n")
        let inFile = CommandLineRun(["balance", "--config", config, "--json"], environment: environment)
        #expect(inFile.problem["code"] == "unreachable", "a variable goes before a file: \(inFile.error)")
    }
}
