import Foundation
import Testing

@Suite("millrace test --watch")
struct WatchTests {
    private static func workflow(_ output: Int) -> String {
        """
        name: play
        version: 1
        triggers: [{type: http}]
        steps: [{lua: return 1}]
        output: \(output)
        """
    }

    /// Goal: whoever edits a workflow sees its tests run again, wherever the workflow is.
    @Test("a workflow that a test names in another folder is watched, also while it is gone")
    func namedWorkflowsAreWatched() throws {
        let folder = try TemporaryFolder()
        for name in ["flows", "tests"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/\(name)", withIntermediateDirectories: false)
        }
        let flow = try folder.write("flows/play.yaml", Self.workflow(1))
        _ = try folder.write(
            "tests/play.test.yaml",
            "workflow: ../flows/play.yaml\ncases: [{name: one, expect: {output: 1}}]\n")
        let program = try WatchingProgram(["test", "--watch", "\(folder.path)/tests"])
        try program.awaitOutput("1 passed, 0 failed")
        _ = try folder.write("flows/play.yaml", Self.workflow(2))
        try program.awaitOutput("0 passed, 1 failed")
        try FileManager.default.removeItem(atPath: flow)
        try program.awaitOutput("MR2001")
        try program.awaitOutput("0 passed, 1 failed")
        _ = try folder.write("flows/play.yaml", Self.workflow(1))
        try program.awaitOutput("1 passed, 0 failed")
    }
}

/// The program, running until its owner goes away.
private final class WatchingProgram {
    private let process = Process()
    private let pipe = Pipe()
    /// What it has printed since the last text that was awaited.
    private var printed = ""
    /// Longer than any machine needs; only a program that does not notice waits for it.
    private static let patienceMilliseconds: Int32 = 20_000

    init(_ arguments: [String]) throws {
        process.executableURL = URL(filePath: Repository.program)
        process.arguments = arguments
        process.environment = ["MILLRACE_CONFIG": "/dev/null"]
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
    }

    deinit {
        // Not by SIGTERM, which it has inherited as blocked from this process's worker threads.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Reads until the text comes; a program that prints nothing more fails the test.
    func awaitOutput(_ text: String) throws {
        let file = pipe.fileHandleForReading
        while true {
            if let range = printed.range(of: text) {
                printed = String(printed[range.upperBound...])
                return
            }
            var waiting = pollfd(fd: file.fileDescriptor, events: Int16(POLLIN), revents: 0)
            try #require(
                poll(&waiting, 1, Self.patienceMilliseconds) == 1, "`\(text)` does not come after: \(printed)"
            )
            let data = file.availableData
            try #require(!data.isEmpty, "the program has ended: \(printed)")
            printed += String(decoding: data, as: UTF8.self)
        }
    }
}
