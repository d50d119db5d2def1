import Commands
import Foundation
import Testing
import Values

@Suite("README")
struct ReadmeTests {
    /// The blocks of that language, in order.
    private func blocks(of language: String, in page: String = "README.md") throws -> [String] {
        let parts = try Repository.text(page).components(separatedBy: "```\(language)\n").dropFirst()
        return parts.map { $0.components(separatedBy: "```")[0] }
    }

    @Test("the workflow that it begins with is valid")
    func firstWorkflowIsValid() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("ship-order.yaml", try #require(try blocks(of: "yaml").first))
        let run = CommandLineRun(["validate", path])
        #expect(run.code == 0, "\(run.output)")
        #expect(try blocks(of: "yaml").first == Repository.text("examples/ship-order/ship-order.yaml"))
    }

    @Test("the files of the tutorial are those of its example")
    func tutorialShowsItsFiles() throws {
        let shown = try blocks(of: "yaml", in: "docs/tutorial.md")
        let files = ["payments.yaml", "payments.test.yaml"]
        #expect(try shown == files.map { try Repository.text("examples/tutorial/\($0)") })
    }

    @Test("the cookbook shows every file of its folder as it is, and their tests reach all of each")
    func cookbookShowsItsFiles() throws {
        let folder = Repository.folder.appending(path: "examples/cookbook").path()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        let tests = names.filter { $0.hasSuffix(".test.yaml") }
        let files = Set(names.filter { $0.hasSuffix(".yaml") }).subtracting(tests)
        #expect(files.count >= 20)
        let shown = try blocks(of: "yaml", in: "docs/cookbook.md")
        #expect(try Set(shown) == Set(files.map { try Repository.text("examples/cookbook/\($0)") }))
        #expect(shown.count == files.count)
        let page = try Repository.text("docs/cookbook.md")
        for test in tests { #expect(page.contains("millrace test examples/cookbook/\(test)\n")) }
        let run = CommandLineRun(["test", folder, "--coverage", "--json"])
        #expect(run.code == 0, "\(run.output)")
        let reports = run.value["files"]?.array ?? []
        #expect(reports.count == files.count)
        for report in reports { #expect(report["coverage"]?["missing"] == [], "\(report)") }
    }

    @Test("every command that it shows exists, with the options it shows")
    func commandsAreUnderstood() throws {
        let parser = ArgumentParser(commands: Program.commands)
        let shown = try blocks(of: "console").flatMap { $0.components(separatedBy: "\n") }
            .filter { $0.hasPrefix("$ millrace ") }
        #expect(shown.count > 5)
        for line in shown {
            var words = line.components(separatedBy: " ").dropFirst(2).prefix { $0 != ">" && $0 != "&" }.map(
                \.self)
            // A quoted argument with blanks in it counts as one.
            if let first = words.firstIndex(where: { $0.hasPrefix("'") }),
                let last = words.lastIndex(where: { $0.hasSuffix("'") })
            {
                words.replaceSubrange(first...last, with: ["{}"])
            }
            let (command, count) = try parser.command(in: words)
            #expect(throws: Never.self, "\(line)") {
                try parser.parse(Array(words.dropFirst(count)), for: command)
            }
        }
    }
}
