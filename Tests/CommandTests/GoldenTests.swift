import Commands
import Foundation
import Testing

@Suite("Golden texts")
struct GoldenTests {
    private static let start = "<!-- generated: make golden -->\n"
    private static let end = "<!-- end of generated -->\n"

    /// The file with the part between the marks replaced.
    private func replaced(_ path: String, with generated: String) throws -> String {
        let text = try Repository.text(path)
        let first = try #require(
            text.range(of: Self.start), "\(path) has no mark where generated text starts")
        let last = try #require(text.range(of: Self.end), "\(path) has no mark where generated text ends")
        return text[..<first.upperBound] + generated + text[last.lowerBound...]
    }

    @Test("docs/cli.md shows the help of every command as it is")
    func documentationShowsEveryHelp() throws {
        let overview = "    " + HelpText.overview(of: Program.commands).replacing("\n", with: "\n    ")
        let sections = Program.commands.filter { !$0.isHidden }.map { command in
            "## millrace \(command.name)\n\n    "
                + HelpText.text(for: command).replacing("\n", with: "\n    ")
        }
        let generated =
            ([overview] + sections).joined(separator: "\n\n").replacing("\n    \n", with: "\n\n") + "\n"
        try Repository.expectGolden(try replaced("docs/cli.md", with: generated), at: "docs/cli.md")
    }

    @Test("docs/configuration.md lists every setting as it is")
    func documentationListsEverySetting() throws {
        var lines = ["| name (flag `--name`, file `name = value`) | variable | default | values | meaning |"]
        lines.append("| --- | --- | --- | --- | --- |")
        for setting in SettingTable.all {
            let standard = setting.standard.map { $0.isEmpty ? "none" : "`\($0)`" } ?? "–"
            lines.append(
                "| `\(setting.name)` | `\(setting.variable)` | \(standard) | \(setting.form) | \(setting.summary) |"
            )
        }
        let generated = lines.joined(separator: "\n") + "\n"
        try Repository.expectGolden(
            try replaced("docs/configuration.md", with: generated), at: "docs/configuration.md")
    }

    @Test("validate points at each problem with the line, a caret and a hint")
    func validationPointsAtProblems() throws {
        let path = Repository.folder.appending(path: "Tests/Golden/broken.yaml").path()
        let run = CommandLineRun(["validate", path])
        #expect(run.code == 1)
        let name = "broken.yaml"
        try Repository.expectGolden(run.output.replacing(path, with: name), at: "Tests/Golden/validate.txt")
    }
}
