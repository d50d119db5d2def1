import Commands
import Foundation
import Testing
import Values

/// What a command line printed and how it ended, run inside this process.
struct CommandLineRun {
    let code: Int32
    let output: String
    let error: String

    init(_ arguments: [String], environment: [String: String] = [:]) {
        let (output, error) = (Gathered(), Gathered())
        let console = Console(
            writeOutput: { output.add($0) }, writeError: { error.add($0) }, readInput: { [] })
        // Without this a file of settings in the current folder would be read.
        let environment = ["MILLRACE_CONFIG": "/dev/null"].merging(environment) { $1 }
        code = Program.run(arguments, environment: environment, console: console)
        self.output = output.text
        self.error = error.text
    }

    /// Standard output as JSON; null where it is none.
    var value: Value { (try? JSON.parse(output)) ?? .null }
}

/// Bytes that are put together on any thread.
final class Gathered: @unchecked Sendable {
    // Unchecked: `bytes` is read and written under `lock`.
    private let lock = Lock()
    private var bytes: [UInt8] = []

    func add(_ more: [UInt8]) { lock.withLock { bytes += more } }
    var text: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }
}

/// A workflow and its test file in a folder that goes away with its owner.
final class Bench: Sendable {
    let folder: String

    init(workflow: String, test: String) throws {
        folder = try Files.makeTemporaryFolder("millrace-workflow-test")
        try workflow.write(toFile: "\(folder)/play.yaml", atomically: true, encoding: .utf8)
        try test.write(toFile: "\(folder)/play.test.yaml", atomically: true, encoding: .utf8)
    }

    deinit { Files.removeFolder(folder) }

    var testFile: String { "\(folder)/play.test.yaml" }

    func run(_ options: String...) -> CommandLineRun { CommandLineRun(["test", testFile] + options) }

    func text(of name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }
}

enum Repository {
    /// The folder of `Package.swift`.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func path(_ path: String) -> String { folder.appending(path: path).path(percentEncoded: false) }
}
