import Foundation
import LuaExpressions
import OpenSSLCrypto
import Values
import Workflow
import WorkflowYAML

/// Reads texts the way the product does.
enum Reading {
    static let reader = WorkflowReader(compiler: LuaExpressionCompiler(cryptography: OpenSSLCryptography()))

    static func workflow(_ text: String) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        DocumentReader.workflow(Array(text.utf8), with: reader)
    }

    /// `MR1101 5:3` for each problem.
    static func marks(_ text: String) -> [String] {
        workflow(text).problems.map { "\($0.code) \($0.mark.line):\($0.mark.column)" }
    }

    static func node(_ text: String) throws -> Node { try DocumentReader.read(Array(text.utf8)).get() }

    /// The codes of what keeps a text from being a document.
    static func refusals(_ bytes: [UInt8]) -> [String] {
        switch YAMLReader.read(bytes) {
        case .success: []
        case .failure(let failure): failure.problems.map(\.code)
        }
    }

    static func refusals(_ text: String) -> [String] { refusals(Array(text.utf8)) }

    /// A step map around the lines of one step, which start on line 6 at column 5.
    static func step(_ lines: String) -> String {
        let body = lines.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
        return (["name: a", "version: 1", "triggers: [{type: manual}]", "steps:", "  one:"] + body).joined(
            separator: "\n")
    }

    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent()

    static func file(_ path: String) throws -> String {
        try String(contentsOf: repository.appendingPathComponent(path), encoding: .utf8)
    }

    /// Every block of the format's page that is marked as YAML.
    static func examples() throws -> [String] {
        var examples: [String] = []
        var current: [Substring]?
        for line in try file("docs/workflow-format.md").split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            if line == "```yaml" {
                current = []
            } else if line == "```", let lines = current {
                examples.append(lines.joined(separator: "\n"))
                current = nil
            } else {
                current?.append(line)
            }
        }
        return examples
    }
}
