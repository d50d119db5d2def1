package import Workflow

/// Turns a stored source into a definition; the application plugs in the reader of the format.
package protocol DefinitionLoader: Sendable {
    /// Reads a source of the format. `definition` is nil where any problem is an error.
    func load(_ source: [UInt8]) -> (definition: WorkflowDefinition?, problems: [Problem])
}
