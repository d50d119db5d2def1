import Testing
import Values
import Workflow
import WorkflowYAML

@Suite("Sources that cannot be used")
struct SchemaFaultTests {
    @Test("a schema tells every fault with its place")
    func schema() {
        let source: Value = ["type": "nothing", "properties": ["a": ["minimum": "x"]]]
        var found: SchemaFaults?
        if case .failure(let faults) = JSONSchema.compile(source) { found = faults }
        let paths = found?.list.map { $0.path.joined(separator: "/") } ?? []
        #expect(paths.contains { $0.hasPrefix("type") } && paths.contains { $0.hasPrefix("properties/a") })
        #expect(found?.list.allSatisfy { !$0.message.isEmpty } == true)
    }

    @Test("a text that is no document tells why, and where")
    func document() {
        var found: DocumentProblems?
        if case .failure(let problems) = YAMLReader.read(Array("a: [1,".utf8)) { found = problems }
        #expect(found?.problems.isEmpty == false)
    }
}
