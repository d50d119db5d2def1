import Commands
import Foundation
import Testing
import Values

@Suite("Tests of the repository's workflows")
struct RepositoryWorkflowTests {
    @Test(
        "every case of every workflow passes, and every step and branch is covered",
        arguments: ["workflows", "examples"])
    func everyCasePasses(folder: String) {
        let run = CommandLineRun(["test", Repository.path(folder), "--json"])
        #expect(run.code == 0, "\(run.output)\(run.error)")
        #expect(run.value["failed"]?.int == 0)
        for file in run.value["files"]?.array ?? [] {
            #expect(file["coverage"]?["missing"] == [], "\(file["file"]?.text ?? "")")
        }
    }

    @Test("every workflow has tests beside it")
    func everyWorkflowHasTests() {
        for top in ["workflows", "examples"] {
            let walk = FileManager.default.enumerator(atPath: Repository.path(top))
            for case let file as String in walk ?? .init() where file.hasSuffix(".yaml") {
                if file.hasSuffix(".test.yaml") { continue }
                let test = Repository.path(top) + "/" + file.replacing(".yaml", with: ".test.yaml")
                #expect(FileManager.default.fileExists(atPath: test), "\(test) is missing")
            }
        }
    }
}
