import Commands
import Foundation
import Testing
import Values

@Suite("The repository's workflows")
struct WorkflowFilesTests {
    private static let folders = [
        "workflows/operator/stripe", "workflows/operator/mollie",
        "workflows/operator/reconciliation", "examples/order-processing",
        "examples/payments/3ds", "examples/payments/checkout", "examples/payments/dispute",
        "examples/payments/dunning", "examples/payments/fraud-review", "examples/payments/provider-events",
        "examples/payments/settlement", "examples/payments/webhook-delivery", "examples/ship-order",
        "examples/tutorial", "examples/cookbook",
    ]

    @Test("every file is valid, without a warning", arguments: folders)
    func filesAreValid(folder: String) {
        let run = CommandLineRun(["validate", Repository.folder.appending(path: folder).path(), "--json"])
        #expect(run.code == 0, "\(run.output)")
        let problems = (run.value["files"]?.array ?? []).flatMap { $0["problems"]?.array ?? [] }
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("no file is left out of the list above")
    func listIsWhole() throws {
        var found: Set<String> = []
        for top in ["workflows", "examples"] {
            let walk = FileManager.default.enumerator(atPath: Repository.folder.appending(path: top).path())
            for case let file as String in walk ?? .init() where file.hasSuffix(".yaml") {
                found.insert("\(top)/" + file.split(separator: "/").dropLast().joined(separator: "/"))
            }
        }
        #expect(found == Set(Self.folders))
    }
}
