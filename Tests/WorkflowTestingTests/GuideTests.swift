import Commands
import Foundation
import Testing

/// One page of `docs/guides`.
struct Guide: Sendable, CustomTestStringConvertible {
    let name: String
    let text: String

    var testDescription: String { name }

    static let folder = Repository.path("docs/guides")

    /// All of them but the index, in the order of their names.
    static let all: [Guide] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".md") && $0 != "README.md" }.sorted().map { name in
            Guide(
                name: name, text: (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? "")
        }
    }()

    /// The YAML that stands below `<!-- example: PATH -->`.
    var examples: [(path: String, yaml: String)] {
        text.matches(of: #/<!-- example: (\S+) -->\n```yaml\n((?s).*?)```/#).map {
            (String($0.1), String($0.2))
        }
    }

    /// A command line and what the page says that it prints.
    struct Command {
        var line: String
        var output: String
    }

    var commands: [Command] {
        var found: [Command] = []
        for block in text.components(separatedBy: "```console\n").dropFirst() {
            for line in block.components(separatedBy: "```")[0].components(separatedBy: "\n") {
                if line.hasPrefix("$ ") {
                    found.append(Command(line: String(line.dropFirst(2)), output: ""))
                } else if !found.isEmpty, !line.isEmpty {
                    found[found.count - 1].output += line + "\n"
                }
            }
        }
        return found
    }

    /// The words of a command line; what stands in single quotes is one.
    static func words(_ line: String) -> [String] {
        line.components(separatedBy: "'").enumerated().flatMap { index, part in
            index.isMultiple(of: 2) ? part.split(separator: " ").map(String.init) : [part]
        }
    }
}

@Suite("docs/guides")
struct GuideTests {
    /// Goal: what a guide shows is what its example's tests run, line for line.
    @Test("what a guide shows stands in the example that it names", arguments: Guide.all)
    func examplesAreParts(guide: Guide) throws {
        #expect(!guide.examples.isEmpty)
        for (path, yaml) in guide.examples {
            #expect(path.hasPrefix("examples/"))
            let file = try String(contentsOfFile: Repository.path(path), encoding: .utf8)
            #expect("\n\(file)".contains("\n\(yaml)"), "\(path) does not hold:\n\(yaml)")
        }
    }

    /// Goal: whoever types what a guide shows sees what it says.
    ///
    /// `…` stands for whatever is there.
    @Test("commands of a guide that need no server print what it says", arguments: Guide.all)
    func commandsAreTrue(guide: Guide) throws {
        let local = guide.commands.filter { command in
            ["millrace test ", "millrace simulate "].contains { command.line.hasPrefix($0) }
        }
        #expect(local.count >= 2, "a guide shows `millrace test` and `millrace simulate`")
        let root = Repository.path("")
        for command in local {
            let words = Guide.words(command.line).dropFirst().map {
                $0.hasPrefix("examples/") ? root + $0 : $0
            }
            let run = CommandLineRun(words)
            let printed = (run.output + run.error).replacing(root, with: "")
            let parts = command.output.components(separatedBy: "…").map(NSRegularExpression.escapedPattern)
            let pattern = try Regex("(?s)" + parts.joined(separator: ".*"))
            #expect(printed.wholeMatch(of: pattern) != nil, "\(command.line) prints:\n\(printed)")
        }
    }

    @Test("every other command of a guide exists, with the options it shows", arguments: Guide.all)
    func commandsAreUnderstood(guide: Guide) throws {
        let parser = ArgumentParser(commands: Program.commands)
        for command in guide.commands where command.line.hasPrefix("millrace ") {
            let words = Array(Guide.words(command.line).dropFirst())
            let (found, count) = try parser.command(in: words)
            #expect(throws: Never.self, "\(command.line)") {
                try parser.parse(Array(words.dropFirst(count)), for: found)
            }
        }
    }

    @Test("the index names every guide, and every folder of examples has one")
    func indexIsWhole() throws {
        let index = try String(contentsOfFile: "\(Guide.folder)/README.md", encoding: .utf8)
        for guide in Guide.all { #expect(index.contains("](\(guide.name))"), "\(guide.name)") }
        let shown = Set(Guide.all.flatMap { $0.examples.map(\.path) })
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: Repository.path("examples/payments"))
        for folder in folders {
            #expect(shown.contains { $0.hasPrefix("examples/payments/\(folder)/") }, "\(folder) has no guide")
        }
    }
}
