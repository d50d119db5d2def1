import Foundation
import Testing
import Values

@testable import Commands

/// Drives command lines against a real server, and notes which commands and options were driven.
final class CommandWalk {
    let fixture: ServerFixture
    let folder: TemporaryFolder
    private(set) var driven: Set<String> = []
    private let parser = ArgumentParser(commands: Program.commands)

    init() throws {
        fixture = try ServerFixture()
        folder = try TemporaryFolder()
        try fixture.start()
    }

    /// Runs one command line and notes it; `key` for a command that talks to the server.
    @discardableResult
    func drive(
        _ arguments: [String], key: String? = nil, input: String = "", expecting code: Int32 = 0,
        says text: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CommandLineRun {
        let target = try key.map { ["--server", try fixture.client(key: $0).server, "--key", $0] } ?? []
        try note(arguments + target)
        let run = CommandLineRun(arguments + target, input: input)
        let shown = run.output + run.error
        #expect(run.code == code, "\(arguments): \(shown)", sourceLocation: sourceLocation)
        #expect(
            text.isEmpty || shown.contains(text), "\(arguments): \(shown)", sourceLocation: sourceLocation)
        if arguments.contains("--json") {
            let lines = (run.output.isEmpty ? run.error : run.output).split(separator: "\n")
            for line in lines {
                #expect(
                    (try? JSON.parse(String(line))) != nil, "\(arguments) prints no JSON: \(line)",
                    sourceLocation: sourceLocation)
            }
            #expect(!lines.isEmpty, "\(arguments) prints nothing", sourceLocation: sourceLocation)
        }
        return run
    }

    /// Also with `--json`, for what can be asked twice.
    @discardableResult
    func look(
        _ arguments: [String], key: String? = nil, expecting code: Int32 = 0, says text: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CommandLineRun {
        try drive(
            arguments + ["--json"], key: key, expecting: code, sourceLocation: sourceLocation)
        return try drive(
            arguments, key: key, expecting: code, says: text, sourceLocation: sourceLocation)
    }

    /// Counts as driven what another test drives.
    func note(_ arguments: [String]) throws {
        let (command, count) = try parser.command(in: arguments)
        let parsed = try parser.parse(Array(arguments.dropFirst(count)), for: command)
        driven.insert(command.name)
        for option in command.options + Command.commonOptions where parsed.has(option.name) {
            driven.insert("\(command.name) --\(option.name)")
        }
    }
}
