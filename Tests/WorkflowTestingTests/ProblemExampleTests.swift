import Foundation
import Testing
import Workflow

@Suite("Examples of docs/problems.md")
struct ProblemExampleTests {
    /// What no line of a page can show.
    private static let files: [ProblemCode: [UInt8]] = [
        .notUTF8: Array("name: ".utf8) + [0xFF], .fileTooLarge: bytes(SizedWorkflow.ofBytes((256 << 10) + 1)),
        .tooDeep: bytes(SizedWorkflow.ofDepth(33)), .tooManyNodes: bytes(SizedWorkflow.ofValues(10_001)),
        .scalarTooLong: bytes(SizedWorkflow.ofText((64 << 10) + 1)), .emptyDocument: [],
        .tab: bytes("name: a\nvars:\n\tb: 1\n"),
        .lineSeparator: bytes(PageRun.workflow("description: \u{2028}")),
        .tooManySteps: bytes(SizedWorkflow.ofSteps(1001)), .groupsTooDeep: bytes(SizedWorkflow.ofGroups(9)),
    ]

    /// Codes that only earlier versions of the program report.
    private static let retired: Set<ProblemCode> = [.notAvailableYet]

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func rows() throws -> [FormatPage.Table.Row] {
        let text = try String(contentsOfFile: Repository.path("docs/problems.md"), encoding: .utf8)
        return FormatPage(path: "docs/problems.md", text: text).tables.flatMap(\.rows)
    }

    @Test("each problem has an example, which has exactly that problem", arguments: ProblemCode.allCases)
    func examplesHaveTheirProblem(code: ProblemCode) throws {
        let row = try #require(try Self.rows().first { $0.cells[0] == code.rawValue })
        let lines = row.cells.count > 3 ? row.code(3) : []
        let place: Comment = "docs/problems.md:\(row.line): \(code.rawValue)"
        guard !Self.retired.contains(code) else {
            #expect(lines.isEmpty && Self.files[code] == nil, place)
            return
        }
        let file = Self.files[code]
        #expect((file == nil) != lines.isEmpty, "\(place) has no example, or two")
        let found = try PageRun.problems(
            file ?? Self.bytes(PageRun.workflow(lines.joined(separator: "\n"))))
        #expect(found.map(\.code) == [code.rawValue], "\(place): \(found.map(\.message))")
    }

    @Test("no part of the program reports a problem that only earlier versions had")
    func retiredCodesAreUnused() throws {
        let walk = FileManager.default.enumerator(atPath: Repository.path("Sources"))
        for case let file as String in walk ?? .init() where file.hasSuffix(".swift") {
            let text = try String(contentsOfFile: Repository.path("Sources/\(file)"), encoding: .utf8)
            for code in Self.retired where !file.hasSuffix("ProblemCode.swift") {
                #expect(!text.contains(".\(code)"), "\(file)")
            }
        }
    }
}
