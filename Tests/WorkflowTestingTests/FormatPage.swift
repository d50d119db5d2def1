import Commands
import Foundation
import Testing

/// A page of the documentation, taken apart into what its tests execute.
struct FormatPage: Sendable {
    /// A block of code.
    struct Example: Sendable, CustomTestStringConvertible {
        /// What the comment before it says; nil where there is none.
        var name: String?
        /// Of its first fence, from 1.
        var line: Int
        var language: String
        var text: String

        var testDescription: String { name ?? "line \(line)" }
    }

    struct Table: Sendable, CustomTestStringConvertible {
        struct Row: Sendable {
            var line: Int
            var cells: [String]

            /// What stands in a cell as code, piece by piece.
            func code(_ index: Int) -> [String] { FormatPage.code(in: cells[index]) }
        }

        /// The heading above it, without marks of code.
        var heading: String
        /// What stands between the last blank line of text and the table: its introduction.
        var introduction: String
        var line: Int
        var header: [String]
        var rows: [Row]

        var testDescription: String { "line \(line): \(header.joined(separator: " | "))" }
    }

    let path: String
    private(set) var examples: [Example] = []
    private(set) var tables: [Table] = []

    static let format = FormatPage(reading: "docs/workflow-format.md")

    private init(reading path: String) {
        self.init(
            path: path, text: (try? String(contentsOfFile: Repository.path(path), encoding: .utf8)) ?? "")
    }

    init(path: String, text: String) {
        self.path = path
        let lines = text.components(separatedBy: "\n")
        var heading = ""
        var paragraph = ""
        var index = 0
        while index < lines.count {
            let line = lines[index]
            if line.hasPrefix("```") {
                let end = lines[(index + 1)...].firstIndex(of: "```") ?? lines.count
                examples.append(
                    Example(
                        name: index > 0 ? Self.name(in: lines[index - 1]) : nil, line: index + 1,
                        language: String(line.dropFirst(3)),
                        text: lines[(index + 1)..<end].joined(separator: "\n") + "\n"))
                index = end + 1
            } else if line.hasPrefix("| ") {
                let end = lines[index...].firstIndex { !$0.hasPrefix("|") } ?? lines.count
                tables.append(
                    Table(
                        heading: heading, introduction: paragraph, line: index + 1,
                        header: Self.cells(line),
                        rows: (index + 2..<max(end, index + 2)).map {
                            Table.Row(line: $0 + 1, cells: Self.cells(lines[$0]))
                        }))
                index = end
            } else {
                if line.hasPrefix("#") {
                    heading = String(line.drop { $0 == "#" || $0 == " " }).replacing("`", with: "")
                }
                if !line.isEmpty { paragraph = line }
                index += 1
            }
        }
    }

    private static func name(in line: String) -> String? {
        line.wholeMatch(of: #/<!-- example: (\S+) -->/#).map { String($0.1) }
    }

    /// The cells of a row; a bar inside of one is written `\|`.
    private static func cells(_ line: String) -> [String] {
        let bar = "\u{1}"
        var parts = line.replacing(#"\|"#, with: bar).split(separator: "|", omittingEmptySubsequences: false)
        parts.removeFirst()
        if parts.last?.allSatisfy(\.isWhitespace) ?? false { parts.removeLast() }
        return parts.map { $0.trimmingCharacters(in: .whitespaces).replacing(bar, with: "|") }
    }

    static func code(in text: String) -> [String] {
        if text == "``" { return [""] }
        return text.components(separatedBy: "`").enumerated().filter { !$0.offset.isMultiple(of: 2) }
            .map(\.element)
    }

    /// Where a page and the files of its cases do not fit together: what is not executed, and what is left over.
    func faults(cases: [String]) -> [String] {
        var found: [String] = []
        var seen: Set<String> = []
        for example in examples {
            let place = "\(path):\(example.line)"
            guard let name = example.name else {
                found.append(
                    "\(place): an example without `<!-- example: NAME -->` before it is not executed")
                continue
            }
            if example.language != "yaml" {
                found.append("\(place): the example \(name) is not marked as yaml")
            }
            if !seen.insert(name).inserted { found.append("\(place): two examples are called \(name)") }
            if !cases.contains(name) {
                found.append(
                    "\(place): the example \(name) is not executed: write Tests/FormatExamples/\(name).test.yaml"
                )
            }
        }
        return found
            + cases.filter { !seen.contains($0) }.map {
                "Tests/FormatExamples/\($0).test.yaml: no example of \(path) is called \($0)"
            }
    }
}

/// A folder of its own for files that a test writes.
final class Scratch: Sendable {
    let folder: String

    init() throws { folder = try Files.makeTemporaryFolder("millrace-page-test") }
    deinit { Files.removeFolder(folder) }

    /// Writes a file and says where it is.
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = "\(folder)/\(name)"
        try Data(bytes).write(to: URL(filePath: path))
        return path
    }
}
