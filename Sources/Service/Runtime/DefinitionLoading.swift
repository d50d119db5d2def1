package import Workflow

/// Turns a stored source into a definition; the application plugs in the reader of the format.
package protocol DefinitionLoader: Sendable {
    /// Reads a source of the format. `definition` is nil where any problem is an error.
    func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem])
    /// As ``load(_:)``, and also refuses what a new source must not have though a stored one may: a time
    /// zone that the system does not know. A run goes on when its zone is dropped from the database.
    func check(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem])
}

extension DefinitionLoader {
    package func check(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem]) {
        load(source)
    }
}
