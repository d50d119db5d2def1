import Foundation

/// What a reviewer would otherwise have to look for; each rule gives `path:line` of what breaks it.
enum TidyRules {
    typealias Rule = @Sendable (SourceTree) -> [String]

    /// A function that is named like a test but is none never runs, and nobody notices.
    static let testFunctionNames: Rule = { tree in
        tree.files(under: "Tests/").flatMap { find("func " + "test", #/func test[A-Z_0-9(]/#, in: $0) }
    }

    static let suitesWithoutTests: Rule = { tree in
        tree.files(under: "Tests/", ending: "Tests.swift").filter { !$0.text.contains("@Test") }.map(\.path)
    }

    /// An error that is dropped where runs and money are kept needs a reason in the three lines above it.
    static let droppedErrors: Rule = { tree in
        let folders = tree.files(
            under: "Sources/Service/", "Sources/Adapters/SQLiteStore/", "Tests/MemoryStore/")
        return folders.flatMap { file in
            let lines = file.lines
            let dropping =
                file.lineIndices(holding: " try? ") + file.lineIndices(holding: "(try? ")
                + file.lineIndices(holding: "catch {}")
            return dropping.filter { index in
                !lines[max(0, index - 3)...index].contains { $0.contains("//") }
            }.map { "\(file.path):\($0 + 1)" }
        }
    }

    /// Every error that another module can meet is named by at least one test, a nested one with its outer type.
    static let untestedErrors: Rule = { tree in
        let tests = wordsOfTests(tree)
        return tree.files(under: "Sources/Core/", "Sources/Adapters/", "Sources/Service/").flatMap { file in
            packageErrors(in: file).filter { !tests.contains($0) }.map { "\(file.path): \($0)" }
        }
    }

    /// What tests say; not these rules, which name all kinds of things.
    private static func wordsOfTests(_ tree: SourceTree) -> String {
        tree.files(under: "Tests/").filter { !$0.path.hasPrefix("Tests/TidyTests/") }.map(\.text).joined()
    }

    /// Names of the types that are errors and of `package` access, those of nested ones with their outer types.
    static func packageErrors(in file: SourceTree.File) -> [String] {
        guard file.text.contains("Error") else { return [] }
        var outer: [(indent: Int, name: String)] = []
        var errors: [String] = []
        let words = ["struct ", "enum ", "class ", "extension "]
        for line in file.lines where words.contains(where: { line.contains($0) }) {
            guard
                let found = line.firstMatch(
                    of: #/^( *)([a-z() ]*)\b(?:struct|enum|class|extension) ([\w.]+)(.*)/#)
            else { continue }
            let (indent, name) = (found.1.count, String(found.3))
            outer.removeAll { $0.indent >= indent }
            if found.2.contains("package"), found.4.contains(#/[:,] *(?:Swift\.)?Error\b/#) {
                errors.append((outer.map(\.name) + [name]).joined(separator: "."))
            }
            outer.append((indent, name))
        }
        return errors
    }

    /// A `package` type that stands alone says what it is for.
    static let undocumentedTypes: Rule = { tree in
        tree.files(under: "Sources/").flatMap { file in
            let lines = file.lines
            return file.lineIndices(holding: "package ").filter { index in
                let pattern = #/^(?:@\w+ )*package (?:final |indirect )*(?:struct|enum|class|protocol) /#
                guard lines[index].contains(pattern) else { return false }
                let above = lines[..<index].last { !$0.hasPrefix("@") }
                return above?.hasPrefix("///") != true
            }.map { "\(file.path):\($0 + 1)" }
        }
    }

    /// Every folder of workflows says what it does, and a test or the demonstration names it.
    static let unusedWorkflows: Rule = { tree in
        let users = wordsOfTests(tree) + tree.files(under: "Sources/App/Commands/Demo/").map(\.text).joined()
        let folders = Set(
            tree.files(under: "examples/", "workflows/", ending: ".yaml").map {
                $0.path.split(separator: "/").dropLast().joined(separator: "/")
            })
        return folders.sorted().flatMap { folder -> [String] in
            let isLoaded = users.contains("\"\(folder)\"") || users.contains("\"\(folder)/")
            let hasText = tree.has("\(folder)/README.md")
            return (isLoaded ? [] : ["\(folder): nothing loads it"])
                + (hasText ? [] : ["\(folder): no README.md"])
        }
    }

    /// A path that exists on one machine only.
    static let machinePaths: Rule = { tree in
        // In pieces, so that this file does not break its own rule.
        let roots = ["work", "home", "Users", "root", "tmp/w" + "t"]
        return tree.files.flatMap { file in
            roots.flatMap { file.lineIndices(holding: "/" + $0 + "/") }.filter {
                !file.lines[$0].contains("://")
            }
            .map { "\(file.path):\($0 + 1)" }
        }
    }

    /// Product code starts fast and stays small without it.
    static let foundation: Rule = { tree in
        tree.files(under: "Sources/").flatMap {
            find("import Foundation", #/^\s*(?:@\w+ )?(?:package |public )?import Foundation/#, in: $0)
        }
    }

    /// Threads and completions everywhere: see docs/decisions/0002.
    static let concurrency: Rule = { tree in
        tree.files(under: "Sources/").flatMap { file in
            ["await ", "async", "actor "].flatMap {
                find($0, #/^\s*[^/"]*\b(?:await |async\b|actor \w+ *[:{])/#, in: file)
            }
        }
    }

    static let leftovers: Rule = { tree in
        // In pieces, as above.
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]
        return tree.files(under: "Sources/", "Tests/", "docs/", ending: "").flatMap { file in
            words.flatMap { file.lineIndices(holding: $0) }.map { "\(file.path):\($0 + 1)" }
        }
    }

    /// Words that say nothing about what a type is.
    static let emptyNames: Rule = { tree in
        let words = ["Manager", "Helper", "Util", "Utils", "Common", "Base", "Data", "Info", "V2"]
        return tree.files(under: "Sources/", "Tests/").filter { !$0.path.hasPrefix("Tests/TidyTests") }
            .flatMap { file in
                words.flatMap { word in
                    find(word, #/\b(?:class|struct|enum|protocol|actor) (\w+)\b/#, in: file) {
                        $0.1.hasSuffix(word)
                    }
                }
            }
    }

    /// Who turns the compiler's check off says what stands in for it.
    static let unexplainedUnchecked: Rule = { tree in
        tree.files(under: "Sources/").flatMap { file in
            let lines = file.lines
            return file.lineIndices(holding: "@unchecked Sendable").filter { index in
                guard !lines[index].contains("//"), !lines[index].contains("\"") else { return false }
                let near = lines[index..<min(lines.count, index + 25)]
                return !near.contains { $0.lowercased().contains("unchecked:") }
            }.map { "\(file.path):\($0 + 1)" }
        }
    }

    /// Links of the documentation to files lead somewhere.
    static let deadLinks: Rule = { tree in
        tree.files(under: "", ending: ".md").flatMap { file in
            let folder = file.path.split(separator: "/").dropLast().map(String.init)
            return file.text.matches(of: #/\]\(([^)#: ]+)(?:#[^)]*)?\)/#).map { String($0.1) }.filter {
                link in
                var parts = folder
                for part in link.split(separator: "/") {
                    if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(String(part)) }
                }
                return !tree.has(parts.joined(separator: "/"))
            }.map { "\(file.path): \($0)" }
        }
    }

    /// A newcomer sees what it looks like before anything else.
    static let lateFirstCode: Rule = { tree in
        guard let readme = tree.files.first(where: { $0.path == "README.md" }) else {
            return ["README.md is missing"]
        }
        let first = readme.lines.firstIndex { $0.hasPrefix("```") || $0.hasPrefix("    ") } ?? .max
        return first < 20 ? [] : ["README.md: the first code is on line \(first)"]
    }

    /// Prose has at most 140 characters a line, so that a diff shows what changed; tables and code may be wider.
    static let wideMarkdown: Rule = { tree in
        tree.files.filter { $0.path.hasSuffix(".md") }.flatMap { file in
            var isCode = false
            return file.lines.enumerated().compactMap { index, line -> String? in
                if line.drop(while: { $0 == " " }).hasPrefix("```") { isCode.toggle() }
                let isWide = line.count > 140 && !isCode && !line.hasPrefix("|")
                return isWide ? "\(file.path):\(index + 1)" : nil
            }
        }
    }

    /// Lines that match, of those that hold `word`; most hold none, and a pattern is slow.
    private static func find<Output>(
        _ word: String, _ pattern: Regex<Output>, in file: SourceTree.File,
        where isMeant: (Regex<Output>.Match) -> Bool = { _ in true }
    ) -> [String] {
        file.lineIndices(holding: word).filter { index in
            file.lines[index].firstMatch(of: pattern).map(isMeant) ?? false
        }.map { "\(file.path):\($0 + 1)" }
    }
}
