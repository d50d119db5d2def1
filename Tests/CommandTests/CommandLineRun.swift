import Commands
import Foundation
import Processes
import Testing
import Values

/// What a command line printed and how it ended, run inside this process.
struct CommandLineRun {
    let code: Int32
    let output: String
    let error: String

    init(_ arguments: [String], environment: [String: String] = [:], input: String = "") {
        let (output, error) = (Gathered(), Gathered())
        let console = Console(
            writeOutput: { output.add($0) }, writeError: { error.add($0) }, readInput: { Array(input.utf8) })
        // Without this a file of settings in the current folder would be read.
        let environment = ["MILLRACE_CONFIG": "/dev/null"].merging(environment) { $1 }
        code = Program.run(arguments, environment: environment, console: console)
        self.output = output.text
        self.error = error.text
    }

    /// Standard output as JSON; null where it is none.
    var value: Value { (try? JSON.parse(output)) ?? .null }
    var problem: Value { (try? JSON.parse(error))?["error"] ?? .null }
}

/// Bytes that are put together on any thread.
final class Gathered: @unchecked Sendable {
    // Unchecked: `bytes` is read and written under `lock`.
    private let lock = Lock()
    private var bytes: [UInt8] = []

    func add(_ more: [UInt8]) { lock.withLock { bytes += more } }
    var text: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }
}

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws { path = try Files.makeTemporaryFolder("millrace-test") }

    deinit { Files.removeFolder(path) }

    func write(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}

enum Repository {
    /// The folder of `Package.swift`.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The program under test: built with the tests, beside them.
    static var program: String {
        let beside = Files.folder(of: ChildProcess.currentProgram ?? "") + "/millrace"
        return Files.exists(beside) ? beside : folder.appending(path: ".build/debug/millrace").path()
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: folder.appending(path: path), encoding: .utf8)
    }

    /// Compares with a file, which must exist; `UPDATE_GOLDEN=1` rewrites it.
    static func expectGolden(
        _ actual: String, at path: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let file = folder.appending(path: path)
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            return try actual.write(to: file, atomically: true, encoding: .utf8)
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(actual == expected, "UPDATE_GOLDEN=1 rewrites \(path)", sourceLocation: sourceLocation)
    }
}
