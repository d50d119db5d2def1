import Foundation
import Testing

/// `docs/security.md` defines the threats that code and tests cite.
@Suite("The page of security")
struct SecurityPageTests {
    private struct Row {
        var id: String
        var test: String
    }

    private static func rows(_ tree: SourceTree) -> [Row] {
        let page = tree.files(under: "docs/", ending: ".md").first { $0.path == "docs/security.md" }
        return (page?.lines ?? []).compactMap { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: true).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 4, cells[0].wholeMatch(of: #/[LWOGYS][0-9]{1,2}/#) != nil else { return nil }
            return Row(id: cells[0], test: cells[3])
        }
    }

    /// The numbers that stand in brackets at the end of a sentence, or before the colon of a test's name.
    private static func cited(in text: String) -> Set<String> {
        let places =
            text.matches(of: #/\(((?:[LWOGYSI][0-9]{1,2}(?:, )?)+)\)/#).map { String($0.1) }
            + text.matches(of: #/"((?:[LWOGYSI][0-9]{1,2}(?:, | to )?)+):? /#).map { String($0.1) }
        let numbers = places.flatMap { $0.matches(of: #/[LWOGYS][0-9]{1,2}/#).map { String($0.0) } }
        return Set(numbers)
    }

    @Test("each threat that code or a test cites is defined, once")
    func citedThreatsAreDefined() throws {
        let tree = try SourceTree.repository.get()
        let ids = Self.rows(tree).map(\.id)
        #expect(ids.count > 50 && Set(ids).count == ids.count)
        var cited: Set<String> = []
        for file in tree.files(under: "Sources/", "Tests/") { cited.formUnion(Self.cited(in: file.text)) }
        #expect(cited.count > 20)
        #expect(cited.subtracting(ids).isEmpty)
    }

    @Test("each threat names a test that exists, or says why it has none")
    func rowsHaveTests() throws {
        let tree = try SourceTree.repository.get()
        for row in Self.rows(tree) where !row.test.hasPrefix("None") {
            let path = try #require(row.test.firstMatch(of: #/`([A-Za-z\/+]+\.swift)`/#)).1
            #expect(tree.has("Tests/\(path)"), "\(row.id): Tests/\(path)")
        }
    }
}
