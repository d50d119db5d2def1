import Glibc
import Ports
import Processes
import StandIns
import Values

/// Where the story plays: a folder, the stand-ins, the server's process, and hands for each tenant.
final class DemoStage: @unchecked Sendable {
    // Unchecked: `server` is read and written under `lock`; the rest is set before anyone looks.
    let transcript: Transcript
    let folder: String
    let repository: String
    let standIns: StandInCommands.Running
    private let program: String
    private let lock = Lock()
    private var server: ServerChild?

    var suite: StandInSuite { standIns.suite }

    init(transcript: Transcript, repository: String) throws(CommandFailure) {
        self.transcript = transcript
        self.repository = repository
        program = ChildProcess.currentProgram ?? "millrace"
        do throws(Files.Problem) { folder = try Files.makeTemporaryFolder("millrace-demo") } catch {
            throw CommandFailure(
                .internal, "folder", "no folder can be made: \(error.reason)", place: error.path)
        }
        standIns = try StandInCommands.Running(firstPort: 0)
    }

    /// Ends everything and removes the folder.
    func strike() {
        if let server = lock.withLock({ server }) {
            server.process.kill()
            _ = server.process.wait()
        }
        standIns.stop()
        Files.removeFolder(folder)
    }

    // MARK: - The server

    var data: String { "\(folder)/data" }
    var url: String { lock.withLock { server?.url } ?? "" }
    var internalURL: String { lock.withLock { server?.internalURL } ?? "" }

    /// Starts the server: the first time on free ports, later on the same.
    func startServer() throws(CommandFailure) {
        let (before, egress) = (lock.withLock { server }, "127.0.0.1")
        let listen = before.map { String($0.url.dropFirst(7)) } ?? "127.0.0.1:0"
        let internalListen = before.map { String($0.internalURL.dropFirst(7)) } ?? "127.0.0.1:0"
        let child = try ServerChild(
            program: program,
            arguments: [
                "--data", data, "--listen", listen, "--internal-listen", internalListen, "--tenant-egress",
                egress,
                "--operator-egress", egress,
            ], logPath: "\(folder)/server.log")
        lock.withLock { server = child }
        transcript.command(
            "millrace serve --data … --tenant-egress \(egress)", output: JSON.text(child.ready))
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    func killServer() -> Int32 {
        guard let server = lock.withLock({ server }) else { return -1 }
        server.process.kill()
        return server.process.wait()
    }

    /// SIGTERM, and its exit code.
    func stopServer() -> Int32 {
        guard let server = lock.withLock({ server }) else { return -1 }
        server.process.terminate()
        return server.process.wait()
    }

    // MARK: - Commands

    /// Runs a command of this program as a person would, says it, and returns its JSON and exit code.
    @discardableResult
    func run(
        _ arguments: [String], key: String? = nil, input: String = "", isShown: Bool = true
    ) -> (value: Value, code: Int32) {
        let output = Collected<[UInt8]>()
        var environment = ["MILLRACE_SERVER": url, "MILLRACE_CONFIG": "/dev/null"]
        environment["MILLRACE_KEY"] = key
        let console = Console(
            writeOutput: { output.add($0) }, writeError: { output.add($0) }, readInput: { Array(input.utf8) })
        let code = Program.run(arguments + ["--json"], environment: environment, console: console)
        let bytes = output.all.flatMap(\.self)
        let value = (try? JSON.parse(bytes)) ?? .string(String(decoding: bytes, as: UTF8.self))
        if isShown {
            let words = arguments.map { $0.contains(" ") || $0.contains("{") ? "'\($0)'" : $0 }
            transcript.command("millrace " + words.joined(separator: " "), output: Self.brief(value))
        }
        return (value, code)
    }

    /// One line of a value, cut where it is long; keys are shown only in part.
    private static func brief(_ value: Value) -> String {
        var value = value
        for name in ["operator_key", "internal_key"] where value[name] != nil {
            guard var object = value.object else { continue }
            object[name] = .string((object[name]?.text.prefix(20) ?? "") + "…")
            value = .object(object)
        }
        let text =
            value["key"]?["secret"] == nil
            ? JSON.text(value) : "{\"tenant_id\":\(JSON.text(value["tenant_id"] ?? .null)),…}"
        return text.count > 240 ? text.prefix(240) + "…" : text
    }

    /// Asks again until the answer is right or the time is over; returns the last one.
    func eventually<Answer: Sendable>(
        atMost seconds: Int, _ ask: () throws(CommandFailure) -> Answer, until isRight: (Answer) -> Bool
    ) throws(CommandFailure) -> Answer {
        let end = ContinuousClock.now + .seconds(seconds)
        while true {
            let answer = try ask()
            if isRight(answer) || ContinuousClock.now > end { return answer }
            usleep(20_000)
        }
    }
}
