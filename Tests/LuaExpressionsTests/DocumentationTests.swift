import Foundation
import Testing

@testable import LuaExpressions

@Suite("Functions in docs/workflow-format.md")
struct DocumentationTests {
    private static let repository = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: repository.appending(path: path), encoding: .utf8)
    }

    /// The page's part about functions.
    private static func section() throws -> String {
        let text = try text("docs/workflow-format.md")
        let start = try #require(text.range(of: "### Functions\n"))
        let end = try #require(text.range(of: "\n## ", range: start.upperBound..<text.endIndex))
        return String(text[start.upperBound..<end.lowerBound])
    }

    @Test("the page shows every name that scripts have beside a run's, and every function of its own")
    func namesAreShown() throws {
        let section = try Self.section()
        for name in SandboxLibrary.names {
            let isShown = ["\(name).", "\(name)(", "`\(name)`"].contains { section.contains($0) }
            #expect(isShown, "\(name)")
        }
        for function in SandboxLibrary.Function.allCases {
            #expect(section.contains("\(function.name.library).\(function.name.function)("))
        }
    }

    @Test("the page uses every function that the sandbox keeps of Lua's libraries")
    func librariesAreShown() throws {
        let section = try Self.section()
        let libraries = [("strings.c", "text_"), ("patterns.c", "pattern_"), ("tables.c", "(?:table|math)_")]
        for (file, prefix) in libraries {
            let source = try Self.text("Sources/Bindings/CLuaSandbox/\(file)")
            let entries = source.matches(
                of: try Regex("\\{\"([a-z_]+)\", +\(prefix)", as: (Substring, Substring).self))
            #expect(entries.count >= 4, "\(file)")
            for entry in entries { #expect(section.contains("\(entry.1)("), "\(file): \(entry.1)") }
        }
    }
}
