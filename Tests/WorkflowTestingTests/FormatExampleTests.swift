import Commands
import Foundation
import Testing
import Values

@Suite("Examples of docs/workflow-format.md")
struct FormatExampleTests {
    private static let folder = Repository.path("Tests/FormatExamples")

    private static func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).map {
            $0.replacing(".test.yaml", with: "")
        }.sorted()
    }

    @Test("each example has cases, and no cases are left of one that is gone")
    func examplesHaveCases() throws {
        let faults = FormatPage.format.faults(cases: try Self.names())
        #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
    }

    /// Goal: what the page shows is what the engine does with it, step by step and branch by branch.
    @Test(
        "each example does in a run what its cases say, and they reach all of it",
        arguments: FormatPage.format.examples)
    func examplesAreExecuted(example: FormatPage.Example) throws {
        // One without a name or without cases is a fault of the test above.
        let name = example.name ?? ""
        guard try Self.names().contains(name) else { return }
        let cases = try String(contentsOfFile: "\(Self.folder)/\(name).test.yaml", encoding: .utf8)
        let scratch = try Scratch()
        _ = try scratch.write("\(name).yaml", example.text)
        let test = try scratch.write("\(name).test.yaml", cases)
        let run = CommandLineRun(["test", test, "--json"])
        let place = "docs/workflow-format.md:\(example.line): \(name)"
        #expect(run.code == 0, "\(place)\n\(CommandLineRun(["test", test]).output)")
        #expect(run.value["files"]?[0]?["coverage"]?["missing"] == [], "\(place)")
        #expect(example.text.contains("name: \(name)\n"), "\(place): the workflow has another name")
    }

    @Test("a page whose example has no name or no cases is told by line, and so are cases without an example")
    func faultsAreTold() {
        let fence = "```"
        let page = FormatPage(
            path: "a.md",
            text: """
                # Title

                <!-- example: one -->
                \(fence)yaml
                name: one
                \(fence)

                \(fence)yaml
                name: two
                \(fence)

                <!-- example: three -->
                \(fence)yaml
                name: three
                \(fence)
                """)
        #expect(page.examples.map(\.text) == ["name: one\n", "name: two\n", "name: three\n"])
        #expect(
            page.faults(cases: ["one", "gone"]) == [
                "a.md:8: an example without `<!-- example: NAME -->` before it is not executed",
                "a.md:13: the example three is not executed: write Tests/FormatExamples/three.test.yaml",
                "Tests/FormatExamples/gone.test.yaml: no example of a.md is called gone",
            ])
    }
}
