import Testing

@Suite("Tidy")
struct TidyTests {
    /// A rule, a file that breaks it, and one that does not.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var rule: TidyRules.Rule
        var path: String
        var bad: String
        var good: String

        var testDescription: String { name }
    }

    static let cases = [
        Case(
            name: "no function is named like a test", rule: TidyRules.testFunctionNames,
            path: "Tests/A/ATests.swift",
            bad: "@Suite struct A { func " + "testThat() {} }",
            good: "@Suite struct A { @Test func holds() {} }"),
        Case(
            name: "every file of tests has one", rule: TidyRules.suitesWithoutTests,
            path: "Tests/A/ATests.swift",
            bad: "struct A {}", good: "@Test func holds() {}"),
        Case(
            name: "no error is dropped without a reason", rule: TidyRules.droppedErrors,
            path: "Sources/Service/Runtime/A.swift", bad: "\n\n\nlet a = try? store.run()",
            good: "// The next round reads it again.\nlet a = try? store.run()"),
        Case(
            name: "no catch is empty without a reason", rule: TidyRules.droppedErrors,
            path: "Sources/Adapters/SQLiteStore/A.swift", bad: "do { try a() } catch {}",
            good: "do { try a() } catch { throw error }"),
        Case(
            name: "every error is named by a test", rule: TidyRules.untestedErrors,
            path: "Sources/Core/Ports/A.swift",
            bad: "package enum Lonely" + "Error: Error, Sendable {}", good: "package enum A {}"),
        Case(
            name: "every nested error is named by a test", rule: TidyRules.untestedErrors,
            path: "Sources/Core/Ports/A.swift",
            bad: "package enum A {\n    package struct Trouble: Swift.Error, Sendable {}\n}",
            good: "enum A {\n    struct Trouble: Error {}\n}"),
        Case(
            name: "every type says what it is for", rule: TidyRules.undocumentedTypes,
            path: "Sources/Core/Ports/A.swift", bad: "/// A.\npackage enum A {}\npackage final class B {}",
            good: "/// A.\n@frozen\npackage enum A {\n    package enum B {}\n}\nstruct C {}"),
        Case(
            name: "every folder of workflows is used and explained", rule: TidyRules.unusedWorkflows,
            path: "examples/lonely/a.yaml", bad: "name: a", good: ""),
        Case(
            name: "no path of one machine", rule: TidyRules.machinePaths, path: "docs/a.md",
            bad: "see /ho" + "me/ada/notes", good: "see docs/notes"),
        Case(
            name: "no Foundation in the product", rule: TidyRules.foundation,
            path: "Sources/Core/Values/A.swift",
            bad: "import Foundation", good: "import Glibc"),
        Case(
            name: "no actors in the product", rule: TidyRules.concurrency,
            path: "Sources/Core/Values/A.swift",
            bad: "    let a = await b()", good: "    let a = b()  // no await here"),
        Case(
            name: "nothing is left for later", rule: TidyRules.leftovers, path: "Sources/Core/Values/A.swift",
            bad: "// TO" + "DO: think", good: "// thought"),
        Case(
            name: "no name says nothing", rule: TidyRules.emptyNames, path: "Sources/Core/Values/A.swift",
            bad: "struct RunManager {}", good: "struct Base64 {}"),
        Case(
            name: "every unchecked type says what protects it", rule: TidyRules.unexplainedUnchecked,
            path: "Sources/Core/Values/A.swift", bad: "final class A: @unchecked Sendable {}",
            good: "final class A: @unchecked Sendable {\n    // Unchecked: `a` is written under `lock`."),
        Case(
            name: "every link leads somewhere", rule: TidyRules.deadLinks, path: "docs/a.md",
            bad: "[b](b.md)", good: "[a](a.md) [web](https://example.com)"),
        Case(
            name: "the README shows code by line 20", rule: TidyRules.lateFirstCode, path: "README.md",
            bad: String(repeating: "words\n", count: 30) + "```", good: "# Title\n\n```sh\n```"),
        Case(
            name: "no line of prose is wider than 140 characters", rule: TidyRules.wideMarkdown,
            path: "docs/a.md", bad: wide,
            good: "| \(wide) |\n\n```sh\n\(wide)\n```\n" + String(repeating: "w", count: 140)),
    ]

    private static let wide = String(repeating: "w", count: 141)

    @Test("the repository keeps the rule", arguments: cases)
    func repositoryKeepsRule(rule: Case) throws {
        let broken = rule.rule(try SourceTree.repository.get())
        #expect(broken.isEmpty, "\(broken.joined(separator: "\n"))")
    }

    @Test("a folder of workflows that only these rules name is used by nobody")
    func namedByRulesAlone() {
        let files = [
            SourceTree.File(path: "workflows/operator/a/a.yaml", text: "name: a"),
            SourceTree.File(path: "workflows/operator/a/README.md", text: "# A"),
            SourceTree.File(path: "Tests/TidyTests/Rules.swift", text: "\"workflows/operator/a\""),
            SourceTree.File(path: "Tests/ATests/Tests.swift", text: "\"workflows/operator/ab\""),
        ]
        #expect(
            TidyRules.unusedWorkflows(SourceTree(files: files)) == ["workflows/operator/a: nothing loads it"])
        let user = SourceTree.File(path: "Tests/ATests/ATests.swift", text: "\"workflows/operator/a/a.yaml\"")
        #expect(TidyRules.unusedWorkflows(SourceTree(files: files + [user])).isEmpty)
    }

    @Test("the rule on errors sees every kind of them in the repository")
    func errorsAreSeen() throws {
        let tree = try SourceTree.repository.get()
        let seen = Set(tree.files(under: "Sources/").flatMap { TidyRules.packageErrors(in: $0) })
        let kinds: Set = [
            "StoreError", "JSONProblem", "ExpressionFailure", "SchemaFaults", "Money.Problem",
            "RunFork.Refusal",
        ]
        #expect(seen.isSuperset(of: kinds) && seen.count >= 18, "\(seen.sorted())")
    }

    @Test("the rule catches what breaks it and lets the rest pass", arguments: cases)
    func ruleCatches(rule: Case) {
        #expect(!rule.rule(SourceTree(files: [.init(path: rule.path, text: rule.bad)])).isEmpty)
        if !rule.good.isEmpty {
            #expect(rule.rule(SourceTree(files: [.init(path: rule.path, text: rule.good)])).isEmpty)
        }
    }
}
